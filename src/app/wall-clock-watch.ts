import { pause } from "../lib/abort.ts";
import type { Clock, ClockFrame, SystemClock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";

const LOOK_EVERY_MS = 10_000;
/** A step up to this is taken over at once: nobody reads times that closely. */
export const STEP_HARMLESS_MS = 60_000;
/** A larger step must hold this long: an operator's slip must not change every time that people read. */
export const STEP_HELD_MS = 600_000;
/** Two looks see the same step when they differ by less. */
const STEP_SAME_MS = 5_000;
/** A step below this is not worth a line in the log. */
const STEP_TOLD_MS = 1_000;
/** The clock is kept for the next start at most so often: what a crash loses of it counts as time in which nobody ran. */
export const KEEP_EVERY_MS = 30_000;

type WatchedClock = Clock & Pick<SystemClock, "wallDriftMs" | "adoptWallClock">;

/**
 * Follows the machine's wall clock with what is shown to people; nothing that is due or ages depends on it. Signatures, tokens and the times of
 * attempts read the machine's clock themselves. Small steps are taken over at the next look, large ones when they have held. Also hands out the clock
 * to be kept for the next start (core/clock-frame.ts): every KEEP_EVERY_MS, when a step is taken over, and when it stops.
 */
export class WallClockWatch implements Service {
  readonly name = "wall-clock";
  readonly #clock: WatchedClock;
  readonly #log: Log;
  readonly #onKeep: ((frame: ClockFrame) => void) | undefined;
  #step: { readonly driftMs: number; readonly sinceMs: number } | undefined;
  #keptAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: WatchedClock, log: Log, onKeep?: (frame: ClockFrame) => void) {
    this.#clock = clock;
    this.#log = log;
    this.#onKeep = onKeep;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look();
      await pause(this.#clock, LOOK_EVERY_MS, signal);
    }
    this.#keep();
  }

  /** Compares the clocks once. */
  look(): void {
    const driftMs = this.#clock.wallDriftMs();
    const nowMs = this.#clock.monotonicMs();
    if (Math.abs(driftMs) <= STEP_HARMLESS_MS) {
      if (this.#step !== undefined)
        this.#log.info({ event: "clock.back", driftMs: this.#step.driftMs }, "the machine's clock is back on time");
      this.#step = undefined;
      if (Math.abs(driftMs) > 1) this.#adopt(driftMs);
    } else if (this.#step === undefined || Math.abs(this.#step.driftMs - driftMs) > STEP_SAME_MS) {
      this.#step = { driftMs, sinceMs: nowMs };
      this.#log.warn({ event: "clock.stepped", driftMs }, stepped(driftMs));
    } else if (nowMs - this.#step.sinceMs >= STEP_HELD_MS) {
      this.#step = undefined;
      this.#adopt(driftMs);
    }
    if (this.#clock.monotonicMs() - this.#keptAtMs >= KEEP_EVERY_MS) this.#keep();
  }

  #adopt(driftMs: number): void {
    this.#clock.adoptWallClock();
    const said = { event: "clock.adopted", driftMs };
    const text = `displayed times now follow the machine's clock, which jumped by ${seconds(driftMs)} s; due times have not changed`;
    if (Math.abs(driftMs) > STEP_HARMLESS_MS) this.#log.warn(said, text);
    else if (Math.abs(driftMs) >= STEP_TOLD_MS) this.#log.info(said, text);
    if (Math.abs(driftMs) >= STEP_TOLD_MS) this.#keep();
  }

  /**
   * The wall as it is now, also where a step has not been taken over: only so can the next start tell the time in which nobody ran from a step
   * that came before.
   */
  #keep(): void {
    this.#keptAtMs = this.#clock.monotonicMs();
    const nowMs = this.#clock.nowMs();
    this.#onKeep?.({ nowMs, offsetMs: Math.round(this.#clock.trueMs() - nowMs) });
  }
}

function stepped(driftMs: number): string {
  return (
    `the machine's clock has jumped by ${seconds(driftMs)} s: deliveries and retries keep their due times, and nothing expires because of it; ` +
    `signatures and attempt times follow at once; other displayed times follow if the jump lasts for ${STEP_HELD_MS / 60_000} min`
  );
}

function seconds(ms: number): string {
  return `${ms > 0 ? "+" : ""}${Math.round(ms / 1_000)}`;
}
