import { accessSync, chmodSync, closeSync, constants, lstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { StoreError } from "../store.ts";
import { DATABASE_FILE, LOCK_FILE } from "./database.ts";
import { RESERVE_FILE } from "./disk.ts";

const OWNER_ONLY = 0o600;
const EVERYBODY_ELSE = 0o077;

/** SQLite gives its log and its shared memory the mode of the database. */
const MADE_FIRST: readonly string[] = [LOCK_FILE, DATABASE_FILE];
const KEPT: readonly string[] = [
  ...MADE_FIRST,
  `${LOCK_FILE}-journal`,
  `${DATABASE_FILE}-wal`,
  `${DATABASE_FILE}-shm`,
  `${DATABASE_FILE}-journal`,
  RESERVE_FILE,
];

/**
 * Makes the store's files readable for nobody else, whoever made the folder: new ones at once, those of an older version now. The folder is left as it is, and
 * so are files that another user owns (a volume's group may let us use them). To be called before the first connection: where a process closes a file, it
 * loses its locks on it. @throws StoreError `refused` where a file is there that this user may not use.
 */
export function keepPrivate(directory: string): void {
  for (const name of MADE_FIRST) make(join(directory, name));
  for (const name of KEPT) tighten(join(directory, name));
}

function make(path: string): void {
  try {
    closeSync(openSync(path, "wx", OWNER_ONLY));
  } catch {
    // It is there already, or cannot be made: opening it says so.
  }
}

function tighten(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  // What a link leads to is not ours to change.
  if (found === undefined || !found.isFile()) return;
  if (found.uid === process.geteuid?.()) {
    if ((found.mode & EVERYBODY_ELSE) !== 0) chmodSync(path, OWNER_ONLY);
    return;
  }
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new StoreError(
      "refused",
      `the store's file ${path} belongs to user ${found.uid}, and user ${process.geteuid?.()} may not write it: run as its owner, or change the owner with chown`,
      { cause: error },
    );
  }
}
