import type { Clock } from "./clock.ts";

/** Of how long a stretch the load is taken, ms: shorter ones say little, longer ones say it late. */
const STRETCH_MS = 50;
/** Busy from this share of the time on: what is left is the gaps between turns, so that more work waits for this loop and for nothing else. */
const BUSY_FROM = 0.8;

/** For how long the event loop was idle and active so far, ms. */
export interface LoopTimes {
  readonly idle: number;
  readonly active: number;
}

/** Whether the event loop of this thread is the bottleneck. Kept in memory only. */
export class LoopLoad {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #times: () => LoopTimes;
  #last: LoopTimes;
  #lastMs: number;
  #isBusy = false;

  constructor(clock: Pick<Clock, "monotonicMs">, times: () => LoopTimes = () => performance.eventLoopUtilization()) {
    this.#clock = clock;
    this.#times = times;
    this.#last = times();
    this.#lastMs = clock.monotonicMs();
  }

  /** As of the last stretch that is over. Nothing is measured while no one asks. */
  isBusy(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastMs < STRETCH_MS) return this.#isBusy;
    const times = this.#times();
    const active = times.active - this.#last.active;
    const all = active + times.idle - this.#last.idle;
    this.#isBusy = all > 0 && active / all >= BUSY_FROM;
    this.#last = times;
    this.#lastMs = nowMs;
    return this.#isBusy;
  }
}
