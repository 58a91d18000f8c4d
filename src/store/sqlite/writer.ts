import type { DatabaseSync } from "node:sqlite";
import { LONE_CRASHES_MAX } from "../../core/delivery.ts";
import { eventBytes, KEY_ROW_BYTES, RESULT_ROW_BYTES } from "../../core/stored-bytes.ts";
import { unreachable } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import { SINGLE_OWNER_EPOCH, type ClaimRequest, type NewDelivery } from "../store.ts";
import { interruptedAttempt } from "../interrupted-attempt.ts";
import { keptOf } from "../unmatched.ts";
import { answerCall, type WriteCalls } from "./calls.ts";
import { BEHIND, CLAIMED, FRESH, INDEXED, type DeliveryTable } from "./delivery-table.ts";
import { Endings } from "./endings.ts";
import { packEventId } from "./event-id.ts";
import type { EventTable } from "./event-table.ts";
import { writeEvent, type Hot } from "./generated/rows.ts";
import type { Known } from "./idempotency-table.ts";
import { ANSWER, CLAIMED_EVENT, type Operation, type PackedCompletion, type PackedRequest } from "./message.ts";
import type { PacketWriter } from "./packet.ts";
import type { QueueTable } from "./queue-table.ts";
import { RareWrites } from "./rare-writes.ts";
import { expiryDay } from "./schema.ts";
import type { NamespaceHeld, UsageTable } from "./usage-table.ts";
import { WrittenTables, type TablesMark } from "./written-tables.ts";

type Answer = (out: PacketWriter) => void;
/** Of one answer: which of its claims brings which event. */
type Told = Map<number, number>;

const NO_EVENT: Answer = (out) => out.number(CLAIMED_EVENT.none);

/** Applies operations to the database inside a transaction that the caller opens and commits; see WrittenTables for what it keeps in memory. */
export class Writer {
  readonly #tables: WrittenTables;
  readonly #endings: Endings;
  readonly #rare: RareWrites;
  readonly #queues: QueueTable;
  readonly #events: EventTable;
  readonly #deliveries: DeliveryTable;
  readonly #usage: UsageTable;

  /** `clock` measures how long a step of the retention takes. */
  constructor(db: DatabaseSync, idempotencyTtlMs: number, generationKeys?: number, clock?: Pick<Clock, "monotonicMs">) {
    this.#tables = new WrittenTables(db, idempotencyTtlMs, generationKeys, clock);
    this.#endings = new Endings(this.#tables);
    this.#rare = new RareWrites(db, this.#tables, this.#endings);
    const { queues, events, deliveries, usage } = this.#tables;
    this.#queues = queues;
    this.#events = events;
    this.#deliveries = deliveries;
    this.#usage = usage;
  }

  mark(): TablesMark {
    return this.#tables.mark();
  }

  undo(mark: TablesMark): void {
    this.#tables.undo(mark);
  }

  settle(): void {
    this.#tables.settle();
  }

  flush(): void {
    this.#tables.flush();
  }

  pending(): number {
    return this.#queues.pending();
  }

  /** What each namespace holds. */
  usage(): readonly NamespaceHeld[] {
    return this.#usage.all();
  }

  /** Tells what namespaces hold, where it has changed durably since the last time. */
  tellUsage(out: PacketWriter): void {
    const changed = this.#usage.takeChanged();
    if (changed.length === 0) return;
    out.number(ANSWER.usage);
    out.number(changed.length);
    for (const [namespace, { bytes, owed }] of changed) {
      out.string(namespace);
      out.number(bytes);
      out.number(owed);
    }
  }

