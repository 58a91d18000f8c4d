/** What is known of all deliveries of one event together. */
export interface ResultCounts {
  /** Deliveries that the event had when it was accepted. */
  readonly matched: number;
  /** Not ended yet. */
  readonly owed: number;
  readonly delivered: number;
  readonly failed: number;
  readonly discarded: number;
  /** An event that nobody wanted has no delivery whose end could say how long its result is kept. */
  readonly keptUntilMs: number;
}

/** `gone`: it has been cleaned up, at least so far that nothing true can be said of the whole any more. */
export type ResultStatus = "processing" | "ok" | "failed" | "gone";

/**
 * How it stands with an event: `ok` only if every delivery is known to have arrived, `failed` once all have ended and one is known not to have
 * arrived. That holds whatever became of those that are forgotten: one that arrived at once is, long before another has used up its attempts.
 */
export function resultStatus(counts: ResultCounts, nowMs: number): ResultStatus {
  const { matched, owed, delivered, failed, discarded } = counts;
  if (owed > 0) return "processing";
  if (matched === 0) return nowMs < counts.keptUntilMs ? "ok" : "gone";
  if (failed + discarded > 0) return "failed";
  return delivered < matched ? "gone" : "ok";
}
