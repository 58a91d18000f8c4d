import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type DeliveryId, type Store } from "../../store/store.ts";
import type { CommitDoubt } from "../commit-doubt.ts";
import type { Lane } from "../queue/lane.ts";
import type { Waiting } from "../queue/lane-backlog.ts";

const RETRY_MS = 500;

export interface ClaimReturnsParts {
  readonly store: Pick<Store, "complete">;
  readonly clock: Clock;
  readonly log: Log;
  readonly doubt: Pick<CommitDoubt, "doubt">;
}

/**
 * Takes back claims that were written ahead of a turn that will not come soon: the subscription is paused or deleted, or the process ends. Nothing was
 * sent, so the try does not count, and the row is due again. A crash before that is durable leaves the claim: the next start reports an attempt
 * `unknown`, and makes it again. Bound: no more are here than EngineBounds.aheadMax.
 */
export class ClaimReturns {
  readonly #parts: ClaimReturnsParts;
  /** On their way back. */
  readonly #ids = new Set<DeliveryId>();
  #idle: () => void = () => undefined;

  constructor(parts: ClaimReturnsParts) {
    this.#parts = parts;
  }

  holds(id: DeliveryId): boolean {
    return this.#ids.has(id);
  }

  /** Nothing is on its way back. */
  get isIdle(): boolean {
    return this.#ids.size === 0;
  }

  /** Who hears that nothing is on its way back any longer. */
  onIdle(listener: () => void): void {
    this.#idle = listener;
  }

  /** Settles when the lane may read them as due rows; look at the lane again then. Never rejects. */
  async giveBack(lane: Lane, claimed: readonly Waiting[]): Promise<void> {
    if (claimed.length === 0) return;
    for (const { id } of claimed) this.#ids.add(id);
    await this.#write(lane, claimed);
    for (const { id, dueAtMs } of claimed) {
      this.#ids.delete(id);
      lane.backlog.noteDue(dueAtMs);
    }
    if (this.isIdle) this.#idle();
  }

  async #write(lane: Lane, claimed: readonly Waiting[]): Promise<void> {
    const { store, clock, log, doubt } = this.#parts;
    for (;;) {
      const nowMs = clock.nowMs();
      try {
        await store.complete(
          claimed.map(({ id, dueAtMs }) => {
            const next = { state: "ready", dueAtMs, uncounted: true } as const;
            return { id, epoch: lane.epoch, attempt: undefined, next, nowMs, historyRetentionMs: 0 };
          }),
        );
        return;
      } catch (error) {
        if (error instanceof StoreError && error.code === "closed") return;
        log.warn({ err: error, subscription: lane.uid }, "claims of deliveries that wait could not be taken back: retrying");
        // Written a second time it could undo a later claim of the same row. What is still claimed is found as claimed and held by none.
        if (error instanceof StoreError && error.code === "unknown") {
          doubt.doubt();
          return;
        }
      }
      await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
    }
  }
}
