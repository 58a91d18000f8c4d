import type { RecordKept } from "../../core/storage-share.ts";
import { deadLetterEvent } from "../../core/dead-letter.ts";
import type { DeliveryNames } from "../../core/delivery-name.ts";
import { next, type Transition } from "../../core/delivery-state.ts";
import type { EndReason } from "../../core/delivery.ts";
import type { Event } from "../../core/event.ts";
import { recordIdOf } from "../../core/event-value.ts";
import type { Outcome } from "../../core/outcome.ts";
import { BUILT_IN_POLICY } from "../../core/policy.ts";
import type { Route } from "../../core/route-table.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import type { Soon } from "../../lib/soon.ts";
import type { BusinessEvents } from "../../observe/events.ts";
import type { Log } from "../../observe/log.ts";
import type { Completion, DeliveryId, Store } from "../../store/store.ts";
import type { Aftermath, Flight } from "./aftermath.ts";
import { attemptRecord, bareRecord } from "./attempt-record.ts";
import type { AttemptDone, Attempter } from "../attempter.ts";
import { CompletionWriter } from "./completion-writer.ts";
import type { Landing } from "./landing.ts";
import type { Lifetime } from "../lifetime.ts";
import type { EngineBounds } from "../queue/bounds.ts";
import { kindOf } from "../queue/lane-backlog.ts";
import { receiverKind } from "../queue/queue-sight.ts";
import { specMark } from "../lane-state/parking.ts";
import type { Scheduler, Turn } from "../queue/scheduler.ts";
import type { Tally } from "../lane-state/tally.ts";

export interface FlightDeskParts {
  readonly store: Pick<Store, "complete">;
  readonly attempter: Pick<Attempter, "attempt">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly events: Pick<BusinessEvents, "dispatched" | "deliveriesLost">;
  readonly deliveryNames: Pick<DeliveryNames, "nameOf">;
  readonly scheduler: Scheduler;
  readonly aftermath: Aftermath;
  readonly tally: Tally;
  readonly life: Pick<Lifetime, "isUp" | "isCut" | "awaitsIdle" | "idle">;
  readonly bounds: Pick<EngineBounds, "backlogMax">;
  /** What may be kept of an attempt: its namespace may hold more than it should. All, where nobody says. */
  readonly recordKept?: ((namespace: string) => RecordKept) | undefined;
  /** Asked when results wait: `flush` is called then. */
  readonly soon: Pick<Soon, "ask">;
  readonly landing: Pick<Landing, "written">;
}

/** From a durable claim to a durable completion: the attempt itself, what it means, and its result on the way to the store. */
export class FlightDesk {
  readonly #parts: FlightDeskParts;
  readonly #writer: CompletionWriter<Turn>;
  /** Deliveries from their claim to the durable end of their attempt. */
  readonly #underWay = new Set<DeliveryId>();
  /** Turns wait because the store does not keep up. */
  #turnsWait = false;

