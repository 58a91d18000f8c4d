import {
  FAILING_AFTER,
  emptyRecord,
  isTokenRefused,
  judgeEndpoint,
  noteAttempt,
  noteUnsendable,
  type EndpointRecord,
} from "../../core/endpoint-health.ts";
import { FAILURE_MESSAGE_CHARS_MAX, type LastAttempt, type RecentFailure, type SubscriptionHealth } from "../../core/health.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { Store } from "../../store/store.ts";
import type { Lane } from "../queue/lane.ts";

/** Snapshots written in one call. */
const BATCH_MAX = 500;
const QUIET_MS = 100;

export interface HealthBookParts {
  readonly store: Pick<Store, "putState" | "listState" | "deleteState">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The lane's share of slots depends on it. */
  readonly failing: (lane: Lane, failing: boolean) => void;
}

export type HealthCallback = (uid: string, kind: "transition" | "counters") => void;

/** How every subscription is doing, for status, conditions and gauges; snapshots of what changed survive a restart. */
export class HealthBook {
  readonly #parts: HealthBookParts;
  readonly #dirty = new Set<Lane>();
  /** Lanes whose counters were told a moment ago, and whether they have moved since. */
  readonly #quiet = new Map<Lane, boolean>();
  #callbacks: HealthCallback[] = [];

  constructor(parts: HealthBookParts) {
    this.#parts = parts;
  }

  onChange(callback: HealthCallback): void {
    this.#callbacks.push(callback);
  }

  /** At boot: what was known when the last process ended (at most 5 s old). The time in which nobody ran (`awayMs`) is no failing. */
  async restore(laneOf: (uid: string) => Lane | undefined, awayMs: number): Promise<void> {
    for (const { key, value } of await this.#parts.store.listState("health")) {
      const lane = laneOf(key);
      if (lane === undefined) continue;
      lane.record = { ...emptyRecord(), ...parse(value) };
      if (lane.record.failingSinceMs !== undefined) lane.record.failingSinceMs += awayMs;
      lane.verdict = judgeEndpoint(lane.record, lane.breaker.isOpen, undefined);
      this.#parts.failing(lane, lane.record.consecutiveFailures >= FAILING_AFTER);
    }
  }

  /** Notes one attempt and judges the endpoint anew. */
  attempted(lane: Lane, attempt: LastAttempt, outcome: Outcome): void {
    const isFailure = outcome.class !== "success";
    const failure = isFailure ? failureOf(attempt, outcome) : undefined;
    noteAttempt(lane.record, { attempt, failure, tokenRefused: isTokenRefused(outcome) });
    if (isFailure || lane.fair.failing) this.#parts.failing(lane, lane.record.consecutiveFailures >= FAILING_AFTER);
    this.changed(lane);
  }

  /** Notes an attempt whose body could not be made. */
  unsendable(lane: Lane, attempt: LastAttempt, outcome: Outcome): void {
    noteUnsendable(lane.record, failureOf(attempt, outcome));
    this.changed(lane);
  }

  /** Numbers, pauses or verdict of the lane may have moved. */
  changed(lane: Lane): void {
    this.#dirty.add(lane);
    const before = lane.verdict;
    lane.verdict = judgeEndpoint(lane.record, lane.breaker.isOpen, before);
    this.tell(lane, before?.healthy === lane.verdict.healthy && before?.reason === lane.verdict.reason ? "counters" : "transition");
  }

