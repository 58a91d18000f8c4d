import { hash } from "node:crypto";
import type { Suspension } from "../../core/health.ts";
import type { Route } from "../../core/route-table.ts";
import type { Clock } from "../../lib/clock.ts";
import { WriteBehind } from "../../lib/write-behind.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type PauseReason, type QueueState, type Store } from "../../store/store.ts";
import type { Lane } from "../queue/lane.ts";
import { FOREVER_MS, type ReceiverPause } from "../queue/lane-gate.ts";
import type { LanePart, LaneStart } from "./lane-part.ts";

const RETRY_MS = 1_000;

export interface PauseKeeperParts {
  readonly store: Pick<Store, "setPause" | "putState" | "deleteState" | "listState">;
  readonly clock: Clock;
  readonly log: Log;
  /** Pauses or suspension of the lane changed. */
  readonly changed: (lane: Lane) => void;
}

interface StoredSuspension {
  /** Automatic. */
  readonly suspension?: Suspension | undefined;
  readonly endpoint: string;
  /** By a person. */
  readonly paused?: Suspension | undefined;
  /** Where it is paused by a person. */
  readonly namespace?: string | undefined;
}

/** What is not in the store yet: the end of one reason (null = lifted), or a suspension that is kept or goes. */
type Change =
  | { readonly kind: "pause"; readonly lane: Lane; readonly reason: PauseReason; readonly untilMs: number | null }
  | { readonly kind: "suspension"; readonly lane: Lane };

type AutomaticReason = "AutoSuspended" | "EndpointGone";

/**
 * Pauses that the receiver or a person brought about; those of the spec are worked out from the route, see LaneGate. A person's is kept with its message. Each reason has its own end, and rows are
 * never touched. They act in memory at once and are written behind; a crash in between costs at most one attempt that a pause would have held back.
 */
export class PauseKeeper implements LanePart {
  /** Of suspensions; pauses are kept with the queue. */
  readonly stateKind = "suspension";
  readonly #parts: PauseKeeperParts;
  readonly #changes: WriteBehind<Change>;

