import type { DatabaseSync } from "node:sqlite";
import {
  RESULT_BYTES_MAX,
  RESULT_ROWS_MAX,
  type AttemptRecord,
  type DeliveryId,
  type DeliveryRecord,
  type ResultDelivery,
  type StoredResult,
} from "../store.ts";
import { HOT_COLUMNS, OUTCOME_COLUMNS, toOutcome } from "./delivery-table.ts";
import type { EventTable } from "./event-table.ts";
import { toHot, type ResultRow } from "./generated/rows.ts";
import type { RecordMaker } from "./history-reader.ts";
import { findResult } from "./result-table.ts";
import { prepareRows } from "./row-statement.ts";
import { ATTEMPT_PLACES, dayTableName, dayTables } from "./schema.ts";

type Answer = NonNullable<ResultDelivery["lastAttempt"]>;

/** Answers what became of an event: a few range reads, however many deliveries it has. */
export class ResultReader {
  readonly #db: DatabaseSync;
  readonly #events: EventTable;
  readonly #make: Pick<RecordMaker, "hot" | "ended">;

  constructor(db: DatabaseSync, events: EventTable, make: Pick<RecordMaker, "hot" | "ended">) {
    this.#db = db;
    this.#events = events;
    this.#make = make;
  }

  /** All of it as of one moment: a delivery that ends or is sent again meanwhile is never seen twice or not at all. */
  read(namespace: string, eventId: string, nowMs: number): StoredResult | undefined {
    this.#db.exec("BEGIN");
    try {
      return this.#read(namespace, eventId, nowMs);
    } finally {
      this.#db.exec("COMMIT");
    }
  }

  #read(namespace: string, eventId: string, nowMs: number): StoredResult | undefined {
    const row = findResult(this.#db, eventId) ?? this.#olderRow(eventId, nowMs);
    if (row === undefined || row.namespace !== namespace) return undefined;
    const ids = { first: row.event + 1, last: row.event + row.deliveries };
    const records: DeliveryRecord[] = [];
    const counts = { owed: 0, delivered: 0, failed: 0, discarded: 0 };
    for (const { state, count } of this.#counts(ids, nowMs)) counts[state] += count;
    if (row.deliveries > 0) records.push(...this.#records(ids, nowMs));
    records.sort((a, b) => a.id - b.id);
    const deliveries = this.#withAnswers(records.slice(0, RESULT_ROWS_MAX), nowMs);
    return { matched: row.deliveries, keptUntilMs: row.keptUntilMs, ...counts, deliveries };
  }

  /** Events stored before there were results are known as long as their body. */
  #olderRow(eventId: string, nowMs: number): Omit<ResultRow, "eventId"> | undefined {
    const stored = this.#events.find(eventId);
    if (stored === undefined || stored.expiresAtMs <= nowMs) return undefined;
    const { event, place, deliveries, expiresAtMs } = stored;
    return { namespace: event.namespace, event: place.event, deliveries, keptUntilMs: expiresAtMs };
  }

  *#counts(ids: Range, nowMs: number): Generator<{ state: "owed" | "delivered" | "failed" | "discarded"; count: number }> {
    if (ids.last < ids.first) return;
    const owed = this.#db.prepare("SELECT count(*) AS n FROM delivery WHERE id BETWEEN ? AND ?").get(ids.first, ids.last);
    yield { state: "owed", count: Number(owed?.["n"]) };
    for (const day of dayTables(this.#db, "outcome")) {
      const sql = `SELECT state, count(*) AS n FROM ${dayTableName("outcome", day)} WHERE id BETWEEN ? AND ? AND expires > ? GROUP BY state`;
      for (const row of this.#db.prepare(sql).all(ids.first, ids.last, nowMs)) {
        yield { state: String(row["state"]) as "delivered" | "failed" | "discarded", count: Number(row["n"]) };
      }
    }
  }

  *#records(ids: Range, nowMs: number): Generator<DeliveryRecord> {
    const hot = prepareRows(this.#db, `SELECT ${HOT_COLUMNS} FROM delivery WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?`);
    for (const row of hot.all(ids.first, ids.last, RESULT_ROWS_MAX)) yield this.#make.hot(toHot(row));
    for (const day of dayTables(this.#db, "outcome")) {
      const sql = `SELECT ${OUTCOME_COLUMNS} FROM ${dayTableName("outcome", day)} WHERE id BETWEEN ? AND ? AND expires > ? ORDER BY id LIMIT ?`;
      for (const row of prepareRows(this.#db, sql).all(ids.first, ids.last, nowMs, RESULT_ROWS_MAX)) {
        yield this.#make.ended(toOutcome(row, day));
      }
    }
  }

  #withAnswers(records: readonly DeliveryRecord[], nowMs: number): ResultDelivery[] {
    const tables = dayTables(this.#db, "attempt").toReversed();
    let bytesLeft = RESULT_BYTES_MAX;
    return records.map((record) => {
      const isOwed = record.state === "ready" || record.state === "claimed";
      const found = isOwed ? undefined : this.#lastAttempt(tables, record.id, nowMs);
      if (found === undefined) return { ...record, lastAttempt: undefined, answerLeftOut: false };
      bytesLeft -= found.bytes;
      if (bytesLeft >= 0) return { ...record, lastAttempt: found.answer, answerLeftOut: false };
      const { statusCode, message } = found.answer;
      return { ...record, lastAttempt: { statusCode, message, responseHeaders: [], responseBody: undefined }, answerLeftOut: true };
    });
  }

  #lastAttempt(days: readonly number[], id: DeliveryId, nowMs: number): { answer: Answer; bytes: number } | undefined {
    const first = id * ATTEMPT_PLACES;
    let last: Record<string, unknown> | undefined;
    for (const day of days) {
      const sql = `SELECT place, status, message, response_headers,
        iif(bodies IS NULL OR bodies > ?, response_body, NULL) AS response_body FROM ${dayTableName("attempt", day)}
        WHERE place BETWEEN ? AND ? AND expires > ? ORDER BY place DESC LIMIT 1`;
      const row = this.#db.prepare(sql).get(nowMs, first, first + ATTEMPT_PLACES - 1, nowMs);
      if (row !== undefined && (last === undefined || Number(row["place"]) > Number(last["place"]))) last = row;
    }
    if (last === undefined) return undefined;
    const headers = String(last["response_headers"]);
    const body = (last["response_body"] as Uint8Array | null) ?? undefined;
    const answer: Answer = {
      statusCode: last["status"] === null ? undefined : Number(last["status"]),
      message: String(last["message"]),
      responseHeaders: JSON.parse(headers) as AttemptRecord["responseHeaders"],
      responseBody: body,
    };
    return { answer, bytes: headers.length + (body?.length ?? 0) };
  }
}

/** Both ends belong to it; empty when `last` comes before `first`. */
interface Range {
  readonly first: DeliveryId;
  readonly last: DeliveryId;
}
