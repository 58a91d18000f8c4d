import { next, spent } from "../core/delivery-state.ts";
import type { EndReason } from "../core/delivery.ts";
import type { Event } from "../core/event.ts";
import type { SubscriptionHealth } from "../core/health.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Route, RouteTable } from "../core/route-table.ts";
import { BUILT_IN_POLICY } from "../core/policy.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Claimed, Completion, DeliveryId, NewDelivery, Store } from "../store/store.ts";
import { attemptRecord, recordIdOf } from "./attempt-record.ts";
import type { AttemptDone, Attempter } from "./attempter.ts";
import { Aftermath, type Flight } from "./aftermath.ts";
import { bootEngine } from "./boot.ts";
import { CompletionWriter } from "./completion-writer.ts";
import { ExpirySweep } from "./expiry-sweep.ts";
import { HealthBook, type HealthCallback } from "./health-book.ts";
import { Housekeeping } from "./housekeeping.ts";
import { FRESH_MAX, IntakeDesk } from "./intake-desk.ts";
import type { Lane, Waiting } from "./lane.ts";
import { PauseKeeper } from "./pause-keeper.ts";
import { RouteWatch } from "./route-watch.ts";
import { Scheduler, type Turn } from "./scheduler.ts";

/** Claims written by one call to the store. */
const CLAIMS_MAX = 256;
/** Rows ended by one call when a subscription is deleted. */
const END_STEP = 256;
const CLAIM_RETRY_MS = 500;
const GRACE_DEFAULT_MS = 25_000;
/** What is left after the grace period may take this long: aborting, last writes. */
const CUT_MS = 3_000;

export interface EngineParts {
  readonly store: Store;
  readonly attempter: Attempter;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: BusinessEvents;
  readonly metrics: Metrics;
  readonly log: Log;
  /** As given to `Store.open`. */
  readonly owner: string;
  readonly slotsMax: number;
  /** How long attempts under way may take to finish once it is stopped, ms. */
  readonly graceMs?: number;
}

/**
 * Delivers what the store owes. The way of a delivery: admitted (IntakeDesk) or found due (DueLoader) → its turn (Scheduler) → claim durable
 * → attempt → next state decided (core/delivery-state) → completion durable (CompletionWriter). No claim, no socket. A crash leaves claimed
 * rows, which the next `Store.open` turns back. Fulfils ingest's Intake and the controller's Deliveries.
 */
