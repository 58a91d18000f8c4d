import type { Policy } from "./policy.ts";

export type BreakerPolicy = Policy["circuitBreaker"];

/** A recovering receiver gets at most twice as many requests as in the 10 s before (promise 17). */
const RAMP_WINDOW_MS = 10_000;
/** Requests in the first 10 s after a recovery, where nothing better is known. */
const RAMP_FIRST = 20;
/** A receiver that took so many in 10 s before it failed begins with an eighth of that: three doublings, and it is back. */
const RAMP_PROVEN_SHARE = 8;
/** From so many requests per 10 s on the ramp holds nothing back any more. */
const RAMP_ENDS_AT = 131_072;

/**
 * Circuit breaker of one subscription.
 *   closed     sends; consecutive failures are counted, `consecutiveFailures` of them open it
 *   open       sends nothing until `openUntilMs`; results of attempts begun earlier change nothing
 *   half-open  from then on: at most `halfOpenProbes` probes; one failure opens it again, all succeeding closes it
 *   ramp       closed, but at most n, 2n, 4n … requests per 10 s; n is 20, or an eighth of what the receiver took before it failed
 * A crash keeps only `openUntilMs` (a pause on the queue): the breaker then comes back open and probes first.
 */
export class Breaker {
  /** Undefined while closed; set while open and half-open. */
  #openUntilMs: number | undefined;
  #failures: number;
  #probesLeft = 0;
  #probesOwed = 0;
  /** Requests allowed per window; 0 = no ramp. */
  #rampAllows = 0;
  #rampWindowAtMs = 0;
  #rampLeft = 0;
  /** Successes of the window under way and of the last whole one: what the receiver has shown to bear. */
  #taken = 0;
  #takenBefore = 0;
  #takenWindowAtMs = 0;

  constructor(failures = 0, openUntilMs?: number) {
    this.#failures = failures;
    this.#openUntilMs = openUntilMs;
  }

  get consecutiveFailures(): number {
    return this.#failures;
  }

  /** Open or half-open: until the probes have succeeded. */
  get isOpen(): boolean {
    return this.#openUntilMs !== undefined;
  }

  /** End of the pause; undefined while closed. */
  get openUntilMs(): number | undefined {
    return this.#openUntilMs;
  }

  /** When one more may be sent; `nowMs` = now, Infinity = after a probe has ended. */
  readyAtMs(nowMs: number, policy: BreakerPolicy): number {
    if (this.#openUntilMs !== undefined) {
      if (nowMs < this.#openUntilMs) return this.#openUntilMs;
      if (this.#probesOwed === 0) this.#halfOpen(policy);
      return this.#probesLeft > 0 ? nowMs : Number.POSITIVE_INFINITY;
    }
    if (this.#rampAllows === 0) return nowMs;
    this.#moveRamp(nowMs);
    return this.#rampAllows === 0 || this.#rampLeft > 0 ? nowMs : this.#rampWindowAtMs + RAMP_WINDOW_MS;
  }

  /** One is sent now; answers whether it is a probe. */
  started(): boolean {
    if (this.#openUntilMs !== undefined) {
      this.#probesLeft -= 1;
      return true;
    }
    if (this.#rampAllows > 0) this.#rampLeft -= 1;
    return false;
  }

  /** A started one never got as far as an attempt. */
  abandoned(probe: boolean): void {
    if (probe && this.#openUntilMs !== undefined) this.#probesLeft += 1;
  }

  /** A success; answers whether the breaker closed by it. */
  succeeded(probe: boolean, nowMs: number): boolean {
    if (this.#openUntilMs === undefined) {
      this.#failures = 0;
      this.#countTaken(nowMs);
      return false;
    }
    if (!probe) return false;
    this.#probesOwed -= 1;
    if (this.#probesOwed > 0) return false;
    this.#openUntilMs = undefined;
    this.#failures = 0;
    const proven = Math.max(this.#taken, this.#takenBefore);
    this.#rampAllows = Math.max(RAMP_FIRST, Math.floor(proven / RAMP_PROVEN_SHARE));
    this.#rampWindowAtMs = nowMs;
    this.#rampLeft = this.#rampAllows;
    return true;
  }

  /** A failure; answers whether the breaker opened (again) by it. */
  failed(probe: boolean, nowMs: number, policy: BreakerPolicy): boolean {
    this.#failures += 1;
    const opens = this.#openUntilMs === undefined ? this.#failures >= policy.consecutiveFailures : probe;
    if (!opens) return false;
    this.#openUntilMs = nowMs + policy.openForMs;
    this.#probesOwed = 0;
    this.#probesLeft = 0;
    this.#rampAllows = 0;
    return true;
  }

  /** Closed at once, nothing remembered: the endpoint changed or somebody resumed it. */
  reset(): void {
    this.#openUntilMs = undefined;
    this.#failures = 0;
    this.#rampAllows = 0;
  }

  #countTaken(nowMs: number): void {
    if (nowMs - this.#takenWindowAtMs >= RAMP_WINDOW_MS || nowMs < this.#takenWindowAtMs) {
      this.#takenBefore = this.#taken;
      this.#taken = 0;
      this.#takenWindowAtMs = nowMs;
    }
    this.#taken += 1;
  }

  #halfOpen(policy: BreakerPolicy): void {
    this.#probesOwed = Math.max(1, policy.halfOpenProbes);
    this.#probesLeft = this.#probesOwed;
  }

  #moveRamp(nowMs: number): void {
    // A wall clock taken over may lie behind: the window begins anew, or the ramp would stand still until the old time is reached again.
    this.#rampWindowAtMs = Math.min(this.#rampWindowAtMs, nowMs);
    while (this.#rampAllows > 0 && nowMs >= this.#rampWindowAtMs + RAMP_WINDOW_MS) {
      this.#rampAllows = this.#rampAllows >= RAMP_ENDS_AT ? 0 : this.#rampAllows * 2;
      this.#rampWindowAtMs += RAMP_WINDOW_MS;
      this.#rampLeft = this.#rampAllows;
    }
  }
}
