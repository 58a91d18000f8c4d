import type { DatabaseSync } from "node:sqlite";
import { deadLetterOwner, deadLetterQueue, type DeadLetterNote } from "../../core/dead-letter.ts";
import { LONE_CRASHES_MAX } from "../../core/delivery.ts";
import { eventBytes, KEY_ROW_BYTES, RESULT_ROW_BYTES } from "../../core/stored-bytes.ts";
import { unreachable } from "../../lib/assert.ts";
import { SystemClock } from "../../lib/clock.ts";
import {
  INTERRUPTED_MESSAGE,
  SINGLE_OWNER_EPOCH,
  type ClaimRequest,
  type DeliveryId,
  type EndAllRequest,
  type NewDelivery,
  type PauseReason,
  type StateEntry,
  type StateKind,
  type UnparkRequest,
} from "../store.ts";
import { keptOf } from "../unmatched.ts";
import { BEHIND, CLAIMED, DeliveryTable, FRESH, INDEXED, type End } from "./delivery-table.ts";
import { packEventId } from "./event-id.ts";
import { EventTable } from "./event-table.ts";
import { IdempotencyTable, type Known } from "./idempotency-table.ts";
import { writeEvent, type AttemptTold, type Hot } from "./generated/rows.ts";
import { ANSWER, CLAIMED_EVENT, type Operation, type PackedCompletion, type PackedRequest } from "./message.ts";
import type { PacketWriter } from "./packet.ts";
import { ParkedTable } from "./parked-table.ts";
import { QueueTable, type Queue } from "./queue-table.ts";
import { ResultTable } from "./result-table.ts";
import { Retention } from "./retention.ts";
import { expiryDay } from "./schema.ts";
import { highestId } from "./sequence.ts";
import { UsageTable, type NamespaceHeld } from "./usage-table.ts";

type Answer = (out: PacketWriter) => void;
/** Of one answer: which of its claims brings which event. */
type Told = Map<number, number>;

export interface WriterMark {
  readonly queues: ReturnType<QueueTable["mark"]>;
  readonly events: number;
  readonly deliveries: ReturnType<DeliveryTable["mark"]>;
  readonly idempotency: ReturnType<IdempotencyTable["mark"]>;
  readonly results: number;
  readonly retention: number;
  readonly parked: number;
  readonly usage: number;
  readonly lastId: number;
}

const NO_EVENT: Answer = (out) => out.number(CLAIMED_EVENT.none);

/**
 * Applies operations to the database inside a transaction that the caller opens and commits. What it keeps in memory (queues, claimed
 * rows, the last id) is ahead of the file until the commit: `mark` before, then `settle` behind the commit or `undo` behind a rollback.
 */
export class Writer {
  readonly #db: DatabaseSync;
  readonly #queues: QueueTable;
  readonly #events: EventTable;
  readonly #deliveries: DeliveryTable;
  readonly #idempotency: IdempotencyTable;
  readonly #results: ResultTable;
  readonly #parked: ParkedTable;
  readonly #retention: Retention;
  readonly #usage: UsageTable;
  #lastId: number;

