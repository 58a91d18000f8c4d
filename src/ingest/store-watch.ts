import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store, StoreHealth } from "../store/store.ts";

const LOOK_EVERY_MS = 1_000;
/** A write that waits longer than this will not be answered by this process any more: `/livez` fails, ms. */
export const WRITE_HANGS_MS = 30_000;
/** A write that waits for so long shows a store that cannot be written, ms; a slow disk takes less. */
const UNWRITABLE_AFTER_MS = 5_000;
/** The disk must have had room for so long before that is told: at the very edge it turns each second, ms. */
const ROOM_TOLD_AFTER_MS = 60_000;

export interface StoreWatchParts {
  readonly store: Pick<Store, "health">;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Looks at the store once a second: its free space, so that the ingest can answer 507 without asking for every event, and its oldest write, so
 * that a disk that hangs is not taken for a quiet one.
 */
export class StoreWatch implements Service {
  readonly name = "store-watch";
  readonly #store: Pick<Store, "health">;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #log: Log;
  /** When the disk was last seen full, on the monotonic clock, as long as the log says that it is. */
  #toldLowMs: number | undefined;
  #low = false;
  #freeBytes = 0;
  #freeBytesMin = 0;
  #roomBytes: number | undefined;
  #oldestWriteMs = 0;

  constructor({ store, metrics, clock, log }: StoreWatchParts) {
    this.#store = store;
    this.#metrics = metrics;
    this.#clock = clock;
    this.#log = log;
  }

  /** Free space was below the store's floor when last looked at. */
  low(): boolean {
    return this.#low;
  }

  /** What those who look at `/readyz` must know although it is no reason to fail: a full disk. */
  fullNote(): string | undefined {
    if (!this.#low) return undefined;
    return `the disk is full: events are refused with 507, and deliveries continue: ${this.#freeBytes} bytes are free, --store-free-min is ${this.#freeBytesMin}`;
  }

  /** What the store's volume has for events, as last looked at, bytes: without what is kept free, and without the log. */
  roomBytes(): number | undefined {
    return this.#roomBytes;
  }

  /** A write has waited for a second or more when last looked at. */
  isWaiting(): boolean {
    return this.#oldestWriteMs >= LOOK_EVERY_MS;
  }

  /** Why only a new process can help, if so. */
  hanging(): string | undefined {
    if (this.#oldestWriteMs <= WRITE_HANGS_MS) return undefined;
    const [age, max] = [this.#oldestWriteMs, WRITE_HANGS_MS].map((ms) => Math.floor(ms / 1_000));
    return `a write has waited ${age} s for the disk, more than ${max} s: look at the volume`;
  }

  /** Looks now; a store that does not answer changes nothing (accepting will fail by itself). */
  async look(): Promise<void> {
    const health = await this.#store.health().catch(() => undefined);
    if (health === undefined) return;
    this.#roomBytes = health.sizeBytes - health.logBytes + health.freeBytes - health.freeBytesMin;
    this.#freeBytes = health.freeBytes;
    this.#freeBytesMin = health.freeBytesMin;
    this.#low = health.freeBytes < health.freeBytesMin;
    this.#oldestWriteMs = health.oldestWriteMs;
    this.#metrics.storeSize.set(health.sizeBytes);
    this.#metrics.storeFree.set(health.freeBytes);
    this.#metrics.storeLog.set(health.logBytes);
    this.#metrics.storeFreeMin.set(health.freeBytesMin);
    this.#metrics.storeCapacity.set(health.capacityBytes);
    this.#metrics.storeWritable.set(health.writable && health.oldestWriteMs < UNWRITABLE_AFTER_MS ? 1 : 0);
    this.#tell(health);
    this.#metrics.storeOldestWrite.set(health.oldestWriteMs / 1_000);
  }

  /** One line when the disk is full, and one when it has had room again for a while. */
  #tell({ freeBytes, freeBytesMin }: StoreHealth): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#low) {
      if (this.#toldLowMs === undefined) {
        const msg = `the store's disk is full: ${freeBytes} bytes are free, less than --store-free-min (${freeBytesMin}): events are refused with 507, deliveries continue; enlarge the volume, or shorten retention in the policies`;
        this.#log.error({ event: "store.full", freeBytes, freeBytesMin }, msg);
      }
      this.#toldLowMs = nowMs;
    } else if (this.#toldLowMs !== undefined && nowMs - this.#toldLowMs >= ROOM_TOLD_AFTER_MS) {
      this.#toldLowMs = undefined;
      this.#log.warn({ event: "store.roomy", freeBytes, freeBytesMin }, "the store's disk has room again: events are accepted");
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await pause(this.#clock, LOOK_EVERY_MS, signal);
    }
  }
}
