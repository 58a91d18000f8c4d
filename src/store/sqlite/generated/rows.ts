// Generated from src/store/sqlite/tables.ts by `npm run generate`; do not edit.
import type { StatementSync } from "node:sqlite";
import type { EndReason, TerminalState } from "../../../core/delivery.ts";
import type { DataKind } from "../../../core/event.ts";
import type { AttemptRecord, PauseReason } from "../../store.ts";
import type { PacketReader, PacketWriter } from "../packet.ts";
import type { Value } from "../row-statement.ts";

const NO_BYTES = new Uint8Array();

export interface Hot {
  readonly id: number;
  readonly queue: number;
  state: number;
  due: number;
  attempt: number;
  crashes: number;
  loneCrashes: number;
  lone: number;
  resent: number;
  epoch: number;
  readonly event: number;
  readonly eventDay: number;
  readonly eventId: Uint8Array | string;
  readonly type: string;
  readonly orderKey: string | null;
  readonly accepted: number;
  readonly historyMs: number;
  readonly note: string | null;
  cut: number;
  readonly recordId: string | null;
}

/** Runs an INSERT into `delivery`, see `insertSql`. */
export function insertHot(statement: StatementSync, row: Hot): ReturnType<StatementSync["run"]> {
  return statement.run(
    row.id,
    row.queue,
    row.state,
    row.due,
    row.attempt,
    row.crashes,
    row.loneCrashes,
    row.lone,
    row.resent,
    row.epoch,
    row.event,
    row.eventDay,
    row.eventId,
    row.type,
    row.orderKey,
    row.accepted,
    row.historyMs,
    row.note,
    row.cut,
    row.recordId,
  );
}

/** A row of `delivery`, of its values in the order of `columnNames`. */
export function toHot(values: readonly Value[]): Hot {
  return {
    id: values[0] as number,
    queue: values[1] as number,
    state: values[2] as number,
    due: values[3] as number,
    attempt: values[4] as number,
    crashes: values[5] as number,
    loneCrashes: values[6] as number,
    lone: values[7] as number,
    resent: values[8] as number,
    epoch: values[9] as number,
    event: values[10] as number,
    eventDay: values[11] as number,
    eventId: values[12] as Uint8Array | string,
    type: values[13] as string,
    orderKey: values[14] as string | null,
    accepted: values[15] as number,
    historyMs: values[16] as number,
    note: values[17] as string | null,
    cut: values[18] as number,
    recordId: values[19] as string | null,
  };
}

export interface OutcomeOwn {
  readonly state: TerminalState;
  readonly reason: EndReason;
  readonly endedAtMs: number;
  readonly expiresAtMs: number;
}

export interface OutcomeTold {
  readonly id: number;
  readonly queue: number;
  readonly attempt: number;
  readonly crashes: number;
  readonly loneCrashes: number;
  readonly accepted: number;
  readonly event: number;
  readonly eventDay: number;
  readonly eventId: Uint8Array | string;
  readonly type: string;
  readonly orderKey: string | null;
  readonly historyMs: number;
  readonly recordId: string | null;
}

export type OutcomeRow = OutcomeOwn & OutcomeTold;

/** Runs an INSERT into `outcome`, see `insertSql`. */
export function insertOutcomeRow(statement: StatementSync, own: OutcomeOwn, told: OutcomeTold): ReturnType<StatementSync["run"]> {
  return statement.run(
    told.id,
    told.queue,
    own.state,
    own.reason,
    told.attempt,
    told.crashes,
    told.loneCrashes,
    told.accepted,
    own.endedAtMs,
    own.expiresAtMs,
    told.event,
    told.eventDay,
    told.eventId,
    told.type,
    told.orderKey,
    told.historyMs,
    told.recordId,
  );
}

/** A row of `outcome`, of its values in the order of `columnNames`. */
export function toOutcomeRow(values: readonly Value[]): OutcomeRow {
  return {
    id: values[0] as number,
    queue: values[1] as number,
    state: values[2] as TerminalState,
    reason: values[3] as EndReason,
    attempt: values[4] as number,
    crashes: values[5] as number,
    loneCrashes: values[6] as number,
    accepted: values[7] as number,
    endedAtMs: values[8] as number,
    expiresAtMs: values[9] as number,
    event: values[10] as number,
    eventDay: values[11] as number,
    eventId: values[12] as Uint8Array | string,
    type: values[13] as string,
    orderKey: values[14] as string | null,
    historyMs: values[15] as number,
    recordId: values[16] as string | null,
  };
}

