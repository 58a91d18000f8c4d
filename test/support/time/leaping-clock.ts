import { SystemClock } from "../../../src/lib/clock.ts";

/** The real clock, whose monotonic time a test may move on: timers and sockets know nothing of it. */
export class LeapingClock extends SystemClock {
  #aheadMs = 0;

  leap(byMs: number): void {
    this.#aheadMs += byMs;
  }

  override monotonicMs(): number {
    return super.monotonicMs() + this.#aheadMs;
  }
}