  constructor(db: DatabaseSync, idempotencyTtlMs: number, generationKeys?: number) {
    this.#db = db;
    this.#queues = new QueueTable(db);
    this.#events = new EventTable(db);
    this.#usage = new UsageTable(db);
    this.#deliveries = new DeliveryTable(db, (queue, day, bytes, owed) =>
      this.#usage.add(day, this.#queues.byNumber(queue)?.namespace ?? "", bytes, owed),
    );
    this.#idempotency = new IdempotencyTable(db, idempotencyTtlMs, generationKeys);
    this.#results = new ResultTable(db);
    this.#retention = new Retention(db, new SystemClock(), this.#usage);
    this.#parked = new ParkedTable(db);
    this.#lastId = highestId(db);
  }

  /** A place to come back to: at the begin of a transaction or savepoint, with nothing unflushed. */
  mark(): WriterMark {
    return {
      queues: this.#queues.mark(),
      events: this.#events.mark(),
      deliveries: this.#deliveries.mark(),
      idempotency: this.#idempotency.mark(),
      results: this.#results.mark(),
      retention: this.#retention.mark(),
      parked: this.#parked.mark(),
      usage: this.#usage.mark(),
      lastId: this.#lastId,
    };
  }

  /** The file was rolled back to the mark; so is the memory, at the cost of what was changed since. */
  undo(mark: WriterMark): void {
    this.#queues.undo(mark.queues);
    this.#events.undo(mark.events);
    this.#deliveries.undo(mark.deliveries);
    this.#idempotency.undo(mark.idempotency);
    this.#results.undo(mark.results);
    this.#retention.undo(mark.retention);
    this.#parked.undo(mark.parked);
    this.#usage.undo(mark.usage);
    this.#lastId = mark.lastId;
  }

  /** The transaction is durable: there is no way back. */
  settle(): void {
    this.#queues.settle();
    this.#events.settle();
    this.#deliveries.settle();
    this.#idempotency.settle();
    this.#results.settle();
    this.#retention.settle();
    this.#usage.settle();
  }

  pending(): number {
    return this.#queues.pending();
  }

  /** Last in every transaction and savepoint. */
  flush(): void {
    this.#queues.flush();
    this.#usage.flush();
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
        const value = this.#call(operation.method, operation.args);
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
      const key = this.#idempotency.key(request.namespace, item.idempotencyKey);
      keys[index] = key;
      const found = inRequest.get(item.idempotencyKey) ?? this.#idempotency.find(key, request.nowMs);
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
      this.#usage.add(this.#idempotency.insert(key, known, nowMs), namespace, KEY_ROW_BYTES);
    }
    const id = packEventId(event.id);
    const eventNumber = ++this.#lastId;
    const eventDay = expiryDay(nowMs, retentionMs);
    const count = deliveries.length;
    this.#events.insert(eventDay, { event: eventNumber, eventId: id, deliveries: count, expiresAtMs: nowMs + retentionMs }, event);
    this.#usage.add(eventDay, namespace, eventBytes(event, event.extensionsText));
    const keptUntilMs = nowMs + item.historyRetentionMs;
    const result = { eventId: id, namespace, event: eventNumber, deliveries: count, keptUntilMs };
    this.#usage.add(this.#results.insert(result, nowMs, item.maxAgeMs ?? 0), namespace, RESULT_ROW_BYTES);
    for (const delivery of deliveries) {
      const queue = this.#queues.of(delivery.subscription, delivery.namespace, nowMs);
      this.#queues.count(queue, "accepted", 1);
      // A first claim under an old epoch is stored as not claimed: its owner is somebody else.
      const claimed = delivery.as === "claimed" && delivery.epoch === SINGLE_OWNER_EPOCH && delivery.orderKey === undefined;
      this.#deliveries.insert({
        id: ++this.#lastId,
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
      this.#end(row, { state: next.state, reason: next.reason, nowMs, retentionMs: historyRetentionMs });
      return true;
    }
    if (next.uncounted === true) row.attempt -= 1;
    else this.#countOn(row, "retried", 0);
    // An attempt that came to an end clears the suspicion that this delivery kills the process.
    row.crashes = 0;
    row.loneCrashes = 0;
    this.#deliveries.ready(row, next.dueAtMs);
    if (next.parked !== undefined) this.#parked.put(row, next.parked);
    return true;
  }

  #end(row: Hot, end: End): void {
    this.#deliveries.end(row, end);
    this.#parked.remove(row.id);
    this.#countOn(row, end.state, -1);
    const queue = this.#queues.byNumber(row.queue);
    if (end.state === "failed" && queue?.forwards === true) this.#forward(row, queue, end);
  }

  /** A dead letter for a delivery that failed: waits in a queue of its own, on the same event. */
  #forward(row: Hot, failed: Queue, end: End): void {
    const { nowMs, reason } = end;
    const last = row.attempt === 0 ? undefined : this.#deliveries.lastAttempt(row.id);
    const times = { acceptedAtMs: row.accepted, endedAtMs: nowMs };
    const note: DeadLetterNote = { deliveryId: row.id, reason, attempts: row.attempt, ...last, ...times };
    const queue = this.#queues.of(deadLetterQueue(failed.subscription), failed.namespace, nowMs);
    this.#queues.count(queue, "accepted", 1);
    const { event, eventDay, eventId, type, historyMs } = row;
    const zero = { cut: 0, attempt: 0, crashes: 0, loneCrashes: 0, lone: 0, resent: 0, epoch: SINGLE_OWNER_EPOCH };
    const place = { id: ++this.#lastId, queue: queue.queue, state: INDEXED, due: nowMs, orderKey: null, accepted: nowMs };
    this.#deliveries.insert({ ...place, ...zero, event, eventDay, eventId, type, historyMs, note: JSON.stringify(note) });
  }

  #countOn(row: Hot, counter: "delivered" | "retried" | "failed" | "discarded", pendingBy: number): void {
    const queue = this.#queues.byNumber(row.queue);
    if (queue !== undefined) this.#queues.count(queue, counter, pendingBy);
  }

  #interrupt(row: Hot, nowMs: number): void {
    this.#deliveries.log(row, interruptedAttempt(row), { nowMs, historyMs: row.historyMs, bodiesMs: row.historyMs });
    // It may never have reached the receiver: it uses up nothing.
    this.#deliveries.cutOff(row);
    row.crashes += 1;
    if (row.lone === 1) row.loneCrashes += 1;
    if (row.loneCrashes >= LONE_CRASHES_MAX) {
      this.#end(row, { state: "failed", reason: "Quarantined", nowMs, retentionMs: row.historyMs });
    } else {
      this.#deliveries.ready(row, nowMs);
    }
  }

  #call(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case "endAll":
        return this.#endAll(args[0] as EndAllRequest);
      case "resend":
        return this.#resend(args[0] as DeliveryId, args[1] as number);
      case "index":
        for (const id of args[0] as readonly DeliveryId[]) this.#deliveries.index(id);
        return null;
      case "setPause":
        return this.#setPause(args[0] as string, args[1] as PauseReason, { untilMs: args[2] as number | null, nowMs: args[3] as number });
      case "unpark":
        return this.#unpark(args[0] as UnparkRequest);
      case "setForwarding": {
        const queue = this.#queues.of(args[0] as string, "", args[2] as number);
        queue.forwards = args[1] as boolean;
        this.#queues.touch(queue);
        return null;
      }
      case "forgetQueue":
        return this.#forgetQueue(args[0] as string, args[1] as number);
      case "putState": {
        const put = this.#db.prepare("INSERT OR REPLACE INTO state (kind, key, value) VALUES (?, ?, ?)");
        for (const entry of args[0] as readonly StateEntry[]) put.run(entry.kind, entry.key, entry.value);
        return null;
      }
      case "deleteState":
        this.#db.prepare("DELETE FROM state WHERE kind = ? AND key = ?").run(args[0] as StateKind, args[1] as string);
        return null;
      case "dropExpired": {
        const dropped = this.#retention.step(args[0] as number, this.#lastId);
        if (dropped.tables > 0 || dropped.idempotencyKeys > 0) {
          this.#events.forgetDays();
          this.#deliveries.forgetDays();
          this.#idempotency.forgetDays();
          this.#results.forgetDays();
        }
        if (dropped.more) return dropped;
        const idempotencyKeys = dropped.idempotencyKeys + this.#idempotency.dropExpired(args[0] as number);
        return { ...dropped, idempotencyKeys, more: this.#queues.letGo(args[0] as number) };
      }
      default:
        throw new Error(`unknown call '${method}'`);
    }
  }

  #endAll(request: EndAllRequest): number {
    const queue = this.#queues.find(request.subscription);
    if (queue === undefined) return 0;
    const rows = this.#deliveries.readyRows(queue.queue, request.limit);
    const { state, reason, nowMs } = request;
    for (const row of rows) this.#end(row, { state, reason, nowMs, retentionMs: request.historyRetentionMs });
    return rows.length;
  }

  #unpark({ subscription, mark, nowMs, limit }: UnparkRequest): number {
    const queue = this.#queues.find(subscription);
    const marks = queue === undefined ? [] : this.#parked.takeOthers(queue.queue, mark, limit);
    for (const { delivery, attempt } of marks) {
      const row = this.#deliveries.get(delivery);
      // Tried again meanwhile: it goes its own way.
      if (row?.state === INDEXED && row.attempt === attempt) this.#deliveries.ready(row, nowMs);
    }
    return marks.length;
  }

  #resend(id: DeliveryId, nowMs: number): "resent" | "not_found" | "body_gone" | "not_ended" {
    if (this.#deliveries.get(id) !== undefined) return "not_ended";
    const outcome = this.#deliveries.findOutcome(id);
    if (outcome === undefined || outcome.expiresAtMs <= nowMs || outcome.state === "discarded") return "not_found";
    const { hot } = outcome;
    if (deadLetterOwner(this.#queues.byNumber(hot.queue)?.subscription ?? "") !== undefined) return "not_found";
    const stored = this.#events.read({ event: hot.event, day: hot.eventDay });
    if (stored === undefined || stored.expiresAtMs <= nowMs) return "body_gone";
    this.#deliveries.removeOutcome(outcome);
    this.#deliveries.insert({ ...hot, state: INDEXED, due: nowMs, resent: 1 });
    const queue = this.#queues.byNumber(hot.queue);
    if (queue !== undefined) {
      const current = this.#queues.of(queue.subscription, queue.namespace, nowMs);
      current.pending += 1;
      this.#queues.touch(current);
    }
    return "resent";
  }

  #setPause(subscription: string, reason: PauseReason, to: { readonly untilMs: number | null; readonly nowMs: number }): null {
    const queue: Queue = this.#queues.of(subscription, "", to.nowMs);
    const { [reason]: _lifted, ...others } = queue.pauses;
    queue.pauses = to.untilMs === null ? others : { ...others, [reason]: to.untilMs };
    this.#queues.touch(queue);
    return null;
  }

  #forgetQueue(subscription: string, nowMs: number): null {
    const queue = this.#queues.find(subscription);
    if (queue?.pending === 0) this.#queues.forget(queue, nowMs);
    return null;
  }
}

function interruptedAttempt(row: Hot): AttemptTold {
  return {
    attempt: row.attempt,
    startedAtMs: row.due,
    durationMs: 0,
    outcome: "unknown",
    statusCode: undefined,
    connectionStatus: "unknown",
    tlsStatus: "none",
    message: INTERRUPTED_MESSAGE,
    url: "",
    recordId: undefined,
    requestHeadersText: "[]",
    requestBody: undefined,
    responseHeadersText: "[]",
    responseBody: undefined,
  };
}
