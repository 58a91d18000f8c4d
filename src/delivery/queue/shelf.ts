import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type Store } from "../../store/store.ts";
import type { ClaimReturns } from "../flight/claim-returns.ts";
import type { FreshMemory } from "./fresh-memory.ts";
import type { Lane } from "./lane.ts";
import type { Waiting } from "./lane-backlog.ts";

/** Rows moved by one call to the store. */
const STEP = 1_000;
const RETRY_MS = 1_000;

export interface ShelfParts {
  readonly store: Pick<Store, "index">;
  readonly clock: Clock;
  readonly log: Log;
  readonly fresh: Pick<FreshMemory, "taken">;
  readonly returns: Pick<ClaimReturns, "giveBack">;
  /** Rows of the lane were moved: look at it again. */
  readonly moved: (lane: Lane) => void;
}

/**
 * Gives the memory of subscriptions that are paused for long to those that may send: their fresh deliveries go into the due index. Receivers that
 * are dead would hold all of it otherwise. Claims that were written ahead are taken back. A crash loses nothing: fresh rows are found at the next
 * start, indexed ones by their due time, claimed ones as attempts `unknown`.
 */
export class Shelf {
  readonly #parts: ShelfParts;
  readonly #busy = new Set<Lane>();

  constructor(parts: ShelfParts) {
    this.#parts = parts;
  }

  shelve(lane: Lane): void {
    if (this.#busy.has(lane)) return;
    this.#busy.add(lane);
    void this.#move(lane).finally(() => this.#busy.delete(lane));
  }

  async #move(lane: Lane): Promise<void> {
    const { store, clock, log, fresh, returns, moved } = this.#parts;
    while (lane.backlog.freshCount > 0 && !mayGo(lane, clock.nowMs())) {
      const step: Waiting[] = [];
      for (let one = lane.backlog.freshHead; one !== undefined && step.length < STEP; one = lane.backlog.freshHead) {
        lane.backlog.takeFresh();
        step.push(one);
      }
      try {
        const unclaimed = step.filter(({ isClaimed }) => !isClaimed);
        if (unclaimed.length > 0) await store.index(unclaimed.map(({ id }) => id));
      } catch (error) {
        if (error instanceof StoreError && error.code === "closed") return;
        log.warn({ err: error, subscription: lane.uid }, "waiting deliveries could not be moved to the due index: retrying");
        for (const one of step.toReversed()) lane.backlog.putBack(one);
        await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
        continue;
      }
      for (const one of step) {
        fresh.taken(lane, one);
        if (!one.isClaimed) lane.backlog.noteDue(one.dueAtMs);
      }
      const claimed = step.filter(({ isClaimed }) => isClaimed);
      await returns.giveBack(lane, claimed);
      moved(lane);
    }
    moved(lane);
  }
}

function mayGo(lane: Lane, nowMs: number): boolean {
  return lane.openAtMs(nowMs) <= nowMs;
}
