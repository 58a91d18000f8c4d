import { Line } from "../core/fair-queue.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import { WINDOW_ROWS_MAX, type DeliveryId, type ReadyDelivery, type Store } from "../store/store.ts";
import { LOOKAHEAD_MS, WINDOW_MAX, type Lane } from "./lane.ts";

/** Windows read at once; rows held in all windows together, so that memory does not grow with backlogs. */
const LOADS_MAX = 8;
const ROWS_MAX = 40_000;
const RETRY_MS = 1_000;

export interface DueLoaderParts {
  readonly store: Pick<Store, "due">;
  readonly clock: Clock;
  readonly log: Log;
  /** Rows of the lane have come (or could not be read): look at it again. */
  readonly loaded: (lane: Lane) => void;
}

/** Reads due rows in windows, each row at most once in memory however often it is read. */
export class DueLoader {
  readonly #parts: DueLoaderParts;
  readonly #wanting = new Line<Lane>();
  /** Rows in windows or under way: a window read meanwhile may show them again. */
  readonly #held = new Set<DeliveryId>();
  #loading = 0;

  constructor(parts: DueLoaderParts) {
    this.#parts = parts;
  }

  /** Reads a window for the lane as soon as there is room. */
  want(lane: Lane): void {
    if (lane.loading) return;
    lane.loading = true;
    this.#wanting.push(lane);
    this.#go();
  }

  holds(id: DeliveryId): boolean {
    return this.#held.has(id);
  }

  /** The row is ready in the store again, or ended. */
  letGo(lane: Lane, id: DeliveryId): void {
    if (this.#held.delete(id) && lane.loading) lane.letGo.add(id);
    if (this.#wanting.length > 0) this.#go();
  }

  #go(): void {
    while (this.#loading < LOADS_MAX && this.#held.size < ROWS_MAX) {
      const lane = this.#wanting.shift();
      if (lane === undefined) return;
      this.#loading += 1;
      void this.#load(lane);
    }
  }

  async #load(lane: Lane): Promise<void> {
    const { store, clock, log } = this.#parts;
    const horizonMs = clock.nowMs() + LOOKAHEAD_MS;
    // Rows of the window are still in the index: the read must reach beyond them.
    const limit = Math.min(lane.windowLimit + lane.windowRows, WINDOW_ROWS_MAX);
    // What is noted while the read is under way must not be lost: the read may not have seen it.
    lane.indexDueAtMs = Number.POSITIVE_INFINITY;
    try {
      // One row beyond the horizon tells when to look again.
      this.#take(lane, await store.due(lane.uid, Number.MAX_SAFE_INTEGER, limit), { horizonMs, limit });
    } catch (error) {
      log.warn({ err: error, subscription: lane.uid }, "due deliveries could not be read: trying again");
      lane.noteDue(clock.nowMs() + RETRY_MS);
    }
    lane.letGo.clear();
    lane.loading = false;
    this.#loading -= 1;
    this.#parts.loaded(lane);
    this.#go();
  }

  #take(lane: Lane, rows: readonly ReadyDelivery[], asked: { readonly horizonMs: number; readonly limit: number }): void {
    const taken: ReadyDelivery[] = [];
    let beyond = false;
    for (const row of rows) {
      if (row.dueAtMs > asked.horizonMs) {
        lane.noteDue(row.dueAtMs);
        beyond = true;
        break;
      }
      if (this.#held.has(row.id) || lane.letGo.has(row.id)) continue;
      this.#held.add(row.id);
      taken.push(row);
    }
    const last = rows.at(-1);
    const isFull = !beyond && last !== undefined && rows.length >= asked.limit;
    if (isFull) lane.noteDue(last.dueAtMs);
    Object.assign(lane, { windowLimit: isFull ? WINDOW_MAX : Math.max(32, lane.windowLimit >> 1) });
    lane.addRows(taken);
  }
}
