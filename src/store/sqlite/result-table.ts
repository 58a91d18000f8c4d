import type { DatabaseSync } from "node:sqlite";
import { RESULT_TOMBSTONE_MS } from "../store.ts";
import { DayStatements } from "./day-statements.ts";
import { packEventId } from "./event-id.ts";
import { insertResultRow, toResultRow, type ResultRow } from "./generated/rows.ts";
import { prepareRows } from "./row-statement.ts";
import { dayTableName, dayTables, expiryDay } from "./schema.ts";
import { columnNames, insertSql, RESULT } from "./tables.ts";

/**
 * One small row per event in the order of its id, so that an insert goes to the end of the tree: while its deliveries are known it leads to them, and
 * after that it is the tombstone. Its day is over RESULT_TOMBSTONE_MS after the last delivery can have been forgotten.
 */
export class ResultTable {
  readonly #inserts: DayStatements;

  constructor(db: DatabaseSync) {
    this.#inserts = new DayStatements(db, "result", (name) => insertSql(RESULT, name, "IGNORE"));
  }

  /** Days have been dropped. */
  forgetDays(): void {
    this.#inserts.clear();
  }

  mark(): number {
    return this.#inserts.mark();
  }

  undo(mark: number): void {
    this.#inserts.undo(mark);
  }

  settle(): void {
    this.#inserts.settle();
  }

  /** Answers the day on which it goes. `maxAgeMs` is how old a delivery of it may grow. */
  insert(row: ResultRow, nowMs: number, maxAgeMs: number): number {
    const day = expiryDay(nowMs, maxAgeMs + row.keptUntilMs - nowMs + RESULT_TOMBSTONE_MS);
    insertResultRow(this.#inserts.of(day), row);
    return day;
  }
}

/** Newest day first, where those who ask find theirs. */
export function findResult(db: DatabaseSync, eventId: string): ResultRow | undefined {
  const id = packEventId(eventId);
  for (const day of dayTables(db, "result").toReversed()) {
    const row = prepareRows(db, `SELECT ${columnNames(RESULT)} FROM ${dayTableName("result", day)} WHERE event_id = ?`).get(id);
    if (row !== undefined) return toResultRow(row);
  }
  return undefined;
}
