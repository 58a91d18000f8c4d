import type { DatabaseSync } from "node:sqlite";
import { dayTableName, dayTables } from "./schema.ts";

const LAST_ID = "last_id";

/** The highest number ever given to an event or delivery: they share one sequence, and a number is never used again. */
export function highestId(db: DatabaseSync): number {
  const kept = db.prepare("SELECT value FROM meta WHERE key = ?").get(LAST_ID);
  const numbers = [Number(kept?.["value"] ?? 0)];
  const highest = (column: string, table: string): void => {
    numbers.push(Number(db.prepare(`SELECT max(${column}) AS top FROM ${table}`).get()?.["top"] ?? 0));
  };
  highest("id", "delivery");
  for (const day of dayTables(db, "outcome")) highest("id", dayTableName("outcome", day));
  for (const day of dayTables(db, "event")) highest("event", dayTableName("event", day));
  return Math.max(...numbers);
}

/** Remembered before a table that may hold the highest number is dropped. */
export function keepHighestId(db: DatabaseSync, id: number): void {
  db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)").run(LAST_ID, String(id));
}
