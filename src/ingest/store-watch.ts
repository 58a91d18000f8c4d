import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";

const LOOK_EVERY_MS = 1_000;
/** A write that waits longer than this will not be answered by this process any more: `/livez` fails, ms. */
export const WRITE_HANGS_MS = 30_000;

/**
 * Looks at the store once a second: its free space, so that the ingest can answer 507 without asking for every event, and its oldest write, so
 * that a disk that hangs is not taken for a quiet one.
 */
export class StoreWatch implements Service {
  readonly name = "store-watch";
  readonly #store: Pick<Store, "health">;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  #low = false;
  #freeBytes = 0;
  #freeBytesMin = 0;
  #roomBytes: number | undefined;
  #oldestWriteMs = 0;

  constructor(store: Pick<Store, "health">, metrics: Metrics, clock: Clock) {
    this.#store = store;
    this.#metrics = metrics;
    this.#clock = clock;
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
    this.#metrics.storeOldestWrite.set(health.oldestWriteMs / 1_000);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await pause(this.#clock, LOOK_EVERY_MS, signal);
    }
  }
}
