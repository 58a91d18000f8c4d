import type { DatabaseSync } from "node:sqlite";
import { deadLetterOwner } from "../../core/dead-letter.ts";
import type { DeliveryId, Dropped, EndAllRequest, PauseReason, Resent, StateEntry, StateKind, UnparkRequest } from "../store.ts";
import type { WriteCalls } from "./calls.ts";
import { INDEXED } from "./delivery-table.ts";
import type { Endings } from "./endings.ts";
import type { Queue } from "./queue-table.ts";
import type { WrittenTables } from "./written-tables.ts";

/** What is written now and then; each runs within the transaction of its batch. */
export class RareWrites implements WriteCalls {
  readonly #db: DatabaseSync;
  readonly #tables: WrittenTables;
  readonly #endings: Endings;

  constructor(db: DatabaseSync, tables: WrittenTables, endings: Endings) {
    this.#db = db;
    this.#tables = tables;
    this.#endings = endings;
  }

  endAll(request: EndAllRequest): number {
    const queue = this.#tables.queues.find(request.subscription);
    if (queue === undefined) return 0;
    const rows = this.#tables.deliveries.readyRows(queue.queue, request.limit);
    const { state, reason, nowMs } = request;
    for (const row of rows) this.#endings.end(row, { state, reason, nowMs, retentionMs: request.historyRetentionMs });
    return rows.length;
  }

  unpark({ subscription, mark, nowMs, limit }: UnparkRequest): number {
    const queue = this.#tables.queues.find(subscription);
    const marks = queue === undefined ? [] : this.#tables.parked.takeOthers(queue.queue, mark, limit);
    for (const { delivery, attempt } of marks) {
      const row = this.#tables.deliveries.get(delivery);
      // Tried again meanwhile: it goes its own way.
      if (row?.state === INDEXED && row.attempt === attempt) this.#tables.deliveries.ready(row, nowMs);
    }
    return marks.length;
  }

  resend(id: DeliveryId, nowMs: number): Resent {
    if (this.#tables.deliveries.get(id) !== undefined) return "not_ended";
    const outcome = this.#tables.deliveries.findOutcome(id);
    if (outcome === undefined || outcome.expiresAtMs <= nowMs || outcome.state === "discarded") return "not_found";
    const { hot } = outcome;
    if (deadLetterOwner(this.#tables.queues.byNumber(hot.queue)?.subscription ?? "") !== undefined) return "not_found";
    const stored = this.#tables.events.read({ event: hot.event, day: hot.eventDay });
    if (stored === undefined || stored.expiresAtMs <= nowMs) return "body_gone";
    this.#tables.deliveries.removeOutcome(outcome);
    this.#tables.deliveries.insert({ ...hot, state: INDEXED, due: nowMs, resent: 1 });
    const queue = this.#tables.queues.byNumber(hot.queue);
    if (queue !== undefined) {
      const current = this.#tables.queues.of(queue.subscription, queue.namespace, nowMs);
      current.pending += 1;
      this.#tables.queues.touch(current);
    }
    return "resent";
  }

  index(ids: readonly DeliveryId[]): void {
    for (const id of ids) this.#tables.deliveries.index(id);
  }

  setPause(subscription: string, reason: PauseReason, untilMs: number | null, nowMs: number): void {
    const queue: Queue = this.#tables.queues.of(subscription, "", nowMs);
    const { [reason]: _lifted, ...others } = queue.pauses;
    queue.pauses = untilMs === null ? others : { ...others, [reason]: untilMs };
    this.#tables.queues.touch(queue);
  }

  setForwarding(subscription: string, on: boolean, nowMs: number): void {
    const queue = this.#tables.queues.of(subscription, "", nowMs);
    queue.forwards = on;
    this.#tables.queues.touch(queue);
  }

  forgetQueue(subscription: string, nowMs: number): void {
    const queue = this.#tables.queues.find(subscription);
    if (queue?.pending === 0) this.#tables.queues.forget(queue, nowMs);
  }

  putState(entries: readonly StateEntry[]): void {
    const put = this.#db.prepare("INSERT OR REPLACE INTO state (kind, key, value) VALUES (?, ?, ?)");
    for (const entry of entries) put.run(entry.kind, entry.key, entry.value);
  }

  deleteState(kind: StateKind, key: string): void {
    this.#db.prepare("DELETE FROM state WHERE kind = ? AND key = ?").run(kind, key);
  }

  dropExpired(nowMs: number): Dropped {
    const { retention, idempotency, queues, lastId } = this.#tables;
    const dropped = retention.step(nowMs, lastId);
    if (dropped.tables > 0 || dropped.idempotencyKeys > 0) this.#tables.forgetDays();
    if (dropped.more) return dropped;
    const idempotencyKeys = dropped.idempotencyKeys + idempotency.dropExpired(nowMs);
    return { ...dropped, idempotencyKeys, more: queues.letGo(nowMs) };
  }
}