  /** Transitions are told at once; moving counters at most every 100 ms, the last move never lost. */
  tell(lane: Lane, kind: "transition" | "counters"): void {
    if (kind === "counters") {
      if (this.#quiet.has(lane)) {
        this.#quiet.set(lane, true);
        return;
      }
      if (this.#quiet.size === 0) this.#parts.clock.after(QUIET_MS, () => this.#endQuiet());
      this.#quiet.set(lane, false);
    }
    for (const callback of this.#callbacks) callback(lane.uid, kind);
  }

  #endQuiet(): void {
    const quiet = [...this.#quiet];
    this.#quiet.clear();
    for (const [lane, moved] of quiet) if (moved) this.tell(lane, "counters");
  }

  /** For people: its times are the wall's. */
  view(lane: Lane): SubscriptionHealth {
    const { record, counters, suspension } = lane;
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const shown = (atMs: number | undefined): number | undefined => (atMs === undefined ? undefined : clock.shownMs(atMs));
    const at = <T extends { readonly atMs: number }>(one: T): T => ({ ...one, atMs: clock.shownMs(one.atMs) });
    const endpoint = lane.permission ?? lane.verdict ?? judgeEndpoint(record, lane.breaker.isOpen, undefined);
    const dueAtMs = Math.min(lane.wakeAtMs, lane.nextRowAtMs(nowMs));
    return {
      ...counters,
      sinceMs: clock.shownMs(counters.sinceMs),
      deadLettered: counters.failed,
      pending: lane.pending,
      oldestPendingAtMs: lane.pending > 0 ? shown(lane.oldestAcceptedAtMs) : undefined,
      consecutiveFailures: record.consecutiveFailures,
      nextAttemptAtMs: lane.pending > 0 && Number.isFinite(dueAtMs) ? shown(dueAtMs) : undefined,
      lastSuccessAtMs: shown(record.lastSuccessAtMs),
      lastFailureAtMs: shown(record.lastFailureAtMs),
      lastAttempt: record.lastAttempt && at(record.lastAttempt),
      recentFailures: record.recentFailures.map(at),
      endpoint,
      suspension: suspension && { ...suspension, sinceMs: clock.shownMs(suspension.sinceMs) },
    };
  }

  /** Writes snapshots of what changed since the last time; what fails is written the next time. */
  async flush(): Promise<void> {
    while (this.#dirty.size > 0) {
      const lanes = [...this.#dirty].slice(0, BATCH_MAX);
      for (const lane of lanes) this.#dirty.delete(lane);
      try {
        await this.#parts.store.putState(lanes.map((lane) => ({ kind: "health", key: lane.uid, value: JSON.stringify(lane.record) })));
      } catch (error) {
        for (const lane of lanes) this.#dirty.add(lane);
        this.#parts.log.warn({ err: error }, "health snapshots could not be stored: retrying");
        return;
      }
    }
  }

  async forget(lane: Lane): Promise<void> {
    this.#dirty.delete(lane);
    await this.#parts.store.deleteState("health", lane.uid);
  }

  /** Sets the gauges of some lanes; the caller bounds how many at once. */
  showGauges(lanes: Iterable<Lane>, nowMs: number): void {
    const { metrics } = this.#parts;
    if (metrics.perSubscription !== "full") return;
    for (const lane of lanes) {
      const subscription = lane.route?.subscription;
      if (subscription === undefined) continue;
      const labels = { namespace: subscription.namespace, subscription: subscription.name };
      const oldestAtMs = lane.pending > 0 ? lane.oldestAcceptedAtMs : undefined;
      metrics.pending.set(labels, lane.pending);
      metrics.oldestPendingAge.set(labels, oldestAtMs === undefined ? 0 : Math.max(0, nowMs - oldestAtMs) / 1_000);
      metrics.circuitOpen.set(labels, lane.breaker.isOpen ? 1 : 0);
    }
  }
}

function failureOf({ atMs, eventId, eventType, attempt, statusCode, durationMs }: LastAttempt, outcome: Outcome): RecentFailure {
  const message = outcome.message.slice(0, FAILURE_MESSAGE_CHARS_MAX);
  return { eventId, eventType, attempt, atMs, statusCode, durationMs, reason: outcome.class, message };
}

function parse(text: string): Partial<EndpointRecord> {
  try {
    return JSON.parse(text) as Partial<EndpointRecord>;
  } catch {
    // A snapshot is a convenience: a broken one is as good as none.
    return {};
  }
}
