/**
 * What the engine may do at the moment. Its states follow each other and never come back:
 *   down      what is owed is being read: nothing is sent, what is accepted goes through the due index
 *   up        attempts are begun
 *   draining  no attempt is begun, those under way may end; what is accepted waits for the next process
 *   stopped   nothing is begun and nothing is waited for
 * Nothing of it is stored. A crash is a stop without a drain: what was under way is made again.
 */
export class Lifetime {
  #state: "down" | "up" | "draining" | "stopped" = "down";
  #isCut = false;
  #livedSinceMs: number;
  #idle: (() => void) | undefined;
  #draining: Draining | undefined;

  constructor(nowMs: number) {
    this.#livedSinceMs = nowMs;
  }

  /** Since when this process has lived through engine time, ms: ages that were over before it end nothing. */
  get livedSinceMs(): number {
    return this.#livedSinceMs;
  }

  /** False until what the last process left has been read. */
  get isRestored(): boolean {
    return this.#state !== "down";
  }

  /** Attempts may be begun. */
  get isUp(): boolean {
    return this.#state === "up";
  }

  /** What was owed has been read, and it has not stopped. */
  get isReady(): boolean {
    return this.#state === "up" || this.#state === "draining";
  }

  get isStopped(): boolean {
    return this.#state === "stopped";
  }

  /** The grace period is over: what is aborted now does not count as an attempt. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Somebody waits until nothing is under way. */
  get awaitsIdle(): boolean {
    return this.#idle !== undefined;
  }

  /** A start begins to read what is owed. */
  begin(nowMs: number): void {
    this.#livedSinceMs = nowMs;
  }

  /** What is owed has been read. */
  restored(): void {
    this.#state = this.#draining === undefined ? "up" : "draining";
  }

  /** From now on nothing is begun. The first call decides until when, on the monotonic clock. */
  drain(untilMs: number): Draining {
    if (this.#draining !== undefined) return this.#draining;
    const done = new Promise<void>((resolve) => (this.#idle = resolve));
    if (this.#state === "up") this.#state = "draining";
    this.#draining = { untilMs, done };
    return this.#draining;
  }

  /** Nothing is under way, and every result is durable. */
  idle(): void {
    this.#idle?.();
  }

  cut(): void {
    this.#isCut = true;
  }

  stop(): void {
    this.#state = "stopped";
  }
}

/** Until when attempts under way may go on (monotonic clock, ms), and what settles when all have ended, durably. */
export interface Draining {
  readonly untilMs: number;
  readonly done: Promise<void>;
}
