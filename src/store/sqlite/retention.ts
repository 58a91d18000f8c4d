import type { DatabaseSync } from "node:sqlite";
import { moveOwedResults } from "./result-table.ts";
import { DAY_TABLES, dayIsOver, dayTableName, dayTables } from "./schema.ts";
import { keepHighestId } from "./sequence.ts";

/** Kept bodies looked at in one call, so that no transaction grows long. */
const KEPT_ROWS_MAX = 1_000;
/** Free pages handed back to the file system in one call; 10,000 took 414 ms. */
const VACUUM_PAGES_MAX = 500;

/**
 * Drops the tables of days that are over. Bodies still owed to a delivery are copied to `event_kept` first. Runs inside the writer's
 * transaction, so a crash leaves either all of it or nothing.
 */
export function dropExpired(db: DatabaseSync, nowMs: number, lastId: number): { tables: number; idempotencyKeys: number } {
  let tables = 0;
  let idempotencyKeys = 0;
  keepHighestId(db, lastId);
  db.prepare(
    `DELETE FROM event_kept WHERE event IN (
       SELECT event FROM event_kept WHERE expires <= ? AND event NOT IN (SELECT event FROM delivery) LIMIT ?)`,
  ).run(nowMs, KEPT_ROWS_MAX);
  for (const kind of DAY_TABLES) {
    for (const day of dayTables(db, kind)) {
      if (!dayIsOver(day, nowMs)) break;
      const name = dayTableName(kind, day);
      if (kind === "event") {
        db.prepare(
          `INSERT OR IGNORE INTO event_kept SELECT * FROM ${name} WHERE event IN (SELECT event FROM delivery WHERE event_day = ?)`,
        ).run(day);
      }
      if (kind === "result") moveOwedResults(db, day, nowMs);
      if (kind === "idempotency") {
        idempotencyKeys += Number(db.prepare(`SELECT count(*) AS n FROM ${name}`).get()?.["n"]);
      }
      db.exec(`DROP TABLE ${name}`);
      if (kind !== "idempotency") tables += 1;
    }
  }
  return { tables, idempotencyKeys };
}

/** Gives a few free pages back; outside any transaction. */
export function vacuumStep(db: DatabaseSync): void {
  db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES_MAX})`);
}
