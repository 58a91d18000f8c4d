import { deadLetterQueue, type DeadLetterNote } from "../../core/dead-letter.ts";
import type { DeliveryState, EndReason, TerminalState } from "../../core/delivery.ts";
import type { Event } from "../../core/event.ts";
import type { EventFilter, EventPage } from "../event-page.ts";
import {
  SINGLE_OWNER_EPOCH,
  WINDOW_ROWS_MAX,
  type AcceptItem,
  type AcceptRequest,
  type AttemptRecord,
  type DeliveryFilter,
  type DeliveryId,
  type DeliveryRecord,
  type DeliverySummary,
  type HistoryFilter,
  type HistoryPage,
  isOfState,
  isOfStatus,
  type NewDelivery,
  type PauseReason,
  type QueueCounters,
  type QueueState,
  type ReadyDelivery,
} from "../store.ts";

/** One delivery with everything known of it; `indexed` says that it is found through the due index. */
export interface DeliveryRow {
  readonly id: DeliveryId;
  readonly eventId: string;
  readonly eventType: string;
  readonly subscription: string;
  readonly namespace: string;
  readonly orderKey: string | undefined;
  readonly recordId: string | undefined;
  readonly acceptedAtMs: number;
  readonly historyRetentionMs: number;
  state: DeliveryState;
  reason: EndReason | undefined;
  indexed: boolean;
  dueAtMs: number;
  attempt: number;
  cutOff: number;
  crashes: number;
  loneCrashes: number;
  lone: boolean;
  resent: boolean;
  /** Mark of the spec under which its body could not be made: it waits for another. */
  parked: string | undefined;
  readonly deadLetter: DeadLetterNote | undefined;
  epoch: number;
  endedAtMs: number | undefined;
  /** Ended rows only. */
  expiresAtMs: number | undefined;
  history: readonly StoredAttempt[];
}

export interface StoredAttempt {
  readonly attempt: AttemptRecord;
  readonly expiresAtMs: number;
  readonly bodiesUntilMs: number;
}

/** An attempt of the row, without bodies that are past their own retention. */
export function shown({ attempt, bodiesUntilMs }: StoredAttempt, row: Pick<DeliveryRow, "recordId">, nowMs: number): AttemptRecord {
  const whole = { ...attempt, recordId: attempt.recordId ?? row.recordId };
  return bodiesUntilMs > nowMs ? whole : { ...whole, requestBody: undefined, responseBody: undefined, payloadKey: undefined };
}

export interface StoredEvent {
  /** Ascends in the order of acceptance. */
  readonly number: number;
  readonly event: Event;
  /** How many it was accepted with. */
  readonly deliveries: number;
  readonly expiresAtMs: number;
}

/** One page of events, newest first. */
export function pageOfEvents(stored: Iterable<StoredEvent>, filter: EventFilter, nowMs: number): EventPage {
  const limit = Math.min(filter.limit, WINDOW_ROWS_MAX);
  const found = [...stored].filter((one) => one.expiresAtMs > nowMs && isWanted(one, filter)).toSorted((a, b) => b.number - a.number);
  const page = found.slice(0, limit);
  const events = page.map(({ event: { data, ...event }, deliveries }) => ({ event, dataBytes: data.length, deliveries }));
  return { events, nextBefore: found.length > limit ? page.at(-1)?.number : undefined };
}

function isWanted({ number, event, deliveries }: StoredEvent, filter: EventFilter): boolean {
  return (
    event.namespace === filter.namespace &&
    (filter.type === undefined || event.type === filter.type) &&
    (filter.sourceId === undefined || event.sourceId === filter.sourceId) &&
    (filter.matched === undefined || deliveries > 0 === filter.matched) &&
    (filter.sinceMs === undefined || event.receivedAtMs >= filter.sinceMs) &&
    (filter.untilMs === undefined || event.receivedAtMs < filter.untilMs) &&
    (filter.before === undefined || number < filter.before)
  );
}

export interface IdempotencyRow {
  readonly eventId: string;
  readonly matched: number;
  readonly contentHash: Uint8Array;
  readonly expiresAtMs: number;
}

export interface QueueRow {
  readonly subscription: string;
  namespace: string;
  pauses: Readonly<Partial<Record<PauseReason, number>>>;
  forwards: boolean;
  pending: number;
  counters: QueueCounters;
}

