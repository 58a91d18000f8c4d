import { deadLetterOwner, deadLetterQueue } from "../core/dead-letter.ts";
import type { Event } from "../core/event.ts";
import type { SubscriptionHealth } from "../core/health.ts";
import type { Route, RouteTable } from "../core/route-table.ts";
import { aborted } from "../lib/abort.ts";
import type { Service } from "../lib/service.ts";
import type { DeliveryId, NewDelivery } from "../store/store.ts";
import { assemble, type Assembly, type EngineParts } from "./assembly.ts";
import { bootEngine } from "./boot.ts";
import type { Draining } from "./lifetime.ts";
import type { HealthCallback } from "./lane-state/health-book.ts";
import type { EndHow, Lane } from "./queue/lane.ts";
import type { Held } from "./queue/lane-gate.ts";
import { dropLeftovers } from "./leftovers.ts";
import type { ResendResult } from "./queue-acts.ts";

const GRACE_DEFAULT_MS = 25_000;
/** What is left after the grace period may take this long, twice: aborting, last writes. */
const CUT_MS = 1_500;

/**
 * Delivers what the store owes. The way of a delivery: admitted (IntakeDesk) or found due (DueLoader) → its turn (Scheduler) → claim durable
 * (ClaimLoop) → attempt → next state decided (core/delivery-state) → completion durable (FlightDesk). A crash leaves claimed rows, which the
 * next `Store.open` turns back. Fulfils ingest's Intake and the controller's Deliveries.
 */
