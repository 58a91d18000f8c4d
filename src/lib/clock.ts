/**
 * Time as an argument: three clocks for three purposes.
 *   `nowMs`        engine time: due times, ages, pauses, expiries. It never jumps, whatever the machine's clock does; see core/clock-frame.ts.
 *   `trueMs`       the machine's wall clock as it is at this moment: for what others compare with their own clock (signatures, tokens, dates).
 *   `monotonicMs`  lengths only.
 */
export interface Clock {
  /** Engine time, ms since the Unix epoch as the store counts it; never jumps, never runs backwards, not even over restarts. */
  nowMs(): number;
  /** The machine's wall clock, ms since the Unix epoch. It may step at any moment, both ways: never keep it to compare with later. */
  trueMs(): number;
  /** What an instant of engine time is called on the wall: for what people read. Equal to `atMs` until a step of the wall clock was taken over. */
  shownMs(atMs: number): number;
  /** Milliseconds on a monotonic clock with an arbitrary origin; for lengths only. */
  monotonicMs(): number;
  /** Calls `fn` once after `delayMs` (clamped to 0..2^31-1) of monotonic time. Returns a function that cancels it. Does not keep the process alive. */
  after(delayMs: number, fn: () => void): () => void;
  /** Calls `fn` once what lies in the sockets now has been read. */
  afterPoll(fn: () => void): void;
}

/** Engine time at an instant, and how far the wall clock is ahead of it, as far as that has been taken over. */
export interface ClockFrame {
  readonly nowMs: number;
  readonly offsetMs: number;
}

/** The largest delay a Node timer takes; one more fires at once. */
export const TIMER_DELAY_MAX_MS = 2_147_483_647;

/** The real clock. It cannot be stubbed; tests pass another `Clock`. */
export class SystemClock implements Clock {
  #startMs = Date.now();
  #monotonicAtStartMs = performance.now();
  /** How far the wall clock is ahead of engine time: steps that have been taken over. */
  #offsetMs = 0;

  /** Goes on where the store's last process stopped. Once, before anything asks for the time. */
  begin({ nowMs, offsetMs }: ClockFrame): void {
    this.#startMs = nowMs;
    this.#monotonicAtStartMs = performance.now();
    this.#offsetMs = offsetMs;
  }

  nowMs(): number {
    return Math.floor(this.#startMs + (performance.now() - this.#monotonicAtStartMs));
  }

  trueMs(): number {
    return Date.now();
  }

  shownMs(atMs: number): number {
    return atMs + this.#offsetMs;
  }

  monotonicMs(): number {
    return performance.now();
  }

  /** How far the machine's wall clock has moved away from what is shown, in ms (positive: the machine is ahead). */
  wallDriftMs(): number {
    return Date.now() - this.shownMs(this.nowMs());
  }

  /** Takes over the machine's wall clock for what is shown; the caller decides when a step has held long enough. Engine time goes on as it was. */
  adoptWallClock(): void {
    this.#offsetMs += this.wallDriftMs();
  }

  after(delayMs: number, fn: () => void): () => void {
    const clamped = Math.min(Math.max(0, Math.ceil(delayMs)), TIMER_DELAY_MAX_MS);
    const timer = setTimeout(fn, clamped);
    timer.unref();
    return () => clearTimeout(timer);
  }

  afterPoll(fn: () => void): void {
    setImmediate(fn);
  }
}
