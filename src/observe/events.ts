import type { EndReason, TerminalState } from "../core/delivery.ts";
import { deadLetterOwner } from "../core/dead-letter.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import type { Outcome } from "../core/outcome.ts";
import type { SubscriptionName } from "../core/subscription.ts";
import type { Log } from "./log.ts";
import type { DoorWatch } from "../lib/door/door.ts";
import type { Metrics, StrangerRefusal } from "./metrics.ts";
import type { ReceiverKind } from "./queue-seen.ts";

type NamesDeliveries = Pick<DeliveryNames, "nameOf">;

/** One attempt, told once: counted and written as one wide log line. */
export interface AttemptTold extends SubscriptionName {
  readonly eventId: string;
  readonly eventType: string;
  /** The row's; the log line says its name. */
  readonly deliveryId: number;
  readonly attempt: number;
  readonly outcome: Outcome;
  /** Redacted. */
  readonly url: string;
  /** What follows: `delivered`, `failed`, `retry`, `discarded`; `wait`: only another spec can help. */
  readonly decision: TerminalState | "retry" | "wait";
  readonly reason: EndReason | undefined;
  /** Delay until the next attempt, ms. */
  readonly nextInMs: number | undefined;
  /** Of the trace that its event belongs to. */
  readonly traceId: string | undefined;
  readonly acceptedAtMs: number;
  readonly nowMs: number;
}

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
  readonly #deliveryNames: NamesDeliveries;
  #filterFailed: ((filter: FailedFilter, message: string) => void) | undefined;

  constructor(metrics: Metrics, log: Log, deliveryNames: NamesDeliveries) {
    this.#metrics = metrics;
    this.#log = log;
    this.#deliveryNames = deliveryNames;
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
    this.#metrics.perSubscription.attempted(told, outcome.class, seconds);
    if (told.decision === "delivered") this.#metrics.deliveryLatency.observe((told.nowMs - told.acceptedAtMs) / 1_000, namespace);
    // Asked before the line is put together: at level warn it would be for nothing.
    if (this.#log.isLevelEnabled("info")) this.#writeAttempt(told);
  }

  #writeAttempt(told: AttemptTold): void {
    const { namespace, name, outcome } = told;
    this.#log.info(
      {
        event: "delivery.attempted",
        namespace,
        subscription: name,
        eventID: told.eventId,
        eventType: told.eventType,
        deliveryID: this.#deliveryNames.nameOf(namespace, told.deliveryId),
        attempt: told.attempt,
        outcome: outcome.class,
        statusCode: outcome.statusCode,
        connectionStatus: outcome.connectionStatus,
        tlsStatus: outcome.tlsStatus,
        reconnected: outcome.reconnected,
        durationMs: Math.round(outcome.durationMs * 10) / 10,
        url: told.url,
        decision: told.decision,
        reason: told.reason,
        nextInMs: told.nextInMs,
      },
      outcome.message,
    );
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

  deliveryEnded(name: SubscriptionName, state: TerminalState): void {
    this.#metrics.perSubscription.ended(name, state);
    if (deadLetterOwner(name.name) === undefined) this.#metrics.deliveriesEnded.inc(name.namespace, state);
  }
}
