import type { Reason } from "./reasons.ts";

/** Something wrong with what somebody wrote, as a value: where it is, why it is refused (a stable reason) and what to do. */
export interface Problem {
  /** Path of the field, e.g. `spec.endpoint.url`; empty for the whole object. */
  readonly field: string;
  /** The condition's reason where one is set. */
  readonly reason: Reason;
  /** One or two sentences for a person: what is wrong and what to do. Never holds a secret's value. */
  readonly message: string;
}

/** Several problems of one object as one, under the first one's reason. */
export function mergedProblem(problems: readonly Problem[]): Problem {
  const [first] = problems;
  if (first === undefined) return { field: "", reason: "Invalid", message: "the object is not valid" };
  return { ...first, message: problems.map(({ message }) => message).join("; ") };
}

/** A value or the problems that stand in its way. */
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };
