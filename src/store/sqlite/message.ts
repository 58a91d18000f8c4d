import type { EndReason, TerminalState } from "../../core/delivery.ts";
import type { Extensions } from "../../core/event.ts";
import type { AcceptItem, AcceptRequest, ClaimRequest, Completion, NewDelivery, StoreErrorCode } from "../store.ts";
import type { Call, WriteCalls } from "./calls.ts";
import { readAttempt, readEvent, writeAttempt, writeEvent, type AttemptTold, type EventTold } from "./generated/rows.ts";
import type { PacketReader, PacketWriter } from "./packet.ts";

/** What the writer is asked, in packed form; everything rare travels as JSON in `call`. */
export const OPERATION = { accept: 1, claim: 2, complete: 3, call: 4 } as const;

/** How the writer answers one operation; `usage` answers none: it tells what namespaces hold now. */
export const ANSWER = { accepted: 1, conflict: 2, claimed: 3, completed: 4, called: 5, failed: 6, usage: 7 } as const;

/** How the event comes with a claim: not at all, in full, or as that of an earlier claim in the same answer. */
export const CLAIMED_EVENT = { none: 0, full: 1, earlier: 2 } as const;

const AS: readonly NewDelivery["as"][] = ["claimed", "fresh", "indexed", "ahead"];

/** As they come out of a packet: JSON that nobody looks into stays text. */
export type PackedItem = Omit<AcceptItem, "event"> & { readonly event: EventTold };
export type PackedRequest = Omit<AcceptRequest, "items"> & { readonly items: readonly PackedItem[] };
export type PackedCompletion = Omit<Completion, "attempt"> & { readonly attempt: AttemptTold | undefined };

export interface AcceptOperation {
  readonly kind: "accept";
  readonly callId: number;
  readonly request: PackedRequest;
}
export interface ClaimOperation {
  readonly kind: "claim";
  readonly callId: number;
  readonly claims: readonly ClaimRequest[];
}
export interface CompleteOperation {
  readonly kind: "complete";
  readonly callId: number;
  readonly completions: readonly PackedCompletion[];
}
export interface CallOperation {
  readonly kind: "call";
  readonly callId: number;
  readonly call: Call<WriteCalls>;
}
export type Operation = AcceptOperation | ClaimOperation | CompleteOperation | CallOperation;

/** An error that crosses threads by code and message. */
export interface Failure {
  readonly code: StoreErrorCode;
  readonly message: string;
}

export function writeAccept(out: PacketWriter, callId: number, request: AcceptRequest): void {
  out.number(OPERATION.accept);
  out.number(callId);
  out.string(request.namespace);
  out.number(request.nowMs);
  out.number(request.items.length);
  for (const item of request.items) {
    writeEvent(out, item.event, objectText(item.event.extensions));
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
      out.string(delivery.recordId);
      out.number(delivery.dueAtMs);
      out.number(AS.indexOf(delivery.as));
      out.number(delivery.epoch);
    }
  }
}

function readAcceptItem(from: PacketReader): PackedItem {
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
    const recordId = from.optionalString();
    const dueAtMs = from.number();
    const as = AS[from.number()] ?? "indexed";
    deliveries.push({ subscription, namespace, orderKey, recordId, dueAtMs, as, epoch: from.number() });
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
    const { attempt } = completion;
    if (attempt !== undefined) writeAttempt(out, attempt, listText(attempt.requestHeaders), listText(attempt.responseHeaders));
  }
}

function readCompletion(from: PacketReader): PackedCompletion {
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

export function writeCall(out: PacketWriter, callId: number, call: Call<WriteCalls>): void {
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
    const items: PackedItem[] = [];
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
    const completions: PackedCompletion[] = [];
    for (let left = from.number(); left > 0; left--) completions.push(readCompletion(from));
    return { kind: "complete", callId, completions };
  }
  return { kind: "call", callId, call: JSON.parse(from.string()) };
}

function objectText(value: Extensions): string {
  for (const _ in value) return JSON.stringify(value);
  return "{}";
}

function listText(value: readonly (readonly [string, string])[]): string {
  return value.length === 0 ? "[]" : JSON.stringify(value);
}
