/** A token bucket of one namespace; below zero it is in debt. */
interface Bucket {
  tokens: number;
  atMs: number;
}

/** Namespaces remembered at once; beyond that the one seen first is forgotten. */
const BUCKETS_MAX = 10_000;

/**
 * Deliveries per second and namespace; one second's worth may come at once. Whoever is not in debt may send, and what is more than the bucket holds
 * becomes debt: so the pace holds however large a request is, and a large one need not wait until small ones leave the bucket full for it.
 */
export class RateGate {
  readonly perSecond: number;
  readonly #buckets = new Map<string, Bucket>();

  /** 0 = no limit. */
  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  /** The seconds after which something may be taken; undefined when it may be now. */
  waitSeconds(namespace: string, nowMs: number): number | undefined {
    if (this.perSecond === 0) return undefined;
    const { tokens } = this.#bucket(namespace, nowMs);
    return tokens >= 1 ? undefined : Math.max(1, Math.ceil((1 - tokens) / this.perSecond));
  }

  /** Takes `deliveries` unless the namespace is in debt: undefined; else the seconds after which it will not be. */
  take(namespace: string, deliveries: number, nowMs: number): number | undefined {
    const waitSeconds = this.waitSeconds(namespace, nowMs);
    if (waitSeconds === undefined && this.perSecond > 0) this.#bucket(namespace, nowMs).tokens -= deliveries;
    return waitSeconds;
  }

  #bucket(namespace: string, nowMs: number): Bucket {
    const found = this.#buckets.get(namespace);
    if (found !== undefined) {
      const gained = (Math.max(0, nowMs - found.atMs) / 1_000) * this.perSecond;
      found.tokens = Math.min(this.perSecond, found.tokens + gained);
      found.atMs = nowMs;
      return found;
    }
    if (this.#buckets.size >= BUCKETS_MAX) this.#forgetOldest();
    const bucket = { tokens: this.perSecond, atMs: nowMs };
    this.#buckets.set(namespace, bucket);
    return bucket;
  }

  #forgetOldest(): void {
    for (const [namespace] of this.#buckets) {
      this.#buckets.delete(namespace);
      return;
    }
  }
}