  /** Applies one operation and gives what to answer once the commit has returned. */
  apply(operation: Operation): Answer {
    switch (operation.kind) {
      case "accept":
        return this.#accept(operation.callId, operation.request);
      case "claim": {
        const told: Told = new Map();
        const answers = operation.claims.map((claim, at) => this.#claim(claim, { told, at }));
        return (out) => {
          out.number(ANSWER.claimed);
          out.number(operation.callId);
          for (const answer of answers) answer(out);
        };
      }
      case "complete": {
        const done = operation.completions.map((completion) => this.#complete(completion));
        return (out) => {
          out.number(ANSWER.completed);
          out.number(operation.callId);
          for (const each of done) out.flag(each);
        };
      }
      case "call": {
        const value = answerCall<WriteCalls, keyof WriteCalls>(this.#rare, operation.call);
        return (out) => {
          out.number(ANSWER.called);
          out.number(operation.callId);
          out.string(JSON.stringify(value ?? null));
        };
      }
      default:
        return unreachable(operation);
    }
  }

  /** After an unclean end: every claimed row gets an attempt `unknown` and its crash is counted. Answers how many there were. */
  interruptClaimed(nowMs: number): number {
    const rows = this.#deliveries.claimedRows();
    for (const row of rows) this.#interrupt(row, nowMs);
    return rows.length;
  }

  #accept(callId: number, request: PackedRequest): Answer {
    const known: (Known | undefined)[] = [];
    const keys: (Buffer | undefined)[] = [];
    const inRequest = new Map<string, Known>();
    // Nothing is written before every item has been judged: a conflict must leave no trace in the transaction it shares.
    for (const [index, item] of request.items.entries()) {
      if (item.idempotencyKey === undefined) continue;
      const key = this.#tables.idempotency.key(request.namespace, item.idempotencyKey);
      keys[index] = key;
      const found = inRequest.get(item.idempotencyKey) ?? this.#tables.idempotency.find(key, request.nowMs);
      if (found === undefined) {
        inRequest.set(item.idempotencyKey, { eventId: item.event.id, matched: item.deliveries.length, contentHash: item.contentHash });
      } else if (Buffer.compare(found.contentHash, item.contentHash) === 0) {
        known[index] = found;
      } else {
        return (out) => {
          out.number(ANSWER.conflict);
          out.number(callId);
          out.number(index);
          out.string(found.eventId);
        };
      }
    }
    const firstIds = request.items.map((_, index) => (known[index] === undefined ? this.#insertItem(request, index, keys[index]) : 0));
    return (out) => {
      out.number(ANSWER.accepted);
      out.number(callId);
      for (const [index, firstId] of firstIds.entries()) {
        const duplicate = known[index];
        out.number(firstId);
        if (duplicate !== undefined) {
          out.number(duplicate.matched);
          out.string(duplicate.eventId);
        }
      }
    };
  }

  /** Answers the id of the first delivery; an event and its deliveries have consecutive numbers. */
  #insertItem(request: PackedRequest, index: number, key: Buffer | undefined): number {
    const item = request.items[index];
    if (item === undefined) return 0;
    const { deliveries } = item;
    const { event, retentionMs } = keptOf(item);
    const { nowMs } = request;
    const { namespace } = event;
    if (key !== undefined) {
      const known = { eventId: event.id, matched: deliveries.length, contentHash: item.contentHash };
      this.#usage.add(this.#tables.idempotency.insert(key, known, nowMs), namespace, KEY_ROW_BYTES);
    }
    const id = packEventId(event.id);
    const eventNumber = ++this.#tables.lastId;
    const eventDay = expiryDay(nowMs, retentionMs);
    const count = deliveries.length;
    this.#events.insert(eventDay, { event: eventNumber, eventId: id, deliveries: count, expiresAtMs: nowMs + retentionMs }, event);
    this.#usage.add(eventDay, namespace, eventBytes(event, event.extensionsText));
    const keptUntilMs = nowMs + item.historyRetentionMs;
    const result = { eventId: id, namespace, event: eventNumber, deliveries: count, keptUntilMs };
    this.#usage.add(this.#tables.results.insert(result, nowMs, item.maxAgeMs ?? 0), namespace, RESULT_ROW_BYTES);
    for (const delivery of deliveries) {
      const queue = this.#queues.of(delivery.subscription, delivery.namespace, nowMs);
      this.#queues.count(queue, "accepted", 1);
      // A first claim under an old epoch is stored as not claimed: its owner is somebody else.
      const isClaim = delivery.as === "claimed" || delivery.as === "ahead";
      const claimed = isClaim && delivery.epoch === SINGLE_OWNER_EPOCH && delivery.orderKey === undefined;
      this.#deliveries.insert({
        id: ++this.#tables.lastId,
        queue: queue.queue,
        state: claimed ? CLAIMED : this.#firstState(queue.queue, delivery),
        due: delivery.dueAtMs,
        attempt: claimed ? 1 : 0,
        crashes: 0,
        loneCrashes: 0,
        lone: 0,
        resent: 0,
        epoch: delivery.epoch,
        event: eventNumber,
        eventDay,
        eventId: id,
        type: event.type,
        orderKey: delivery.orderKey ?? null,
        accepted: nowMs,
        historyMs: item.historyRetentionMs,
        note: null,
        cut: 0,
        recordId: delivery.recordId ?? null,
      });
    }
    return eventNumber + 1;
  }

  #firstState(queue: number, delivery: NewDelivery): number {
    if (delivery.orderKey === undefined) return delivery.as === "fresh" ? FRESH : INDEXED;
    return this.#deliveries.isKeyTaken(queue, delivery.orderKey) ? BEHIND : INDEXED;
  }