/** A queue nobody has used yet; its counters begin at `sinceMs`. */
export function emptyQueue(subscription: string, namespace: string, sinceMs: number): QueueRow {
  const counters = { sinceMs, accepted: 0, delivered: 0, retried: 0, failed: 0, discarded: 0 };
  return { subscription, namespace, pauses: {}, forwards: false, pending: 0, counters };
}

/** Adds one to a counter. */
export function bump(queue: QueueRow, counter: Exclude<keyof QueueCounters, "sinceMs">): void {
  queue.counters = { ...queue.counters, [counter]: queue.counters[counter] + 1 };
}

/** The row of a delivery just accepted. A first claim under an old epoch is stored as not claimed: its owner is somebody else. */
export function newRow(id: DeliveryId, item: AcceptItem, delivery: NewDelivery, nowMs: number): DeliveryRow {
  const isClaim = delivery.as === "claimed" || delivery.as === "ahead";
  const claimed = isClaim && delivery.epoch === SINGLE_OWNER_EPOCH && delivery.orderKey === undefined;
  return {
    id,
    eventId: item.event.id,
    eventType: item.event.type,
    subscription: delivery.subscription,
    namespace: delivery.namespace,
    orderKey: delivery.orderKey,
    recordId: delivery.recordId,
    acceptedAtMs: nowMs,
    historyRetentionMs: item.historyRetentionMs,
    state: claimed ? "claimed" : "ready",
    reason: undefined,
    indexed: !claimed && (delivery.as !== "fresh" || delivery.orderKey !== undefined),
    dueAtMs: delivery.dueAtMs,
    attempt: claimed ? 1 : 0,
    cutOff: 0,
    crashes: 0,
    loneCrashes: 0,
    lone: false,
    resent: false,
    parked: undefined,
    deadLetter: undefined,
    epoch: delivery.epoch,
    endedAtMs: undefined,
    expiresAtMs: undefined,
    history: [],
  };
}

/** The dead letter of a row that just ended `failed`: a row of its own on the same event, due at once. */
export function deadLetterOf(row: DeliveryRow, id: DeliveryId, reason: EndReason): DeliveryRow {
  const nowMs = row.endedAtMs ?? row.acceptedAtMs;
  const last = row.history.at(-1)?.attempt;
  const told = last === undefined ? {} : { statusCode: last.statusCode, message: last.message };
  const { attempt: attempts, acceptedAtMs } = row;
  return {
    ...row,
    id,
    subscription: deadLetterQueue(row.subscription),
    orderKey: undefined,
    acceptedAtMs: nowMs,
    state: "ready",
    reason: undefined,
    indexed: true,
    dueAtMs: nowMs,
    attempt: 0,
    cutOff: 0,
    crashes: 0,
    loneCrashes: 0,
    lone: false,
    resent: false,
    parked: undefined,
    epoch: SINGLE_OWNER_EPOCH,
    endedAtMs: undefined,
    expiresAtMs: undefined,
    history: [],
    deadLetter: { deliveryId: row.id, reason, attempts, ...told, acceptedAtMs, endedAtMs: nowMs },
  };
}

/** Ready or claimed: still owed. */
export function isPending(row: DeliveryRow): boolean {
  return row.state === "ready" || row.state === "claimed";
}

/** Makes a row final; it stays readable for `retentionMs`. */
export function endRow(
  row: DeliveryRow,
  end: { readonly state: TerminalState; readonly reason: EndReason; readonly nowMs: number; readonly retentionMs: number },
): void {
  const { state, reason, nowMs } = end;
  Object.assign(row, {
    state,
    reason,
    indexed: false,
    endedAtMs: nowMs,
    expiresAtMs: nowMs + end.retentionMs,
    resent: false,
    parked: undefined,
  });
}

export function toReady(row: DeliveryRow): ReadyDelivery {
  const { id, eventId, subscription, namespace, dueAtMs, attempt, cutOff, crashes, acceptedAtMs } = row;
  const { orderKey, recordId, resent, deadLetter } = row;
  return { id, eventId, subscription, namespace, dueAtMs, attempt, cutOff, crashes, acceptedAtMs, orderKey, recordId, resent, deadLetter };
}

