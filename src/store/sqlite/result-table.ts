import type { DatabaseSync } from "node:sqlite";
import { RESULT_TOMBSTONE_MS } from "../store.ts";
import { DayStatements } from "./day-statements.ts";
import { packEventId } from "./event-id.ts";
import { dayTableName, dayTables, expiryDay } from "./schema.ts";

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
  readonly #inserts: DayStatements;

  constructor(db: DatabaseSync) {
    this.#inserts = new DayStatements(
      db,
      "result",
      (name) => `INSERT OR IGNORE INTO ${name} (event_id, namespace, event, deliveries, kept) VALUES (?, ?, ?, ?, ?)`,
    );
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

  /** Answers the day on which it goes. */
  insert(id: Uint8Array | string, row: Omit<ResultRow, "keptUntilMs">, life: ResultLife): number {
    const { nowMs, historyRetentionMs, maxAgeMs } = life;
    const day = expiryDay(nowMs, maxAgeMs + historyRetentionMs + RESULT_TOMBSTONE_MS);
    this.#inserts.of(day).run(id, row.namespace, row.event, row.deliveries, nowMs + historyRetentionMs);
    return day;
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
