import { deadLetterOwner } from "../core/dead-letter.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";
import type { ExpirySweep } from "./expiry-sweep.ts";
import type { ForgottenRows } from "./forgotten-rows.ts";
import type { HealthBook } from "./lane-state/health-book.ts";
import type { Lane } from "./queue/lane.ts";
import type { Scheduler } from "./queue/scheduler.ts";

const ROUND_MS = 1_000;
const HEALTH_EVERY_MS = 5_000;
/** Ages of the oldest come from the store; reading them may take at most this share of the time. */
const AGES_EVERY_MS = 10_000;
const AGES_SHARE = 0.02;
/** How often memory is compared with the store; sooner after a commit that did not say whether it happened. */
const FORGOTTEN_EVERY_MS = 60_000;
const FORGOTTEN_IN_DOUBT_MS = 5_000;

export interface HousekeepingParts {
  readonly store: Pick<Store, "queues">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly scheduler: Scheduler;
  readonly health: HealthBook;
  readonly sweep: ExpirySweep;
  readonly forgotten: ForgottenRows;
}

/** What is done every second, in bounded steps: aged deliveries, health snapshots, ages. */
export class Housekeeping {
  readonly #parts: HousekeepingParts;
  #stopped = false;
  #healthAtMs = 0;
  #agesAtMs = 0;
  #forgottenAtMs = 0;
  #looking = false;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
  }

  /** Answers the function that stops it. */
  start(): () => void {
    this.#stopped = false;
    let cancel = (): void => undefined;
    const again = (): void => {
      if (!this.#stopped) cancel = this.#parts.clock.after(ROUND_MS, () => void this.#round().finally(again));
    };
    again();
    return () => {
      this.#stopped = true;
      cancel();
    };
  }

  async #round(): Promise<void> {
    const { clock, scheduler, health, sweep, metrics, log } = this.#parts;
    const nowMs = clock.nowMs();
    metrics.inFlight.set(scheduler.inFlight);
    this.#lookForForgotten(nowMs);
    try {
      await sweep.run(scheduler.lanes.values());
      if (nowMs >= this.#healthAtMs) {
        this.#healthAtMs = nowMs + HEALTH_EVERY_MS;
        await health.flush();
      }
      if (nowMs >= this.#agesAtMs) await this.#readAges();
    } catch (error) {
      log.warn({ err: error }, "housekeeping failed: retrying");
    }
  }

  /** Beside the other work: it waits between its two looks. */
  #lookForForgotten(nowMs: number): void {
    const { forgotten, log } = this.#parts;
    if (this.#forgottenAtMs === 0) this.#forgottenAtMs = nowMs + FORGOTTEN_EVERY_MS;
    const atMs = forgotten.isInDoubt ? this.#forgottenAtMs - FORGOTTEN_EVERY_MS + FORGOTTEN_IN_DOUBT_MS : this.#forgottenAtMs;
    if (this.#looking || nowMs < atMs) return;
    this.#looking = true;
    forgotten
      .look()
      .catch((error: unknown) => log.warn({ err: error }, "memory could not be compared with the store: retrying in a minute"))
      .finally(() => {
        this.#looking = false;
        this.#forgottenAtMs = nowMs + FORGOTTEN_EVERY_MS;
      });
  }

  /** The store's numbers: ages move when the oldest of a queue ends, which only the store sees. */
  async #readAges(): Promise<void> {
    const { clock, store, scheduler } = this.#parts;
    const startMs = clock.monotonicMs();
    const quiet = new Map<Lane, number>();
    // Dead letters come with the results of others.
    for (const lane of scheduler.lanes.values())
      if (lane.isQuiet && deadLetterOwner(lane.uid) === undefined) quiet.set(lane, lane.count.moves);
    for (const queue of await store.queues()) {
      const lane = scheduler.lanes.get(queue.subscription);
      if (lane === undefined) continue;
      // Commits that did not say whether they happened leave memory's numbers behind; where nothing moved meanwhile, the store's are right.
      if (lane.isQuiet && quiet.get(lane) === lane.count.moves) lane.count.recount(queue);
      else lane.count.oldestIs(queue.oldestAcceptedAtMs);
    }
    this.#agesAtMs = clock.nowMs() + Math.max(AGES_EVERY_MS, (clock.monotonicMs() - startMs) / AGES_SHARE);
  }
}
