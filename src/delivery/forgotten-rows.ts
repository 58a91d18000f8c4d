import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { WINDOW_ROWS_MAX, type DeliveryId, type ReadyDelivery, type Store } from "../store/store.ts";
import type { CommitDoubt } from "./commit-doubt.ts";
import type { ClaimReturns } from "./flight/claim-returns.ts";
import type { FlightDesk } from "./flight/flight-desk.ts";
import type { FreshMemory } from "./queue/fresh-memory.ts";
import type { Lane } from "./queue/lane.ts";
import { waitingOf } from "./queue/lane-backlog.ts";
import type { Scheduler } from "./queue/scheduler.ts";
import type { RouteWatch } from "./route-watch.ts";
import type { RoutesInForce } from "./routes-in-force.ts";

/** What is overdue by less than this may be on its way into memory. */
const OVERDUE_MS = 5_000;
/** A row must be unknown at both ends of this time: an answer of the store may be on its way. */
const CONFIRM_MS = 2_000;
/** Subscriptions that are looked at more closely in one round. */
const LANES_MAX = 200;

export interface ForgottenRowsParts {
  readonly store: Pick<Store, "queues" | "nextDue" | "due" | "fresh" | "claimed" | "complete">;
  readonly clock: Clock;
  readonly log: Log;
  readonly scheduler: Scheduler;
  readonly fresh: Pick<FreshMemory, "holds" | "restored">;
  readonly flights: Pick<FlightDesk, "holds">;
  readonly returns: Pick<ClaimReturns, "holds">;
  readonly doubt: Pick<CommitDoubt, "isInDoubt">;
  readonly inForce: Pick<RoutesInForce, "routeOf">;
  readonly routes: Pick<RouteWatch, "adopt">;
  readonly metrics: Pick<Metrics, "forgottenRows">;
}

/**
 * Memory may forget what it owes, the store does not: compares what is overdue, kept in memory only or being sent by the store's account with what
 * is held, and puts back what nobody holds. It must find nothing; what it finds is counted in `postrider_forgotten_rows_total`. Only after a commit
 * that did not say whether it happened are findings expected, and not counted.
 */
export class ForgottenRows {
  readonly #parts: ForgottenRowsParts;

  constructor(parts: ForgottenRowsParts) {
    this.#parts = parts;
  }

