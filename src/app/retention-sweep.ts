import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Dropped, Store } from "../store/store.ts";
import { STEP_HARMLESS_MS } from "./wall-clock-watch.ts";

/** How often days past their retention are dropped; what they hold is hidden before that. Also how long a clock must have held before, ms. */
export const SWEEP_EVERY_MS = 3_600_000;

/** Between two pieces of the work, ms: events are accepted meanwhile. A piece is some 10 ms long. */
const STEP_PAUSE_MS = 20;

/** Somebody who remembers what has gone, for a while. */
export interface Tidied {
  tidy(nowMs: number): Promise<void>;
}

/** Gives the room of old days back. Nothing is dropped in the first hour, nor within an hour of a step of the clock: what is dropped is gone. */
export class RetentionSweep implements Service {
  readonly name = "retention";
  readonly #store: Pick<Store, "dropExpired">;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #others: readonly Tidied[];
  #offsetMs: number;

  constructor(store: Pick<Store, "dropExpired">, clock: Clock, log: Log, others: readonly Tidied[] = []) {
    this.#others = others;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#offsetMs = this.#offset();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.#clock, SWEEP_EVERY_MS, signal);
      if (!signal.aborted) await this.sweep(signal);
    }
  }

  /** Drops what is over, if wall time has gone on evenly since the last call. */
  async sweep(signal: AbortSignal): Promise<void> {
    const offsetMs = this.#offset();
    const hasStepped = Math.abs(offsetMs - this.#offsetMs) > STEP_HARMLESS_MS;
    this.#offsetMs = offsetMs;
    if (hasStepped) return;
    try {
      const { tables, idempotencyKeys } = await this.#dropAll(signal);
      if (tables > 0 || idempotencyKeys > 0) {
        this.#log.info({ event: "retention.dropped", tables, idempotencyKeys }, "days past their retention were dropped");
      }
    } catch (error) {
      this.#log.warn({ err: error }, "days past their retention could not be dropped: trying again in an hour");
    }
    await this.#tidyOthers(signal);
  }

  async #tidyOthers(signal: AbortSignal): Promise<void> {
    for (const other of this.#others) {
      if (signal.aborted) return;
      await other
        .tidy(this.#clock.nowMs())
        .catch((error: unknown) => this.#log.warn({ err: error }, "could not be tidied: trying again in an hour"));
    }
  }

  async #dropAll(signal: AbortSignal): Promise<Pick<Dropped, "tables" | "idempotencyKeys">> {
    const nowMs = this.#clock.nowMs();
    const sum = { tables: 0, idempotencyKeys: 0 };
    for (;;) {
      const { tables, idempotencyKeys, more } = await this.#store.dropExpired(nowMs);
      sum.tables += tables;
      sum.idempotencyKeys += idempotencyKeys;
      if (!more || signal.aborted) return sum;
      await pause(this.#clock, STEP_PAUSE_MS, signal);
    }
  }

  #offset(): number {
    return this.#clock.nowMs() - this.#clock.monotonicMs();
  }
}
