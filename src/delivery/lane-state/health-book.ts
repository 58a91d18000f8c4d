import { FAILING_AFTER, isTokenRefused, type EndpointRecord } from "../../core/endpoint-health.ts";
import { FAILURE_MESSAGE_CHARS_MAX, type LastAttempt, type RecentFailure, type SubscriptionHealth } from "../../core/health.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { Clock } from "../../lib/clock.ts";
import { WriteBehind } from "../../lib/write-behind.ts";
import type { Log } from "../../observe/log.ts";
import type { Store } from "../../store/store.ts";
import type { Lane } from "../queue/lane.ts";
import type { Scheduler } from "../queue/scheduler.ts";
import type { LanePart, LaneStart } from "./lane-part.ts";

/** Snapshots written in one call. */
const BATCH_MAX = 500;
const QUIET_MS = 100;

export interface HealthBookParts {
  readonly store: Pick<Store, "putState" | "listState" | "deleteState">;
  readonly clock: Clock;
  readonly log: Log;
  /** A failing lane has a smaller share of the slots. */
  readonly scheduler: Pick<Scheduler, "setFailing">;
}

export type HealthCallback = (uid: string, kind: "transition" | "counters") => void;

/** How every subscription is doing, for status and conditions; snapshots of what changed survive a restart. */
export class HealthBook implements LanePart {
  readonly stateKind = "health";
  readonly #parts: HealthBookParts;
  readonly #snapshots: WriteBehind<Lane>;
  /** Lanes whose counters were reported a moment ago, and whether they have moved since. */
  readonly #quiet = new Map<Lane, boolean>();
  #callbacks: HealthCallback[] = [];

  constructor(parts: HealthBookParts) {
    this.#parts = parts;
    const { store, clock, log } = parts;
    this.#snapshots = new WriteBehind({
      clock,
      batchMax: BATCH_MAX,
      write: (lanes) => store.putState(lanes.map(([key, lane]) => ({ kind: "health", key, value: textOf(lane) }))),
      failed: (error) => {
        log.warn({ err: error }, "health snapshots could not be stored: retrying");
        return true;
      },
    });
  }

  onChange(callback: HealthCallback): void {
    this.#callbacks.push(callback);
  }

  /** At boot: what was known when the last process ended (at most 5 s old). The time in which nobody ran (`awayMs`) is no failing. */
  async restore({ laneOf, awayMs }: LaneStart): Promise<void> {
    for (const { key, value } of await this.#parts.store.listState("health")) {
      const lane = laneOf(key);
      if (lane === undefined) continue;
      const { letters, ...record } = parse(value);
      if (letters !== undefined) lane.lettersMade().restore(letters);
      lane.standing.restore(record, awayMs);
      lane.standing.judge(lane.gate.circuitIsOpen);
      this.#parts.scheduler.setFailing(lane, lane.standing.record.consecutiveFailures >= FAILING_AFTER);
    }
  }

  /** What is shown of the lane may follow from the route. */
  routeChanged(lane: Lane): void {
    if (lane.route === undefined) return;
    this.changed(lane);
    this.notify(lane, "transition");
  }

  /** Notes one attempt and judges the endpoint again. */
  attempted(lane: Lane, attempt: LastAttempt, outcome: Outcome): void {
    const isFailure = outcome.class !== "success";
    const failure = isFailure ? failureOf(attempt, outcome) : undefined;
    lane.standing.attempted({ attempt, failure, tokenRefused: isTokenRefused(outcome) });
    if (isFailure || lane.fair.failing) this.#parts.scheduler.setFailing(lane, lane.standing.record.consecutiveFailures >= FAILING_AFTER);
    this.changed(lane);
  }

  /** Notes an attempt whose body could not be made. */
  unsendable(lane: Lane, attempt: LastAttempt, outcome: Outcome): void {
    lane.standing.unsendable(failureOf(attempt, outcome));
    this.changed(lane);
  }

  /** Something that its snapshot has moved. */
  noted(lane: Lane): void {
    this.#snapshots.note(lane.uid, lane);
  }

  /** Numbers, pauses or verdict of the lane may have moved. */
  changed(lane: Lane): void {
    this.#snapshots.note(lane.uid, lane);
    this.notify(lane, lane.standing.judge(lane.gate.circuitIsOpen) ? "transition" : "counters");
  }

  /** Transitions are reported at once; moving counters at most every 100 ms, the last move never lost. */
  notify(lane: Lane, kind: "transition" | "counters"): void {
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
    for (const [lane, moved] of quiet) if (moved) this.notify(lane, "counters");
  }

  /** For people: its times are the wall's. */
  view(lane: Lane): SubscriptionHealth {
    const { counters, pending, oldestAcceptedAtMs } = lane.count;
    const { record, suspension } = lane.standing;
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const shown = (atMs: number | undefined): number | undefined => (atMs === undefined ? undefined : clock.shownMs(atMs));
    const at = <T extends { readonly atMs: number }>(one: T): T => ({ ...one, atMs: clock.shownMs(one.atMs) });
    const dueAtMs = Math.min(lane.wakeAtMs, lane.backlog.nextRowAtMs(nowMs));
    return {
      ...counters,
      sinceMs: clock.shownMs(counters.sinceMs),
      // Each that failed can be found and sent again, or was forwarded: the number of them all, which never falls.
      deadLettered: counters.failed,
      pending,
      oldestPendingAtMs: pending > 0 ? shown(oldestAcceptedAtMs) : undefined,
      consecutiveFailures: record.consecutiveFailures,
      nextAttemptAtMs: pending > 0 && Number.isFinite(dueAtMs) ? shown(dueAtMs) : undefined,
      lastSuccessAtMs: shown(record.lastSuccessAtMs),
      lastFailureAtMs: shown(record.lastFailureAtMs),
      lastAttempt: record.lastAttempt && at(record.lastAttempt),
      recentFailures: record.recentFailures.map(at),
      endpoint: lane.standing.shown(lane.gate.circuitIsOpen),
      suspension: suspension && { ...suspension, sinceMs: clock.shownMs(suspension.sinceMs) },
      keysWithoutValue: lane.keys.withoutValue((atMs) => clock.shownMs(atMs)),
    };
  }

  /** Writes snapshots of what changed since the last time; what fails is written the next time. */
  flush(): Promise<void> {
    return this.#snapshots.flush();
  }

  async forget(lane: Lane): Promise<void> {
    this.#snapshots.drop(lane.uid);
    await this.#parts.store.deleteState("health", lane.uid);
  }
}

function failureOf({ atMs, eventId, eventType, attempt, statusCode, durationMs }: LastAttempt, outcome: Outcome): RecentFailure {
  const message = outcome.message.slice(0, FAILURE_MESSAGE_CHARS_MAX);
  return { eventId, eventType, attempt, atMs, statusCode, durationMs, reason: outcome.class, message };
}

/** What survives a restart. Older versions leave out what they do not know. */
type Snapshot = Partial<EndpointRecord> & { readonly letters?: unknown };

function textOf({ standing, letters }: Lane): string {
  return JSON.stringify(letters === undefined ? standing.record : { ...standing.record, letters: letters.kept });
}

function parse(text: string): Snapshot {
  try {
    return JSON.parse(text) as Snapshot;
  } catch {
    // A snapshot is a convenience: a broken one is as good as none.
    return {};
  }
}
