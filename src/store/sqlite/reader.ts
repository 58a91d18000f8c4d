import type { DatabaseSync, StatementSync } from "node:sqlite";
import { deadLetterOwner, type DeadLetterNote } from "../../core/dead-letter.ts";
import type { Event } from "../../core/event.ts";
import type { EventFilter, EventPage } from "../event-page.ts";
import {
  SINGLE_OWNER_EPOCH,
  WINDOW_ROWS_MAX,
  type AttemptRecord,
  type DeliveryFilter,
  type DeliveryId,
  type DeliveryRecord,
  type HistoryFilter,
  type HistoryPage,
  type ParkedQueue,
  type QueueState,
  type ReadyDelivery,
  type StateKind,
  type StoredResult,
} from "../store.ts";
import type { ReadCalls } from "./calls.ts";
import { CLAIMED, findOutcome, FRESH, HOT_COLUMNS, INDEXED, OUTCOME_COLUMNS, toOutcome, type Outcome } from "./delivery-table.ts";
import { packEventId, unpackEventId } from "./event-id.ts";
import { EventTable } from "./event-table.ts";
import { toAttemptRow, toHot, toQueueRow, type AttemptRow, type Hot } from "./generated/rows.ts";
import { pageOfEvents } from "./event-pages.ts";
import { conditions, endedState, HistoryReader, hotState, type RecordMaker } from "./history-reader.ts";
import { ResultReader } from "./result-reader.ts";
import { prepareRows } from "./row-statement.ts";
import { ATTEMPT_PLACES, dayTableName, dayTables } from "./schema.ts";
import { ATTEMPT, columnNames, QUEUE } from "./tables.ts";

type Name = { readonly subscription: string; readonly namespace: string };

/** Rows looked at for the age of queues: keeps that question at a few milliseconds with a million rows pending. */
const OLDEST_ROWS_MAX = 5_000;

/** Names of queues kept at hand. */
const NAMES_MAX = 50_000;

