import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";
import { STEP_HARMLESS_MS } from "./wall-clock-watch.ts";

/** How often days past their retention are dropped; what they hold is hidden before that. Also how long a clock must have held before, ms. */
export const SWEEP_EVERY_MS = 3_600_000;

/** Gives the room of old days back. Nothing is dropped in the first hour, nor within an hour of a step of the clock: what is dropped is gone. */
export class RetentionSweep implements Service {
  readonly name = "retention";
  readonly #store: Pick<Store, "dropExpired">;
  readonly #clock: Clock;
  readonly #log: Log;
  #offsetMs: number;

  constructor(store: Pick<Store, "dropExpired">, clock: Clock, log: Log) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#offsetMs = this.#offset();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.#clock, SWEEP_EVERY_MS, signal);
      if (!signal.aborted) await this.sweep();
    }
  }

  /** Drops what is over, if wall time has gone on evenly since the last call. */
  async sweep(): Promise<void> {
    const offsetMs = this.#offset();
    const hasStepped = Math.abs(offsetMs - this.#offsetMs) > STEP_HARMLESS_MS;
    this.#offsetMs = offsetMs;
    if (hasStepped) return;
    try {
      const { tables, idempotencyKeys } = await this.#store.dropExpired(this.#clock.nowMs());
      if (tables > 0 || idempotencyKeys > 0) {
        this.#log.info({ event: "retention.dropped", tables, idempotencyKeys }, "days past their retention were dropped");
      }
    } catch (error) {
      this.#log.warn({ err: error }, "days past their retention could not be dropped: trying again in an hour");
    }
  }

  #offset(): number {
    return this.#clock.nowMs() - this.#clock.monotonicMs();
  }
}
