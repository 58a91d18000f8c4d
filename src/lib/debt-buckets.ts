import { RecentMap } from "./recent-map.ts";

/** Names remembered at once; beyond that the one that was seen first is forgotten. They come from outside. */
const NAMES_MAX = 10_000;

interface Bucket {
  /** Below zero it is in debt. */
  left: number;
  atMs: number;
}

/**
 * A bucket for each name that fills by `perSecond`, holds one second's worth and may be drawn below zero: what was taken is taken, so whoever is not in debt
 * may begin something whose cost nobody knows yet, and pays for it afterwards.
 */
export class DebtBuckets {
  readonly perSecond: number;
  readonly #buckets = new RecentMap<string, Bucket>(NAMES_MAX);

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  /** Below zero a debt. */
  left(name: string, nowMs: number): number {
    return this.#bucket(name, nowMs).left;
  }

  spend(name: string, amount: number, nowMs: number): void {
    this.#bucket(name, nowMs).left -= amount;
  }

  #bucket(name: string, nowMs: number): Bucket {
    const found = this.#buckets.get(name);
    if (found !== undefined) {
      found.left = Math.min(this.perSecond, found.left + (Math.max(0, nowMs - found.atMs) / 1_000) * this.perSecond);
      found.atMs = nowMs;
      return found;
    }
    const bucket = { left: this.perSecond, atMs: nowMs };
    this.#buckets.set(name, bucket);
    return bucket;
  }
}
