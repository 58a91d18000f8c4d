import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Completion, Store } from "../store/store.ts";
import { expiresAtMs } from "../core/delivery-state.ts";
import type { Lane, Waiting } from "./queue/lane.ts";

/** Rows of a paused queue are looked at again at the latest after this. */
const CHECK_AGAIN_MS = 60_000;
/** Windows of one lane looked at in one round: where order is kept each shows one delivery of a key. */
const WINDOWS_MAX = 32;
const WINDOW_ROWS = 256;

export interface ExpirySweepParts {
  readonly store: Pick<Store, "due" | "complete">;
  readonly clock: Clock;
  readonly log: Log;
  readonly lanesMax: number;
  /** Since when this process has lived through engine time, ms. */
  readonly livedSinceMs: () => number;
  readonly holds: (id: number) => boolean;
  readonly ended: (lane: Lane) => void;
  /** A fresh delivery left memory because it is too old. */
  readonly freshTaken: (lane: Lane, waiting: Waiting) => void;
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
    let left = this.#parts.lanesMax;
    for (const lane of lanes) {
      if (lane.pending === 0 || lane.expiryCheckAtMs > nowMs || lane.ending !== undefined || lane.pausedUntil(nowMs) === undefined)
        continue;
      if (left-- === 0) return;
      try {
        for (let windows = WINDOWS_MAX; windows > 0 && lane.expiryCheckAtMs <= nowMs; windows--) await this.#sweep(lane, nowMs);
      } catch (error) {
        this.#parts.log.warn({ err: error, subscription: lane.uid }, "expired deliveries could not be ended: retrying");
        lane.expiryCheckAtMs = nowMs + CHECK_AGAIN_MS;
      }
    }
  }

  async #sweep(lane: Lane, nowMs: number): Promise<void> {
    const policy = lane.route?.subscription.policy;
    const reason = lane.pausedUntil(nowMs)?.reason;
    lane.expiryCheckAtMs = nowMs + CHECK_AGAIN_MS;
    if (policy === undefined || reason === undefined) return;
    const { store } = this.#parts;
    const livedSinceMs = this.#parts.livedSinceMs();
    const endsAtMs = (acceptedAtMs: number): number => expiresAtMs(acceptedAtMs, policy, livedSinceMs);
    const rows = await store.due(lane.uid, nowMs, WINDOW_ROWS);
    // A new route may have lifted the pause while the store was read.
    if (lane.pausedUntil(nowMs)?.reason !== reason) return;
    const ids: number[] = [];
    const fresh: Waiting[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const row of rows) {
      if (this.#parts.holds(row.id)) continue;
      if (endsAtMs(row.acceptedAtMs) <= nowMs && row.resent !== true) ids.push(row.id);
      else nextMs = Math.min(nextMs, endsAtMs(row.acceptedAtMs));
    }
    for (let head = lane.fresh.peek(); head !== undefined; head = lane.fresh.peek()) {
      if (endsAtMs(head.acceptedAtMs) > nowMs) {
        nextMs = Math.min(nextMs, endsAtMs(head.acceptedAtMs));
        break;
      }
      ids.push(head.id);
      fresh.push(head);
      lane.fresh.shift();
    }
    const uncovered = rows.some((row) => row.orderKey !== undefined);
    const isFull = (rows.length === WINDOW_ROWS || uncovered) && ids.length > 0;
    lane.expiryCheckAtMs = isFull ? nowMs : Math.min(nowMs + CHECK_AGAIN_MS, nextMs);
    if (ids.length === 0) return;
    const historyRetentionMs = policy.retention.historyMs;
    const next = { state: "failed", reason } as const;
    const completions = ids.map((id): Completion => ({ id, epoch: lane.epoch, attempt: undefined, next, nowMs, historyRetentionMs }));
    let changed: readonly boolean[];
    lane.unwritten += 1;
    try {
      changed = await store.complete(completions);
    } catch (error) {
      for (const waiting of fresh.toReversed()) lane.fresh.unshift(waiting);
      throw error;
    } finally {
      lane.unwritten -= 1;
    }
    for (const waiting of fresh) this.#parts.freshTaken(lane, waiting);
    for (const wasEnded of changed) if (wasEnded) this.#parts.ended(lane);
  }
}
