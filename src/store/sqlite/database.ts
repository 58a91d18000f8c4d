import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "../store.ts";
import { checkLibrary, CONNECTION_PRAGMAS, HELPER_CACHE_KIB, migrate, READER_CACHE_KIB, WRITER_CACHE_KIB } from "./schema.ts";

export const DATABASE_FILE = "postrider.db";
export const LOCK_FILE = "lock.db";
/** How long a second process waits for the first to go away (a restart overlaps by a moment); it must be refused within 5 s. */
const LOCK_TIMEOUT_MS = 2_000;
const BUSY_TIMEOUT_MS = 5_000;
const SYNCHRONOUS_FULL = 2;

export function databasePath(directory: string): string {
  return join(directory, DATABASE_FILE);
}

/**
 * Takes the directory for this process. The lock is an open exclusive transaction on a file of its own, so our own readers still work; a
 * kill frees it at once. @throws StoreError `refused`
 */
export function takeLock(directory: string): DatabaseSync {
  const lock = new DatabaseSync(join(directory, LOCK_FILE), { timeout: LOCK_TIMEOUT_MS });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    throw new StoreError(
      "refused",
      `the store in ${directory} is in use by another process; stop that one first, or give this one a directory of its own (${String(error)})`,
      { cause: error },
    );
  }
}

/** The writer's connection, migrated. @throws StoreError `refused` */
export function openDatabase(directory: string): DatabaseSync {
  const db = new DatabaseSync(databasePath(directory), { timeout: BUSY_TIMEOUT_MS });
  try {
    checkLibrary(db);
    // Both only take effect before the first table is made.
    db.exec("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;");
    db.exec(CONNECTION_PRAGMAS);
    db.exec(`PRAGMA cache_size = -${WRITER_CACHE_KIB}`);
    migrate(db, directory);
    return db;
  } catch (error) {
    db.close();
    if (error instanceof StoreError) throw error;
    throw new StoreError("refused", `the store in ${directory} cannot be opened: ${String(error)}; keep the files and restore a backup`, {
      cause: error,
    });
  }
}

/** A connection for reading, or for checkpoints beside the writer. */
export function openBeside(directory: string, options: { readonly readOnly: boolean }): DatabaseSync {
  const db = new DatabaseSync(databasePath(directory), { readOnly: options.readOnly, timeout: BUSY_TIMEOUT_MS });
  db.exec(CONNECTION_PRAGMAS);
  db.exec(`PRAGMA cache_size = -${options.readOnly ? READER_CACHE_KIB : HELPER_CACHE_KIB}`);
  return db;
}

/** SQLite may fall back to NORMAL on the first write in WAL mode, so this is asked after one. @throws StoreError `refused` */
export function assertSynchronous(db: DatabaseSync): void {
  const level = Number(db.prepare("PRAGMA synchronous").get()?.["synchronous"]);
  if (level !== SYNCHRONOUS_FULL) {
    throw new StoreError(
      "refused",
      `SQLite reports synchronous=${level} after a write, FULL (${SYNCHRONOUS_FULL}) is needed: commits would not survive a power loss`,
    );
  }
}
