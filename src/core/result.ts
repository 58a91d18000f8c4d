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

/** `gone`: it has been cleaned up, at least in part, and nothing true can be said of the whole any more. */
export type ResultStatus = "processing" | "ok" | "failed" | "gone";

/** How it stands with an event: `ok` only if every delivery arrived, `failed` once all have ended and one did not arrive. */
export function resultStatus(counts: ResultCounts, nowMs: number): ResultStatus {
  const { matched, owed, delivered, failed, discarded } = counts;
  if (owed > 0) return "processing";
  if (matched === 0) return nowMs < counts.keptUntilMs ? "ok" : "gone";
  if (delivered + failed + discarded < matched) return "gone";
  return failed + discarded > 0 ? "failed" : "ok";
}
