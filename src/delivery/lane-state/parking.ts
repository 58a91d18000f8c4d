import { hash } from "node:crypto";
import type { Route } from "../../core/route-table.ts";
import type { SubscriptionSpec } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type Store } from "../../store/store.ts";
import type { Lane } from "../queue/lane.ts";
import type { Scheduler } from "../queue/scheduler.ts";
import type { LanePart, LaneStart } from "./lane-part.ts";

/** Rows woken by one call to the store. */
const WAKE_STEP = 1_000;
const RETRY_MS = 1_000;
const MARK_CHARS = 22;
/** Of a subscription that is being deleted: no spec will come that could help, so what waits for one is tried a last time. */
const DRAINING = "draining";

const marks = new WeakMap<SubscriptionSpec, string>();

/** Names the spec that a route was made of, the same over restarts. */
export function specMark(route: Route): string {
  if (route.draining) return DRAINING;
  const { spec } = route.subscription;
  const known = marks.get(spec);
  if (known !== undefined) return known;
  const mark = hash("sha256", JSON.stringify(spec), "base64url").slice(0, MARK_CHARS);
  marks.set(spec, mark);
  return mark;
}

export interface ParkingParts {
  readonly store: Pick<Store, "parked" | "unpark">;
  readonly clock: Clock;
  readonly log: Log;
  readonly scheduler: Pick<Scheduler, "refresh">;
}

/**
 * Deliveries whose body the spec cannot make wait for another spec; this wakes them when one is in force, also one that came while nobody was
 * running. A crash loses nothing of it: the marks are in the store.
 */
export class Parking implements LanePart {
  /** The marks are columns of the rows. */
  readonly stateKind = undefined;
  readonly #parts: ParkingParts;
  /** Marks under which rows of a lane may wait. */
  readonly #marks = new Map<Lane, Set<string>>();
  readonly #waking = new Set<Lane>();

  constructor(parts: ParkingParts) {
    this.#parts = parts;
  }

  /** At boot: lanes with rows that may wait for the spec that is in force now. */
  async restore({ laneOf }: LaneStart): Promise<void> {
    for (const { subscription, mark } of await this.#parts.store.parked()) {
      const lane = laneOf(subscription);
      if (lane !== undefined) this.parked(lane, mark);
    }
  }

  /** A row of the lane waits, durably, for another spec than the one with this mark. */
  parked(lane: Lane, mark: string): void {
    const known = this.#marks.get(lane);
    if (known === undefined) this.#marks.set(lane, new Set([mark]));
    else known.add(mark);
    this.routeChanged(lane);
  }

  /** The lane may have another spec than before. */
  routeChanged(lane: Lane): void {
    if (!this.#waking.has(lane) && this.#others(lane).length > 0) void this.#wake(lane);
  }

  /** Nothing is owed to the lane, so nothing waits under a mark. */
  forget(lane: Lane): Promise<void> {
    this.#marks.delete(lane);
    return Promise.resolve();
  }

  /** Marks of the lane that name another spec than the one in force. */
  #others(lane: Lane): string[] {
    const known = this.#marks.get(lane);
    if (known === undefined || lane.route === undefined || lane.ending !== undefined) return [];
    const mark = specMark(lane.route);
    return [...known].filter((other) => other !== mark);
  }

  async #wake(lane: Lane): Promise<void> {
    this.#waking.add(lane);
    for (let others = this.#others(lane); others.length > 0; others = this.#others(lane)) {
      if (!(await this.#wakeSome(lane, others))) return;
    }
    this.#waking.delete(lane);
    if (this.#marks.get(lane)?.size === 0) this.#marks.delete(lane);
  }

  /** One step; false = the store is closed. */
  async #wakeSome(lane: Lane, others: readonly string[]): Promise<boolean> {
    const { store, clock, log, scheduler } = this.#parts;
    const known = this.#marks.get(lane);
    if (lane.route === undefined || known === undefined) return true;
    // Taken away first: what is parked while the store works is another row, and is looked at again.
    for (const other of others) known.delete(other);
    let left = true;
    try {
      const nowMs = clock.nowMs();
      left = (await store.unpark({ subscription: lane.uid, mark: specMark(lane.route), nowMs, limit: WAKE_STEP })) === WAKE_STEP;
      lane.backlog.noteDue(nowMs);
      scheduler.refresh(lane);
    } catch (error) {
      if (error instanceof StoreError && error.code === "closed") return false;
      log.warn({ err: error, subscription: lane.uid }, "deliveries that wait for a changed spec could not be woken: retrying");
      await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
    }
    if (left) for (const other of others) known.add(other);
    return true;
  }
}
