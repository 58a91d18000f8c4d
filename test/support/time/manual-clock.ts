import type { Clock, ClockFrame } from "../../../src/lib/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly sequence: number;
  readonly fn: () => void;
}

/**
 * A clock that only moves when the test says so; timers fire in order of time. Monotonic time, engine time and the wall are three numbers:
 * `stepWall` moves the last one alone, `stall` lets time pass while nobody runs.
 */
export class ManualClock implements Clock {
  #monotonicMs = 1_000_003;
  /** Engine time and wall, each as what must be added to monotonic time. */
  #engineMs: number;
  #wallMs: number;
  #offsetMs = 0;
  #timers: Timer[] = [];
  /** What comes in through sockets: read after the timers of a turn. */
  #arrivals: Timer[] = [];
  #polled: (() => void)[] = [];
  #sequence = 0;
  /** Calls of `advance` and `stall` that go on. */
  #moving = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#engineMs = startMs - this.#monotonicMs;
    this.#wallMs = startMs - this.#monotonicMs;
  }

  nowMs(): number {
    return Math.floor(this.#monotonicMs + this.#engineMs);
  }

  trueMs(): number {
    return Math.floor(this.#monotonicMs + this.#wallMs);
  }

  shownMs(atMs: number): number {
    return atMs + this.#offsetMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  wallDriftMs(): number {
    return this.trueMs() - this.shownMs(this.nowMs());
  }

  adoptWallClock(): void {
    this.#offsetMs += this.wallDriftMs();
  }

  /** A new process begins where the store says. */
  begin({ nowMs, offsetMs }: ClockFrame): void {
    this.#engineMs = nowMs - this.#monotonicMs;
    this.#offsetMs = offsetMs;
  }

  /** The machine's clock is put right, or wrong. */
  stepWall(byMs: number): void {
    this.#wallMs += byMs;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), sequence: this.#sequence++, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** While time stands still sockets are real ones: they are read in the next turn of the event loop. */
  afterPoll(fn: () => void): void {
    if (this.#moving > 0) this.#polled.push(fn);
    else setImmediate(fn);
  }

  /** Something that reaches a socket after `delayMs`: a process that stands finds it when it goes on, but only after its timers. */
  arrive(delayMs: number, fn: () => void): void {
    this.#arrivals.push({ atMs: this.#monotonicMs + Math.max(0, delayMs), sequence: this.#sequence++, fn });
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.length;
  }

  /** When the next timer fires, on the scale of `nowMs`; undefined when none waits. */
  nextAtMs(): number | undefined {
    const next = earliest(this.#timers);
    return next === undefined ? undefined : next.atMs + this.#engineMs;
  }

  /** In how long the next timer fires, ms; undefined when none waits. */
  nextInMs(): number | undefined {
    const next = earliest(this.#timers);
    return next === undefined ? undefined : next.atMs - this.#monotonicMs;
  }

  /** Moves on, firing what falls due on the way and letting promises settle between timers. */
  async advance(ms: number): Promise<void> {
    this.#moving += 1;
    try {
      await this.#advance(ms);
    } finally {
      this.#moving -= 1;
    }
  }

  async #advance(ms: number): Promise<void> {
    const untilMs = this.#monotonicMs + ms;
    await settle();
    await this.#poll();
    for (;;) {
      const timer = earliest([...this.#timers, ...this.#arrivals]);
      if (timer === undefined || timer.atMs > untilMs) break;
      this.#monotonicMs = Math.max(this.#monotonicMs, timer.atMs);
      await this.#fire(timer);
    }
    this.#monotonicMs = untilMs;
  }

  /** Lets time go on, a millisecond at a time, until `work` has settled or `isOver` says that it never will. */
  async until<T>(work: Promise<T>, isOver: () => boolean = () => false): Promise<T | undefined> {
    const state = { settled: false };
    const noted = work.finally(() => (state.settled = true));
    noted.catch(() => undefined);
    for (await settle(); !state.settled && !isOver(); await settle()) await this.advance(1);
    return state.settled ? noted : undefined;
  }

  /** The process stands still for so long: then every timer that is over fires first, as Node does it, and only then sockets are read. */
  async stall(ms: number): Promise<void> {
    this.#moving += 1;
    try {
      await this.#stall(ms);
    } finally {
      this.#moving -= 1;
    }
  }

  async #stall(ms: number): Promise<void> {
    this.#monotonicMs += ms;
    for (let timer = earliest(this.#timers); timer !== undefined && timer.atMs <= this.#monotonicMs; timer = earliest(this.#timers)) {
      this.#timers = this.#timers.filter((other) => other !== timer);
      timer.fn();
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    for (let one = earliest(this.#arrivals); one !== undefined && one.atMs <= this.#monotonicMs; one = earliest(this.#arrivals)) {
      this.#arrivals = this.#arrivals.filter((other) => other !== one);
      one.fn();
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    await this.#poll();
    await settle();
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers = this.#timers.filter((other) => other !== timer);
    this.#arrivals = this.#arrivals.filter((other) => other !== timer);
    timer.fn();
    await settle();
    await this.#poll();
  }

  async #poll(): Promise<void> {
    while (this.#polled.length > 0) {
      for (const fn of this.#polled.splice(0)) fn();
      await settle();
    }
  }
}

function earliest(timers: readonly Timer[]): Timer | undefined {
  let first: Timer | undefined;
  for (const timer of timers) {
    if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.sequence < first.sequence)) first = timer;
  }
  return first;
}

/** Lets every promise that can settle now do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}
