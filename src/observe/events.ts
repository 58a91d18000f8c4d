import type { EndReason, TerminalState } from "../core/delivery.ts";
import { deadLetterOwner } from "../core/dead-letter.ts";
import type { SubscriptionName } from "../core/subscription.ts";
import { AttemptLines, type AttemptTold, type LostTold, type NamesDeliveries } from "./attempt-lines.ts";
import type { Log } from "./log.ts";
import type { DoorWatch } from "../lib/door/door.ts";
import type { Metrics, StrangerRefusal } from "./metrics.ts";
import type { ReceiverKind } from "./queue-seen.ts";

/** A test that was sent through the API. */
export interface TestTold extends Pick<AttemptTold, "namespace" | "name" | "eventId" | "eventType" | "outcome" | "url"> {
  /** Whoever asked for it hung up before it ended. */
  readonly callerGone: boolean;
}

/** The subscription whose filter failed for an event. */
export interface FailedFilter extends SubscriptionName {
  readonly spec: { readonly filter: string | undefined };
}

/** One business event, one helper: it counts and writes the one wide log line. */
export class BusinessEvents {
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #attempts: AttemptLines;
  #filterFailed: ((filter: FailedFilter, message: string) => void) | undefined;

  /** Of attempts that succeed one in so many has a line. */
  constructor(metrics: Metrics, log: Log, deliveryNames: NamesDeliveries, successOneIn = 1) {
    this.#metrics = metrics;
    this.#log = log;
    this.#attempts = new AttemptLines(log, deliveryNames, successOneIn);
    metrics.nameExemplars(({ namespace, deliveryId, traceId }) => ({
      delivery_id: deliveryNames.nameOf(namespace, deliveryId),
      ...(traceId === undefined ? {} : { trace_id: traceId }),
    }));
  }

  ingestAnswered(code: number, seconds: number): void {
    this.#metrics.ingestRequests.inc(String(code));
    this.#metrics.ingestDuration.observe(seconds);
  }

  /** What the ingest's door does. */
  get ingestDoor(): DoorWatch {
    return this.#metrics.doorOf("ingest");
  }

  /** Somebody whose token had yet to come in the body was turned away. */
  strangerRefused(reason: StrangerRefusal): void {
    this.#metrics.strangersRefused.inc({ reason });
  }

  /** How many requests wait for a result now. */
  resultPollsOpen(open: number): void {
    this.#metrics.resultPollsOpen.set(open);
  }

  eventAccepted(namespace: string, matched: number): void {
    this.#metrics.eventsAccepted.inc(namespace);
    if (matched === 0) this.#metrics.eventsUnmatched.inc({ namespace });
  }

  /** A producer's key came again with the same content: it is answered as before. */
  eventDuplicate(namespace: string): void {
    this.#metrics.eventsDuplicate.inc(namespace);
  }

  /** A request was refused; the namespace is what its sender asked for, and is counted only if it is known. */
  ingestRefused(namespace: string | undefined, code: string): void {
    this.#metrics.ingestRefused.inc(namespace !== undefined && this.#metrics.knowsNamespace(namespace) ? namespace : "", code);
  }

  /** A producer's key came again with other content: 409. */
  idempotencyConflict(namespace: string): void {
    this.#metrics.idempotencyConflicts.inc({ namespace });
  }

  /** Who else hears of filters that failed at run time. */
  onFilterFailed(callback: (failed: FailedFilter, message: string) => void): void {
    this.#filterFailed = callback;
  }

  filterFailed(failed: FailedFilter, message: string): void {
    const { namespace, name: subscription } = failed;
    this.#filterFailed?.(failed, message);
    this.#metrics.perSubscription.filterFailed(failed);
    this.#log.warn({ event: "filter.failed", namespace, subscription, message }, "filter failed: counted as no match");
  }

  /** An attempt begins, `seconds` after it could have begun. */
  dispatched(kind: "first" | "retry", receiver: ReceiverKind, seconds: number): void {
    this.#metrics.dispatchDelay.observe(seconds, kind, receiver);
  }

  attemptEnded(told: AttemptTold): void {
    const { namespace, outcome } = told;
    const seconds = outcome.durationMs / 1_000;
    this.#metrics.attempts.inc(outcome.class);
    this.#metrics.attemptDuration.observeTold(seconds, { namespace, deliveryId: told.deliveryId, traceId: told.traceId });
    if (outcome.phases !== undefined) this.#metrics.phasesTook(outcome.phases);
    this.#metrics.perSubscription.attempted(told, outcome.class, seconds);
    if (told.decision === "delivered") this.#metrics.deliveryLatency.observe((told.nowMs - told.acceptedAtMs) / 1_000, namespace);
    this.#attempts.write(told);
  }

  /** A test was sent: it is in no history, so this line is what tells of it. */
  testEnded(told: TestTold): void {
    const { namespace, name, outcome } = told;
    this.#metrics.tests.inc({ namespace, outcome: outcome.class });
    this.#log.info(
      {
        event: "test.sent",
        namespace,
        subscription: name,
        eventID: told.eventId,
        eventType: told.eventType,
        outcome: outcome.class,
        statusCode: outcome.statusCode,
        connectionStatus: outcome.connectionStatus,
        durationMs: Math.round(outcome.durationMs * 10) / 10,
        url: told.url,
        callerGone: told.callerGone,
      },
      outcome.message,
    );
  }

  deliveryEnded(name: SubscriptionName, state: TerminalState, reason: EndReason): void {
    this.#metrics.perSubscription.ended(name, state);
    if (state === "failed") this.#metrics.deliveriesFailed.inc(reason);
    if (deadLetterOwner(name.name) === undefined) this.#metrics.deliveriesEnded.inc(name.namespace, state);
  }

  /** Deliveries have failed for good without an attempt: no other line tells of them. */
  deliveriesLost(name: SubscriptionName, lost: LostTold): void {
    if (lost.count > 0) this.#attempts.writeLost(name, lost);
  }
}
