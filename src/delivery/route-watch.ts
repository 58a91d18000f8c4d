import { deadLetterOwner, deadLetterQueue, deadLetterRoute } from "../core/dead-letter.ts";
import { RouteTable, type Route } from "../core/route-table.ts";
import type { Clock } from "../lib/clock.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Attempter } from "./attempter.ts";
import type { DeadLetters } from "./lane-state/dead-letters.ts";
import type { LanePart } from "./lane-state/lane-part.ts";
import type { Lifetime } from "./lifetime.ts";
import type { Lane } from "./queue/lane.ts";
import type { Scheduler } from "./queue/scheduler.ts";
import type { RoutesInForce } from "./routes-in-force.ts";

/** Tables that follow each other this closely are compared once: a change of one of 10,000 routes must not cost 10,000 look-ups each time. */
const SETTLE_MS = 20;

export interface RouteWatchParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly inForce: RoutesInForce;
  readonly laneParts: readonly LanePart[];
  readonly deadLetters: Pick<DeadLetters, "routeChanged">;
  readonly attempter: Pick<Attempter, "forget">;
  readonly metrics: Pick<Metrics, "forgetSubscription" | "showSubscription">;
  /** Until what the last process left has been read, no lane takes a route: what is restored would overwrite what follows from it. */
  readonly life: Pick<Lifetime, "isRestored">;
}

/** Brings new routes to the lanes: policies and targets apply to the next claim, pauses of the spec at once. */
export class RouteWatch {
  readonly #parts: RouteWatchParts;
  /** The table that the lanes were last compared with. */
  #applied: RouteTable = RouteTable.empty;
  #pending = false;

  constructor(parts: RouteWatchParts) {
    this.#parts = parts;
  }

  publish(table: RouteTable): void {
    this.#parts.inForce.replace(table);
    if (this.#pending) return;
    this.#pending = true;
    this.#parts.clock.after(SETTLE_MS, () => {
      this.#pending = false;
      this.applyAll();
    });
  }

  /** Gives every lane the route in force; a receiver that must give permission first is asked before anything is owed to it. */
  applyAll(): void {
    const { scheduler, inForce, life } = this.#parts;
    if (!life.isRestored) return;
    for (const { subscription, draining } of inForce.table.routes())
      if (subscription.spec.verification !== undefined && !draining) scheduler.lane(subscription.uid, subscription.namespace);
    for (const lane of scheduler.lanes.values()) this.adopt(lane, inForce.routeOf(lane.uid));
    for (const { subscription } of inForce.goneSince(this.#applied)) this.#forgetSeries(subscription);
    this.#applied = inForce.table;
  }

  /** Gives the lane this route, and the lane of its dead letters the one that follows from it. */
  adopt(lane: Lane, route: Route | undefined): void {
    const before = lane.route;
    if (before === route || !this.#parts.life.isRestored) return;
    const { scheduler, laneParts, deadLetters, clock } = this.#parts;
    lane.adopt(route, clock.nowMs());
    if (before !== undefined) this.#letGo(lane, before);
    // No manifest of its own shows it.
    if (route !== undefined && deadLetterOwner(lane.uid) !== undefined) this.#parts.metrics.showSubscription(route.subscription, false);
    for (const part of laneParts) part.routeChanged(lane);
    // Their route comes before what the dead letters make of this one: asked for again, their lane is open again.
    const letters = route === undefined ? undefined : scheduler.lanes.get(deadLetterQueue(lane.uid));
    if (letters !== undefined) this.adopt(letters, deadLetterRoute(route));
    deadLetters.routeChanged(lane);
    scheduler.refresh(lane);
  }

  /** What belonged to the route before, and to no other. */
  #letGo(lane: Lane, { subscription }: Route): void {
    const now = lane.route?.subscription;
    // Only what an open connection depends on closes its pool.
    if (now?.target !== subscription.target || now?.egress !== subscription.egress) this.#parts.attempter.forget(lane.uid);
    if (now === undefined && deadLetterOwner(lane.uid) !== undefined && !this.#parts.inForce.isNameTaken(subscription))
      this.#forgetSeries(subscription);
  }

  #forgetSeries(subscription: Route["subscription"]): void {
    this.#parts.metrics.forgetSubscription(subscription);
  }
}
