import type { ClockFrame } from "../lib/clock.ts";

/** What time it is, as far as a store has been told: it has no clock of its own. */
export class ToldTime {
  #nowMs = 0;
  /** How far the wall was put back behind engine time. */
  #behindMs = 0;

  /** The latest time that the store was told. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** As of when rows past their retention are hidden. */
  get asOfMs(): number {
    return this.asOf(this.#nowMs);
  }

  /** As of when retention counts at `nowMs`: the wall's time where the wall was put back, so that rows are shown for longer rather than never again. */
  asOf(nowMs: number): number {
    return nowMs - this.#behindMs;
  }

  /** Time never goes back. */
  advanceTo(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  setClock({ offsetMs }: Pick<ClockFrame, "offsetMs">): void {
    this.#behindMs = Math.max(0, -offsetMs);
  }
}
