import type { Worker } from "node:worker_threads";
import type { Event, Extensions } from "../../core/event.ts";
import type { Clock } from "../../lib/clock.ts";
import { ownText } from "../../lib/own-text.ts";
import { Slots } from "../../lib/slots.ts";
import { UsageBook } from "../usage-book.ts";
import {
  StoreError,
  type AcceptRequest,
  type AcceptResult,
  type AcceptedItem,
  type ClaimRequest,
  type Claimed,
  type Completion,
  type StoreErrorCode,
} from "../store.ts";
import type { AnswerTo, Call, WriteCalls } from "./calls.ts";
import { readEvent } from "./generated/rows.ts";
import { ANSWER, CLAIMED_EVENT, writeAccept, writeCall, writeClaims, writeCompletions } from "./message.ts";
import { PacketReader, PacketWriter, type Packet } from "./packet.ts";
import type { ToWriter } from "./worker-message.ts";

interface Waiting {
  readonly answer: (from: PacketReader, kind: number) => void;
  readonly reject: (error: Error) => void;
  readonly askedAtMs: number;
}

/**
 * The main thread's end of the one write queue: what is asked within one turn of the event loop goes over as one packet, and the
 * writer's batches come back as one packet each.
 */
export class WriteChannel {
  /** As of the last batch that was answered. */
  readonly usage = new UsageBook();
  readonly #worker: Worker;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #out = new PacketWriter();
  #waiting = new Slots<Waiting>();
  readonly #onCommit: ((seconds: number, operations: number) => void) | undefined;
  #scheduled = false;
  #idle: (() => void)[] = [];
  #broken: StoreError | undefined;

  constructor(worker: Worker, clock: Pick<Clock, "monotonicMs">, onCommit: ((seconds: number, operations: number) => void) | undefined) {
    this.#worker = worker;
    this.#clock = clock;
    this.#onCommit = onCommit;
  }

  accept(request: AcceptRequest): Promise<AcceptResult> {
    return this.#ask(
      (callId) => writeAccept(this.#out, callId, request),
      (from, kind) => readAccepted(from, kind, request),
    );
  }

  claim(claims: readonly ClaimRequest[]): Promise<readonly (Claimed | undefined)[]> {
    return this.#ask(
      (callId) => writeClaims(this.#out, callId, claims),
      (from) => readClaims(from, claims),
    );
  }

  complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    return this.#ask(
      (callId) => writeCompletions(this.#out, callId, completions),
      (from) => completions.map(() => from.flag()),
    );
  }

  call<C extends Call<WriteCalls>>(call: C): Promise<AnswerTo<WriteCalls, C>> {
    return this.#ask(
      (callId) => writeCall(this.#out, callId, call),
      (from) => JSON.parse(from.string()),
    );
  }

  /** Takes a packet of answers. */
  answered(packet: Packet): void {
    const from = new PacketReader(packet);
    const seconds = from.number();
    const operations = from.number();
    this.#onCommit?.(seconds, operations);
    while (!from.done) {
      const kind = from.number();
      const callId = from.number();
      if (kind === ANSWER.usage) {
        for (let left = callId; left > 0; left--) this.usage.set(ownText(from.string()), { bytes: from.number(), owed: from.number() });
        continue;
      }
      const waiting = this.#waiting.get(callId);
      if (waiting === undefined) throw new Error(`an answer to call ${callId}, which was never made`);
      this.#waiting.remove(callId, waiting);
      if (kind === ANSWER.failed) {
        const code = from.string() as StoreErrorCode;
        waiting.reject(new StoreError(code, from.string()));
      } else {
        waiting.answer(from, kind);
      }
    }
    if (this.#waiting.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** For how long the oldest of what is not answered has waited, ms; 0 = nothing waits. */
  oldestMs(): number {
    let oldestAtMs = Number.POSITIVE_INFINITY;
    for (const { askedAtMs } of this.#waiting) oldestAtMs = Math.min(oldestAtMs, askedAtMs);
    return Math.max(0, this.#clock.monotonicMs() - oldestAtMs);
  }

  /** Settles when everything asked so far is answered. */
  async idle(): Promise<void> {
    if (this.#waiting.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** The thread is gone: what waits may or may not have been written. */
  break(error: StoreError): void {
    this.#broken = error;
    for (const each of this.#waiting) each.reject(new StoreError("unknown", error.message, { cause: error }));
    this.#waiting = new Slots();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #ask<T>(write: (callId: number) => void, read: (from: PacketReader, kind: number) => T): Promise<T> {
    if (this.#broken !== undefined) return Promise.reject(new StoreError("unavailable", this.#broken.message));
    return new Promise<T>((resolve, reject) => {
      write(this.#waiting.add({ answer: (from, kind) => resolve(read(from, kind)), reject, askedAtMs: this.#clock.monotonicMs() }));
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.#send());
    });
  }

  #send(): void {
    this.#scheduled = false;
    if (this.#broken !== undefined) return;
    const { packet, transfer } = this.#out.take();
    const message: ToWriter = { type: "packet", packet };
    this.#worker.postMessage(message, transfer);
  }
}

function readAccepted(from: PacketReader, kind: number, request: AcceptRequest): AcceptResult {
  if (kind === ANSWER.conflict) return { ok: false, conflict: { index: from.number(), eventId: from.string() } };
  const items = request.items.map((item): AcceptedItem => {
    const firstId = from.number();
    if (firstId === 0) return { matched: from.number(), eventId: from.string(), duplicate: true, deliveryIds: [] };
    const matched = item.deliveries.length;
    const deliveryIds = matched === 1 ? [firstId] : item.deliveries.map((_, i) => firstId + i);
    return { eventId: item.event.id, matched, duplicate: false, deliveryIds };
  });
  return { ok: true, items };
}

function readClaims(from: PacketReader, claims: readonly ClaimRequest[]): (Claimed | undefined)[] {
  const all: (Claimed | undefined)[] = [];
  for (const { id } of claims) {
    if (!from.flag()) {
      all.push(undefined);
      continue;
    }
    const attempt = from.number();
    const how = from.number();
    const event = how === CLAIMED_EVENT.full ? claimedEvent(from) : how === CLAIMED_EVENT.earlier ? all[from.number()]?.event : undefined;
    all.push({ id, attempt, event });
  }
  return all;
}

function claimedEvent(from: PacketReader): Event {
  const { extensionsText, ...event } = readEvent(from);
  // Buffer and text of the packet are shared by a whole batch: copies let the rest go. Id and type outlive the attempt (health).
  const { data, id, type } = event;
  return {
    ...event,
    id: ownText(id),
    type: ownText(type),
    data: data.slice(),
    extensions: JSON.parse(extensionsText) as Extensions,
  };
}
