import { deadLetterOwner, deadLetterQueue } from "../core/dead-letter.ts";
import type { Clock } from "../lib/clock.ts";
import type { DeliveryId, Store } from "../store/store.ts";
import type { DeadLetters } from "./lane-state/dead-letters.ts";
import type { Tally } from "./lane-state/tally.ts";
import type { QueueEnding } from "./queue-ending.ts";
import type { EndHow } from "./queue/lane.ts";
import type { Scheduler } from "./queue/scheduler.ts";
import type { RouteWatch } from "./route-watch.ts";
import type { RoutesInForce } from "./routes-in-force.ts";

export interface QueueActsParts {
  readonly store: Pick<Store, "readDelivery" | "resend">;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly tally: Tally;
  readonly ending: Pick<QueueEnding, "endQueue">;
  readonly deadLetters: Pick<DeadLetters, "stop">;
  readonly inForce: Pick<RoutesInForce, "routeOf">;
  readonly routes: Pick<RouteWatch, "adopt">;
}

/** `subscription_gone`: it is deleted, or being deleted. */
export type ResendResult = "resent" | "not_found" | "body_gone" | "not_ended" | "subscription_gone";

/** What people and the controller do to a queue from outside: end it, send one delivery again. */
export class QueueActs {
  readonly #parts: QueueActsParts;

  constructor(parts: QueueActsParts) {
    this.#parts = parts;
  }

  /** Ends what is left of a deleted subscription and its dead letters; attempts under way finish. Answers how many were ended. */
  async end(uid: string, how: EndHow): Promise<number> {
    const { scheduler, deadLetters, ending } = this.#parts;
    const lane = scheduler.lanes.get(uid);
    if (lane !== undefined) await deadLetters.stop(lane);
    return (await ending.endQueue(uid, how)) + (await ending.endQueue(deadLetterQueue(uid), how));
  }

  /** One extra attempt for a delivery that has ended: past its limits, not past a pause, and out of the order of its key. */
  async resend(id: DeliveryId): Promise<ResendResult> {
    const { scheduler, inForce, routes, store, clock, tally } = this.#parts;
    const nowMs = clock.nowMs();
    const record = await store.readDelivery(id);
    if (record === undefined) return "not_found";
    // Without its subscription nobody would ever send it, and it would be neither owed nor ended.
    if (inForce.routeOf(record.subscription) === undefined || scheduler.lanes.get(record.subscription)?.ending !== undefined)
      return "subscription_gone";
    const lane = scheduler.lane(record.subscription, record.namespace);
    lane.count.offered();
    const result = await store.resend(id, nowMs).finally(() => lane.count.answered());
    if (result !== "resent") return result;
    routes.adopt(lane, inForce.routeOf(lane.uid));
    tally.resent(lane, nowMs, record.state === "failed" ? record.endedAtMs : undefined);
    lane.backlog.noteDue(nowMs);
    scheduler.refresh(lane);
    return result;
  }

  /** The subscriptions to which anything is owed, dead letters included. */
  owing(): Iterable<string> {
    const lanes = [...this.#parts.scheduler.lanes.values()].filter(({ count }) => count.pending > 0);
    return new Set(lanes.map(({ uid }) => deadLetterOwner(uid) ?? uid));
  }
}
