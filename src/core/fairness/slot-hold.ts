import type { FairLane } from "./fair-share.ts";

/** One slot that is held; made by the queue, given back to it, touched nowhere else. */
export interface SlotHold<L extends FairLane = FairLane> {
  readonly lane: L;
  /** ms, on the clock of whoever took it. */
  readonly startedAtMs: number;
  /** Given beyond the share of the slow ones, to see what a subscription is like; until it is long. */
  isTrial: boolean;
  /** What lane and namespace have been charged for it so far, ms. */
  chargedMs: number;
  /** Held for long by now, and counted as such. */
  isLong: boolean;
  older: SlotHold<L> | undefined;
  newer: SlotHold<L> | undefined;
}

/** Slots that are held but not for long yet, oldest first; any of them leaves at once. */
export class YoungHolds<L extends FairLane> {
  #oldest: SlotHold<L> | undefined;
  #newest: SlotHold<L> | undefined;

  push(hold: SlotHold<L>): void {
    hold.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = hold;
    else this.#newest.newer = hold;
    this.#newest = hold;
  }

  remove(hold: SlotHold<L>): void {
    if (hold.older === undefined) this.#oldest = hold.newer;
    else hold.older.newer = hold.newer;
    if (hold.newer === undefined) this.#newest = hold.older;
    else hold.newer.older = hold.older;
    hold.older = undefined;
    hold.newer = undefined;
  }

  /** Takes out the oldest if it was begun at `untilMs` or before. */
  takeUntil(untilMs: number): SlotHold<L> | undefined {
    const oldest = this.#oldest;
    if (oldest === undefined || oldest.startedAtMs > untilMs) return undefined;
    this.remove(oldest);
    return oldest;
  }
}
