import type { Clock } from "../lib/clock.ts";

/** After a commit that did not say whether it happened, rows that memory does not know are no surprise for this long. */
const DOUBT_MS = 120_000;

/** Whether a commit lately did not say whether it happened. Kept in memory only: the next start reads everything. */
export class CommitDoubt {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** A commit did not say whether it happened. */
  doubt(): void {
    this.#untilMs = this.#clock.monotonicMs() + DOUBT_MS;
  }

  get isInDoubt(): boolean {
    return this.#clock.monotonicMs() < this.#untilMs;
  }
}
