import type { RecordKept } from "../core/storage-share.ts";
import { deadLetterOwner, deadLetterQueue } from "../core/dead-letter.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import type { Event } from "../core/event.ts";
import type { SubscriptionHealth } from "../core/health.ts";
import type { Route, RouteTable } from "../core/route-table.ts";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Completion, DeliveryId, NewDelivery, Store } from "../store/store.ts";
import { Aftermath } from "./flight/aftermath.ts";
import type { Attempter, PermissionAsker } from "./attempter.ts";
import { bootEngine } from "./boot.ts";
import { ENGINE_BOUNDS, type EngineBounds } from "./queue/bounds.ts";
import { ClaimLoop } from "./flight/claim-loop.ts";
import { DeadLetters } from "./lane-state/dead-letters.ts";
import { FlightDesk } from "./flight/flight-desk.ts";
import { Permissions } from "./lane-state/permissions.ts";
import { HealthBook, type HealthCallback } from "./lane-state/health-book.ts";
import { IntakeDesk } from "./queue/intake-desk.ts";
import type { EndHow, Lane } from "./queue/lane.ts";
import { Parking } from "./lane-state/parking.ts";
import { dropLeftovers } from "./leftovers.ts";
import { PauseKeeper } from "./lane-state/pause-keeper.ts";
import { QueueActs, type ResendResult } from "./queue-acts.ts";
import { RouteWatch } from "./route-watch.ts";
import { Scheduler, type Turn } from "./queue/scheduler.ts";
import { Shelf } from "./queue/shelf.ts";
import { Tally } from "./lane-state/tally.ts";
import { upkeepOf, type Upkeep } from "./upkeep.ts";

const GRACE_DEFAULT_MS = 25_000;
/** What is left after the grace period may take this long, twice: aborting, last writes. */
const CUT_MS = 1_500;

export interface EngineParts {
  readonly store: Store;
  readonly attempter: Attempter;
  /** Asks receivers that must give permission first. */
  readonly asker: PermissionAsker;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: BusinessEvents;
  /** How dead letters name the deliveries that they tell of. */
  readonly deliveryNames: Pick<DeliveryNames, "nameOf">;
  readonly metrics: Metrics;
  readonly log: Log;
  /** As given to `Store.open`. */
  readonly owner: string;
  readonly slotsMax: number;
  /** How long attempts under way may take to finish once it is stopped, unless `drain` has said so, ms. */
  readonly graceMs?: number;
  /** How long nobody ran before this start, ms (BootReport). */
  readonly awayMs?: number;
  /** What may be kept of attempts of a namespace; all, where nobody says. */
  readonly recordKept?: (namespace: string) => RecordKept;
  /** Tests make bounds small, so that they are reached. */
  readonly bounds?: Partial<EngineBounds>;
}

/**
 * Delivers what the store owes. The way of a delivery: admitted (IntakeDesk) or found due (DueLoader) → its turn (Scheduler) → claim durable
 * (ClaimLoop) → attempt → next state decided (core/delivery-state) → completion durable (FlightDesk). A crash leaves claimed rows, which the
 * next `Store.open` turns back. Fulfils ingest's Intake and the controller's Deliveries.
 */