export class Engine implements Service {
  readonly name = "engine";
  readonly #parts: EngineParts;
  readonly #scheduler: Scheduler;
  readonly #desk: IntakeDesk;
  readonly #pauses: PauseKeeper;
  readonly #health: HealthBook;
  readonly #aftermath: Aftermath;
  readonly #routes: RouteWatch;
  readonly #writer: CompletionWriter<Turn>;
  readonly #housekeeping: Housekeeping;
  #state: "down" | "up" | "draining" | "stopped" = "down";
  /** The grace period is over: what is aborted now does not count as an attempt. */
  #cut = false;
  #ticking = false;
  #claimsHeld = false;
  /** Turns wait because the store does not keep up. */
  #starved = false;
  #idle: (() => void) | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const { store, clock, log, metrics } = parts;
    this.#scheduler = new Scheduler({ store, clock, log, slotsMax: parts.slotsMax, wake: () => this.#tickSoon() });
    const scheduler = this.#scheduler;
    this.#health = new HealthBook({ store, clock, log, metrics, failing: (lane, failing) => scheduler.setFailing(lane, failing) });
    this.#pauses = new PauseKeeper({
      store,
      clock,
      log,
      changed: (lane) => {
        scheduler.refresh(lane);
        this.#health.changed(lane);
        this.#health.tell(lane, "transition");
      },
    });
    this.#aftermath = new Aftermath({ clock, pauses: this.#pauses, health: this.#health, events: parts.events });
    const forgetMetrics = (route: Route): void => metrics.forgetSubscription(route.subscription.namespace, route.subscription.name);
    this.#routes = new RouteWatch({ clock, scheduler, pauses: this.#pauses, attempter: parts.attempter, forgetMetrics });
    this.#writer = new CompletionWriter({
      store,
      clock,
      log,
      written: (turn, completion, changed) => this.#written(turn, completion, changed),
    });
    this.#desk = new IntakeDesk({
      scheduler,
      isOpen: () => this.#state === "up",
      adopt: (lane, route) => this.#routes.adopt(lane, route),
      send: (lane, waiting) => this.#sendCommitted(lane, waiting),
      accepted: (lane, nowMs) => this.#accepted(lane, nowMs),
    });
    const sweep = new ExpirySweep({
      store,
      clock,
      log,
      holds: (id) => scheduler.loader.holds(id),
      ended: (lane) => this.#count(lane, "failed"),
      freshTaken: (lane, waiting) => this.#desk.taken(lane, waiting.event),
    });
    this.#housekeeping = new Housekeeping({ store, clock, log, metrics, scheduler, health: this.#health, sweep });
  }

  /** Reads what is owed, delivers until `signal` aborts, then drains: attempts under way may finish within the grace period. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#state === "down") {
      const { scheduler, desk } = { scheduler: this.#scheduler, desk: this.#desk };
      await bootEngine({ store: this.#parts.store, clock: this.#parts.clock, scheduler, desk, pauses: this.#pauses, health: this.#health });
      this.#state = "up";
      this.#routes.applyAll();
      for (const lane of scheduler.lanes.values()) scheduler.refresh(lane);
    }
    const stopHousekeeping = this.#housekeeping.start();
    await this.#aborted(signal);
    stopHousekeeping();
    await this.#drain();
  }

  #aborted(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const stop = (): void => {
        if (this.#state === "up") this.#state = "draining";
        resolve();
      };
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
  }

  /** A new routing table is in force. */
  publish(table: RouteTable): void {
    this.#routes.publish(table);
  }

  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[] {
    return this.#desk.admit(event, routes, nowMs);
  }

  committed(event: Event, deliveries: readonly NewDelivery[], ids: readonly DeliveryId[]): void {
    this.#desk.committed(event, deliveries, ids);
  }

  abandoned(event: Event, deliveries: readonly NewDelivery[]): void {
    this.#desk.abandoned(event, deliveries);
  }

  /** True while events may be taken in: what was owed has been read, nobody is stopping it, and the store keeps up. */
  accepting(): boolean {
    return this.#state === "up" && this.#writer.backlog < FRESH_MAX;
  }

  /** Whether what was owed at the start has been read. */
  get ready(): boolean {
    return this.#state === "up";
  }

  health(uid: string): SubscriptionHealth | undefined {
    const lane = this.#scheduler.lanes.get(uid);
    return lane === undefined ? undefined : this.#health.view(lane);
  }

  onHealthChange(callback: HealthCallback): void {
    this.#health.onChange(callback);
  }

  /** Lifts an automatic suspension and closes the circuit. Durable when it resolves. */
  async resume(uid: string): Promise<void> {
    const lane = this.#scheduler.lanes.get(uid);
    if (lane !== undefined) await this.#pauses.resume(lane);
  }

  pending(uid: string): number {
    return this.#scheduler.lanes.get(uid)?.pending ?? 0;
  }

  /** Ends what is left of a deleted subscription; attempts under way finish. Answers how many were ended. */
  async end(uid: string, how: "dead-letter" | "discard"): Promise<number> {
    const lane = this.#scheduler.lanes.get(uid);
    if (lane === undefined) return 0;
    lane.ending = true;
    for (const id of lane.dropWindow()) this.#scheduler.letGo(lane, id);
    for (let waiting = lane.fresh.shift(); waiting !== undefined; waiting = lane.fresh.shift()) this.#desk.taken(lane, waiting.event);
    this.#scheduler.refresh(lane);
    const [state, reason] = how === "discard" ? (["discarded", "Discarded"] as const) : (["failed", "SubscriptionDeleted"] as const);
    const historyRetentionMs = (lane.route?.subscription.policy ?? BUILT_IN_POLICY).retention.historyMs;
    let total = 0;
    for (let ended = END_STEP; ended > 0;) {
      const nowMs = this.#parts.clock.nowMs();
      ended = await this.#parts.store.endAll({ subscription: uid, state, reason, nowMs, historyRetentionMs, limit: END_STEP });
      total += ended;
      for (let i = 0; i < ended; i++) this.#count(lane, state);
    }
    if (lane.fair.inFlight === 0 && lane.pending === 0) await this.#forget(lane);
    return total;
  }

  /** One extra attempt for a delivery that has ended: past its limits, not past a pause. */
  async resend(id: DeliveryId): Promise<"resent" | "not_found" | "body_gone" | "not_ended"> {
    const nowMs = this.#parts.clock.nowMs();
    const record = await this.#parts.store.readDelivery(id);
    if (record === undefined) return "not_found";
    const result = await this.#parts.store.resend(id, nowMs);
    if (result !== "resent") return result;
    const lane = this.#scheduler.lane(record.subscription, record.namespace);
    this.#routes.adopt(lane, this.#routes.table.byUid(lane.uid) ?? lane.route);
    lane.pending += 1;
    lane.oldestAcceptedAtMs ??= nowMs;
    lane.noteDue(nowMs);
    this.#scheduler.refresh(lane);
    return result;
  }

  async #forget(lane: Lane): Promise<void> {
    await this.#parts.store.forgetQueue(lane.uid);
    await this.#health.forget(lane);
    this.#scheduler.forget(lane);
    this.#parts.attempter.forget(lane.uid);
  }

  #accepted(lane: Lane, nowMs: number): void {
    lane.pending += 1;
    lane.counters.accepted += 1;
    lane.oldestAcceptedAtMs ??= nowMs;
    this.#health.tell(lane, "counters");
  }

  #count(lane: Lane, state: "delivered" | "failed" | "discarded"): void {
    lane.pending -= 1;
    lane.counters[state] += 1;
    if (lane.pending === 0) lane.oldestAcceptedAtMs = undefined;
    const subscription = lane.route?.subscription;
    if (subscription !== undefined) this.#parts.events.deliveryEnded(subscription, state);
    this.#health.tell(lane, "counters");
  }

  /** Everything of one turn of the event loop goes to the store together. */
  #tickSoon(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    setImmediate(() => {
      this.#ticking = false;
      this.#tick();
    });
  }

  #tick(): void {
    this.#writer.flush();
    this.#starved = this.#claimsHeld || this.#writer.isStuck || this.#writer.backlog >= FRESH_MAX;
    if (this.#state !== "up" || this.#starved) return;
    for (;;) {
      const batch: Turn[] = [];
      while (batch.length < CLAIMS_MAX) {
        const turn = this.#scheduler.pick();
        if (turn === undefined) break;
        if (!this.#endIfSpent(turn)) batch.push(turn);
      }
      if (batch.length === 0) return;
      void this.#claim(batch);
    }
  }

  /** Attempts and age are judged by the policy at claim. */
  #endIfSpent(turn: Turn): boolean {
    const policy = turn.lane.route?.subscription.policy;
    if (policy === undefined) return false;
    const reason = spent(turn.waiting, policy, this.#parts.clock.nowMs());
    if (reason !== undefined) this.#endUntried(turn, reason);
    return reason !== undefined;
  }

  #endUntried(turn: Turn, reason: EndReason): void {
    if (turn.waiting.isFresh) this.#desk.taken(turn.lane, turn.waiting.event);
    this.#count(turn.lane, "failed");
    this.#complete(turn, undefined, { state: "failed", reason });
    this.#scheduler.release(turn.lane, { ...turn, sent: false });
  }

  async #claim(turns: readonly Turn[]): Promise<void> {
    let claimed: readonly (Claimed | undefined)[];
    try {
      claimed = await this.#parts.store.claim(
        turns.map(({ lane, waiting, lone }) => ({ id: waiting.id, epoch: lane.epoch, lone, withEvent: waiting.event === undefined })),
      );
    } catch (error) {
      this.#claimFailed(turns, error);
      return;
    }
    for (const [i, turn] of turns.entries()) {
      const { lane, waiting } = turn;
      const row = claimed[i];
      if (waiting.isFresh) this.#desk.taken(lane, waiting.event);
      if (row === undefined) {
        // Ended or claimed by somebody else meanwhile.
        this.#scheduler.release(lane, { ...turn, sent: false });
        this.#scheduler.letGo(lane, waiting.id);
      } else this.#send(turn, row.attempt, waiting.event ?? row.event);
    }
  }

  #claimFailed(turns: readonly Turn[], error: unknown): void {
    this.#claimsHeld = true;
    this.#parts.log.error({ err: error, claims: turns.length }, "claims could not be stored, nothing was sent: trying again");
    for (const turn of turns.toReversed()) {
      turn.lane.putBack(turn.waiting);
      this.#scheduler.release(turn.lane, { ...turn, sent: false });
    }
    this.#parts.clock.after(CLAIM_RETRY_MS, () => {
      this.#claimsHeld = false;
      this.#tickSoon();
    });
  }

  /** The accept transaction wrote the claim: attempt 1. */
  #sendCommitted(lane: Lane, waiting: Waiting): void {
    this.#send({ lane, waiting, probe: false, lone: false }, 1, waiting.event);
  }

  #send(turn: Turn, attempt: number, event: Event | undefined): void {
    const { lane } = turn;
    const { route } = lane;
    if (route?.subscription.target === undefined || event === undefined || this.#state === "stopped") {
      // The route changed while the claim was written, or nobody may send any more: as if it had never been claimed.
      const nowMs = this.#parts.clock.nowMs();
      this.#complete(turn, undefined, event === undefined ? BODY_GONE : { state: "ready", dueAtMs: nowMs, uncounted: true });
      if (event === undefined) this.#count(lane, "failed");
      this.#scheduler.release(lane, { ...turn, sent: false });
      return;
    }
    const recordId = recordIdOf(event, route.subscription.spec.history.recordIdField);
    const flight: Flight = { ...turn, id: turn.waiting.id, route, event, attempt, recordId };
    this.#parts.attempter.attempt({ route, event, attempt }).then(
      (done) => this.#ended(flight, done),
      (error: unknown) => this.#ended(flight, this.#broken(error)),
    );
  }

  /** The attempter never rejects; should it, the delivery must not hang. */
  #broken(error: unknown): AttemptDone {
    this.#parts.log.error({ err: error }, "an attempt threw: counted as a connection error");
    return { outcome: BROKEN, startedAtMs: this.#parts.clock.nowMs(), url: "", requestHeaders: [], requestBody: undefined };
  }

  #ended(flight: Flight, done: AttemptDone): void {
    const { lane, route, attempt } = flight;
    const { outcome } = done;
    const { policy } = route.subscription;
    const nowMs = this.#parts.clock.nowMs();
    const record = attemptRecord(flight, route.subscription, done);
    if (this.#cut && outcome.class === "connect_error") {
      this.#complete(flight, record, { state: "ready", dueAtMs: nowMs, uncounted: true });
      this.#scheduler.release(lane, { ...flight, sent: true });
      this.#checkIdle();
      return;
    }
    const { acceptedAtMs, resent } = flight.waiting;
    const transition = next({ attempt, acceptedAtMs, resent }, outcome, policy, { nowMs, random: this.#parts.random.next() });
    this.#complete(flight, record, transition.next);
    if (transition.next.state === "ready") lane.counters.retried += 1;
    else this.#count(lane, transition.next.state);
    this.#aftermath.react(flight, outcome, transition);
    this.#aftermath.tell(flight, done, transition);
    this.#scheduler.release(lane, { ...flight, sent: true });
    this.#checkIdle();
  }

  #complete(turn: Turn, attempt: Completion["attempt"], nextState: Completion["next"]): void {
    const { lane, waiting } = turn;
    const nowMs = this.#parts.clock.nowMs();
    const historyRetentionMs = (lane.route?.subscription.policy ?? BUILT_IN_POLICY).retention.historyMs;
    this.#writer.push(turn, { id: waiting.id, epoch: lane.epoch, attempt, next: nextState, nowMs, historyRetentionMs });
    this.#tickSoon();
  }

  #written(turn: Turn, completion: Completion, changed: boolean): void {
    const { lane } = turn;
    this.#scheduler.letGo(lane, completion.id);
    if (this.#starved) this.#tickSoon();
    if (changed && completion.next.state === "ready") {
      lane.noteDue(completion.next.dueAtMs);
      this.#scheduler.refresh(lane);
    }
    if (lane.ending && lane.pending === 0 && lane.fair.inFlight === 0) void this.#forget(lane).catch(() => undefined);
    this.#checkIdle();
  }

  async #drain(): Promise<void> {
    if (this.#state === "stopped") return;
    this.#state = "draining";
    const { store, owner, log } = this.#parts;
    this.#writer.flush();
    const done = new Promise<void>((resolve) => (this.#idle = resolve));
    this.#checkIdle();
    await this.#atMost(this.#parts.graceMs ?? GRACE_DEFAULT_MS, done);
    if (this.#scheduler.inFlight > 0) {
      log.warn({ inFlight: this.#scheduler.inFlight }, "the grace period is over: attempts under way are cut off and will be made again");
      this.#cut = true;
      await this.#atMost(CUT_MS, Promise.all([this.#parts.attempter.close(), done]));
    }
    this.#state = "stopped";
    this.#scheduler.stop();
    const last = Promise.all([this.#pauses.flush(), this.#health.flush()]).then(() => store.release(owner));
    await this.#atMost(CUT_MS, last);
  }

  /** Waits for `work`, but no longer than `ms`: a store that hangs must not keep the process alive. */
  async #atMost(ms: number, work: Promise<unknown>): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.#parts.clock.after(ms, resolve)));
    await Promise.race([late, work.catch((error: unknown) => this.#parts.log.warn({ err: error }, "stopping: something failed"))]);
    cancel();
  }

  #checkIdle(): void {
    if (this.#idle === undefined) return;
    if (this.#writer.backlog > 0) this.#tickSoon();
    else if (this.#scheduler.inFlight === 0) this.#idle();
  }
}

const BODY_GONE = { state: "failed", reason: "PayloadInvalid" } as const;

const BROKEN: Outcome = {
  class: "connect_error",
  statusCode: undefined,
  message: "the attempt broke off inside Postrider; see the log",
  connectionStatus: "INTERNAL",
  tlsStatus: "none",
  retryAfterMs: undefined,
  durationMs: 0,
  responseHeaders: [],
  responseBody: new Uint8Array(0),
};
