import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Completion, Store } from "../store/store.ts";
import { WINDOW_MAX, type Lane, type Waiting } from "./lane.ts";

/** Paused lanes looked at in one round; rows of a paused queue are looked at again at the latest after this. */
const LANES_MAX = 50;
const CHECK_AGAIN_MS = 60_000;
/** Windows of one lane looked at in one round: where order is kept each shows one delivery of a key. */
const WINDOWS_MAX = 32;

export interface ExpirySweepParts {
  readonly store: Pick<Store, "due" | "complete">;
  readonly clock: Clock;
  readonly log: Log;
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
    let left = LANES_MAX;
    for (const lane of lanes) {
      if (lane.pending === 0 || lane.expiryCheckAtMs > nowMs || lane.ending !== undefined || lane.pausedUntil(nowMs) === undefined)
        continue;
      if (left-- === 0) return;
      try {
        for (let windows = WINDOWS_MAX; windows > 0 && lane.expiryCheckAtMs <= nowMs; windows--) await this.#sweep(lane, nowMs);
      } catch (error) {
        this.#parts.log.warn({ err: error, subscription: lane.uid }, "aged deliveries could not be ended: trying again");
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
    const bornBeforeMs = nowMs - policy.retry.maxAgeMs;
    const rows = await store.due(lane.uid, nowMs, WINDOW_MAX);
    const ids: number[] = [];
    const fresh: Waiting[] = [];
    let oldestMs = lane.fresh.peek()?.acceptedAtMs ?? Number.POSITIVE_INFINITY;
    for (const row of rows) {
      if (this.#parts.holds(row.id)) continue;
      if (row.acceptedAtMs <= bornBeforeMs && row.resent !== true) ids.push(row.id);
      else oldestMs = Math.min(oldestMs, row.acceptedAtMs);
    }
    for (let head = lane.fresh.peek(); head !== undefined && head.acceptedAtMs <= bornBeforeMs; head = lane.fresh.peek()) {
      ids.push(head.id);
      fresh.push(head);
      lane.fresh.shift();
    }
    const uncovered = rows.some((row) => row.orderKey !== undefined);
    const isFull = (rows.length === WINDOW_MAX || uncovered) && ids.length > 0;
    lane.expiryCheckAtMs = isFull ? nowMs : Math.min(nowMs + CHECK_AGAIN_MS, oldestMs + policy.retry.maxAgeMs);
    if (ids.length === 0) return;
    const historyRetentionMs = policy.retention.historyMs;
    const next = { state: "failed", reason } as const;
    const completions = ids.map((id): Completion => ({ id, epoch: lane.epoch, attempt: undefined, next, nowMs, historyRetentionMs }));
    let changed: readonly boolean[];
    try {
      changed = await store.complete(completions);
    } catch (error) {
      for (const waiting of fresh.toReversed()) lane.fresh.unshift(waiting);
      throw error;
    }
    for (const waiting of fresh) this.#parts.freshTaken(lane, waiting);
    for (const wasEnded of changed) if (wasEnded) this.#parts.ended(lane);
  }
}