export interface AttemptOwn {
  readonly place: number;
  readonly expiresAtMs: number;
  readonly bodiesUntilMs: number | undefined;
}

export interface AttemptTold {
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly outcome: AttemptRecord["outcome"];
  readonly statusCode: number | undefined;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly message: string;
  readonly url: string;
  readonly recordId: string | undefined;
  readonly requestHeadersText: string;
  readonly requestBody: Uint8Array | undefined;
  readonly responseHeadersText: string;
  readonly responseBody: Uint8Array | undefined;
  readonly payloadKey?: string | undefined;
}

export type AttemptRow = AttemptOwn & AttemptTold;

/** Runs an INSERT into `attempt`, see `insertSql`. */
export function insertAttemptRow(statement: StatementSync, own: AttemptOwn, told: AttemptTold): ReturnType<StatementSync["run"]> {
  return statement.run(
    own.place,
    told.attempt,
    told.startedAtMs,
    told.durationMs,
    told.outcome,
    told.statusCode ?? null,
    told.connectionStatus,
    told.tlsStatus,
    told.message,
    told.url,
    told.recordId ?? null,
    told.requestHeadersText,
    told.requestBody ?? null,
    told.responseHeadersText,
    told.responseBody ?? null,
    own.expiresAtMs,
    told.payloadKey ?? null,
    own.bodiesUntilMs ?? null,
  );
}

/** A row of `attempt`, of its values in the order of `columnNames`. */
export function toAttemptRow(values: readonly Value[]): AttemptRow {
  return {
    place: values[0] as number,
    attempt: values[1] as number,
    startedAtMs: values[2] as number,
    durationMs: values[3] as number,
    outcome: values[4] as AttemptRecord["outcome"],
    statusCode: (values[5] as number | null) ?? undefined,
    connectionStatus: values[6] as string,
    tlsStatus: values[7] as string,
    message: values[8] as string,
    url: values[9] as string,
    recordId: (values[10] as string | null) ?? undefined,
    requestHeadersText: values[11] as string,
    requestBody: (values[12] as Uint8Array | null) ?? undefined,
    responseHeadersText: values[13] as string,
    responseBody: (values[14] as Uint8Array | null) ?? undefined,
    expiresAtMs: values[15] as number,
    payloadKey: (values[16] as string | null) ?? undefined,
    bodiesUntilMs: (values[17] as number | null) ?? undefined,
  };
}

export function writeAttempt(out: PacketWriter, told: Omit<AttemptTold, "requestHeadersText" | "responseHeadersText">, requestHeadersText: string, responseHeadersText: string): void {
  out.number(told.attempt);
  out.number(told.startedAtMs);
  out.number(told.durationMs);
  out.string(told.outcome);
  out.optionalNumber(told.statusCode);
  out.string(told.connectionStatus);
  out.string(told.tlsStatus);
  out.string(told.message);
  out.string(told.url);
  out.string(told.recordId);
  out.string(requestHeadersText);
  out.blob(told.requestBody);
  out.string(responseHeadersText);
  out.blob(told.responseBody);
  out.string(told.payloadKey);
}

export function readAttempt(from: PacketReader): AttemptTold {
  return {
    attempt: from.number(),
    startedAtMs: from.number(),
    durationMs: from.number(),
    outcome: from.string() as AttemptRecord["outcome"],
    statusCode: from.optionalNumber(),
    connectionStatus: from.string(),
    tlsStatus: from.string(),
    message: from.string(),
    url: from.string(),
    recordId: from.optionalString(),
    requestHeadersText: from.string(),
    requestBody: from.blob(),
    responseHeadersText: from.string(),
    responseBody: from.blob(),
    payloadKey: from.optionalString(),
  };
}

export interface EventOwn {
  readonly event: number;
  readonly eventId: Uint8Array | string;
  readonly deliveries: number;
  readonly expiresAtMs: number;
}

export interface EventTold {
  readonly id: string;
  readonly namespace: string;
  readonly sourceId: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string | undefined;
  readonly time: string | undefined;
  readonly dataContentType: string | undefined;
  readonly dataKind: DataKind;
  readonly extensionsText: string;
  readonly receivedAtMs: number;
  readonly data: Uint8Array;
}

export type EventRow = EventOwn & Omit<EventTold, "id">;

/** Runs an INSERT into `event`, see `insertSql`. */
export function insertEventRow(statement: StatementSync, own: EventOwn, told: EventTold): ReturnType<StatementSync["run"]> {
  return statement.run(
    own.event,
    own.eventId,
    own.deliveries,
    told.namespace,
    told.sourceId,
    told.source,
    told.type,
    told.subject ?? null,
    told.time ?? null,
    told.dataContentType ?? null,
    told.dataKind,
    told.extensionsText,
    told.receivedAtMs,
    own.expiresAtMs,
    told.data,
  );
}

