/** A token bucket of one namespace. */
interface Bucket {
  tokens: number;
  atMs: number;
}

/** Namespaces remembered at once; beyond that the one seen first is forgotten. */
const BUCKETS_MAX = 10_000;

/** Events per second and namespace; one second's worth may come at once. */
export class RateGate {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();

  /** 0 = no limit. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes `events` if there is room: undefined; else the seconds after which there will be. A batch larger than a second's worth takes its debt along. */
  take(namespace: string, events: number, nowMs: number): number | undefined {
    if (this.#perSecond === 0) return undefined;
    const bucket = this.#bucket(namespace, nowMs);
    const needed = Math.min(events, this.#perSecond);
    if (bucket.tokens < needed) return Math.max(1, Math.ceil((needed - bucket.tokens) / this.#perSecond));
    bucket.tokens -= events;
    return undefined;
  }

  #bucket(namespace: string, nowMs: number): Bucket {
    const found = this.#buckets.get(namespace);
    if (found !== undefined) {
      const gained = (Math.max(0, nowMs - found.atMs) / 1_000) * this.#perSecond;
      found.tokens = Math.min(this.#perSecond, found.tokens + gained);
      found.atMs = nowMs;
      return found;
    }
    if (this.#buckets.size >= BUCKETS_MAX) this.#forgetOldest();
    const bucket = { tokens: this.#perSecond, atMs: nowMs };
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
