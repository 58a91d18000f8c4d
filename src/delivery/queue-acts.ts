import { deadLetterOwner, deadLetterQueue } from "../core/dead-letter.ts";
import { BUILT_IN_POLICY } from "../core/policy.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { DeliveryId, Store } from "../store/store.ts";
import type { Attempter } from "./attempter.ts";
import type { DeadLetters } from "./lane-state/dead-letters.ts";
import type { Permissions } from "./lane-state/permissions.ts";
import type { HealthBook } from "./lane-state/health-book.ts";
import type { IntakeDesk } from "./queue/intake-desk.ts";
import type { EndHow, Lane } from "./queue/lane.ts";
import type { Parking } from "./lane-state/parking.ts";
import type { PauseKeeper } from "./lane-state/pause-keeper.ts";
import type { RouteWatch } from "./route-watch.ts";
import type { Scheduler } from "./queue/scheduler.ts";
import type { Tally } from "./lane-state/tally.ts";

/** Rows ended by one call when a subscription is deleted. */
const END_STEP = 256;

export interface QueueActsParts {
  readonly store: Pick<Store, "endAll" | "readDelivery" | "resend" | "forgetQueue">;
  readonly clock: Clock;
  readonly log: Log;
  readonly attempter: Pick<Attempter, "forget">;
  readonly scheduler: Scheduler;
  readonly desk: IntakeDesk;
  readonly routes: RouteWatch;
  readonly health: HealthBook;
  readonly tally: Tally;
  readonly deadLetters: DeadLetters;
  readonly parking: Parking;
  readonly permissions: Pick<Permissions, "forget">;
  readonly pauses: Pick<PauseKeeper, "forget">;
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
    const lane = this.#parts.scheduler.lanes.get(uid);
    if (lane !== undefined) await this.#parts.deadLetters.stop(lane);
    return (await this.endQueue(uid, how)) + (await this.endQueue(deadLetterQueue(uid), how));
  }

  /** Ends what is left in one queue. */
  async endQueue(uid: string, how: EndHow): Promise<number> {
    const lane = this.#parts.scheduler.lanes.get(uid);
    return lane === undefined ? 0 : this.#endLane(lane, how);
  }

  async #endLane(lane: Lane, how: EndHow): Promise<number> {
    const { scheduler, desk, store, clock, tally } = this.#parts;
    lane.ending = how;
    for (const id of lane.dropWindow()) scheduler.letGo(lane, id);
    for (let waiting = lane.fresh.shift(); waiting !== undefined; waiting = lane.fresh.shift()) desk.taken(lane, waiting);
    scheduler.refresh(lane);
    const [state, reason] = how === "discard" ? (["discarded", "Discarded"] as const) : (["failed", "SubscriptionDeleted"] as const);
    const historyRetentionMs = (lane.route?.subscription.policy ?? BUILT_IN_POLICY).retention.historyMs;
    let total = 0;
    // A subscription that is back meanwhile keeps what comes in from then on.
    for (let ended = END_STEP; ended > 0 && lane.ending !== undefined;) {
      ended = await store.endAll({ subscription: lane.uid, state, reason, nowMs: clock.nowMs(), historyRetentionMs, limit: END_STEP });
      total += ended;
      // Of a dead letter whose answer is still on its way only the store knows.
      for (let i = 0; i < ended && lane.pending > 0; i++) tally.ended(lane, state);
    }
    await this.forgetIfOver(lane);
    return total;
  }

  /** One extra attempt for a delivery that has ended: past its limits, not past a pause, and out of the order of its key. */
  async resend(id: DeliveryId): Promise<ResendResult> {
    const { scheduler, routes, store, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const record = await store.readDelivery(id);
    if (record === undefined) return "not_found";
    // Without its subscription nobody would ever send it, and it would be neither owed nor ended.
    if (routes.routeOf(record.subscription) === undefined || scheduler.lanes.get(record.subscription)?.ending !== undefined)
      return "subscription_gone";
    const lane = scheduler.lane(record.subscription, record.namespace);
    lane.offered += 1;
    const result = await store.resend(id, nowMs).finally(() => (lane.offered -= 1));
    if (result !== "resent") return result;
    routes.adopt(lane, routes.routeOf(lane.uid));
    lane.moves += 1;
    lane.pending += 1;
    lane.oldestAcceptedAtMs ??= nowMs;
    lane.noteDue(nowMs);
    scheduler.refresh(lane);
    return result;
  }

  /** The subscriptions to which anything is owed, dead letters included. */
  owing(): Iterable<string> {
    const lanes = [...this.#parts.scheduler.lanes.values()].filter(({ pending }) => pending > 0);
    return new Set(lanes.map(({ uid }) => deadLetterOwner(uid) ?? uid));
  }

  /** An attempt of an ending lane is over; `left`: it failed and would be tried again, which nobody will do. */
  attemptOver(lane: Lane, left: boolean): void {
    const { log } = this.#parts;
    const ended = left ? this.#endLane(lane, lane.ending ?? "dead-letter") : this.forgetIfOver(lane);
    ended.catch((error: unknown) =>
      log.warn({ err: error, queue: lane.uid }, "the last deliveries of a deleted subscription could not be ended"),
    );
  }

  /** An ending lane with nothing left is forgotten, durably. */
  async forgetIfOver(lane: Lane): Promise<void> {
    const isOver = (): boolean => lane.ending !== undefined && lane.pending === 0 && lane.fair.inFlight === 0;
    if (!isOver()) return;
    const { store, health, scheduler, attempter, parking, permissions, pauses, routes } = this.#parts;
    if (lane.route?.subscription.spec.verification !== undefined) permissions.forget(lane);
    pauses.forget(lane);
    await store.forgetQueue(lane.uid);
    await health.forget(lane);
    // It is back, or something was accepted, while the store worked.
    if (!isOver()) return;
    scheduler.forget(lane);
    parking.forget(lane);
    attempter.forget(lane.uid);
    if (lane.lastRoute !== undefined) routes.forgetMetrics(lane.lastRoute);
  }
}
