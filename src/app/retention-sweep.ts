import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Dropped, Store } from "../store/store.ts";
import { STEP_HARMLESS_MS } from "./wall-clock-watch.ts";

/** How often days past their retention are dropped; what they hold is hidden before that. Also how long a clock must have held before, ms. */
export const SWEEP_EVERY_MS = 3_600_000;
/** The first look after a start that follows another process closely, ms: one that is started again and again must drop days too. */
export const FIRST_SWEEP_MS = 300_000;

/** Between two pieces of the work, ms: events are accepted meanwhile. A piece is some 10 ms long. */
const STEP_PAUSE_MS = 20;

/** Somebody who remembers what has gone, for a while. */
export interface Tidied {
  tidy(nowMs: number): Promise<void>;
}

export interface RetentionSweepOptions {
  /** How long nobody ran before this process, as the clocks tell it, ms. Longer than an hour may be a wrong clock: then nothing is dropped for an hour. */
  readonly awayMs?: number;
  readonly others?: readonly Tidied[];
}

/**
 * Gives the room of old days back. What is dropped is gone, so a clock must have held for an hour: nothing is dropped within an hour of a step of
 * the wall clock, nor of a start whose clock cannot be told from a stepped one.
 */
export class RetentionSweep implements Service {
  readonly name = "retention";
  readonly #store: Pick<Store, "dropExpired">;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #others: readonly Tidied[];
  readonly #firstMs: number;
  #offsetMs: number;

  constructor(store: Pick<Store, "dropExpired">, clock: Clock, log: Log, { awayMs, others = [] }: RetentionSweepOptions = {}) {
    this.#others = others;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#firstMs = awayMs !== undefined && Math.abs(awayMs) <= SWEEP_EVERY_MS ? FIRST_SWEEP_MS : SWEEP_EVERY_MS;
    this.#offsetMs = clock.shownMs(0);
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let waitMs = this.#firstMs; ; waitMs = SWEEP_EVERY_MS) {
      await pause(this.#clock, waitMs, signal);
      if (signal.aborted) return;
      await this.sweep(signal);
    }
  }

  /** Drops what is over, if the wall clock has not stepped since the last call. */
  async sweep(signal: AbortSignal): Promise<void> {
    const offsetMs = this.#clock.shownMs(0);
    const hasStepped = Math.abs(offsetMs - this.#offsetMs) > STEP_HARMLESS_MS;
    this.#offsetMs = offsetMs;
    if (hasStepped) return;
    try {
      const { tables, idempotencyKeys } = await this.#dropAll(signal);
      if (tables > 0 || idempotencyKeys > 0) {
        this.#log.info({ event: "retention.dropped", tables, idempotencyKeys }, "expired days were dropped");
      }
    } catch (error) {
      this.#log.warn({ err: error }, "expired days could not be dropped: retrying in an hour");
    }
    await this.#tidyOthers(signal);
  }

  async #tidyOthers(signal: AbortSignal): Promise<void> {
    for (const other of this.#others) {
      if (signal.aborted) return;
      await other
        .tidy(this.#clock.nowMs())
        .catch((error: unknown) => this.#log.warn({ err: error }, "the clean-up failed: retrying in an hour"));
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
}
