import type { Clock } from "../lib/clock.ts";

/** npm and a process group deliver one Ctrl-C twice: only a signal this much later means "now". */
export const SECOND_SIGNAL_AFTER_MS = 1_000;

/** SIGTERM and SIGINT, told apart from their echoes. */
export class ProcessSignals {
  readonly #clock: Clock;
  readonly #end: () => void;
  #stops: (() => void)[] = [];
  #firstAtMs: number | undefined;

  /** `end` ends the process at once. */
  constructor(clock: Clock, end: () => void) {
    this.#clock = clock;
    this.#end = end;
  }

  listen(): void {
    process.on("SIGTERM", () => this.received());
    process.on("SIGINT", () => this.received());
  }

  /** Called at the first signal; at once when it has come already. */
  onStop(stop: () => void): void {
    this.#stops.push(stop);
    if (this.#firstAtMs !== undefined) stop();
  }

  /** A signal came. */
  received(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#firstAtMs === undefined) {
      this.#firstAtMs = nowMs;
      if (this.#stops.length === 0) this.#end();
      for (const stop of this.#stops) stop();
    } else if (nowMs - this.#firstAtMs >= SECOND_SIGNAL_AFTER_MS) {
      this.#end();
    }
  }
}
