/** An attempt that has held its slot so long is a long one; a subscription whose attempts take so long on average is slow. */
export const LONG_MS = 2_000;
/** A slow one is quick again below this: half, so that it does not change sides with each answer. */
const QUICK_AGAIN_MS = 1_000;
/** How much the latest attempt counts: after one of 55 s some twenty quick ones make a subscription quick again. */
const WEIGHT = 1 / 8;
/** The least a slot costs, and what is thought of one that nothing is known of. */
const COST_MIN_MS = 1;

/** How long the attempts of one subscription hold their slots: a moving average, ms. */
export class HoldPace {
  #meanMs: number | undefined;
  #slow = false;

  /** Nothing is known yet: no attempt has ended. */
  get isUntried(): boolean {
    return this.#meanMs === undefined;
  }

  /** What its next slot is charged at the start; settled at the end. */
  get costMs(): number {
    return Math.min(LONG_MS, costOf(this.#meanMs ?? 0));
  }

  get isSlow(): boolean {
    return this.#slow;
  }

  /** An attempt ended after `tookMs`. */
  ended(tookMs: number): void {
    this.#meanMs = this.#meanMs === undefined ? tookMs : this.#meanMs + (tookMs - this.#meanMs) * WEIGHT;
    this.#slow = this.#meanMs >= (this.#slow ? QUICK_AGAIN_MS : LONG_MS);
  }
}

/** What holding a slot for `heldMs` costs. */
export function costOf(heldMs: number): number {
  return Math.max(COST_MIN_MS, heldMs);
}
