import { BUILT_IN_POLICY } from "../core/policy.ts";
import type { Clock } from "../lib/clock.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";
import type { Attempter } from "./attempter.ts";
import type { LanePart } from "./lane-state/lane-part.ts";
import type { Tally } from "./lane-state/tally.ts";
import type { FreshMemory } from "./queue/fresh-memory.ts";
import type { EndHow, Lane } from "./queue/lane.ts";
import type { Scheduler } from "./queue/scheduler.ts";
import type { RoutesInForce } from "./routes-in-force.ts";

/** Rows ended by one call when a queue is ended. */
const END_STEP = 256;

export interface QueueEndingParts {
  readonly store: Pick<Store, "endAll" | "forgetQueue">;
  readonly clock: Clock;
  readonly log: Log;
  readonly scheduler: Scheduler;
  readonly fresh: Pick<FreshMemory, "taken">;
  readonly tally: Tally;
  readonly events: Pick<BusinessEvents, "deliveriesLost">;
  readonly laneParts: readonly LanePart[];
  readonly inForce: Pick<RoutesInForce, "isNameTaken">;
  readonly attempter: Pick<Attempter, "forget">;
  readonly metrics: Pick<Metrics, "forgetSubscription">;
}

/**
 * Ends queues that nobody serves any more. From the first call on nothing of the lane is sent; what is under way ends by itself, and the lane is
 * forgotten when nothing is left. A crash leaves rows that are owed: whoever wanted the end asks for it again.
 */
export class QueueEnding {
  readonly #parts: QueueEndingParts;

  constructor(parts: QueueEndingParts) {
    this.#parts = parts;
  }

  /** Ends what is left in one queue. Answers how many deliveries were ended. */
  async endQueue(uid: string, how: EndHow): Promise<number> {
    const lane = this.#parts.scheduler.lanes.get(uid);
    return lane === undefined ? 0 : this.#endLane(lane, how);
  }

  /** An attempt of an ending lane is over; `left`: it failed and would be tried again, which nobody will do. */
  attemptOver(lane: Lane, left: boolean): void {
    const { log } = this.#parts;
    const ended = left ? this.#endLane(lane, lane.ending ?? "dead-letter") : this.#forgetIfOver(lane);
    ended.catch((error: unknown) =>
      log.warn({ err: error, queue: lane.uid }, "the last deliveries of a deleted subscription could not be ended"),
    );
  }

  async #endLane(lane: Lane, how: EndHow): Promise<number> {
    const { scheduler, fresh, store, clock, tally } = this.#parts;
    lane.end(how);
    for (const id of lane.backlog.dropWindow()) scheduler.letGo(lane, id);
    for (let waiting = lane.backlog.takeFresh(); waiting !== undefined; waiting = lane.backlog.takeFresh()) fresh.taken(lane, waiting);
    scheduler.refresh(lane);
    const [state, reason] = how === "discard" ? (["discarded", "Discarded"] as const) : (["failed", "SubscriptionDeleted"] as const);
    const historyRetentionMs = (lane.route?.subscription.policy ?? BUILT_IN_POLICY).retention.historyMs;
    let total = 0;
    // A subscription that is back meanwhile keeps what comes in from then on.
    for (let ended = END_STEP; ended > 0 && lane.ending !== undefined;) {
      ended = await store.endAll({ subscription: lane.uid, state, reason, nowMs: clock.nowMs(), historyRetentionMs, limit: END_STEP });
      total += ended;
      // Of a dead letter whose answer is still on its way only the store knows.
      for (let i = 0; i < ended && lane.count.pending > 0; i++) tally.ended(lane, { state, reason });
    }
    const subscription = (lane.route ?? lane.lastRoute)?.subscription;
    if (total > 0 && state === "failed" && subscription !== undefined)
      this.#parts.events.deliveriesLost(subscription, { reason, count: total });
    await this.#forgetIfOver(lane);
    return total;
  }

  /** An ending lane with nothing left is forgotten, durably. */
  async #forgetIfOver(lane: Lane): Promise<void> {
    if (!lane.isOver) return;
    const { store, scheduler, attempter, laneParts } = this.#parts;
    await Promise.all([store.forgetQueue(lane.uid), ...laneParts.toReversed().map((part) => part.forget(lane))]);
    // It is back, or something was accepted, while the store worked.
    if (!lane.isOver) return;
    scheduler.forget(lane);
    attempter.forget(lane.uid);
    this.#forgetSeries(lane);
  }

  #forgetSeries({ lastRoute }: Lane): void {
    if (lastRoute === undefined || this.#parts.inForce.isNameTaken(lastRoute.subscription)) return;
    this.#parts.metrics.forgetSubscription(lastRoute.subscription);
  }
}