/** Answers questions on a connection of its own. */
export class Reader implements ReadCalls {
  readonly #db: DatabaseSync;
  readonly #events: EventTable;
  readonly #names = new Map<number, Name>();
  readonly #history: HistoryReader;
  readonly #results: ResultReader;
  readonly #findParked: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#events = new EventTable(db);
    const make: RecordMaker = {
      hot: (row) => this.#toRecord(row),
      ended: (outcome) => this.#toRecord(outcome.hot, outcome),
      ofEvent: (eventId: string, nowMs: number) => this.#deliveriesOf(eventId, nowMs),
    };
    this.#history = new HistoryReader(db, make);
    this.#results = new ResultReader(db, this.#events, make);
    this.#findParked = db.prepare("SELECT 1 FROM parked WHERE delivery = ? AND attempt = ?");
  }

  /** Several tables as of one moment: what moves between them meanwhile is neither seen twice nor missed, and no day goes while it is read. */
  #atOnce<T>(read: () => T): T {
    this.#db.exec("BEGIN");
    try {
      return read();
    } finally {
      this.#db.exec("COMMIT");
    }
  }

  due(subscription: string, nowMs: number, limit: number): ReadyDelivery[] {
    const queue = this.#queueOf(subscription);
    if (queue === undefined) return [];
    const sql = `SELECT ${HOT_COLUMNS} FROM delivery INDEXED BY delivery_due WHERE state = 2 AND queue = ? AND due <= ? ORDER BY due, id LIMIT ?`;
    return this.#hot(sql, queue, nowMs, Math.min(limit, WINDOW_ROWS_MAX)).map((row) => this.#toReady(row));
  }

  nextDue(limit: number): { subscription: string; dueAtMs: number }[] {
    const earliest = this.#db.prepare(
      "SELECT due FROM delivery INDEXED BY delivery_due WHERE state = 2 AND queue = ? ORDER BY due LIMIT 1",
    );
    const found: { subscription: string; dueAtMs: number }[] = [];
    for (const row of this.#db.prepare("SELECT queue, subscription FROM subscription_queue WHERE pending > 0").all()) {
      const due = earliest.get(Number(row["queue"]))?.["due"];
      if (due !== undefined) found.push({ subscription: String(row["subscription"]), dueAtMs: Number(due) });
    }
    return found.toSorted((a, b) => a.dueAtMs - b.dueAtMs).slice(0, limit);
  }

  fresh(afterId: DeliveryId, limit: number): ReadyDelivery[] {
    return this.#unindexed(FRESH, afterId, limit);
  }

  claimed(afterId: DeliveryId, limit: number): ReadyDelivery[] {
    return this.#unindexed(CLAIMED, afterId, limit);
  }

  #unindexed(state: number, afterId: number, limit: number): ReadyDelivery[] {
    const sql = `SELECT ${HOT_COLUMNS} FROM delivery INDEXED BY delivery_unindexed WHERE state < 2 AND state = ? AND id > ? ORDER BY id LIMIT ?`;
    return this.#hot(sql, state, afterId, Math.min(limit, WINDOW_ROWS_MAX)).map((row) => this.#toReady(row));
  }

  parked(): ParkedQueue[] {
    const rows = this.#db
      .prepare("SELECT DISTINCT q.subscription, p.mark FROM parked p JOIN subscription_queue q ON q.queue = p.queue")
      .all();
    return rows.map((row) => ({ subscription: String(row["subscription"]), mark: String(row["mark"]) }));
  }

  queues(owner: string): QueueState[] {
    const oldest = this.#oldest();
    const queues = prepareRows(this.#db, `SELECT ${columnNames(QUEUE)} FROM subscription_queue WHERE forgotten = 0`).all();
    return queues.map(toQueueRow).map((row) => {
      const { subscription, namespace, pauses, pending, forwards, sinceMs, accepted, delivered, retried, failed, discarded } = row;
      return {
        subscription,
        namespace,
        epoch: SINGLE_OWNER_EPOCH,
        owner,
        pauses,
        pending,
        oldestAcceptedAtMs: oldest.get(row.queue),
        forwards,
        counters: { sinceMs, accepted, delivered, retried, failed, discarded },
      };
    });
  }

  /**
   * When the oldest pending row of each queue was accepted. Ids follow time, so the first rows by id tell; a queue that does not appear
   * among them (a large backlog of others lies before it) answers with its row that is due first, which is as old at most.
   */
  #oldest(): Map<number, number> {
    const oldest = new Map<number, number>();
    for (const row of this.#db.prepare("SELECT queue, accepted FROM delivery ORDER BY id LIMIT ?").all(OLDEST_ROWS_MAX)) {
      const queue = Number(row["queue"]);
      oldest.set(queue, Math.min(Number(row["accepted"]), oldest.get(queue) ?? Number.MAX_SAFE_INTEGER));
    }
    const head = this.#db.prepare(
      "SELECT accepted FROM delivery INDEXED BY delivery_due WHERE state = 2 AND queue = ? ORDER BY due LIMIT 1",
    );
    for (const row of this.#db.prepare("SELECT queue FROM subscription_queue WHERE pending > 0").all()) {
      const queue = Number(row["queue"]);
      const accepted = oldest.has(queue) ? undefined : head.get(queue)?.["accepted"];
      if (accepted !== undefined) oldest.set(queue, Number(accepted));
    }
    return oldest;
  }

  readEvent(namespace: string, eventId: string, asOfMs: number): Event | undefined {
    const stored = this.#atOnce(() => this.#events.find(eventId));
    return stored !== undefined && stored.event.namespace === namespace && stored.expiresAtMs > asOfMs ? stored.event : undefined;
  }

  events(filter: EventFilter, asOfMs: number): EventPage {
    return this.#atOnce(() => pageOfEvents(this.#db, filter, asOfMs));
  }

  result(namespace: string, eventId: string, asOfMs: number): StoredResult | undefined {
    return this.#results.read(namespace, eventId, asOfMs);
  }

  readBody(id: DeliveryId, asOfMs: number): Event | undefined {
    return this.#atOnce(() => this.#body(id, asOfMs));
  }

  readDelivery(id: DeliveryId, asOfMs: number): DeliveryRecord | undefined {
    return this.#atOnce(() => this.#delivery(id, asOfMs));
  }

  deliveriesOf(eventId: string, asOfMs: number): DeliveryRecord[] {
    return this.#atOnce(() => this.#deliveriesOf(eventId, asOfMs));
  }

  attemptsOf(id: DeliveryId, asOfMs: number): AttemptRecord[] {
    return this.#atOnce(() => this.#attemptsOf(id, asOfMs));
  }

  listDeliveries(filter: DeliveryFilter, asOfMs: number): DeliveryRecord[] {
    return this.#atOnce(() => this.#list(filter, asOfMs));
  }

  history(filter: HistoryFilter, asOfMs: number): HistoryPage {
    return this.#atOnce(() => this.#history.page(filter, asOfMs));
  }

  listState(kind: StateKind): { key: string; value: string }[] {
    const rows = this.#db.prepare("SELECT key, value FROM state WHERE kind = ? ORDER BY key").all(kind);
    return rows.map((row) => ({ key: String(row["key"]), value: String(row["value"]) }));
  }

  #body(id: DeliveryId, nowMs: number): Event | undefined {
    const hot = this.#hotById(id);
    if (hot !== undefined) return this.#events.read({ event: hot.event, day: hot.eventDay })?.event;
    const outcome = this.#outcome(id, nowMs);
    if (outcome === undefined) return undefined;
    const stored = this.#events.read({ event: outcome.hot.event, day: outcome.hot.eventDay });
    return stored !== undefined && stored.expiresAtMs > nowMs ? stored.event : undefined;
  }

  #delivery(id: number, nowMs: number): DeliveryRecord | undefined {
    const hot = this.#hotById(id);
    if (hot !== undefined) return this.#toRecord(hot);
    const outcome = this.#outcome(id, nowMs);
    return outcome === undefined ? undefined : this.#toRecord(outcome.hot, outcome);
  }

  #deliveriesOf(eventId: string, nowMs: number): DeliveryRecord[] {
    const stored = this.#events.find(eventId);
    if (stored === undefined) return this.#deliveriesWithoutBody(eventId, nowMs);
    const ids = Array.from({ length: stored.deliveries }, (_, i) => stored.place.event + 1 + i);
    return ids.map((id) => this.#delivery(id, nowMs)).filter((record) => record !== undefined);
  }

  /** The body's day is gone, which named the deliveries: a scan of what is left. */
  #deliveriesWithoutBody(eventId: string, nowMs: number): DeliveryRecord[] {
    const records: DeliveryRecord[] = [];
    for (const day of dayTables(this.#db, "outcome")) {
      const rows = prepareRows(
        this.#db,
        `SELECT ${OUTCOME_COLUMNS} FROM ${dayTableName("outcome", day)} WHERE event_id = ? AND expires > ?`,
      );
      for (const row of rows.all(packEventId(eventId), nowMs)) {
        const outcome = toOutcome(row, day);
        const record = this.#toRecord(outcome.hot, outcome);
        if (deadLetterOwner(record.subscription) === undefined) records.push(record);
      }
    }
    return records.toSorted((a, b) => a.id - b.id);
  }

  #attemptsOf(id: number, nowMs: number): AttemptRecord[] {
    const delivery = this.#delivery(id, nowMs);
    if (delivery === undefined) return [];
    const first = id * ATTEMPT_PLACES;
    const rows = dayTables(this.#db, "attempt").flatMap((day) => {
      const sql = `SELECT ${columnNames(ATTEMPT)} FROM ${dayTableName("attempt", day)} WHERE place BETWEEN ? AND ? AND expires > ?`;
      return prepareRows(this.#db, sql)
        .all(first, first + ATTEMPT_PLACES - 1, nowMs)
        .map(toAttemptRow);
    });
    return rows.toSorted((a, b) => a.place - b.place).map((row) => toAttempt(row, delivery, nowMs));
  }

  #list(filter: DeliveryFilter, nowMs: number): DeliveryRecord[] {
    const limit = Math.min(filter.limit, WINDOW_ROWS_MAX);
    const records = [...this.#listHot(filter, limit), ...this.#listEnded(filter, limit, nowMs)];
    return records.toSorted((a, b) => b.id - a.id).slice(0, limit);
  }

  #listHot(filter: DeliveryFilter, limit: number): DeliveryRecord[] {
    const state = hotState(filter);
    if (state === undefined) return [];
    const { where, values } = conditions(filter);
    const sql = `SELECT ${HOT_COLUMNS} FROM delivery WHERE ${where}${state} ORDER BY id DESC LIMIT ?`;
    return this.#hot(sql, ...values, limit).map((row) => this.#toRecord(row));
  }

  #listEnded(filter: DeliveryFilter, limit: number, nowMs: number): DeliveryRecord[] {
    const state = endedState(filter);
    if (state === undefined) return [];
    const { where, values } = conditions(filter);
    return dayTables(this.#db, "outcome").flatMap((day) => {
      const sql = `SELECT ${OUTCOME_COLUMNS} FROM ${dayTableName("outcome", day)} WHERE ${where}${state} AND expires > ? ORDER BY id DESC LIMIT ?`;
      const rows = prepareRows(this.#db, sql).all(...values, nowMs, limit);
      return rows.map((row) => {
        const outcome = toOutcome(row, day);
        return this.#toRecord(outcome.hot, outcome);
      });
    });
  }

  #outcome(id: number, nowMs: number): Outcome | undefined {
    const outcome = findOutcome(this.#db, id);
    return outcome !== undefined && outcome.expiresAtMs > nowMs ? outcome : undefined;
  }

  #hotById(id: number): Hot | undefined {
    return this.#hot(`SELECT ${HOT_COLUMNS} FROM delivery WHERE id = ?`, id)[0];
  }

  #hot(sql: string, ...values: (string | number)[]): Hot[] {
    return prepareRows(this.#db, sql)
      .all(...values)
      .map(toHot);
  }

  #queueOf(subscription: string): number | undefined {
    const row = this.#db.prepare("SELECT queue FROM subscription_queue WHERE subscription = ?").get(subscription);
    return row === undefined ? undefined : Number(row["queue"]);
  }

  #name(queue: number): Name {
    const known = this.#names.get(queue);
    if (known !== undefined) return known;
    const row = this.#db.prepare("SELECT subscription, namespace FROM subscription_queue WHERE queue = ?").get(queue);
    const name = { subscription: String(row?.["subscription"] ?? ""), namespace: String(row?.["namespace"] ?? "") };
    // A queue first seen through a pause learns its namespace with its first delivery.
    if (this.#names.size >= NAMES_MAX) this.#names.clear();
    if (name.namespace !== "") this.#names.set(queue, name);
    return name;
  }

  #toReady(row: Hot): ReadyDelivery {
    return {
      id: row.id,
      eventId: unpackEventId(row.eventId),
      ...this.#name(row.queue),
      dueAtMs: row.due,
      attempt: row.attempt,
      cutOff: row.cut,
      crashes: row.crashes,
      acceptedAtMs: row.accepted,
      orderKey: row.orderKey ?? undefined,
      recordId: row.recordId ?? undefined,
      resent: row.resent === 1,
      ...(row.note === null ? {} : { deadLetter: JSON.parse(row.note) as DeadLetterNote }),
    };
  }

  #toRecord(row: Hot, outcome?: Outcome): DeliveryRecord {
    const state = outcome?.state ?? (row.state === CLAIMED ? "claimed" : "ready");
    const isParked = outcome === undefined && row.state === INDEXED && this.#findParked.get(row.id, row.attempt) !== undefined;
    return {
      id: row.id,
      eventId: unpackEventId(row.eventId),
      eventType: row.type,
      ...this.#name(row.queue),
      state,
      reason: isParked ? "PayloadInvalid" : outcome?.reason,
      attempts: row.attempt,
      crashes: row.crashes,
      acceptedAtMs: row.accepted,
      dueAtMs: state === "ready" && !isParked ? row.due : undefined,
      endedAtMs: outcome?.endedAtMs,
      recordId: row.recordId ?? undefined,
    };
  }
}

/** An attempt as people see it: of bodies that are past their retention nothing is told. */
function toAttempt(row: AttemptRow, delivery: DeliveryRecord, nowMs: number): AttemptRecord {
  const { place: _place, expiresAtMs: _expires, bodiesUntilMs, requestHeadersText, responseHeadersText, ...told } = row;
  const { id: deliveryId, eventId, eventType, subscription, namespace } = delivery;
  const hasBodies = bodiesUntilMs === undefined || bodiesUntilMs > nowMs;
  return {
    ...told,
    recordId: told.recordId ?? delivery.recordId,
    deliveryId,
    eventId,
    subscription,
    namespace,
    eventType,
    requestHeaders: JSON.parse(requestHeadersText) as AttemptRecord["requestHeaders"],
    requestBody: hasBodies ? told.requestBody : undefined,
    responseHeaders: JSON.parse(responseHeadersText) as AttemptRecord["responseHeaders"],
    responseBody: hasBodies ? told.responseBody : undefined,
    // Without it the request cannot be made again, although another subscription may keep the event for longer.
    payloadKey: hasBodies ? told.payloadKey : undefined,
  };
}
