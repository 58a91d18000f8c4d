import { RecentMap } from "./recent-map.ts";

/** A map whose entries end at a time of their own and whose size is bounded: beyond `max` the oldest entry goes. Times are the caller's, ms. */
export class ExpiringMap<V> {
  readonly #entries: RecentMap<string, { readonly value: V; readonly untilMs: number }>;

  constructor(max: number) {
    this.#entries = new RecentMap(max);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Undefined from `untilMs` on. */
  get(key: string, nowMs: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs < entry.untilMs) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: V, untilMs: number): void {
    this.#entries.set(key, { value, untilMs });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
