import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { basename } from "node:path";

/**
 * Lets this thread alone stand back for all others when the processor is short; `nice` from 1 to 19. Linux tells a thread its number and takes a
 * thread's number for a process's; elsewhere nothing happens. Answers whether it worked.
 */
export function lowerThreadPriority(nice: number): boolean {
  try {
    setPriority(Number(basename(readlinkSync("/proc/thread-self"))), nice);
    return true;
  } catch {
    return false;
  }
}
