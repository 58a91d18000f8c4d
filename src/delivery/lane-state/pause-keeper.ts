import { hash } from "node:crypto";
import { Breaker } from "../../core/breaker.ts";
import { judgeEndpoint } from "../../core/endpoint-health.ts";
import type { Suspension } from "../../core/health.ts";
import type { Route } from "../../core/route-table.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type PauseReason, type QueueState, type Store } from "../../store/store.ts";
import { FOREVER_MS, type Lane, type ReceiverPause } from "../queue/lane.ts";

const RETRY_MS = 1_000;

export interface PauseKeeperParts {
  readonly store: Pick<Store, "setPause" | "putState" | "deleteState" | "listState">;
  readonly clock: Clock;
  readonly log: Log;
  /** Pauses or suspension of the lane changed. */
  readonly changed: (lane: Lane) => void;
}

interface StoredSuspension {
  readonly suspension: Suspension;
  readonly endpoint: string;
}

type AutomaticReason = "AutoSuspended" | "EndpointGone";

/**
 * Pauses that the receiver brought about (those of the spec are worked out from the route, see Lane.specPause): each reason has its own end, rows are never touched. They act in memory at once and are written behind, coalesced per reason and
 * again until the store takes them; a crash in between costs at most one attempt that a pause would have held back.
 */
export class PauseKeeper {
  readonly #parts: PauseKeeperParts;
  readonly #dirty = new Map<string, { readonly lane: Lane; readonly reason: PauseReason; readonly untilMs: number | null }>();
  /** Suspensions to write (true) or delete (false), by lane. */
  readonly #suspensions = new Map<Lane, boolean>();
  #flushing: Promise<void> | undefined;

  constructor(parts: PauseKeeperParts) {
    this.#parts = parts;
  }

  /** At boot: what the queues were paused for. */
  restore(lane: Lane, queue: QueueState, nowMs: number): void {
    for (const [reason, untilMs] of Object.entries(queue.pauses) as [PauseReason, number][]) {
      // Earlier versions stored what follows from the spec; restored, it would stand for ever beside a spec that says otherwise.
      if (reason === "BySpec" || reason === "RefsUnresolved") this.#note(lane, reason, null);
      else if (reason === "CircuitOpen") {
        lane.breaker = new Breaker(lane.record.consecutiveFailures, untilMs);
        lane.pauses.CircuitOpen = untilMs;
        // What was judged from the record alone did not know of it.
        lane.verdict = judgeEndpoint(lane.record, true, lane.verdict);
      } else if (untilMs > nowMs) lane.pauses[reason] = untilMs;
    }
  }

  /** At boot: automatic suspensions with their messages. */
  async restoreSuspensions(laneOf: (uid: string) => Lane | undefined): Promise<void> {
    for (const { key, value } of await this.#parts.store.listState("suspension")) {
      const lane = laneOf(key);
      const stored = parse(value);
      if (lane === undefined || stored === undefined) continue;
      const { reason } = stored.suspension;
      if (reason === "BySpec") continue;
      lane.suspended = stored.suspension;
      lane.suspendedEndpoint = stored.endpoint;
      lane.pauses[reason] = FOREVER_MS;
    }
  }

  /** Sets (or with null lifts) the end of one reason. */
  set(lane: Lane, reason: ReceiverPause, untilMs: number | null): void {
    if ((lane.pauses[reason] ?? null) === untilMs) return;
    if (untilMs === null) delete lane.pauses[reason];
    else lane.pauses[reason] = untilMs;
    this.#note(lane, reason, untilMs);
    this.#parts.changed(lane);
    void this.flush();
  }

