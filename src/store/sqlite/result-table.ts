import type { DatabaseSync, StatementSync } from "node:sqlite";
import { RESULT_TOMBSTONE_MS } from "../store.ts";
import { packEventId } from "./event-id.ts";
import { dayTableName, dayTables, dayTableSql, expiryDay } from "./schema.ts";

/** What an id alone leads to. An event's deliveries have the numbers that follow its own. */
export interface ResultRow {
  readonly namespace: string;
  readonly event: number;
  readonly deliveries: number;
  readonly keptUntilMs: number;
}

export interface ResultLife {
  readonly nowMs: number;
  readonly historyRetentionMs: number;
  readonly maxAgeMs: number;
}

/**
 * One small row per event in the order of its id, so that an insert goes to the end of the tree: while its deliveries are known it leads to them, and
 * after that it is the tombstone. Its day is over RESULT_TOMBSTONE_MS after the last delivery can have been forgotten.
 */
export class ResultTable {
  readonly #db: DatabaseSync;
  readonly #inserts = new Map<number, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  reload(): void {
    this.#inserts.clear();
  }

  insert(id: Uint8Array | string, row: Omit<ResultRow, "keptUntilMs">, life: ResultLife): void {
    const { nowMs, historyRetentionMs, maxAgeMs } = life;
    const day = expiryDay(nowMs, maxAgeMs + historyRetentionMs + RESULT_TOMBSTONE_MS);
    let statement = this.#inserts.get(day);
    if (statement === undefined) {
      this.#db.exec(dayTableSql("result", day));
      statement = this.#db.prepare(
        `INSERT OR IGNORE INTO ${dayTableName("result", day)} (event_id, namespace, event, deliveries, kept) VALUES (?, ?, ?, ?, ?)`,
      );
      this.#inserts.set(day, statement);
    }
    statement.run(id, row.namespace, row.event, row.deliveries, nowMs + historyRetentionMs);
  }
}

/** Newest day first, where those who ask find theirs. */
export function findResult(db: DatabaseSync, eventId: string): ResultRow | undefined {
  const id = packEventId(eventId);
  for (const day of dayTables(db, "result").toReversed()) {
    const row = db.prepare(`SELECT namespace, event, deliveries, kept FROM ${dayTableName("result", day)} WHERE event_id = ?`).get(id);
    if (row === undefined) continue;
    const number = (name: string): number => Number(row[name]);
    return { namespace: String(row["namespace"]), event: number("event"), deliveries: number("deliveries"), keptUntilMs: number("kept") };
  }
  return undefined;
}
