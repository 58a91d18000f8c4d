import type { Clock } from "../lib/clock.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Completion, Store } from "../store/store.ts";
import { expiresAtMs } from "../core/delivery-state.ts";
import type { Landing } from "./flight/landing.ts";
import type { Lifetime } from "./lifetime.ts";
import type { EngineBounds } from "./queue/bounds.ts";
import type { FreshMemory } from "./queue/fresh-memory.ts";
import type { Lane } from "./queue/lane.ts";
import type { Waiting } from "./queue/lane-backlog.ts";
import type { Scheduler } from "./queue/scheduler.ts";

/** Rows of a paused queue are looked at again at the latest after this. */
const CHECK_AGAIN_MS = 60_000;
/** Windows of one lane looked at in one round: where order is kept each shows one delivery of a key. */
const WINDOWS_MAX = 32;
const WINDOW_ROWS = 256;

export interface ExpirySweepParts {
  readonly store: Pick<Store, "due" | "complete">;
  readonly clock: Clock;
  readonly log: Log;
  readonly bounds: Pick<EngineBounds, "sweptLanesMax">;
  readonly life: Pick<Lifetime, "livedSinceMs">;
  readonly scheduler: Pick<Scheduler, "loader">;
  readonly fresh: Pick<FreshMemory, "taken">;
  readonly landing: Pick<Landing, "failedUntried">;
  readonly events: Pick<BusinessEvents, "deliveriesLost">;
}

/**
 * Ends deliveries whose age is used up while a pause holds them back: failed with the pause as reason, no attempt made. Rows come in order of
 * due time, so one that is older than those before it may wait up to their retry delay longer.
 */
export class ExpirySweep {
  readonly #parts: ExpirySweepParts;

  constructor(parts: ExpirySweepParts) {
    this.#parts = parts;
  }

  async run(lanes: Iterable<Lane>): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    let left = this.#parts.bounds.sweptLanesMax;
    for (const lane of lanes) {
      if (
        lane.count.pending === 0 ||
        lane.backlog.expiryCheckAtMs > nowMs ||
        lane.ending !== undefined ||
        lane.gate.pausedUntil(nowMs) === undefined
      )
        continue;
      if (left-- === 0) return;
      try {
        for (let windows = WINDOWS_MAX; windows > 0 && lane.backlog.expiryCheckAtMs <= nowMs; windows--) await this.#sweep(lane, nowMs);
      } catch (error) {
        this.#parts.log.warn({ err: error, subscription: lane.uid }, "expired deliveries could not be ended: retrying");
        lane.backlog.checkExpiryAt(nowMs + CHECK_AGAIN_MS);
      }
    }
  }

  async #sweep(lane: Lane, nowMs: number): Promise<void> {
    const policy = lane.route?.subscription.policy;
    const reason = lane.gate.pausedUntil(nowMs)?.reason;
    lane.backlog.checkExpiryAt(nowMs + CHECK_AGAIN_MS);
    if (policy === undefined || reason === undefined) return;
    const { store } = this.#parts;
    const livedSinceMs = this.#parts.life.livedSinceMs;
    const endsAtMs = (acceptedAtMs: number): number => expiresAtMs(acceptedAtMs, policy, livedSinceMs);
    const rows = await store.due(lane.uid, nowMs, WINDOW_ROWS);
    // A new route may have lifted the pause while the store was read.
    if (lane.gate.pausedUntil(nowMs)?.reason !== reason) return;
    const ids: number[] = [];
    const fresh: Waiting[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const row of rows) {
      if (this.#parts.scheduler.loader.holds(row.id)) continue;
      if (endsAtMs(row.acceptedAtMs) <= nowMs && row.resent !== true) ids.push(row.id);
      else nextMs = Math.min(nextMs, endsAtMs(row.acceptedAtMs));
    }
    for (let head = lane.backlog.freshHead; head !== undefined; head = lane.backlog.freshHead) {
      if (endsAtMs(head.acceptedAtMs) > nowMs) {
        nextMs = Math.min(nextMs, endsAtMs(head.acceptedAtMs));
        break;
      }
      ids.push(head.id);
      fresh.push(head);
      lane.backlog.takeFresh();
    }
    const uncovered = rows.some((row) => row.orderKey !== undefined);
    const isFull = (rows.length === WINDOW_ROWS || uncovered) && ids.length > 0;
    lane.backlog.checkExpiryAt(isFull ? nowMs : Math.min(nowMs + CHECK_AGAIN_MS, nextMs));
    if (ids.length === 0) return;
    const historyRetentionMs = policy.retention.historyMs;
    const next = { state: "failed", reason } as const;
    const completions = ids.map((id): Completion => ({ id, epoch: lane.epoch, attempt: undefined, next, nowMs, historyRetentionMs }));
    let changed: readonly boolean[];
    lane.count.writing();
    try {
      changed = await store.complete(completions);
    } catch (error) {
      for (const waiting of fresh.toReversed()) lane.backlog.putBack(waiting);
      throw error;
    } finally {
      lane.count.written();
    }
    for (const waiting of fresh) this.#parts.fresh.taken(lane, waiting);
    const lost = ids.filter((_, i) => changed[i] === true);
    for (const _ of lost) this.#parts.landing.failedUntried(lane, reason);
    const subscription = lane.route?.subscription;
    if (subscription !== undefined) this.#parts.events.deliveriesLost(subscription, { reason, count: lost.length, ids: lost });
  }
}