  /** Automatic suspension: until the endpoint changes or somebody resumes. */
  suspend(lane: Lane, reason: AutomaticReason, message: string): void {
    if (lane.suspended?.reason === reason) return;
    lane.suspended = { reason, message, sinceMs: this.#parts.clock.nowMs() };
    lane.suspendedEndpoint = lane.route === undefined ? "" : endpointDigest(lane.route);
    this.#suspensions.set(lane, true);
    this.set(lane, reason, FOREVER_MS);
  }

  /** Lifts an automatic suspension and closes the breaker. Durable when it resolves. */
  async resume(lane: Lane): Promise<void> {
    this.#lift(lane);
    await this.flush();
  }

  /** What a new route means for the pauses. */
  routeChanged(lane: Lane): void {
    const { route } = lane;
    if (route === undefined) return;
    const { subscription } = route;
    if (lane.suspendedEndpoint !== undefined && lane.suspendedEndpoint !== endpointDigest(route)) this.#lift(lane);
    // No pause outlasts what the policy in force allows, whatever policy it was made under.
    const { policy } = subscription;
    const nowMs = this.#parts.clock.nowMs();
    this.#shorten(lane, "RetryAfter", nowMs + policy.retry.retryAfterMaxMs);
    this.#shorten(lane, "CircuitOpen", nowMs + policy.circuitBreaker.openForMs);
    this.#parts.changed(lane);
  }

  /** The subscription is gone: so is what is kept of its suspension. */
  forget(lane: Lane): void {
    if (lane.suspendedEndpoint === undefined) return;
    this.#suspensions.set(lane, false);
    void this.flush();
  }

  #note(lane: Lane, reason: PauseReason, untilMs: number | null): void {
    this.#dirty.set(`${reason} ${lane.uid}`, { lane, reason, untilMs });
  }

  #shorten(lane: Lane, reason: "RetryAfter" | "CircuitOpen", latestMs: number): void {
    if ((lane.pauses[reason] ?? 0) > latestMs) this.set(lane, reason, latestMs);
  }

  /** Writes what has changed; resolves when the store has it. */
  async flush(): Promise<void> {
    while (this.#flushing !== undefined || this.#dirty.size > 0 || this.#suspensions.size > 0) {
      this.#flushing ??= this.#write().finally(() => (this.#flushing = undefined));
      await this.#flushing;
    }
  }

  /** Pauses that have not reached the store. */
  get isDirty(): boolean {
    return this.#dirty.size > 0 || this.#suspensions.size > 0 || this.#flushing !== undefined;
  }

  #lift(lane: Lane): void {
    lane.suspended = undefined;
    lane.suspendedEndpoint = undefined;
    lane.breaker.reset();
    lane.record.failingSinceMs = undefined;
    this.#suspensions.set(lane, false);
    for (const reason of ["EndpointGone", "AutoSuspended", "CircuitOpen", "RetryAfter"] as const) this.set(lane, reason, null);
    this.#parts.changed(lane);
  }

  async #write(): Promise<void> {
    const { store, clock, log } = this.#parts;
    const pauses = [...this.#dirty.entries()];
    const suspensions = [...this.#suspensions];
    this.#dirty.clear();
    this.#suspensions.clear();
    try {
      const stored = suspensions.filter(([, kept]) => kept).map(([lane]) => lane);
      if (stored.length > 0) await store.putState(stored.map((lane) => ({ kind: "suspension", key: lane.uid, value: textOf(lane) })));
      for (const [lane, kept] of suspensions) if (!kept) await store.deleteState("suspension", lane.uid);
      await Promise.all(pauses.map(([, { lane, reason, untilMs }]) => store.setPause(lane.uid, reason, untilMs)));
    } catch (error) {
      if (error instanceof StoreError && error.code === "closed") return;
      // What was set meanwhile is newer.
      for (const [key, value] of pauses) if (!this.#dirty.has(key)) this.#dirty.set(key, value);
      for (const [lane, kept] of suspensions) if (!this.#suspensions.has(lane)) this.#suspensions.set(lane, kept);
      log.warn({ err: error, pauses: pauses.length }, "pauses could not be stored: retrying");
      await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
    }
  }
}

function textOf(lane: Lane): string {
  return JSON.stringify({ suspension: lane.suspended, endpoint: lane.suspendedEndpoint ?? "" });
}

function parse(text: string): StoredSuspension | undefined {
  try {
    const value = JSON.parse(text) as Partial<StoredSuspension>;
    return value.suspension === undefined ? undefined : { suspension: value.suspension, endpoint: value.endpoint ?? "" };
  } catch {
    return undefined;
  }
}

/** Tells one `spec.endpoint` from another without keeping it. */
function endpointDigest(route: Route): string {
  return hash("sha256", JSON.stringify(route.subscription.spec.endpoint), "base64url");
}
