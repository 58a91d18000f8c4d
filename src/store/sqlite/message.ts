import type { Event, DataKind } from "../../core/event.ts";
import type { AcceptItem, AcceptRequest, AttemptRecord, ClaimRequest, Completion, NewDelivery, StoreErrorCode } from "../store.ts";
import type { EndReason, TerminalState } from "../../core/delivery.ts";
import type { PacketReader, PacketWriter } from "./packet.ts";

/** What the writer is asked, in packed form; everything rare travels as JSON in `call`. */
export const OPERATION = { accept: 1, claim: 2, complete: 3, call: 4 } as const;

/** How the writer answers one operation; `usage` answers none: it tells what namespaces hold now. */
export const ANSWER = { accepted: 1, conflict: 2, claimed: 3, completed: 4, called: 5, failed: 6, usage: 7 } as const;

/** How the event comes with a claim: not at all, in full, or as that of an earlier claim in the same answer. */
export const CLAIMED_EVENT = { none: 0, full: 1, earlier: 2 } as const;

const AS: readonly NewDelivery["as"][] = ["claimed", "fresh", "indexed"];
const KINDS: readonly DataKind[] = ["json", "text", "form", "binary", "none"];

export interface AcceptOperation {
  readonly kind: "accept";
  readonly callId: number;
  readonly request: AcceptRequest;
}
export interface ClaimOperation {
  readonly kind: "claim";
  readonly callId: number;
  readonly claims: readonly ClaimRequest[];
}
export interface CompleteOperation {
  readonly kind: "complete";
  readonly callId: number;
  readonly completions: readonly Completion[];
}
export interface CallOperation {
  readonly kind: "call";
  readonly callId: number;
  readonly method: string;
  readonly args: readonly unknown[];
}
export type Operation = AcceptOperation | ClaimOperation | CompleteOperation | CallOperation;

/** An error that crosses threads by code and message. */
export interface Failure {
  readonly code: StoreErrorCode;
  readonly message: string;
}

export function writeEvent(out: PacketWriter, event: Event, extensionsText = objectText(event.extensions)): void {
  out.string(event.id);
  out.string(event.namespace);
  out.string(event.sourceId);
  out.string(event.source);
  out.string(event.type);
  out.string(event.subject);
  out.string(event.time);
  out.string(event.dataContentType);
  out.string(extensionsText);
  out.number(KINDS.indexOf(event.dataKind));
  out.number(event.receivedAtMs);
  out.blob(event.data);
}

export function readEvent(from: PacketReader): Event & { readonly extensionsText: string } {
  const id = from.string();
  const namespace = from.string();
  const sourceId = from.string();
  const source = from.string();
  const type = from.string();
  const subject = from.optionalString();
  const time = from.optionalString();
  const dataContentType = from.optionalString();
  const extensionsText = from.string();
  const dataKind = KINDS[from.number()] ?? "none";
  const receivedAtMs = from.number();
  const data = from.blob() ?? new Uint8Array();
  const extensions = {};
  return {
    id,
    namespace,
    sourceId,
    source,
    type,
    subject,
    time,
    dataContentType,
    dataKind,
    data,
    extensions,
    receivedAtMs,
    extensionsText,
  };
}

export function writeAccept(out: PacketWriter, callId: number, request: AcceptRequest): void {
  out.number(OPERATION.accept);
  out.number(callId);
  out.string(request.namespace);
  out.number(request.nowMs);
  out.number(request.items.length);
  for (const item of request.items) {
    writeEvent(out, item.event);
    out.string(item.idempotencyKey);
    if (item.idempotencyKey !== undefined) out.blob(item.contentHash);
    out.number(item.bodyRetentionMs);
    out.number(item.historyRetentionMs);
    out.number(item.maxAgeMs ?? 0);
    out.number(item.deliveries.length);
    for (const delivery of item.deliveries) {
      out.string(delivery.subscription);
      out.string(delivery.namespace);
      out.string(delivery.orderKey);
      out.number(delivery.dueAtMs);
      out.number(AS.indexOf(delivery.as));
      out.number(delivery.epoch);
    }
  }
}

function readAcceptItem(from: PacketReader): AcceptItem {
  const event = readEvent(from);
  const idempotencyKey = from.optionalString();
  const contentHash = idempotencyKey === undefined ? undefined : from.blob();
  const bodyRetentionMs = from.number();
  const historyRetentionMs = from.number();
  const maxAgeMs = from.number();
  const deliveries: NewDelivery[] = [];
  for (let left = from.number(); left > 0; left--) {
    const subscription = from.string();
    const namespace = from.string();
    const orderKey = from.optionalString();
    const dueAtMs = from.number();
    const as = AS[from.number()] ?? "indexed";
    deliveries.push({ subscription, namespace, orderKey, dueAtMs, as, epoch: from.number() });
  }
  return { event, idempotencyKey, contentHash: contentHash ?? new Uint8Array(), bodyRetentionMs, historyRetentionMs, maxAgeMs, deliveries };
}

