import { deadLetterOwner, deadLetterQueue } from "../../core/dead-letter.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type Store } from "../../store/store.ts";
import type { QueueEnding } from "../queue-ending.ts";
import type { Lane } from "../queue/lane.ts";
import type { Scheduler } from "../queue/scheduler.ts";

const RETRY_MS = 1_000;

export interface DeadLettersParts {
  readonly store: Pick<Store, "setForwarding">;
  readonly clock: Clock;
  readonly log: Log;
  readonly scheduler: Pick<Scheduler, "lanes" | "lane">;
  readonly ending: Pick<QueueEnding, "endQueue">;
}

/**
 * Sees to it that the store makes a dead letter of each delivery that fails while the subscription names an endpoint for them, and that they
 * are ended when nobody takes them any more. Each waits in a lane of its own beside that of its subscription, under the route `deadLetterRoute`.
 */
export class DeadLetters {
  readonly #parts: DeadLettersParts;
  readonly #wanted = new Map<Lane, boolean>();

  constructor(parts: DeadLettersParts) {
    this.#parts = parts;
  }

  /** A new route of a subscription: whether the store forwards follows it, and is durable before what fails later is written. */
  routeChanged(lane: Lane): void {
    const { route } = lane;
    if (route === undefined || deadLetterOwner(lane.uid) !== undefined) return;
    const wanted = route.subscription.spec.deadLetter !== undefined;
    const isWriting = this.#wanted.has(lane);
    if (wanted !== (this.#wanted.get(lane) ?? lane.forwards)) {
      this.#wanted.set(lane, wanted);
      if (!isWriting) void this.#write(lane);
    }
    const letters = this.#parts.scheduler.lanes.get(deadLetterQueue(lane.uid));
    if (letters === undefined) return;
    // Asked for again while the old ones were being ended, their lane is open again: its route came first. What is still being written ends them itself.
    if (wanted || this.#wanted.has(lane) || letters.ending !== undefined) return;
    this.#parts.ending
      .endQueue(letters.uid, "dead-letter")
      .catch((error: unknown) =>
        this.#parts.log.warn({ err: error, queue: letters.uid }, "dead letters without a taker could not be ended"),
      );
  }

  /** The subscription is being deleted: what fails from now on stays in the store. Durable when it resolves. */
  async stop(lane: Lane): Promise<void> {
    // What is being written now is not shown by `forwards` yet; the store takes writes in their order.
    const isWriting = this.#wanted.delete(lane);
    if (!lane.forwards && !isWriting) return;
    await this.#parts.store.setForwarding(lane.uid, false);
    lane.forwardingStored(false);
  }

  /** Letters that nobody takes any more are ended once no other can follow, and before any is asked for again. */
  async #write(lane: Lane): Promise<void> {
    const { store, clock, log, scheduler, ending } = this.#parts;
    for (let on = this.#wanted.get(lane); on !== undefined; on = this.#wanted.get(lane)) {
      try {
        await store.setForwarding(lane.uid, on);
        lane.forwardingStored(on);
        // Its lane is made if it has to be: a letter may have come with a result that nobody here has heard of yet.
        if (!on && this.#wanted.get(lane) === false)
          await ending.endQueue(scheduler.lane(deadLetterQueue(lane.uid), lane.namespace).uid, "dead-letter");
        if (this.#wanted.get(lane) === on) this.#wanted.delete(lane);
      } catch (error) {
        if (error instanceof StoreError && error.code === "closed") return;
        log.warn({ err: error, subscription: lane.uid }, "dead-letter forwarding could not be stored: retrying");
        await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
      }
    }
  }
}
