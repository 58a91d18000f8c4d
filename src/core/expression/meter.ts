import type { Pattern } from "./pattern.ts";

/**
 * The cost of evaluating, counted in steps of about 0.1 µs: what each part, function and loop costs stands in docs/adr/0017. Counting is exact and the
 * same on every machine, so what is cut off here would be cut off anywhere: no clock decides about a match.
 */
export const EVALUATION_STEPS_MAX = 150_000;
/** Characters or bytes looked at in one step. */
const CHARS_PER_STEP = 32;
/** Instructions of a regular expression looked at in one step. */
const PATTERN_WORK_PER_STEP = 8;
/** The longest text or bytes an expression may build on its way, and the longest list it may join. */
const BUILT_LENGTH_MAX = 1024 * 1024;
/** What an expression may build on its way in all, bytes of memory. */
const BUILT_BYTES_MAX = 4 * 1024 * 1024;
const BYTES_PER_CHAR = 2;
const BYTES_PER_ITEM = 16;

class TooManySteps extends Error {}

const NO_PATTERNS: readonly Pattern[] = [];
const meter = { allowed: EVALUATION_STEPS_MAX, left: EVALUATION_STEPS_MAX, builtBytes: 0, evaluation: 0, patterns: NO_PATTERNS };

export interface Metered<T> {
  readonly value: T | undefined;
  /** What was taken, at least one. */
  readonly steps: number;
  /** Stopped for want of steps. */
  readonly cut: boolean;
}

/** Runs `work` with at most so many steps; `patterns` are those of the expression. What `work` throws is thrown, unless it was cut. */
export function metered<T>(stepsMax: number, patterns: readonly Pattern[], work: () => T): Metered<T> {
  meter.allowed = stepsMax;
  meter.left = stepsMax;
  meter.builtBytes = 0;
  meter.evaluation += 1;
  meter.patterns = patterns;
  const { stackTraceLimit } = Error;
  traceErrors(undefined);
  let value: T | undefined;
  try {
    value = work();
  } catch (error) {
    if (meter.left >= 0) throw error;
  } finally {
    traceErrors(stackTraceLimit);
    meter.patterns = NO_PATTERNS;
  }
  return { value, steps: Math.max(1, stepsMax - Math.max(0, meter.left)), cut: meter.left < 0 };
}

/** CEL makes an error of every field that is absent, and V8 takes 25 µs to look where that was: a loop could have ten thousand of them. */
function traceErrors(frames: number | undefined): void {
  (Error as { stackTraceLimit?: number | undefined }).stackTraceLimit = frames;
}

/** What was taken so far of the evaluation that was last begun; for one that did not come to its end. */
export function stepsTaken(): number {
  return Math.max(1, meter.allowed - Math.max(0, meter.left));
}

/** Takes steps before they are gone. @throws when there are not so many left, and from then on every time */
export function charge(steps: number): void {
  meter.left -= Math.ceil(steps);
  if (meter.left < 0) throw new TooManySteps(`the expression needs more than the ${meter.allowed} steps allowed`);
}

/** Charges a look at a text or bytes, and one step for the call. */
export function chargeChars(length: number): void {
  charge(1 + length / CHARS_PER_STEP);
}

/** Charges a search for a pattern in a text as it goes on. */
export function chargePattern(work: number): void {
  charge(work / PATTERN_WORK_PER_STEP);
}

/** The evaluation that runs, by number: who charges once in each keeps it. */
export function evaluationNumber(): number {
  return meter.evaluation;
}

export function patternOf(index: bigint): Pattern {
  const pattern = meter.patterns[Number(index)];
  if (pattern === undefined) throw new Error("the regular expression is missing");
  return pattern;
}

/** Counts a text that is about to be built. @throws when it is too long, or one too many */
export function buildsText(length: number): void {
  builds("text", length, length * BYTES_PER_CHAR);
}

export function buildsBytes(length: number): void {
  builds("bytes value", length, length);
}

export function buildsList(size: number): void {
  builds("list", size, size * BYTES_PER_ITEM);
}

function builds(what: string, length: number, bytes: number): void {
  if (length > BUILT_LENGTH_MAX) throw new Error(`the expression builds a ${what} longer than the ${BUILT_LENGTH_MAX} allowed`);
  meter.builtBytes += bytes;
  if (meter.builtBytes > BUILT_BYTES_MAX) throw new Error(`the expression builds more than the ${BUILT_BYTES_MAX} bytes allowed in all`);
}