export function writeClaims(out: PacketWriter, callId: number, claims: readonly ClaimRequest[]): void {
  out.number(OPERATION.claim);
  out.number(callId);
  out.number(claims.length);
  for (const claim of claims) {
    out.number(claim.id);
    out.number(claim.epoch);
    out.flag(claim.lone);
    out.flag(claim.withEvent);
  }
}

export function writeCompletions(out: PacketWriter, callId: number, completions: readonly Completion[]): void {
  out.number(OPERATION.complete);
  out.number(callId);
  out.number(completions.length);
  for (const completion of completions) {
    out.number(completion.id);
    out.number(completion.epoch);
    out.number(completion.nowMs);
    out.number(completion.historyRetentionMs);
    out.number(completion.bodiesRetentionMs ?? completion.historyRetentionMs);
    const { next } = completion;
    if (next.state === "ready") {
      out.string(undefined);
      out.number(next.dueAtMs);
      out.flag(next.uncounted === true);
      out.string(next.parked);
    } else {
      out.string(next.state);
      out.string(next.reason);
    }
    out.flag(completion.attempt !== undefined);
    if (completion.attempt !== undefined) writeAttempt(out, completion.attempt);
  }
}

function readCompletion(from: PacketReader): Completion {
  const id = from.number();
  const epoch = from.number();
  const nowMs = from.number();
  const historyRetentionMs = from.number();
  const bodiesRetentionMs = from.number();
  const state = from.optionalString() as TerminalState | undefined;
  const next: Completion["next"] = state === undefined ? readReady(from) : { state, reason: from.string() as EndReason };
  const attempt = from.flag() ? readAttempt(from) : undefined;
  return { id, epoch, nowMs, historyRetentionMs, bodiesRetentionMs, next, attempt };
}

function readReady(from: PacketReader): Completion["next"] {
  const dueAtMs = from.number();
  const uncounted = from.flag();
  const parked = from.optionalString();
  return { state: "ready", dueAtMs, uncounted, ...(parked === undefined ? {} : { parked }) };
}

/** The parts of an attempt that its delivery row does not know; headers stay JSON text until somebody reads them. */
export interface PackedAttempt extends AttemptRecord {
  readonly requestHeadersText: string;
  readonly responseHeadersText: string;
}

function writeAttempt(out: PacketWriter, attempt: AttemptRecord): void {
  out.number(attempt.attempt);
  out.number(attempt.startedAtMs);
  out.number(attempt.durationMs);
  out.string(attempt.outcome);
  out.optionalNumber(attempt.statusCode);
  out.string(attempt.connectionStatus);
  out.string(attempt.tlsStatus);
  out.string(attempt.message);
  out.string(attempt.url);
  out.string(attempt.recordId);
  out.string(listText(attempt.requestHeaders));
  out.blob(attempt.requestBody);
  out.string(listText(attempt.responseHeaders));
  out.blob(attempt.responseBody);
  out.string(attempt.payloadKey);
}

const NO_HEADERS: AttemptRecord["requestHeaders"] = [];

/** Fields in the order in which they were written. */
function readAttempt(from: PacketReader): PackedAttempt {
  return {
    deliveryId: 0,
    eventId: "",
    subscription: "",
    namespace: "",
    eventType: "",
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
    requestHeaders: NO_HEADERS,
    requestHeadersText: from.string(),
    requestBody: from.blob(),
    responseHeaders: NO_HEADERS,
    responseHeadersText: from.string(),
    responseBody: from.blob(),
    payloadKey: from.optionalString(),
  };
}

export function writeCall(out: PacketWriter, callId: number, call: { readonly method: string; readonly args: readonly unknown[] }): void {
  out.number(OPERATION.call);
  out.number(callId);
  out.string(JSON.stringify(call));
}

/** The next operation of a packet. */
export function readOperation(from: PacketReader): Operation {
  const kind = from.number();
  const callId = from.number();
  if (kind === OPERATION.accept) {
    const namespace = from.string();
    const nowMs = from.number();
    const items: AcceptItem[] = [];
    for (let left = from.number(); left > 0; left--) items.push(readAcceptItem(from));
    return { kind: "accept", callId, request: { namespace, nowMs, items } };
  }
  if (kind === OPERATION.claim) {
    const claims: ClaimRequest[] = [];
    for (let left = from.number(); left > 0; left--) {
      claims.push({ id: from.number(), epoch: from.number(), lone: from.flag(), withEvent: from.flag() });
    }
    return { kind: "claim", callId, claims };
  }
  if (kind === OPERATION.complete) {
    const completions: Completion[] = [];
    for (let left = from.number(); left > 0; left--) completions.push(readCompletion(from));
    return { kind: "complete", callId, completions };
  }
  const { method, args } = JSON.parse(from.string()) as { method: string; args: unknown[] };
  return { kind: "call", callId, method, args };
}

function objectText(value: Readonly<Record<string, string>>): string {
  for (const _ in value) return JSON.stringify(value);
  return "{}";
}

function listText(value: readonly (readonly [string, string])[]): string {
  return value.length === 0 ? "[]" : JSON.stringify(value);
}