  /** One round. @throws when the store cannot be read: the next round will do. */
  async look(): Promise<void> {
    const before = await this.#unknown();
    if (before.size === 0) return;
    await new Promise<void>((resolve) => void this.#parts.clock.after(CONFIRM_MS, resolve));
    const still = [...(await this.#unknown()).values()].filter(({ row, as }) => before.get(row.id)?.as === as);
    if (still.length === 0) return;
    const { log, metrics, doubt } = this.#parts;
    const claimed: ReadyDelivery[] = [];
    for (const { row, as } of still) {
      if (as === "claimed") claimed.push(row);
      else this.#restore(row, as);
    }
    if (claimed.length > 0) await this.#turnBack(claimed);
    const isExpected = doubt.isInDoubt;
    if (!isExpected) metrics.forgottenRows.inc(still.length);
    const found = {
      event: "rows.forgotten",
      rows: still.length,
      subscriptions: [...new Set(still.map(({ row }) => row.subscription))].slice(0, 10),
    };
    if (isExpected) log.warn(found, "deliveries whose commit had not been confirmed were found in the store: they are sent now");
    else
      log.error(
        found,
        "due deliveries were missing in memory: they are sent now. This is a defect in Postrider; please report it with this line",
      );
  }

  /** What the store owes now and memory does not hold. */
  async #unknown(): Promise<Map<DeliveryId, Unknown>> {
    const { store, clock } = this.#parts;
    const beforeMs = clock.nowMs() - OVERDUE_MS;
    await this.#makeLanes();
    const unknown = new Map<DeliveryId, Unknown>();
    for (const lane of await this.#overdue(beforeMs)) {
      const rows = await store.due(lane.uid, beforeMs, Math.min(lane.backlog.held + 1, WINDOW_ROWS_MAX));
      const row = rows.find(({ id }) => !this.#parts.scheduler.loader.holds(id));
      if (row !== undefined && knowsOfNothing(lane, clock.nowMs())) unknown.set(row.id, { row, as: "due" });
    }
    for (const as of ["fresh", "claimed"] as const) await this.#walk(as, beforeMs, unknown);
    return unknown;
  }

  /** Queues with something owed of which memory has never heard. */
  async #makeLanes(): Promise<void> {
    const { store, scheduler, inForce, routes } = this.#parts;
    for (const queue of await store.queues()) {
      if (queue.pending === 0 || scheduler.lanes.has(queue.subscription)) continue;
      const lane = scheduler.lane(queue.subscription, queue.namespace);
      lane.restore(queue);
      routes.adopt(lane, inForce.routeOf(lane.uid));
    }
  }

  /** Lanes that may send and know of nothing that is due, but the store does. */
  async #overdue(beforeMs: number): Promise<Lane[]> {
    const { store, scheduler, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const lanes: Lane[] = [];
    for (const { subscription, dueAtMs } of await store.nextDue(Math.max(1, scheduler.lanes.size))) {
      if (dueAtMs > beforeMs || lanes.length >= LANES_MAX) break;
      const lane = scheduler.lanes.get(subscription);
      if (lane === undefined || !knowsOfNothing(lane, nowMs) || lane.openAtMs(nowMs) > nowMs) continue;
      lanes.push(lane);
    }
    return lanes;
  }

  async #walk(as: "fresh" | "claimed", beforeMs: number, unknown: Map<DeliveryId, Unknown>): Promise<void> {
    const { store, fresh, flights, returns, scheduler } = this.#parts;
    for (let afterId = 0; ;) {
      const rows = await store[as](afterId, WINDOW_ROWS_MAX);
      for (const row of rows) {
        afterId = Math.max(afterId, row.id);
        const isHeld = fresh.holds(row.id) || flights.holds(row.id) || returns.holds(row.id) || scheduler.loader.holds(row.id);
        if (!isHeld && row.acceptedAtMs <= beforeMs) unknown.set(row.id, { row, as });
      }
      if (rows.length < WINDOW_ROWS_MAX) return;
    }
  }

  #restore(row: ReadyDelivery, as: "due" | "fresh"): void {
    const { scheduler, fresh } = this.#parts;
    const lane = scheduler.lane(row.subscription, row.namespace);
    if (lane.ending !== undefined) return;
    if (as === "due") lane.backlog.noteDue(row.dueAtMs);
    else fresh.restored(lane, waitingOf(row, undefined, true));
    scheduler.refresh(lane);
  }

  /** Claimed by nobody here: nothing was sent, so the try does not count. */
  async #turnBack(rows: readonly ReadyDelivery[]): Promise<void> {
    const { store, scheduler, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const next = { state: "ready", dueAtMs: nowMs, uncounted: true } as const;
    await store.complete(
      rows.map(({ id, subscription, namespace }) => {
        const { epoch } = scheduler.lane(subscription, namespace);
        return { id, epoch, attempt: undefined, next, nowMs, historyRetentionMs: 0 };
      }),
    );
    for (const { subscription, namespace } of rows) {
      const lane = scheduler.lane(subscription, namespace);
      lane.backlog.noteDue(nowMs);
      scheduler.refresh(lane);
    }
  }
}

interface Unknown {
  readonly row: ReadyDelivery;
  readonly as: "due" | "fresh" | "claimed";
}

/** Reads nothing, and will not soon: once anything is noted as due, a read finds all that is. */
function knowsOfNothing(lane: Lane, nowMs: number): boolean {
  return !lane.backlog.loading && !lane.backlog.wantsToLoad && lane.backlog.indexDueAtMs > nowMs;
}
