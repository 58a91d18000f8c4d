import type { RateLimit } from "./policy.ts";

/** A token bucket on the caller's clock: `burst` at once, then `requests` per `perMs`. Starts full. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #tokens: number;
  #atMs: number;

  constructor(limit: RateLimit, nowMs: number) {
    this.#perMs = limit.requests / limit.perMs;
    this.#capacity = Math.max(1, limit.burst);
    this.#tokens = this.#capacity;
    this.#atMs = nowMs;
  }

  /** When the next token can be taken; `nowMs` if one is there. */
  readyAtMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= 1 - EPSILON ? nowMs : nowMs + Math.max(1, Math.ceil((1 - this.#tokens) / this.#perMs));
  }

  /** Takes one; the caller has asked `readyAtMs` first. */
  take(nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= 1;
  }

  #refill(nowMs: number): void {
    // A wall clock taken over may lie behind: it goes on from there, or nothing would come in until the old time is reached again.
    if (nowMs > this.#atMs) this.#tokens = Math.min(this.#capacity, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }
}

/** Fractions of a token add up to a little less than one. */
const EPSILON = 1e-6;
