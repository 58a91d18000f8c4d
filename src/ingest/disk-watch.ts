import { pause } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Service } from "../lib/service.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";

const LOOK_EVERY_MS = 1_000;

/** Looks at the store's size and free space once a second, so that the ingest can answer 507 without asking for every event. */
export class DiskWatch implements Service {
  readonly name = "disk-watch";
  readonly #store: Pick<Store, "health">;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  #low = false;

  constructor(store: Pick<Store, "health">, metrics: Metrics, clock: Clock) {
    this.#store = store;
    this.#metrics = metrics;
    this.#clock = clock;
  }

  /** Free space was below the store's floor when last looked at. */
  low(): boolean {
    return this.#low;
  }

  /** Looks now; a store that does not answer changes nothing (accepting will fail by itself). */
  async look(): Promise<void> {
    const health = await this.#store.health().catch(() => undefined);
    if (health === undefined) return;
    this.#low = health.freeBytes < health.freeBytesMin;
    this.#metrics.storeSize.set(health.sizeBytes);
    this.#metrics.storeFree.set(health.freeBytes);
    this.#metrics.storeLog.set(health.logBytes);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await pause(this.#clock, LOOK_EVERY_MS, signal);
    }
  }
}
