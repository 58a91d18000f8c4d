import { DebtBuckets } from "../lib/debt-buckets.ts";

/**
 * Deliveries per second and namespace; one second's worth may come at once. Whoever is not in debt may send, and what is more than the bucket holds
 * becomes debt: so the pace holds however large a request is, and a large one need not wait until small ones leave the bucket full for it.
 */
export class RateGate {
  readonly perSecond: number;
  readonly #buckets: DebtBuckets;

  /** 0 = no limit. */
  constructor(perSecond: number) {
    this.perSecond = perSecond;
    this.#buckets = new DebtBuckets(perSecond);
  }

  /** The seconds after which something may be taken; undefined when it may be now. */
  waitSeconds(namespace: string, nowMs: number): number | undefined {
    if (this.perSecond === 0) return undefined;
    const left = this.#buckets.left(namespace, nowMs);
    return left >= 1 ? undefined : Math.max(1, Math.ceil((1 - left) / this.perSecond));
  }

  /** Takes `deliveries` unless the namespace is in debt: undefined; else the seconds after which it will not be. */
  take(namespace: string, deliveries: number, nowMs: number): number | undefined {
    const waitSeconds = this.waitSeconds(namespace, nowMs);
    if (waitSeconds === undefined && this.perSecond > 0) this.#buckets.spend(namespace, deliveries, nowMs);
    return waitSeconds;
  }
}
