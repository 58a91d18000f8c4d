import { scanJson, type JsonMember } from "../core/json-scan.ts";
import type { ApiProblem } from "./api-problem.ts";

export interface BodyRefused {
  readonly ok: false;
  readonly problem: ApiProblem;
}

/** The members of a body that must be a JSON object, in their order; none where it is empty. `example` is shown to whoever sends something else. */
export function jsonMembers(
  body: Uint8Array,
  example: string,
): { readonly ok: true; readonly members: readonly JsonMember[] } | BodyRefused {
  if (body.length === 0) return { ok: true, members: [] };
  const scan = scanJson(body, 1);
  if (!scan.ok) return bodyRefused(`At byte ${scan.error.offset}: ${scan.error.message}.`);
  if (scan.root.kind !== "object") return bodyRefused(`The body must be a JSON object such as ${example}.`);
  return { ok: true, members: scan.root.members };
}

/** `wanted` says what the body may hold. */
export function unknownMember({ key }: JsonMember, wanted: string): BodyRefused {
  return bodyRefused(`${JSON.stringify(key.slice(0, 64))} is not supported: give ${wanted}.`);
}

export function bodyRefused(detail: string): BodyRefused {
  return { ok: false, problem: { code: "body_invalid", detail } };
}
