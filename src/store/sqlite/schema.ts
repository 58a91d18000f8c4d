import type { DatabaseSync } from "node:sqlite";
import { unreachable } from "../../lib/assert.ts";
import { StoreError } from "../store.ts";
import { ATTEMPT, createSql, EVENT, OUTCOME, RESULT } from "./tables.ts";
import { countedAnew } from "./usage-sql.ts";

/** Lowest SQLite that has the WAL-reset corruption fixed. */
const SQLITE_VERSION_MIN = [3, 51, 3] as const;

/**
 * Forward-only: entry i brings a database from version i to i + 1 and is never edited once released: it names columns itself, as they were then.
 * Together they must lead to the columns of tables.ts, in their order (test/unit/store/tables.test.ts).
 *
 * `delivery.state`: 0 ready and only in the caller's memory (fresh), 1 claimed, 2 ready and in the due index, 3 ready but behind a lower one of
 * its order key: such a row is in no index but that of the order, so a backlog of one key cannot fill a window of due rows. Fresh rows stay out of the
 * due index: with a million rows pending, an index entry per fresh row cost two thirds of the throughput. A tiny second index finds fresh
 * and claimed rows at boot.
 */
const MIGRATIONS: readonly (string | ((db: DatabaseSync) => string))[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE state (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
  CREATE TABLE subscription_queue (
    queue INTEGER PRIMARY KEY, subscription TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, forgotten INTEGER NOT NULL,
    epoch INTEGER NOT NULL, owner TEXT, pauses TEXT NOT NULL, pending INTEGER NOT NULL, since INTEGER NOT NULL,
    accepted INTEGER NOT NULL, delivered INTEGER NOT NULL, retried INTEGER NOT NULL, failed INTEGER NOT NULL, discarded INTEGER NOT NULL
  );
  CREATE TABLE delivery (
    id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, state INTEGER NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL, lone_crashes INTEGER NOT NULL, lone INTEGER NOT NULL, resent INTEGER NOT NULL, epoch INTEGER NOT NULL,
    event INTEGER NOT NULL, event_day INTEGER NOT NULL, event_id BLOB NOT NULL, type TEXT NOT NULL, order_key TEXT,
    accepted INTEGER NOT NULL, history_ms INTEGER NOT NULL
  );
  CREATE INDEX delivery_due ON delivery (queue, due, id) WHERE state = 2;
  CREATE INDEX delivery_unindexed ON delivery (id) WHERE state < 2;
  CREATE TABLE event_kept (
    event INTEGER PRIMARY KEY, event_id BLOB NOT NULL, deliveries INTEGER NOT NULL, namespace TEXT NOT NULL,
    source_id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL, subject TEXT, time TEXT, content_type TEXT, kind TEXT NOT NULL,
    extensions TEXT NOT NULL, received INTEGER NOT NULL, expires INTEGER NOT NULL, data BLOB NOT NULL
  );
  CREATE INDEX event_kept_id ON event_kept (event_id);
  `,
  `
  CREATE INDEX delivery_order ON delivery (queue, order_key, id) WHERE order_key IS NOT NULL AND resent = 0;
  ALTER TABLE delivery ADD COLUMN note TEXT;
  ALTER TABLE subscription_queue ADD COLUMN forwards INTEGER NOT NULL DEFAULT 0;
  `,
  (db) =>
    dayTables(db, "attempt")
      .map((day) => `ALTER TABLE ${dayTableName("attempt", day)} ADD COLUMN payload TEXT; ${dayTableSql("attempt", day)}`)
      .join("\n"),
  // Rows that wait for another spec. Beside the hot rows, which must not grow for what hardly ever happens; `attempt` tells a mark that is over.
  `
  CREATE TABLE parked (delivery INTEGER PRIMARY KEY, queue INTEGER NOT NULL, attempt INTEGER NOT NULL, mark TEXT NOT NULL);
  CREATE INDEX parked_queue ON parked (queue, mark);
  `,
  // Dead letters stand apart from the numbers that follow their event's: so they are found when its body is to be let go.
  "CREATE INDEX delivery_letters ON delivery (event) WHERE note IS NOT NULL;",
  // When an attempt's bodies go, where that is before the attempt.
  (db) =>
    dayTables(db, "attempt")
      .map((day) => `ALTER TABLE ${dayTableName("attempt", day)} ADD COLUMN bodies INTEGER;`)
      .join("\n"),
  // Attempts that the end of a process cut off: they use up none of those a delivery may have.
  "ALTER TABLE delivery ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;",
  // What each namespace holds, by the day on which it goes.
  (db) => countedAnew((kind) => dayTables(db, kind).map((day) => ({ day, name: dayTableName(kind, day) }))),
  // A delivery is found by its record id from its acceptance on. What was accepted before is found by its attempts, as it was.
  (db) => ["delivery", ...dayTables(db, "outcome").map((day) => dayTableName("outcome", day))].map(recordIdAdded).join("\n"),
];

function recordIdAdded(table: string): string {
  return `ALTER TABLE ${table} ADD COLUMN record_id TEXT; CREATE INDEX ${table}_record ON ${table} (record_id) WHERE record_id IS NOT NULL;`;
}

/** The kinds of table that come one per day of expiry; a whole day is dropped at once. */
export const DAY_TABLES = ["event", "outcome", "attempt", "idempotency", "result"] as const;
export type DayTable = (typeof DAY_TABLES)[number];

export const DAY_MS = 86_400_000;
const RETENTION_CLASSES_DAYS = [1, 3, 7, 30];

/** The day (days since the epoch) whose table holds a row written at `nowMs` and kept for `retentionMs`, rounded up to its class. */
export function expiryDay(nowMs: number, retentionMs: number): number {
  const days = Math.ceil(retentionMs / DAY_MS);
  const rounded = RETENTION_CLASSES_DAYS.find((limit) => days <= limit) ?? days;
  return Math.floor(nowMs / DAY_MS) + rounded;
}

export function dayTableName(table: DayTable, day: number): string {
  return `${table}_${day}`;
}

/** True when every row of that day's table is past its retention. */
export function dayIsOver(day: number, nowMs: number): boolean {
  return nowMs >= (day + 1) * DAY_MS;
}

export function dayTableSql(table: DayTable, day: number): string {
  const name = dayTableName(table, day);
  switch (table) {
    case "event":
      return `${createSql(EVENT, name)} CREATE INDEX IF NOT EXISTS ${name}_id ON ${name} (event_id);`;
    case "outcome":
      return `${createSql(OUTCOME, name)} CREATE INDEX IF NOT EXISTS ${name}_record ON ${name} (record_id) WHERE record_id IS NOT NULL;`;
    case "attempt":
      return `${createSql(ATTEMPT, name)} CREATE INDEX IF NOT EXISTS ${name}_record ON ${name} (record_id, place) WHERE record_id IS NOT NULL;`;
    case "idempotency":
      return `CREATE TABLE IF NOT EXISTS ${name} (
        key BLOB PRIMARY KEY, event_id BLOB NOT NULL, matched INTEGER NOT NULL, content_hash BLOB NOT NULL, expires INTEGER NOT NULL
        ) WITHOUT ROWID;`;
    case "result":
      return createSql(RESULT, name);
    default:
      return unreachable(table);
  }
}

/** Attempts of one delivery that keep a row of their own within one day table; a further one replaces the last. */
export const ATTEMPT_PLACES = 256;

/** Days that have a table of this kind, ascending. */
export function dayTables(db: DatabaseSync, table: DayTable): number[] {
  const rows = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ? || '_[0-9]*'").all(table);
  return rows.map((row) => Number(String(row["name"]).slice(table.length + 1))).toSorted((a, b) => a - b);
}

/** Creates or migrates the schema in one transaction. @throws StoreError `refused` when the database is newer than this program */
export function migrate(db: DatabaseSync, directory: string): void {
  const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      "refused",
      `the store in ${directory} has schema version ${version}, but this program supports only up to ${MIGRATIONS.length}; run the newer version again, or restore a backup made before the upgrade`,
    );
  }
  if (version === MIGRATIONS.length) return;
  db.exec("BEGIN IMMEDIATE");
  for (const migration of MIGRATIONS.slice(version)) db.exec(typeof migration === "string" ? migration : migration(db));
  db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  db.exec("COMMIT");
}

/** Refuses a SQLite library with the WAL-reset bug. @throws StoreError `refused` */
export function checkLibrary(db: DatabaseSync): void {
  const text = String(db.prepare("SELECT sqlite_version() AS version").get()?.["version"]);
  const parts = text.split(".").map(Number);
  const difference = SQLITE_VERSION_MIN.map((least, i) => (parts[i] ?? 0) - least).find((d) => d !== 0) ?? 0;
  if (difference < 0) {
    throw new StoreError(
      "refused",
      `SQLite ${text} is too old: ${SQLITE_VERSION_MIN.join(".")} or newer is needed; use Node 24.15 or newer`,
    );
  }
}

/**
 * Page caches in KiB: the writer works on hot pages, readers and the checkpoint helper pass through. Not larger than needed: after balancing an index
 * SQLite walks the whole cache at the commit (64 MiB cost 9 % of the writer's CPU), and what it misses lies in the system's cache.
 */
export const WRITER_CACHE_KIB = 16_384;
export const READER_CACHE_KIB = 16_384;
export const HELPER_CACHE_KIB = 1_024;

/** Set on every connection; the sync level is asserted after a first write. */
export const CONNECTION_PRAGMAS = `
  PRAGMA synchronous = FULL;
  PRAGMA temp_store = MEMORY;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA wal_autocheckpoint = 0;
`;
