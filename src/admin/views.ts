import { STATE_NAMES } from "../core/delivery.ts";
import { type Event, isDataLeftOut } from "../core/event.ts";
import { OUTCOME_NAMES, RECONNECTED_NOTE } from "../core/outcome.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Clock } from "../lib/clock.ts";
import type { EventSummary } from "../store/event-page.ts";
import type { AttemptRecord, DeliveryRecord, DeliverySummary } from "../store/store.ts";
import type { Hold } from "./directory.ts";

/**
 * How the API shows things: one function per shape. Times are RFC 3339, lengths milliseconds; what is not known is null. What secrets there
 * could be have been hidden before they were stored.
 */
type View = Readonly<Record<string, unknown>>;

/** What instants of engine time are called on the wall. */
type Wall = Pick<Clock, "shownMs">;

/** Bytes as `{"text": …}` where they are UTF-8, else `{"base64": …}`. */
export function bodyView(bytes: Uint8Array | undefined): View | null {
  if (bytes === undefined) return null;
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
  }
}

/** What a delivery is called, and which subscription it belongs to; `name` is undefined where it was never known. */
export interface DeliveryLabel {
  /** As people know the delivery (core/delivery-name.ts); never the row's number. */
  readonly id: string;
  readonly uid: string;
  readonly name: string | undefined;
  /** It is the forwarding of a dead letter. */
  readonly isDeadLetter: boolean;
  /** What holds its queue back. */
  readonly hold: Hold | undefined;
}

export function deliveryView(record: DeliveryRecord, label: DeliveryLabel, wall: Wall): View {
  return {
    id: label.id,
    eventID: record.eventId,
    eventType: record.eventType,
    namespace: record.namespace,
    subscription: label.name ?? null,
    subscriptionUID: label.uid,
    deadLetter: label.isDeadLetter,
    state: STATE_NAMES[record.state],
    reason: record.reason ?? null,
    attempts: record.attempts,
    acceptedTime: shown(record.acceptedAtMs, wall),
    nextAttemptTime: shown(nextAttemptAtMs(record, label.hold), wall),
    waitingFor: waitingFor(record, label.hold, wall),
    endedTime: shown(record.endedAtMs, wall),
  };
}

/** When it is tried next: when it is due, but not before what holds its queue back is over; undefined where only an event can end that. */
function nextAttemptAtMs({ state, dueAtMs }: DeliveryRecord, hold: Hold | undefined): number | undefined {
  if (state !== "ready" || hold === undefined || dueAtMs === undefined) return dueAtMs;
  return hold.untilMs === undefined ? undefined : Math.max(dueAtMs, hold.untilMs);
}

/** Why one that has not ended waits, beside its schedule. One with a reason of its own (`PayloadInvalid`) waits for another spec. */
function waitingFor({ state, reason }: DeliveryRecord, hold: Hold | undefined, wall: Wall): View | null {
  if (state !== "ready") return null;
  if (hold !== undefined) return { reason: hold.reason, untilTime: shown(hold.untilMs, wall) };
  return reason === undefined ? null : { reason, untilTime: null };
}

/** A row of the schedule: the delivery with its record, its first and its last attempt. */
export function summaryView(summary: DeliverySummary, label: DeliveryLabel, wall: Wall): View {
  const { lastAttempt, recordId, firstAttemptAtMs } = summary;
  return {
    ...deliveryView(summary, label, wall),
    recordID: recordId ?? null,
    firstAttemptTime: lastAttempt?.attempt === 1 ? attemptTime(lastAttempt, wall) : time(firstAttemptAtMs),
    url: lastAttempt?.url ?? null,
    lastAttempt:
      lastAttempt === undefined
        ? null
        : {
            attempt: lastAttempt.attempt,
            time: attemptTime(lastAttempt, wall),
            durationMs: Math.round(lastAttempt.durationMs),
            outcome: OUTCOME_NAMES[lastAttempt.outcome],
            statusCode: lastAttempt.statusCode ?? null,
            message: lastAttempt.message,
          },
  };
}

/** A row of the log: one firing. `requestBody` is what was sent, a token in it hidden; undefined when it cannot be had any more. */
export function attemptView(record: AttemptRecord, label: DeliveryLabel, requestBody: Uint8Array | undefined, wall: Wall): View {
  return {
    deliveryID: label.id,
    eventID: record.eventId,
    eventType: record.eventType,
    namespace: record.namespace,
    subscription: label.name ?? null,
    subscriptionUID: label.uid,
    attempt: record.attempt,
    time: attemptTime(record, wall),
    durationMs: Math.round(record.durationMs),
    recordID: record.recordId ?? null,
    outcome: OUTCOME_NAMES[record.outcome],
    connectionStatus: record.connectionStatus,
    tlsStatus: record.tlsStatus,
    reconnected: record.message.endsWith(RECONNECTED_NOTE),
    statusCode: record.statusCode ?? null,
    message: record.message,
    url: record.url,
    request: { headers: headersView(record.requestHeaders), body: bodyView(requestBody) },
    response: { headers: headersView(record.responseHeaders), body: bodyView(record.responseBody) },
  };
}

export function eventView({ data, ...event }: Event, wall: Wall): View {
  const { dataKept, ...attributes } = attributesView(event, wall);
  return { ...attributes, data: dataKept === true ? bodyView(data) : null, dataKept };
}

/** A row of the list of events: no data, but how much of it there is. `matched`: how many deliveries it was accepted with. */
export function eventRowView({ event, dataBytes, deliveries }: EventSummary, wall: Wall): View {
  return { ...attributesView(event, wall), dataBytes, matched: deliveries };
}

function attributesView(event: Omit<Event, "data">, wall: Wall): View {
  return {
    id: event.id,
    namespace: event.namespace,
    sourceID: event.sourceId,
    source: event.source,
    type: event.type,
    subject: event.subject ?? null,
    time: event.time ?? null,
    dataContentType: event.dataContentType ?? null,
    receivedTime: shown(event.receivedAtMs, wall),
    extensions: event.extensions,
    dataKept: !isDataLeftOut(event),
  };
}

/** What a receiver said to a test event. */
export function testView(tested: {
  readonly eventId: string;
  readonly eventType: string;
  readonly url: string;
  readonly outcome: Outcome;
}): View {
  const { outcome } = tested;
  return {
    eventID: tested.eventId,
    eventType: tested.eventType,
    url: tested.url,
    ok: outcome.class === "success",
    outcome: OUTCOME_NAMES[outcome.class],
    statusCode: outcome.statusCode ?? null,
    connectionStatus: outcome.connectionStatus,
    tlsStatus: outcome.tlsStatus,
    reconnected: outcome.reconnected === true,
    durationMs: Math.round(outcome.durationMs),
    message: outcome.message,
  };
}

function headersView(headers: readonly (readonly [string, string])[]): readonly View[] {
  return headers.map(([name, value]) => ({ name, value }));
}

/** An instant of engine time. */
function shown(ms: number | undefined, wall: Wall): string | null {
  return ms === undefined ? null : time(wall.shownMs(ms));
}

/** Attempts keep the wall's time at which they began; of one that a crash cut off the store knows only when it was due, in engine time. */
function attemptTime({ outcome, startedAtMs }: Pick<AttemptRecord, "outcome" | "startedAtMs">, wall: Wall): string | null {
  return outcome === "unknown" ? shown(startedAtMs, wall) : time(startedAtMs);
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