/** A row of `event`, of its values in the order of `columnNames`. */
export function toEventRow(values: readonly Value[]): EventRow {
  return {
    event: values[0] as number,
    eventId: values[1] as Uint8Array | string,
    deliveries: values[2] as number,
    namespace: values[3] as string,
    sourceId: values[4] as string,
    source: values[5] as string,
    type: values[6] as string,
    subject: (values[7] as string | null) ?? undefined,
    time: (values[8] as string | null) ?? undefined,
    dataContentType: (values[9] as string | null) ?? undefined,
    dataKind: values[10] as DataKind,
    extensionsText: values[11] as string,
    receivedAtMs: values[12] as number,
    expiresAtMs: values[13] as number,
    data: values[14] as Uint8Array,
  };
}

export function writeEvent(out: PacketWriter, told: Omit<EventTold, "extensionsText">, extensionsText: string): void {
  out.string(told.id);
  out.string(told.namespace);
  out.string(told.sourceId);
  out.string(told.source);
  out.string(told.type);
  out.string(told.subject);
  out.string(told.time);
  out.string(told.dataContentType);
  out.string(told.dataKind);
  out.string(extensionsText);
  out.number(told.receivedAtMs);
  out.blob(told.data);
}

export function readEvent(from: PacketReader): EventTold {
  return {
    id: from.string(),
    namespace: from.string(),
    sourceId: from.string(),
    source: from.string(),
    type: from.string(),
    subject: from.optionalString(),
    time: from.optionalString(),
    dataContentType: from.optionalString(),
    dataKind: from.string() as DataKind,
    extensionsText: from.string(),
    receivedAtMs: from.number(),
    data: from.blob() ?? NO_BYTES,
  };
}

export interface QueueRow {
  readonly queue: number;
  readonly subscription: string;
  namespace: string;
  forgotten: boolean;
  readonly epoch: number;
  readonly owner: string | undefined;
  pauses: Partial<Record<PauseReason, number>>;
  pending: number;
  sinceMs: number;
  accepted: number;
  delivered: number;
  retried: number;
  failed: number;
  discarded: number;
  forwards: boolean;
}

/** Runs an INSERT into `subscription_queue`, see `insertSql`. */
export function insertQueueRow(statement: StatementSync, row: QueueRow): ReturnType<StatementSync["run"]> {
  return statement.run(
    row.queue,
    row.subscription,
    row.namespace,
    row.forgotten ? 1 : 0,
    row.epoch,
    row.owner ?? null,
    JSON.stringify(row.pauses),
    row.pending,
    row.sinceMs,
    row.accepted,
    row.delivered,
    row.retried,
    row.failed,
    row.discarded,
    row.forwards ? 1 : 0,
  );
}

/** A row of `subscription_queue`, of its values in the order of `columnNames`. */
export function toQueueRow(values: readonly Value[]): QueueRow {
  return {
    queue: values[0] as number,
    subscription: values[1] as string,
    namespace: values[2] as string,
    forgotten: values[3] === 1,
    epoch: values[4] as number,
    owner: (values[5] as string | null) ?? undefined,
    pauses: JSON.parse(values[6] as string) as Partial<Record<PauseReason, number>>,
    pending: values[7] as number,
    sinceMs: values[8] as number,
    accepted: values[9] as number,
    delivered: values[10] as number,
    retried: values[11] as number,
    failed: values[12] as number,
    discarded: values[13] as number,
    forwards: values[14] === 1,
  };
}

export interface ResultRow {
  readonly eventId: Uint8Array | string;
  readonly namespace: string;
  readonly event: number;
  readonly deliveries: number;
  readonly keptUntilMs: number;
}

/** Runs an INSERT into `result`, see `insertSql`. */
export function insertResultRow(statement: StatementSync, row: ResultRow): ReturnType<StatementSync["run"]> {
  return statement.run(
    row.eventId,
    row.namespace,
    row.event,
    row.deliveries,
    row.keptUntilMs,
  );
}

/** A row of `result`, of its values in the order of `columnNames`. */
export function toResultRow(values: readonly Value[]): ResultRow {
  return {
    eventId: values[0] as Uint8Array | string,
    namespace: values[1] as string,
    event: values[2] as number,
    deliveries: values[3] as number,
    keptUntilMs: values[4] as number,
  };
}
