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
 * What `started` answers and the end of the same attempt gives back: > 0 = a probe (each has its own number), < 0 = any other attempt (the
 * period it began in), 0 = one that is not told apart. Booleans are the older form: true = some probe of this half-open, false = 0.
 */
export type Probe = number | boolean;

/**
 * Circuit breaker of one subscription.
 *   closed     sends; consecutive failures are counted, `consecutiveFailures` of them open it
 *   open       sends nothing until `openUntilMs`
 *   half-open  from then on: at most `halfOpenProbes` probes; one failure opens it again, all succeeding closes it
 *   ramp       closed, but at most n, 2n, 4n … requests per 10 s; n is 20, or an eighth of what the receiver took before it failed
 * Each opening, closing and reset begins a new period. A result counts only in the period its attempt began in, and once: late ones of an
 * earlier half-open, of before the opening or of another endpoint change nothing, however late they come.
 * A crash keeps only `openUntilMs` (a pause on the queue): the breaker then comes back open and probes first.
 */
export class Breaker {
  /** Undefined while closed; set while open and half-open. */
  #openUntilMs: number | undefined;
  #failures: number;
  #period = 1;
  #probes = 0;
  /** Successes still owed in this half-open; 0 = it has not begun. A policy that changes meanwhile counts from the next one on. */
  #owed = 0;
  /** Probes of this half-open that have not ended. */
  readonly #underWay = new Set<number>();
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

  /** What an attempt gives back that begins now, was counted by `started` before and is no probe. */
  get begun(): number {
    return -this.#period;
  }

  /** When one more may be sent; `nowMs` = now, Infinity = after a probe has ended. */
  readyAtMs(nowMs: number, policy: BreakerPolicy): number {
    if (this.#openUntilMs !== undefined) {
      // A policy that was shortened, or a pause stored under a longer one: nobody waits longer than the policy of now says.
      this.#openUntilMs = Math.min(this.#openUntilMs, nowMs + policy.openForMs);
      if (nowMs < this.#openUntilMs) return this.#openUntilMs;
      if (this.#owed === 0) this.#owed = Math.max(1, policy.halfOpenProbes);
      return this.#underWay.size < this.#owed ? nowMs : Number.POSITIVE_INFINITY;
    }
    if (this.#rampAllows === 0) return nowMs;
    this.#moveRamp(nowMs);
    return this.#rampAllows === 0 || this.#rampLeft > 0 ? nowMs : this.#rampWindowAtMs + RAMP_WINDOW_MS;
  }

  /** One is sent now, after `readyAtMs` allowed it; what it answers belongs to the end of the same attempt. */
  started(nowMs: number): number;
  /** The older form: answers whether it is a probe. */
  started(): boolean;
  started(nowMs?: number): number | boolean {
    if (this.#openUntilMs !== undefined && this.#owed > 0) {
      this.#probes += 1;
      this.#underWay.add(this.#probes);
      return nowMs === undefined ? true : this.#probes;
    }
    if (nowMs !== undefined && this.#rampAllows > 0) this.#moveRamp(nowMs);
    if (this.#rampAllows > 0) this.#rampLeft -= 1;
    return nowMs === undefined ? false : this.begun;
  }

  /** A started one never got as far as an attempt: a probe's place is free again, if its half-open still goes on. */
  abandoned(probe: Probe): void {
    this.#ended(probe);
  }

  /** A success; answers whether the breaker closed by it. */
  succeeded(probe: Probe, nowMs: number): boolean {
    if (this.#openUntilMs === undefined) {
      if (!this.#isOfNow(probe)) return false;
      this.#failures = 0;
      this.#countTaken(nowMs);
      return false;
    }
    if (!this.#ended(probe)) return false;
    this.#owed -= 1;
    if (this.#owed > 0) return false;
    this.#close();
    const proven = Math.max(this.#taken, this.#takenBefore);
    this.#rampAllows = Math.max(RAMP_FIRST, Math.floor(proven / RAMP_PROVEN_SHARE));
    this.#rampWindowAtMs = nowMs;
    this.#rampLeft = this.#rampAllows;
    return true;
  }

  /** A failure; answers whether the breaker opened (again) by it. */
  failed(probe: Probe, nowMs: number, policy: BreakerPolicy): boolean {
    if (this.#openUntilMs !== undefined) {
      if (!this.#ended(probe)) return false;
      this.#failures += 1;
    } else {
      if (!this.#isOfNow(probe)) return false;
      this.#failures += 1;
      if (this.#failures < policy.consecutiveFailures) return false;
    }
    this.#newPeriod();
    this.#openUntilMs = nowMs + policy.openForMs;
    this.#rampAllows = 0;
    return true;
  }

  /** Closed at once, nothing remembered: the endpoint changed or somebody resumed it. */
  reset(): void {
    this.#close();
    this.#rampAllows = 0;
  }

  #close(): void {
    this.#newPeriod();
    this.#openUntilMs = undefined;
    this.#failures = 0;
  }

  #newPeriod(): void {
    this.#period += 1;
    this.#owed = 0;
    this.#underWay.clear();
  }

  /** Whether an attempt that is no probe began in this period (or is not told apart). */
  #isOfNow(probe: Probe): boolean {
    return probe === false || probe === 0 || probe === this.begun;
  }

  /** Takes a probe of this half-open out of those under way; false = it is none (any more). */
  #ended(probe: Probe): boolean {
    if (typeof probe === "number") return this.#underWay.delete(probe);
    if (!probe) return false;
    const [some] = this.#underWay;
    return some !== undefined && this.#underWay.delete(some);
  }

  #countTaken(nowMs: number): void {
    if (nowMs - this.#takenWindowAtMs >= RAMP_WINDOW_MS || nowMs < this.#takenWindowAtMs) {
      this.#takenBefore = this.#taken;
      this.#taken = 0;
      this.#takenWindowAtMs = nowMs;
    }
    this.#taken += 1;
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
