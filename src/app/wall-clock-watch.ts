import { pause } from "../lib/abort.ts";
import type { Clock, SystemClock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";

const LOOK_EVERY_MS = 10_000;
/** A step up to this is taken over at once: nothing that is due or ages by it matters. */
export const STEP_HARMLESS_MS = 60_000;
/** A larger step must hold this long: an operator's slip must not make everything due, or expire it, at once. */
export const STEP_HELD_MS = 600_000;
/** Two looks see the same step when they differ by less. */
const STEP_SAME_MS = 5_000;

type WatchedClock = Clock & Pick<SystemClock, "wallDriftMs" | "adoptWallClock">;

/** Follows the machine's wall clock: signatures need true time, due times and ages must not jump with a slip of the hand. */
export class WallClockWatch implements Service {
  readonly name = "wall-clock";
  readonly #clock: WatchedClock;
  readonly #log: Log;
  #step: { readonly driftMs: number; readonly sinceMs: number } | undefined;

  constructor(clock: WatchedClock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look();
      await pause(this.#clock, LOOK_EVERY_MS, signal);
    }
  }

  /** Compares the clocks once. */
  look(): void {
    const driftMs = this.#clock.wallDriftMs();
    const nowMs = this.#clock.monotonicMs();
    if (Math.abs(driftMs) <= STEP_HARMLESS_MS) {
      this.#step = undefined;
      if (Math.abs(driftMs) > 1) this.#clock.adoptWallClock();
      return;
    }
    if (this.#step === undefined || Math.abs(this.#step.driftMs - driftMs) > STEP_SAME_MS) {
      this.#step = { driftMs, sinceMs: nowMs };
      const text = `the machine's clock has jumped by ${Math.round(driftMs / 1_000)} s: if it holds for ${STEP_HELD_MS / 60_000} min it is taken over`;
      this.#log.warn({ event: "clock.stepped", driftMs }, text);
    } else if (nowMs - this.#step.sinceMs >= STEP_HELD_MS) {
      this.#step = undefined;
      this.#clock.adoptWallClock();
      this.#log.warn({ event: "clock.adopted", driftMs }, "the machine's clock is taken over");
    }
  }
}