  #claim(request: ClaimRequest, answer: { readonly told: Told; readonly at: number }): Answer {
    const row = this.#deliveries.get(request.id);
    if (row === undefined || row.state === CLAIMED || row.state === BEHIND || request.epoch !== SINGLE_OWNER_EPOCH)
      return (out) => out.flag(false);
    this.#deliveries.claim(row, request.lone, request.epoch);
    const writeIts = request.withEvent ? this.#eventAnswer(row, answer) : NO_EVENT;
    const { attempt } = row;
    return (out) => {
      out.flag(true);
      out.number(attempt);
      writeIts(out);
    };
  }

  /** A fan-out's deliveries are often claimed together: their event is read and told once. */
  #eventAnswer(row: Hot, { told, at }: { readonly told: Told; readonly at: number }): Answer {
    const earlier = told.get(row.event);
    if (earlier !== undefined) {
      return (out) => {
        out.number(CLAIMED_EVENT.earlier);
        out.number(earlier);
      };
    }
    const stored = this.#events.read({ event: row.event, day: row.eventDay });
    if (stored === undefined) return NO_EVENT;
    told.set(row.event, at);
    return (out) => {
      out.number(CLAIMED_EVENT.full);
      writeEvent(out, stored.event, stored.extensionsText);
    };
  }

  #complete(completion: PackedCompletion): boolean {
    const row = this.#deliveries.get(completion.id);
    if (row === undefined) return false;
    const held =
      row.state === CLAIMED ? row.epoch === completion.epoch : completion.attempt === undefined && completion.epoch === SINGLE_OWNER_EPOCH;
    const { next, nowMs, historyRetentionMs, bodiesRetentionMs = historyRetentionMs } = completion;
    if (!held || (row.state === BEHIND && next.state === "ready")) return false;
    if (completion.attempt !== undefined) {
      this.#deliveries.log(row, completion.attempt, { nowMs, historyMs: historyRetentionMs, bodiesMs: bodiesRetentionMs });
    }
    if (next.state !== "ready") {
      // Claimed, and then not sent: there was no attempt.
      if (row.state === CLAIMED && completion.attempt === undefined) row.attempt -= 1;
      this.#endings.end(row, { state: next.state, reason: next.reason, nowMs, retentionMs: historyRetentionMs });
      return true;
    }
    if (next.uncounted === true) row.attempt -= 1;
    else this.#countRetry(row);
    // An attempt that came to an end clears the suspicion that this delivery kills the process.
    row.crashes = 0;
    row.loneCrashes = 0;
    this.#deliveries.ready(row, next.dueAtMs);
    if (next.parked !== undefined) this.#tables.parked.put(row, next.parked);
    return true;
  }

  #countRetry(row: Hot): void {
    const queue = this.#queues.byNumber(row.queue);
    if (queue !== undefined) this.#queues.count(queue, "retried", 0);
  }

  #interrupt(row: Hot, nowMs: number): void {
    const attempt = { ...interruptedAttempt(row.attempt, row.due), requestHeadersText: "[]", responseHeadersText: "[]" };
    this.#deliveries.log(row, attempt, { nowMs, historyMs: row.historyMs, bodiesMs: row.historyMs });
    // It may never have reached the receiver: it uses up nothing.
    this.#deliveries.cutOff(row);
    row.crashes += 1;
    if (row.lone === 1) row.loneCrashes += 1;
    if (row.loneCrashes >= LONE_CRASHES_MAX) {
      this.#endings.end(row, { state: "failed", reason: "Quarantined", nowMs, retentionMs: row.historyMs });
    } else {
      this.#deliveries.ready(row, nowMs);
    }
  }
}
