import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../lib/clock.ts";
import { freeBytes, type ReserveFile } from "./disk.ts";
import type { Failure } from "./message.ts";
import type { HelperWork } from "./worker-message.ts";
import type { Waiting } from "./write-line.ts";

const PAGE_BYTES = 8_192;
/** Room on the disk is looked at again after this long or this much; what is kept free is far more than that. */
const ROOM_CHECK_MS = 50;
const ROOM_CHECK_BYTES = 4 * 1_048_576;
/** After the disk refused a write, for so long nothing that grows is tried. */
const FULL_MS = 1_000;
/** A reserve that was given back is filled again when so many times the floor is free; looked at so often. */
const REFILL_AT = 2;
const REFILL_CHECK_MS = 1_000;
/** The engine's notes up to this size are tried on a full disk: they mostly replace what is there. */
const SMALL_BYTES = 4_096;

export interface DiskRoomParts {
  readonly db: DatabaseSync;
  readonly reserve: ReserveFile;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly directory: string;
  readonly freeBytesMin: number;
  /** See SqliteStoreOptions. */
  readonly sizeMax?: number | undefined;
  /** For tests: the database never grows above so many pages, plus the reserve once it is given back. */
  readonly pageCountMax: number | undefined;
  readonly help: (work: HelperWork) => void;
}

/**
 * Whether there is room for what grows. Two signs that there is none: less is free than is kept for deliveries to end, or the disk refused a write.
 * A refused write costs what it had written; so that not each of thousands costs that, nothing that grows is tried for a second after it.
 */
export class DiskRoom {
  readonly #parts: DiskRoomParts;
  /** When there was room, and what has been taken since. */
  #roomAtMs = Number.NEGATIVE_INFINITY;
  #takenBytes = 0;
  #fullUntilMs = Number.NEGATIVE_INFINITY;
  #reserveMissing: boolean;
  #refillAsked = false;
  #refillCheckAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: DiskRoomParts) {
    this.#parts = parts;
    this.#reserveMissing = parts.reserve.wantedBytes > 0 && parts.reserve.bytes === 0;
    this.#limitPages(0);
  }

  /** Whether this one is refused without being tried. */
  refuses(waiting: Waiting): boolean {
    if (!grows(waiting)) return false;
    if (this.#parts.clock.monotonicMs() < this.#fullUntilMs) return true;
    if (waiting.operation.kind !== "accept") return false;
    this.#takenBytes += waiting.bytes;
    return !this.#hasRoom();
  }

  /** The disk refused a write. Answers whether giving the reserve back made room. */
  full(): boolean {
    const { reserve, clock } = this.#parts;
    this.#fullUntilMs = clock.monotonicMs() + FULL_MS;
    const reserved = reserve.bytes;
    const released = reserve.release();
    this.#reserveMissing = reserve.wantedBytes > 0;
    if (released) this.#limitPages(reserved);
    return released;
  }

  /** As soon as there is room again the reserve is put back, by the helper: writing it takes a while. */
  afterCommit(): void {
    if (!this.#reserveMissing || this.#refillAsked) return;
    const { clock, freeBytesMin, help } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#refillCheckAtMs || nowMs < this.#fullUntilMs) return;
    this.#refillCheckAtMs = nowMs + REFILL_CHECK_MS;
    if (this.#freeBytes() <= freeBytesMin * REFILL_AT) return;
    this.#refillAsked = true;
    help({ type: "fillReserve" });
  }

  reserveFilled(): void {
    this.#refillAsked = false;
    this.#reserveMissing = this.#parts.reserve.bytes === 0;
    if (!this.#reserveMissing) this.#limitPages(0);
  }

  failure(): Failure {
    const { directory, freeBytesMin } = this.#parts;
    const message = `the disk of ${directory} is full: ${this.#freeBytes()} bytes free, ${freeBytesMin} are reserved for delivery results; free space or enlarge the volume`;
    return { code: "disk_full", message };
  }

  /** Asking the file system costs as much as three rows: a yes is remembered for a moment, a no never. */
  #hasRoom(): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#roomAtMs < ROOM_CHECK_MS && this.#takenBytes < ROOM_CHECK_BYTES) return true;
    if (this.#freeBytes() < this.#parts.freeBytesMin) return false;
    this.#roomAtMs = nowMs;
    this.#takenBytes = 0;
    return true;
  }

  #freeBytes(): number {
    return freeBytes(this.#parts.directory, this.#parts.sizeMax);
  }

  #limitPages(moreBytes: number): void {
    const { db, pageCountMax } = this.#parts;
    if (pageCountMax !== undefined) db.exec(`PRAGMA max_page_count = ${pageCountMax + Math.floor(moreBytes / PAGE_BYTES)}`);
  }
}

/** What only makes more of it. What lets deliveries end, or ends them, is tried on a full disk too. */
export function grows({ operation, bytes }: Waiting): boolean {
  if (operation.kind === "accept") return true;
  if (operation.kind !== "call") return false;
  return operation.call.method === "resend" || (operation.call.method === "putState" && bytes > SMALL_BYTES);
}
