import { deadLetterOwner, deadLetterRoute } from "../core/dead-letter.ts";
import { RouteTable, type Route } from "../core/route-table.ts";
import type { Clock } from "../lib/clock.ts";
import type { Attempter } from "./attempter.ts";
import type { DeadLetters } from "./lane-state/dead-letters.ts";
import type { Permissions } from "./lane-state/permissions.ts";
import type { Lane } from "./queue/lane.ts";
import type { Parking } from "./lane-state/parking.ts";
import type { PauseKeeper } from "./lane-state/pause-keeper.ts";
import type { Scheduler } from "./queue/scheduler.ts";

/** Tables that follow each other this closely are compared once: a change of one of 10,000 routes must not cost 10,000 look-ups each time. */
const SETTLE_MS = 20;

export interface RouteWatchParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly pauses: PauseKeeper;
  readonly permissions: Permissions;
  readonly deadLetters: DeadLetters;
  readonly parking: Parking;
  readonly attempter: Pick<Attempter, "forget">;
  readonly forgetMetrics: (route: Route) => void;
  /** False until what the last process left has been read: before that no lane takes a route, or what is restored would overwrite what follows from it. */
  readonly isRestored: () => boolean;
}

/** Brings new routes to the lanes: policies and targets apply to the next claim, pauses of the spec at once. */
export class RouteWatch {
  readonly #parts: RouteWatchParts;
  #table: RouteTable = RouteTable.empty;
  /** The table that the lanes were last compared with. */
  #applied: RouteTable = RouteTable.empty;
  #pending = false;

  constructor(parts: RouteWatchParts) {
    this.#parts = parts;
  }

  get table(): RouteTable {
    return this.#table;
  }

  /** The route of a queue in the table in force: a subscription's, or that of its dead letters. */
  routeOf(uid: string): Route | undefined {
    const owner = deadLetterOwner(uid);
    return owner === undefined ? this.#table.byUid(uid) : deadLetterRoute(this.#table.byUid(owner));
  }

  publish(table: RouteTable): void {
    this.#table = table;
    if (this.#pending) return;
    this.#pending = true;
    this.#parts.clock.after(SETTLE_MS, () => {
      this.#pending = false;
      this.applyAll();
    });
  }

  /** Gives every lane the route of the table in force; a receiver that must give permission first is asked before anything is owed to it. */
  applyAll(): void {
    const { scheduler } = this.#parts;
    if (!this.#parts.isRestored()) return;
    for (const { subscription, draining } of this.#table.routes())
      if (subscription.spec.verification !== undefined && !draining) scheduler.lane(subscription.uid, subscription.namespace);
    for (const lane of this.#parts.scheduler.lanes.values()) {
      const route = this.routeOf(lane.uid);
      if (route !== lane.route) this.adopt(lane, route);
    }
    this.#forgetRemoved();
  }

  /** The series of a subscription that is gone, and of its dead letters; not of one that has its name now. */
  forgetMetrics(route: Route): void {
    const { namespace, name } = route.subscription;
    if (this.#table.byUid(route.subscription.uid) === undefined && this.#names().has(`${namespace}/${name}`)) return;
    this.#parts.forgetMetrics(route);
  }

  #forgetRemoved(): void {
    const removed = [...this.#applied.routes()].filter(({ subscription }) => this.#table.byUid(subscription.uid) === undefined);
    this.#applied = this.#table;
    const names = removed.length === 0 ? new Set<string>() : this.#names();
    for (const route of removed) {
      const { namespace, name } = route.subscription;
      if (!names.has(`${namespace}/${name}`)) this.#parts.forgetMetrics(route);
    }
  }

  #names(): Set<string> {
    return new Set([...this.#table.routes()].map(({ subscription: { namespace, name } }) => `${namespace}/${name}`));
  }

  adopt(lane: Lane, route: Route | undefined): void {
    const before = lane.route;
    if (before === route || !this.#parts.isRestored()) return;
    lane.adopt(route, this.#parts.clock.nowMs());
    // Back (a manifest that was away for a moment) while its last attempts are under way: what comes in must find an open lane.
    if (route?.draining === false) lane.ending = undefined;
    if (before !== undefined) {
      const kept = route?.subscription;
      // Only what an open connection depends on closes its pool.
      if (kept?.target !== before.subscription.target || kept?.egress !== before.subscription.egress)
        this.#parts.attempter.forget(lane.uid);
      if (route === undefined && deadLetterOwner(lane.uid) !== undefined) this.#parts.forgetMetrics(before);
    }
    this.#parts.pauses.routeChanged(lane);
    this.#parts.permissions.routeChanged(lane);
    this.#parts.deadLetters.routeChanged(lane);
    this.#parts.parking.routeChanged(lane);
    this.#parts.scheduler.refresh(lane);
  }
}
