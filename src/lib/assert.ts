/** A broken assumption inside Postrider: never used for input, which is answered with a Problem. */
export class AssertionError extends Error {
  readonly code = "ASSERTION";
  override readonly name = "AssertionError";
}

/** Throws when `condition` does not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Ends a switch over a union: the type checker refuses a missing case, and so does the running program. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
