import type { Event } from "../../core/event.ts";
import type { Subscription } from "../../core/subscription.ts";
import { redactHeaders } from "../../observe/redact.ts";
import type { AttemptRecord, DeliveryId } from "../../store/store.ts";
import type { AttemptDone } from "../attempter.ts";
import { payloadKeyOf } from "./payload-book.ts";

const NO_HEADERS: AttemptRecord["responseHeaders"] = [];

/** One firing as the attempt log keeps it: secrets hidden, the answer only where the subscription captures it. */
export function attemptRecord(
  flight: { readonly id: DeliveryId; readonly attempt: number; readonly event: Event; readonly recordId: string | undefined },
  subscription: Subscription,
  done: AttemptDone,
): AttemptRecord {
  const { event } = flight;
  const { outcome } = done;
  const captures = subscription.spec.history.captureResponse;
  return {
    deliveryId: flight.id,
    eventId: event.id,
    subscription: subscription.uid,
    namespace: subscription.namespace,
    eventType: event.type,
    attempt: flight.attempt,
    startedAtMs: done.startedAtMs,
    durationMs: outcome.durationMs,
    outcome: outcome.class,
    statusCode: outcome.statusCode,
    connectionStatus: outcome.connectionStatus,
    tlsStatus: outcome.tlsStatus,
    message: outcome.message,
    url: done.url,
    recordId: flight.recordId,
    requestHeaders: done.requestHeaders,
    requestBody: done.requestBody,
    responseHeaders: captures ? redactHeaders(outcome.responseHeaders) : NO_HEADERS,
    responseBody: captures && outcome.responseBody.length > 0 ? outcome.responseBody : undefined,
    payloadKey: done.requestBody === undefined ? payloadKeyOf(subscription) : undefined,
  };
}

/** The same without headers and bodies: its namespace holds more than it may. */
export function bareRecord(record: AttemptRecord): AttemptRecord {
  return {
    ...record,
    message: `${record.message}${record.message === "" ? "" : "; "}${LEFT_OUT}`,
    requestHeaders: NO_HEADERS,
    requestBody: undefined,
    responseHeaders: NO_HEADERS,
    responseBody: undefined,
    payloadKey: undefined,
  };
}

const LEFT_OUT = "headers and bodies are left out: the namespace is over its storage limit (limits.storage)";