  constructor(parts: PauseKeeperParts) {
    this.#parts = parts;
    this.#changes = new WriteBehind({
      clock: parts.clock,
      retryMs: RETRY_MS,
      write: (changes) => this.#write(changes.map(([, change]) => change)),
      failed: (error, changes) => this.#writeFailed(error, changes),
    });
  }

  /** At boot: what the queues were paused for, and automatic suspensions with their messages. */
  async restore({ queues, laneOf, laneFor }: LaneStart): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    for (const queue of queues) {
      const lane = laneOf(queue.subscription);
      if (lane !== undefined) this.#restorePauses(lane, queue, nowMs);
    }
    for (const { key, value } of await this.#parts.store.listState("suspension")) {
      const stored = parse(value);
      if (stored === undefined) continue;
      // A subscription may have been paused before anything was ever owed to it.
      const lane = stored.namespace === undefined ? laneOf(key) : laneFor(key, stored.namespace);
      if (lane !== undefined) restoreSuspension(lane, stored);
    }
  }

  #restorePauses(lane: Lane, queue: QueueState, nowMs: number): void {
    for (const [reason, untilMs] of Object.entries(queue.pauses) as [PauseReason, number][]) {
      // Earlier versions stored what follows from the spec; restored, it would last forever beside a spec that says otherwise.
      if (reason === "BySpec" || reason === "RefsUnresolved") this.#note(lane, reason, null);
      else if (reason === "CircuitOpen") {
        lane.gate.restoreCircuit(lane.standing.record.consecutiveFailures, untilMs);
        // What was judged from the record alone did not know of it.
        lane.standing.judge(true);
      } else if (untilMs > nowMs) lane.gate.pause(reason, untilMs);
    }
  }

  /** Sets (or with null lifts) the end of one reason. */
  set(lane: Lane, reason: ReceiverPause, untilMs: number | null): void {
    if (!lane.gate.pause(reason, untilMs)) return;
    this.#note(lane, reason, untilMs);
    this.#parts.changed(lane);
    void this.flush();
  }

  /** Automatic suspension: until the endpoint changes or a person resumes. */
  suspend(lane: Lane, reason: AutomaticReason, message: string): void {
    if (lane.standing.suspended?.reason === reason) return;
    const endpoint = lane.route === undefined ? "" : endpointDigest(lane.route);
    lane.standing.suspend({ reason, message, sinceMs: this.#parts.clock.nowMs() }, endpoint);
    this.#noteSuspension(lane);
    this.set(lane, reason, FOREVER_MS);
  }

  /** A person pauses it, until one resumes. Once more replaces the message. Durable when it resolves. */
  async pauseByHand(lane: Lane, message: string): Promise<void> {
    const sinceMs = lane.standing.paused?.sinceMs ?? this.#parts.clock.nowMs();
    lane.standing.pause({ reason: "Paused", message, sinceMs });
    this.#noteSuspension(lane);
    lane.gate.pause("Paused", FOREVER_MS);
    this.#parts.changed(lane);
    await this.flush();
  }

  /** Lifts an automatic suspension and a person's pause, and closes the breaker. Durable when it resolves. */
  async resume(lane: Lane): Promise<void> {
    lane.standing.pause(undefined);
    lane.gate.pause("Paused", null);
    this.#lift(lane);
    await this.flush();
  }

  /** The receiver has been seen to work: lifts what it brought about itself. Durable when it resolves. */
  async recover(lane: Lane): Promise<void> {
    this.#lift(lane);
    await this.flush();
  }

  /** What a new route means for the pauses. */
  routeChanged(lane: Lane): void {
    const { route } = lane;
    if (route === undefined) return;
    const { subscription } = route;
    if (lane.standing.suspendedEndpoint !== undefined && lane.standing.suspendedEndpoint !== endpointDigest(route)) this.#lift(lane);
    // No pause outlasts what the policy in force allows, whatever policy it was made under.
    const { policy } = subscription;
    const nowMs = this.#parts.clock.nowMs();
    this.#shorten(lane, "RetryAfter", nowMs + policy.retry.retryAfterMaxMs);
    this.#shorten(lane, "CircuitOpen", nowMs + policy.circuitBreaker.openForMs);
  }

  /** The subscription is gone: so is what is kept of its suspension. */
  forget(lane: Lane): Promise<void> {
    if (isKept(lane)) {
      lane.standing.pause(undefined);
      lane.standing.lift();
      this.#noteSuspension(lane);
      void this.flush();
    }
    // Not waited for: a store in trouble would keep the lane. What is left of it then is dropped with the leftovers.
    return Promise.resolve();
  }

  #note(lane: Lane, reason: PauseReason, untilMs: number | null): void {
    this.#changes.note(`${reason} ${lane.uid}`, { kind: "pause", lane, reason, untilMs });
  }

  #noteSuspension(lane: Lane): void {
    this.#changes.note(`suspension ${lane.uid}`, { kind: "suspension", lane });
  }

  #shorten(lane: Lane, reason: "RetryAfter" | "CircuitOpen", latestMs: number): void {
    if ((lane.gate.pauseEndMs(reason) ?? 0) > latestMs) this.set(lane, reason, latestMs);
  }

  /** Writes what has changed; resolves when the store has it. */
  flush(): Promise<void> {
    return this.#changes.flush();
  }

  #lift(lane: Lane): void {
    lane.standing.lift();
    lane.gate.closeCircuit();
    this.#noteSuspension(lane);
    for (const reason of ["EndpointGone", "AutoSuspended", "CircuitOpen", "RetryAfter"] as const) this.set(lane, reason, null);
    this.#parts.changed(lane);
  }

  /** Suspensions first: of a pause without one nobody would know what lifts it. */
  async #write(changes: readonly Change[]): Promise<void> {
    const { store } = this.#parts;
    const suspensions = changes.filter((change) => change.kind === "suspension").map(({ lane }) => lane);
    const kept = suspensions.filter(isKept);
    if (kept.length > 0) await store.putState(kept.map((lane) => ({ kind: "suspension", key: lane.uid, value: textOf(lane) })));
    for (const lane of suspensions) if (!kept.includes(lane)) await store.deleteState("suspension", lane.uid);
    const pauses = changes.filter((change) => change.kind === "pause");
    await Promise.all(pauses.map(({ lane, reason, untilMs }) => store.setPause(lane.uid, reason, untilMs)));
  }

  #writeFailed(error: unknown, changes: number): boolean {
    if (error instanceof StoreError && error.code === "closed") return false;
    this.#parts.log.warn({ err: error, pauses: changes }, "pauses could not be stored: retrying");
    return true;
  }
}

function restoreSuspension(lane: Lane, { suspension, endpoint, paused }: StoredSuspension): void {
  if (suspension !== undefined && suspension.reason !== "BySpec") {
    lane.standing.suspend(suspension, endpoint);
    lane.gate.pause(suspension.reason, FOREVER_MS);
  }
  if (paused === undefined) return;
  lane.standing.pause(paused);
  lane.gate.pause("Paused", FOREVER_MS);
}

function isKept({ standing }: Lane): boolean {
  return standing.suspended !== undefined || standing.paused !== undefined;
}

function textOf({ standing, namespace: home }: Lane): string {
  const { suspended: suspension, suspendedEndpoint: endpoint = "", paused } = standing;
  const namespace = paused === undefined ? undefined : home;
  return JSON.stringify({ suspension, endpoint, paused, namespace } satisfies StoredSuspension);
}

function parse(text: string): StoredSuspension | undefined {
  try {
    const value = JSON.parse(text) as Partial<StoredSuspension>;
    const { suspension, endpoint = "", paused, namespace } = value;
    return suspension === undefined && paused === undefined ? undefined : { suspension, endpoint, paused, namespace };
  } catch {
    return undefined;
  }
}

/** Distinguishes one `spec.endpoint` from another without keeping it. */
function endpointDigest(route: Route): string {
  return hash("sha256", JSON.stringify(route.subscription.spec.endpoint), "base64url");
}
