import type { Clock } from "../../../src/lib/clock.ts";

/** A clock that only moves when the test says so; timers fire in order of time. */
export class ManualClock implements Clock {
  #nowMs: number;
  #timers: { readonly atMs: number; readonly sequence: number; readonly fn: () => void }[] = [];
  #sequence = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), sequence: this.#sequence++, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.length;
  }

  /** When the next timer fires, ms; undefined when none waits. */
  nextAtMs(): number | undefined {
    return this.#next()?.atMs;
  }

  /** Moves on, firing what falls due on the way and letting promises settle between timers. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let timer = this.#next(); timer !== undefined && timer.atMs <= untilMs; timer = this.#next()) {
      const fired = timer;
      this.#timers = this.#timers.filter((other) => other !== fired);
      this.#nowMs = Math.max(this.#nowMs, fired.atMs);
      fired.fn();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  #next(): { readonly atMs: number; readonly sequence: number; readonly fn: () => void } | undefined {
    return this.#timers.toSorted((a, b) => a.atMs - b.atMs || a.sequence - b.sequence)[0];
  }
}

/** Lets every promise that can settle now do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}
