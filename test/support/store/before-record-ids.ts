import type { DatabaseSync } from "node:sqlite";

/** Turns a store's file into one of schema version 8: deliveries had no record id of their own. */
export function beforeRecordIds(db: DatabaseSync): void {
  const days = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'outcome_*'").all();
  for (const table of ["delivery", ...days.map(({ name }) => String(name))]) {
    db.exec(`DROP INDEX ${table}_record; ALTER TABLE ${table} DROP COLUMN record_id`);
  }
  db.exec("PRAGMA user_version = 8");
}