export class Engine implements Service {
  readonly name = "engine";
  readonly #parts: EngineParts;
  readonly #all: Assembly;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#all = assemble(parts);
  }

  /** Reads what is owed, delivers until `signal` aborts, then drains: attempts under way may finish within the grace period. */
  async run(signal: AbortSignal): Promise<void> {
    const { life, scheduler, routes, pauses, housekeeping } = this.#all;
    const { store, clock, awayMs } = this.#parts;
    if (!life.isRestored) {
      life.begin(clock.nowMs());
      await bootEngine({ ...this.#all, store }, awayMs ?? 0);
      life.restored();
      routes.applyAll();
      void pauses.flush();
      for (const lane of scheduler.lanes.values()) scheduler.refresh(lane);
    }
    const stopHousekeeping = housekeeping.start();
    await aborted(signal);
    stopHousekeeping();
    await this.#stop();
  }

  /**
   * From now on no attempt is begun, and nobody is asked for permission: a claim on its way is put back. Events are still taken in, as rows that are due
   * for the next process. Settles when what is under way has ended, durably; what has not after `withinMs` is cut off when `run` is stopped. Safe to call twice.
   */
  drain(withinMs: number): Promise<void> {
    return this.#drain(withinMs).done;
  }

  /** A new routing table is in force. */
  publish(table: RouteTable): void {
    this.#all.routes.publish(table);
  }

  admit(event: Event, routes: readonly Route[], nowMs: number): readonly NewDelivery[] {
    return this.#all.desk.admit(event, routes, nowMs);
  }

  committed(event: Event, deliveries: readonly NewDelivery[], ids: readonly DeliveryId[]): void {
    this.#all.desk.committed(event, deliveries, ids);
  }

  abandoned(event: Event, deliveries: readonly NewDelivery[], isDoubtful = false): void {
    this.#all.desk.abandoned(event, deliveries);
    if (isDoubtful) this.#all.forgotten.doubt();
  }

  /** The lane of a subscription that has a route, for what is sent beside the queue. */
  heldBack(queue: string): Held | undefined {
    return this.lanes.get(queue)?.gate.heldBack(this.#parts.clock.nowMs());
  }

  laneOf(uid: string): Lane | undefined {
    const { inForce, scheduler, routes } = this.#all;
    const route = inForce.routeOf(uid);
    if (route === undefined) return undefined;
    const lane = scheduler.lane(uid, route.subscription.namespace);
    routes.adopt(lane, route);
    return lane;
  }

  /** Every queue that is known. */
  get lanes(): ReadonlyMap<string, Lane> {
    return this.#all.scheduler.lanes;
  }

  /** Whether a delivery is in memory. */
  holds(id: DeliveryId): boolean {
    const { fresh, flights, scheduler } = this.#all;
    return fresh.holds(id) || flights.holds(id) || scheduler.loader.holds(id);
  }

  /** True while events may be taken in: what was owed has been read, it has not stopped, and the store keeps up. */
  accepting(): boolean {
    return this.ready && this.#all.flights.backlog < this.#all.bounds.backlogMax;
  }

  /** Whether what was owed at the start has been read, and it has not stopped. */
  get ready(): boolean {
    return this.#all.life.isReady;
  }

  health(uid: string): SubscriptionHealth | undefined {
    const lane = this.lanes.get(uid);
    return lane === undefined ? undefined : this.#all.health.view(lane);
  }

  onHealthChange(callback: HealthCallback): void {
    this.#all.health.onChange((uid, kind) => callback(deadLetterOwner(uid) ?? uid, kind));
  }

  /** Who hears that a delivery has ended, once that is durable; without an event's id: several, of events not named. */
  onDeliveryEnded(listener: (eventId: string | undefined) => void): void {
    this.#all.landing.onEnded(listener);
  }

  /** Holds back everything that is and will be due, until `resume`. False when there is no such subscription. Durable when it resolves. */
  async pause(uid: string, message: string): Promise<boolean> {
    const lane = this.laneOf(uid);
    if (lane === undefined) return false;
    await this.#all.pauses.pauseByHand(lane, message);
    return true;
  }

  /** Lifts an automatic suspension and a pause, and closes the circuit. Durable when it resolves. */
  async resume(uid: string): Promise<void> {
    for (const lane of this.#lanesOf(uid)) await this.#all.pauses.resume(lane);
  }

  /** The receiver has been seen to work: lifts what it brought about, and no pause by a person. Durable when it resolves. */
  async recover(uid: string): Promise<void> {
    for (const lane of this.#lanesOf(uid)) await this.#all.pauses.recover(lane);
  }

  #lanesOf(uid: string): readonly Lane[] {
    return [uid, deadLetterQueue(uid)].map((queue) => this.lanes.get(queue)).filter((lane) => lane !== undefined);
  }

  /** Deliveries of the subscription not ended yet, dead letters on their way included. */
  pending(uid: string): number {
    return (this.lanes.get(uid)?.count.pending ?? 0) + (this.lanes.get(deadLetterQueue(uid))?.count.pending ?? 0);
  }

  /** The subscriptions to which anything is owed, dead letters included. */
  owing(): Iterable<string> {
    return this.#all.acts.owing();
  }

  /** Ends what is left of a deleted subscription; attempts under way finish. Answers how many were ended. */
  end(uid: string, how: EndHow): Promise<number> {
    return this.#all.acts.end(uid, how).finally(() => this.#all.landing.someEnded());
  }

  /** One extra attempt for a delivery that has ended: past its limits, not past a pause. */
  resend(id: DeliveryId): Promise<ResendResult> {
    return this.#all.acts.resend(id);
  }

  /** Lets go of what is kept of subscriptions that are gone. Rejects when the store does not take it: the next time will do. */
  async tidy(): Promise<void> {
    const { life, inForce, permissions, laneParts } = this.#all;
    if (!life.isUp) return;
    const isKnown = (uid: string): boolean => this.lanes.has(uid) || inForce.table.byUid(uid) !== undefined;
    permissions.retain(isKnown);
    await dropLeftovers(this.#parts.store, laneParts, isKnown);
  }

  #drain(withinMs: number): Draining {
    const { life, permissions, flights } = this.#all;
    const draining = life.drain(this.#parts.clock.monotonicMs() + withinMs);
    permissions.stop();
    flights.flush();
    flights.checkIdle();
    return draining;
  }

  async #stop(): Promise<void> {
    const { life, scheduler, pauses, health } = this.#all;
    if (life.isStopped) return;
    const { store, owner, log, clock, attempter, graceMs } = this.#parts;
    const { untilMs, done } = this.#drain(graceMs ?? GRACE_DEFAULT_MS);
    await this.#atMost(untilMs - clock.monotonicMs(), done);
    if (scheduler.inFlight > 0) {
      log.warn({ inFlight: scheduler.inFlight }, "the grace period is over: attempts in flight are cut off and will be repeated");
      life.cut();
      await this.#atMost(CUT_MS, Promise.all([attempter.close(), done]));
    }
    life.stop();
    scheduler.stop();
    const last = Promise.all([pauses.flush(), health.flush()]).then(() => store.release(owner));
    await this.#atMost(CUT_MS, last);
  }

  /** Waits for `work`, but no longer than `ms`: a store that hangs must not keep the process alive. */
  async #atMost(ms: number, work: Promise<unknown>): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.#parts.clock.after(ms, resolve)));
    await Promise.race([late, work.catch((error: unknown) => this.#parts.log.warn({ err: error }, "stopping: something failed"))]);
    cancel();
  }
}
