/**
 * Time as an argument. Wall time that cannot jump under us: boot wall time plus the monotonic clock, so an operator's
 * `date -s` never makes everything due at once (design: "Clock").
 */
export interface Clock {
  /** Milliseconds since the Unix epoch; never runs backwards within one process. */
  nowMs(): number;
  /** Milliseconds on a monotonic clock with an arbitrary origin; for lengths only. */
  monotonicMs(): number;
  /** Calls `fn` once after `delayMs` (clamped to 0..2^31-1). Returns a function that cancels it. Does not keep the process alive. */
  after(delayMs: number, fn: () => void): () => void;
}

/** The largest delay a Node timer takes; one more fires at once. */
export const TIMER_DELAY_MAX_MS = 2_147_483_647;

/** The real clock. It cannot be stubbed; tests pass another `Clock`. */
export class SystemClock implements Clock {
  readonly #wallAtBootMs = Date.now();
  readonly #monotonicAtBootMs = performance.now();
  /** Set when a large wall step has been adopted. */
  #stepMs = 0;

  nowMs(): number {
    return Math.floor(this.#wallAtBootMs + this.#stepMs + (performance.now() - this.#monotonicAtBootMs));
  }

  monotonicMs(): number {
    return performance.now();
  }

  /** How far the machine's wall clock has moved away from ours, in ms (positive: the machine is ahead). */
  wallDriftMs(): number {
    return Date.now() - this.nowMs();
  }

  /** Takes over the machine's wall clock; the caller decides when a step has held long enough. */
  adoptWallClock(): void {
    this.#stepMs += this.wallDriftMs();
  }

  after(delayMs: number, fn: () => void): () => void {
    const clamped = Math.min(Math.max(0, Math.ceil(delayMs)), TIMER_DELAY_MAX_MS);
    const timer = setTimeout(fn, clamped);
    timer.unref();
    return () => clearTimeout(timer);
  }
}