  constructor(parts: FlightDeskParts) {
    this.#parts = parts;
    const { store, clock, log } = parts;
    this.#writer = new CompletionWriter({
      store,
      clock,
      log,
      written: (turn, completion, changed) => this.#written(turn, completion, changed),
    });
  }

  /** Whether the delivery is being sent, or its result is on its way to the store. */
  holds(id: DeliveryId): boolean {
    return this.#underWay.has(id);
  }

  /** Results not yet durable. */
  get backlog(): number {
    return this.#writer.backlog;
  }

  /** Whether the store keeps up with results. False = nothing new should be started; `soon` is asked again once it has taken some. */
  keepsUp(): boolean {
    this.#turnsWait = this.#writer.isStuck || this.#writer.backlog >= this.#parts.bounds.backlogMax;
    return !this.#turnsWait;
  }

  /** Hands results that have gathered to the store. */
  flush(): void {
    this.#writer.flush();
  }

  /** Makes attempt number `attempt` of a delivery whose claim is durable. */
  send(turn: Turn, attempt: number, event: Event | undefined): void {
    const { lane } = turn;
    const { route } = lane;
    const { scheduler, attempter, tally } = this.#parts;
    this.#underWay.add(turn.waiting.id);
    if (route?.subscription.target === undefined || event === undefined || !this.#parts.life.isUp) {
      // The route changed while the claim was written, or nobody may send any more: as if it had never been claimed.
      const nowMs = this.#parts.clock.nowMs();
      this.#complete(turn, undefined, event === undefined ? BODY_GONE : { state: "ready", dueAtMs: nowMs, uncounted: true });
      if (event === undefined) {
        tally.ended(lane, BODY_GONE);
        this.#parts.events.deliveriesLost(lane.route?.subscription ?? { namespace: lane.namespace, name: "" }, {
          reason: BODY_GONE.reason,
          count: 1,
          ids: [turn.waiting.id],
        });
      }
      scheduler.release(turn, { sent: false });
      return;
    }
    const path = route.subscription.spec.history.recordIdField;
    // The delivery has its own, unless an older version accepted it, or the field was set later.
    const recordId = turn.waiting.recordId !== undefined || path === undefined ? undefined : recordIdOf(event, path);
    const waitedMs = this.#dispatched(turn);
    const flight: Flight = { ...turn, id: turn.waiting.id, route, event, attempt, recordId, waitedMs };
    const { deadLetter } = turn.waiting;
    const sent = deadLetter === undefined ? event : deadLetterEvent(event, deadLetter, route.subscription, this.#parts.deliveryNames);
    attempter.attempt({ route, event: sent, attempt }).then(
      (done) => this.#ended(flight, done),
      (error: unknown) => this.#ended(flight, this.#broken(error)),
    );
  }

  /** How long it has waited for us: not for its time, its subscription or its receiver, ms. */
  #dispatched({ lane, waiting, freeSinceMs }: Turn): number {
    const { clock, events } = this.#parts;
    const waitedMs = Math.max(0, clock.nowMs() - Math.max(waiting.dueAtMs, freeSinceMs));
    events.dispatched(kindOf(waiting) === "fresh" ? "first" : "retry", receiverKind(lane), waitedMs / 1_000);
    return waitedMs;
  }

  /** Ends a delivery whose turn it is without an attempt. */
  endUntried(turn: Turn, reason: EndReason): void {
    this.#parts.tally.ended(turn.lane, { state: "failed", reason });
    this.#complete(turn, undefined, { state: "failed", reason });
    this.#parts.scheduler.release(turn, { sent: false });
  }

  /** The attempter never rejects; should it, the delivery must not hang. */
  #broken(error: unknown): AttemptDone {
    this.#parts.log.error({ err: error }, "an attempt threw an exception: counted as a connection error");
    return { outcome: BROKEN, startedAtMs: this.#parts.clock.trueMs(), url: "", requestHeaders: [], requestBody: undefined };
  }

  #ended(flight: Flight, done: AttemptDone): void {
    const { lane, route } = flight;
    const { outcome } = done;
    const { policy } = route.subscription;
    const { clock, random, scheduler, aftermath, tally } = this.#parts;
    const nowMs = clock.nowMs();
    const kept = this.#parts.recordKept?.(route.subscription.namespace) ?? "whole";
    const whole = attemptRecord(flight, route.subscription, done);
    const record = kept === "whole" ? whole : bareRecord(whole);
    if (this.#parts.life.isCut && outcome.class === "connect_error") {
      this.#complete(flight, record, { state: "ready", dueAtMs: nowMs, uncounted: true });
      scheduler.release(flight, { sent: true });
      this.checkIdle();
      return;
    }
    const { acceptedAtMs, resent, orderKey, deadLetter } = flight.waiting;
    // Others of its key, and whoever waits for the end of the subscription, must not wait for an edit.
    const mayPark = orderKey === undefined && deadLetter === undefined && !(lane.route?.draining ?? true);
    // Limits count what came to an end; the number goes on.
    const counted = { attempt: flight.waiting.made + 1, acceptedAtMs, resent, mayPark };
    const transition = next(counted, outcome, policy, { nowMs, random: random.next() });
    this.#complete(flight, kept === "last" && transition.next.state === "ready" ? undefined : record, stored(transition.next, route));
    if (transition.next.state === "ready") tally.retried(lane);
    else tally.ended(lane, transition.next);
    aftermath.react(flight, outcome, transition);
    aftermath.report(flight, done, transition);
    scheduler.release(flight, { sent: true, tookMs: saysNothing(outcome) ? undefined : outcome.durationMs });
    this.checkIdle();
  }

  /** Whoever waits for the end of all attempts hears of it. */
  checkIdle(): void {
    const { life, scheduler, soon } = this.#parts;
    if (!life.awaitsIdle) return;
    if (this.backlog > 0) soon.ask();
    else if (scheduler.inFlight === 0) life.idle();
  }

  #written(turn: Turn, completion: Completion, changed: boolean): void {
    this.#underWay.delete(completion.id);
    turn.lane.count.written();
    if (this.#turnsWait) this.#parts.soon.ask();
    this.#parts.landing.written(turn, completion, changed);
    this.checkIdle();
  }

  #complete(turn: Turn, attempt: Completion["attempt"], nextState: Completion["next"]): void {
    const { lane, waiting } = turn;
    const nowMs = this.#parts.clock.nowMs();
    const { historyMs, bodiesMs } = (lane.route?.subscription.policy ?? BUILT_IN_POLICY).retention;
    const kept = { nowMs, historyRetentionMs: historyMs, bodiesRetentionMs: bodiesMs };
    lane.count.writing();
    this.#writer.push(turn, { id: waiting.id, epoch: lane.epoch, attempt, next: nextState, ...kept });
    this.#parts.soon.ask();
  }
}

/** Nothing was asked of the receiver, or nobody here saw its answer come. */
function saysNothing(outcome: Outcome): boolean {
  return outcome.permanent === true || outcome.stalled === true;
}

function stored(decided: Transition["next"], route: Route): Completion["next"] {
  if (decided.state !== "ready") return decided;
  const { state, dueAtMs } = decided;
  // Under the mark of the spec that could not make it, even if another is in force by now: then it is woken at once.
  return decided.parked === true ? { state, dueAtMs, parked: specMark(route) } : { state, dueAtMs };
}

const BODY_GONE = { state: "failed", reason: "PayloadInvalid" } as const;

const BROKEN: Outcome = {
  class: "connect_error",
  statusCode: undefined,
  message: "the attempt failed inside Postrider; see the log",
  connectionStatus: "INTERNAL",
  tlsStatus: "none",
  retryAfterMs: undefined,
  durationMs: 0,
  responseHeaders: [],
  responseBody: new Uint8Array(0),
};
