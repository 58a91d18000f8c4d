import type { Event } from "../core/event.ts";
import type { Subscription } from "../core/subscription.ts";
import { redactHeaders } from "../observe/redact.ts";
import type { AttemptRecord, DeliveryId } from "../store/store.ts";
import type { AttemptDone } from "./attempter.ts";

/** Longest record id kept, in characters. */
const RECORD_ID_CHARS_MAX = 256;
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
  };
}

/**
 * The value of `history.recordIdField` (a path like `data.id`, or an attribute: `subject`, `id`, `source`) in an event; undefined when
 * there is none. Objects and arrays are no record ids.
 */
export function recordIdOf(event: Event, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const [head, ...rest] = path.split(".");
  const value = head === "data" ? dataAt(event, rest) : rest.length === 0 ? attribute(event, head ?? "") : undefined;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" ? value.slice(0, RECORD_ID_CHARS_MAX) : undefined;
}

function attribute(event: Event, name: string): string | undefined {
  switch (name) {
    case "id":
      return event.sourceId;
    case "source":
      return event.source;
    case "type":
      return event.type;
    case "subject":
      return event.subject;
    default:
      return Object.hasOwn(event.extensions, name) ? event.extensions[name] : undefined;
  }
}

function dataAt(event: Event, path: readonly string[]): unknown {
  const text = Buffer.from(event.data.buffer, event.data.byteOffset, event.data.byteLength).toString("utf8");
  if (event.dataKind === "form") return path.length === 1 ? (new URLSearchParams(text).get(path[0] ?? "") ?? undefined) : undefined;
  if (event.dataKind !== "json") return undefined;
  try {
    let value: unknown = JSON.parse(text);
    for (const key of path) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string, unknown>)[key];
    }
    return value;
  } catch {
    return undefined;
  }
}