export class Engine implements Service {
  readonly name = "engine";
  readonly #parts: EngineParts;
  readonly #scheduler: Scheduler;
  readonly #desk: IntakeDesk;
  readonly #pauses: PauseKeeper;
  readonly #health: HealthBook;
  readonly #permissions: Permissions;
  readonly #deadLetters: DeadLetters;
  readonly #parking: Parking;
  readonly #routes: RouteWatch;
  readonly #flights: FlightDesk;
  readonly #claims: ClaimLoop;
  readonly #acts: QueueActs;
  readonly #upkeep: Upkeep;
  readonly #bounds: EngineBounds;
  /** Since when this process has lived through engine time. */
  #livedSinceMs: number;
  #state: "down" | "up" | "draining" | "stopped" = "down";
  /** The grace period is over: what is aborted now does not count as an attempt. */
  #cut = false;
  #idle: (() => void) | undefined;
  /** Asked to begin nothing any more: until when, on the monotonic clock, and what settles when all has ended. */
  #draining: { readonly untilMs: number; readonly done: Promise<void> } | undefined;
  #deliveryEnded: (eventId: string | undefined) => void = () => undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const { store, attempter, clock, random, log, metrics } = parts;
    const bounds: EngineBounds = { ...ENGINE_BOUNDS, ...parts.bounds };
    this.#bounds = bounds;
    this.#livedSinceMs = clock.nowMs();
    const livedSinceMs = (): number => this.#livedSinceMs;
    const shelve = (lane: Lane): void => shelf.shelve(lane);
    const scheduler = new Scheduler({ store, clock, log, bounds, slotsMax: parts.slotsMax, shelve, wake: () => this.#claims.tickSoon() });
    this.#scheduler = scheduler;
    const health = new HealthBook({ store, clock, log, metrics, failing: (lane, failing) => scheduler.setFailing(lane, failing) });
    this.#health = health;
    const tally = new Tally(health, parts.events);
    const changed = (lane: Lane): void => this.#laneChanged(lane);
    const pauses = new PauseKeeper({ store, clock, log, changed });
    this.#pauses = pauses;
    const permissions = new Permissions({ asker: parts.asker, store, clock, random, log, changed });
    this.#permissions = permissions;
    const forgetMetrics = (route: Route): void => metrics.forgetSubscription(route.subscription.namespace, route.subscription.name);
    const deadLetters = new DeadLetters({
      store,
      clock,
      log,
      scheduler,
      tally,
      adopt: (lane, route) => this.#routes.adopt(lane, route),
      end: (queue) => this.#acts.endQueue(queue, "dead-letter"),
    });
    this.#deadLetters = deadLetters;
    const parking = new Parking({ store, clock, log, scheduler });
    this.#parking = parking;
    const isRestored = (): boolean => this.#state !== "down";
    this.#routes = new RouteWatch({ clock, scheduler, pauses, permissions, deadLetters, parking, attempter, forgetMetrics, isRestored });
    this.#flights = new FlightDesk({
      store,
      attempter,
      clock,
      random,
      log,
      deliveryNames: parts.deliveryNames,
      scheduler,
      tally,
      aftermath: new Aftermath({ clock, pauses, health, events: parts.events }),
      maySend: () => this.#state === "up",
      isCut: () => this.#cut,
      recordKept: parts.recordKept ?? (() => "whole"),
      tickSoon: () => this.#claims.tickSoon(),
      moved: () => this.#checkIdle(),
      written: (turn, completion, changed) => this.#written(turn, completion, changed),
    });
    this.#desk = new IntakeDesk({
      scheduler,
      bounds,
      isOpen: () => this.#state === "up",
      adopt: (lane, route) => this.#routes.adopt(lane, route),
      // The accept transaction wrote the claim: attempt 1.
      send: (turn) => this.#flights.send(turn, 1, turn.waiting.event),
      accepted: (lane, nowMs) => tally.accepted(lane, nowMs),
      acceptedLate: (lane) => this.#acts.attemptOver(lane, true),
    });
    const desk = this.#desk;
    const shelf = new Shelf({ store, clock, log, desk, scheduler });
    const isUp = (): boolean => this.#state === "up";
    const doubtful = (): void => this.#upkeep.forgotten.doubt();
    this.#claims = new ClaimLoop({ store, clock, log, scheduler, desk, flights: this.#flights, bounds, livedSinceMs, doubtful, isUp });
    const acting = { ...parts, scheduler, desk, routes: this.#routes, health, tally };
    this.#acts = new QueueActs({ ...acting, deadLetters, parking, permissions, pauses });
    const adopt = (lane: Lane): void => this.#routes.adopt(lane, this.#routes.routeOf(lane.uid));
    const kept = { scheduler, desk, flights: this.#flights, health, tally, deadLetters };
    this.#upkeep = upkeepOf({ ...parts, ...kept, bounds, livedSinceMs, adopt, deliveryEnded: () => this.#deliveryEnded(undefined) });
  }

  /** Reads what is owed, delivers until `signal` aborts, then drains: attempts under way may finish within the grace period. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#state === "down") {
      const { store, clock } = this.#parts;
      const scheduler = this.#scheduler;
      await this.#permissions.restore();
      const [desk, pauses, parking, health] = [this.#desk, this.#pauses, this.#parking, this.#health];
      this.#livedSinceMs = clock.nowMs();
      await bootEngine({ store, clock, scheduler, desk, pauses, parking, health, awayMs: this.#parts.awayMs ?? 0 });
      this.#state = this.#draining === undefined ? "up" : "draining";
      this.#routes.applyAll();
      void pauses.flush();
      for (const lane of scheduler.lanes.values()) scheduler.refresh(lane);
    }
    const stopHousekeeping = this.#upkeep.housekeeping.start();
    await aborted(signal);
    stopHousekeeping();
    await this.#stop();
  }

  /**
   * From now on no attempt is begun, and nobody is asked for permission: a claim on its way is put back. Events are still taken in, as rows that are due
   * for the next process. Settles when what is under way has ended, durably; what has not after `withinMs` is cut off when `run` is stopped. Safe to call twice.
   */
  drain(withinMs: number): Promise<void> {
    if (this.#draining !== undefined) return this.#draining.done;
    const done = new Promise<void>((resolve) => (this.#idle = resolve));
    this.#draining = { untilMs: this.#parts.clock.monotonicMs() + withinMs, done };
    if (this.#state === "up") this.#state = "draining";
    this.#permissions.stop();
    this.#flights.flush();
    this.#checkIdle();
    return done;
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

  abandoned(event: Event, deliveries: readonly NewDelivery[], isDoubtful = false): void {
    this.#desk.abandoned(event, deliveries);
    if (isDoubtful) this.#upkeep.forgotten.doubt();
  }

  /** Every queue that is known, and whether a delivery is in memory: for tests that compare memory with the store. */
  /** The lane of a subscription that has a route, for what is sent beside the queue. */
  laneOf(uid: string): Lane | undefined {
    const route = this.#routes.routeOf(uid);
    if (route === undefined) return undefined;
    const lane = this.#scheduler.lane(uid, route.subscription.namespace);
    this.#routes.adopt(lane, route);
    return lane;
  }

  get lanes(): ReadonlyMap<string, Lane> {
    return this.#scheduler.lanes;
  }

  holds(id: DeliveryId): boolean {
    return this.#desk.holds(id) || this.#flights.holds(id) || this.#scheduler.loader.holds(id);
  }

  /** True while events may be taken in: what was owed has been read, it has not stopped, and the store keeps up. */
  accepting(): boolean {
    return this.ready && this.#flights.backlog < this.#bounds.backlogMax;
  }

  /** Whether what was owed at the start has been read, and it has not stopped. */
  get ready(): boolean {
    return this.#state === "up" || this.#state === "draining";
  }

  health(uid: string): SubscriptionHealth | undefined {
    const lane = this.#scheduler.lanes.get(uid);
    return lane === undefined ? undefined : this.#health.view(lane);
  }

  onHealthChange(callback: HealthCallback): void {
    this.#health.onChange((uid, kind) => callback(deadLetterOwner(uid) ?? uid, kind));
  }

  /** Who hears that a delivery has ended, once that is durable; without an event's id: several, of events not named. */
  onDeliveryEnded(listener: (eventId: string | undefined) => void): void {
    this.#deliveryEnded = listener;
  }

  /** Lifts an automatic suspension and closes the circuit. Durable when it resolves. */
  async resume(uid: string): Promise<void> {
    for (const queue of [uid, deadLetterQueue(uid)]) {
      const lane = this.#scheduler.lanes.get(queue);
      if (lane !== undefined) await this.#pauses.resume(lane);
    }
  }

  /** Deliveries of the subscription not ended yet, dead letters on their way included. */
  pending(uid: string): number {
    const { lanes } = this.#scheduler;
    return (lanes.get(uid)?.pending ?? 0) + (lanes.get(deadLetterQueue(uid))?.pending ?? 0);
  }

  /** The subscriptions to which anything is owed, dead letters included. */
  owing(): Iterable<string> {
    return this.#acts.owing();
  }

  /** Ends what is left of a deleted subscription; attempts under way finish. Answers how many were ended. */
  end(uid: string, how: EndHow): Promise<number> {
    return this.#acts.end(uid, how).finally(() => this.#deliveryEnded(undefined));
  }

  /** One extra attempt for a delivery that has ended: past its limits, not past a pause. */
  resend(id: DeliveryId): Promise<ResendResult> {
    return this.#acts.resend(id);
  }

  /** Lets go of what is kept of subscriptions that are gone. Rejects when the store does not take it: the next time will do. */
  async tidy(): Promise<void> {
    if (this.#state !== "up") return;
    const isKnown = (uid: string): boolean => this.#scheduler.lanes.has(uid) || this.#routes.table.byUid(uid) !== undefined;
    this.#permissions.retain(isKnown);
    await dropLeftovers(this.#parts.store, isKnown);
  }

  #written(turn: Turn, completion: Completion, changed: boolean): void {
    const { lane } = turn;
    this.#scheduler.letGo(lane, completion.id);
    this.#claims.relieved();
    if (changed && completion.next.state !== "ready") this.#deliveryEnded(completion.attempt?.eventId ?? turn.waiting.event?.id);
    if (changed && completion.next.state === "failed") this.#deadLetters.failed(lane);
    if (completion.next.state === "ready") {
      lane.noteDue(completion.next.dueAtMs);
      if (completion.next.parked !== undefined) this.#parking.parked(lane, completion.next.parked);
      this.#scheduler.refresh(lane);
    } else if (turn.waiting.orderKey !== undefined) {
      // The end of a head made the next of its key due; when, only the store knows.
      lane.noteDue(completion.nowMs);
      this.#scheduler.refresh(lane);
    }
    if (lane.ending !== undefined) this.#acts.attemptOver(lane, changed && completion.next.state === "ready");
    this.#checkIdle();
  }

  /** Pauses, rate or suspension of the lane moved. */
  #laneChanged(lane: Lane): void {
    this.#scheduler.refresh(lane);
    this.#health.changed(lane);
    this.#health.tell(lane, "transition");
  }

  async #stop(): Promise<void> {
    if (this.#state === "stopped") return;
    const { store, owner, log, clock } = this.#parts;
    const done = this.drain(this.#parts.graceMs ?? GRACE_DEFAULT_MS);
    await this.#atMost((this.#draining?.untilMs ?? 0) - clock.monotonicMs(), done);
    if (this.#scheduler.inFlight > 0) {
      log.warn({ inFlight: this.#scheduler.inFlight }, "the grace period is over: attempts in flight are cut off and will be repeated");
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
    if (this.#flights.backlog > 0) this.#claims.tickSoon();
    else if (this.#scheduler.inFlight === 0) this.#idle();
  }
}