export function toRecord(row: DeliveryRow): DeliveryRecord {
  const isParked = row.parked !== undefined;
  return {
    id: row.id,
    eventId: row.eventId,
    eventType: row.eventType,
    subscription: row.subscription,
    namespace: row.namespace,
    state: row.state,
    reason: isParked ? "PayloadInvalid" : row.reason,
    attempts: row.attempt,
    crashes: row.crashes,
    acceptedAtMs: row.acceptedAtMs,
    dueAtMs: row.state === "ready" && !isParked ? row.dueAtMs : undefined,
    endedAtMs: row.endedAtMs,
    recordId: row.recordId,
  };
}

/** A row as a page of history shows it. */
function summaryOf(row: DeliveryRow, nowMs: number): DeliverySummary {
  const attempts = row.history.filter(({ expiresAtMs }) => expiresAtMs > nowMs).map((stored) => stored.attempt);
  const last = attempts.at(-1);
  return {
    ...toRecord(row),
    recordId: row.recordId ?? last?.recordId ?? attempts[0]?.recordId,
    firstAttemptAtMs: attempts[0]?.startedAtMs,
    lastAttempt: last === undefined ? undefined : glance(last),
  };
}

function glance(last: AttemptRecord): NonNullable<DeliverySummary["lastAttempt"]> {
  const { attempt, startedAtMs, durationMs, outcome, statusCode, url, message } = last;
  return { attempt, startedAtMs, durationMs, outcome, statusCode, url, message };
}

/** When the earliest of these rows of each queue is due, ascending. */
export function earliestDue(rows: readonly DeliveryRow[]): { readonly subscription: string; readonly dueAtMs: number }[] {
  const earliest = new Map<string, number>();
  for (const { subscription, dueAtMs } of rows) {
    earliest.set(subscription, Math.min(dueAtMs, earliest.get(subscription) ?? Number.MAX_SAFE_INTEGER));
  }
  return [...earliest].map(([subscription, dueAtMs]) => ({ subscription, dueAtMs })).toSorted((a, b) => a.dueAtMs - b.dueAtMs);
}

/** One page of history. */
export function pageOf(rows: readonly DeliveryRow[], filter: HistoryFilter, nowMs: number): HistoryPage {
  const limit = Math.min(filter.limit, WINDOW_ROWS_MAX);
  const summaries = rows.filter((row) => matches(row, filter)).toSorted((a, b) => b.id - a.id);
  const found = summaries
    .map((row) => summaryOf(row, nowMs))
    .filter(({ recordId, eventId }) => recordId === (filter.recordId ?? recordId) && eventId === (filter.eventId ?? eventId))
    .filter((summary) => isOfStatus(summary, filter.statusCode));
  const deliveries = found.slice(0, limit);
  return { deliveries, nextBeforeId: found.length > limit ? deliveries.at(-1)?.id : undefined };
}

/** Whether a filter wants this row. */
export function matches(row: DeliveryRow, filter: DeliveryFilter): boolean {
  return (
    row.namespace === filter.namespace &&
    (filter.subscriptions?.includes(row.subscription) ?? true) &&
    isOfState(row.state, filter.state) &&
    (filter.type === undefined || row.eventType === filter.type) &&
    (filter.sinceMs === undefined || row.acceptedAtMs >= filter.sinceMs) &&
    (filter.untilMs === undefined || row.acceptedAtMs < filter.untilMs) &&
    (filter.beforeId === undefined || row.id < filter.beforeId)
  );
}

/** Under which an item is deduplicated; undefined = it never is. */
export function idempotencyKeyOf(request: AcceptRequest, item: AcceptItem): string | undefined {
  return item.idempotencyKey === undefined ? undefined : `${request.namespace}\0${item.idempotencyKey}`;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Queues as the seam tells of them. */
export function queueStates(queues: Iterable<QueueRow>, rows: Iterable<DeliveryRow>, owner: string): QueueState[] {
  const oldest = new Map<string, number>();
  for (const row of rows) {
    if (!isPending(row)) continue;
    oldest.set(row.subscription, Math.min(row.acceptedAtMs, oldest.get(row.subscription) ?? Number.MAX_SAFE_INTEGER));
  }
  return [...queues].map((queue) => ({
    subscription: queue.subscription,
    namespace: queue.namespace,
    epoch: SINGLE_OWNER_EPOCH,
    owner,
    pauses: { ...queue.pauses },
    pending: queue.pending,
    oldestAcceptedAtMs: oldest.get(queue.subscription),
    forwards: queue.forwards,
    counters: { ...queue.counters },
  }));
}
