import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const LOCK_POLL_MS = 250;
/** A lock without a readable owner is given this long to get one: its maker may be between the two system calls. */
const LOCK_NAMELESS_MS = 5_000;

/** The folder for what tests build and download: outside the checkout, so that a clean clone finds it again. */
export function cacheDirectory(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? "";
  const directory = join(base === "" ? join(homedir(), ".cache") : base, "postrider");
  mkdirSync(directory, { recursive: true });
  return directory;
}

/**
 * Runs `work` while no other process runs work under the same name. A lock left by a process that has died is taken over;
 * `waiting` is called once when another process holds it.
 */
export async function withLock<T>(name: string, waiting: (owner: number) => void, work: () => Promise<T>): Promise<T> {
  const lock = join(cacheDirectory(), `${name}.lock`);
  let told = false;
  while (!tryLock(lock)) {
    const owner = ownerOf(lock);
    if (isStale(lock, owner)) {
      rmSync(lock, { recursive: true, force: true });
      continue;
    }
    if (!told && owner !== undefined) waiting(owner);
    told = owner !== undefined;
    await delay(LOCK_POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    mkdirSync(lock);
  } catch {
    return false;
  }
  writeFileSync(join(lock, "pid"), String(process.pid));
  return true;
}

function ownerOf(lock: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(lock, "pid"), "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isStale(lock: string, owner: number | undefined): boolean {
  try {
    if (owner === undefined) return Date.now() - statSync(lock).mtimeMs > LOCK_NAMELESS_MS;
    process.kill(owner, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
