import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Clock } from "../../lib/clock.ts";
import { freeBytes, type ReserveFile } from "./disk.ts";
import { ANSWER, readOperation, type Failure, type Operation } from "./message.ts";
import { PacketReader, PacketWriter, type Packet } from "./packet.ts";
import { vacuumStep } from "./retention.ts";
import type { Writer } from "./writer.ts";

/** One commit takes what has gathered, up to these. */
const BATCH_OPERATIONS_MAX = 500;
const BATCH_BYTES_MAX = 4 * 1_048_576;
/** The helper is asked for a checkpoint above this, and the writer does it itself above the second. */
const WAL_HANDOVER_BYTES = 4 * 1_048_576;
const WAL_BYTES_MAX = 64 * 1_048_576;
const PAGE_BYTES = 8_192;
/** Room on the disk is looked at again after this long or this much; what is kept free is far more than that. */
const ROOM_CHECK_MS = 50;
const ROOM_CHECK_BYTES = 4 * 1_048_576;

/** SQLite's primary result codes. */
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
const FATAL_CODES = new Set([SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB]);

export interface CommitLoopParts {
  readonly db: DatabaseSync;
  readonly writer: Writer;
  readonly reserve: ReserveFile;
  readonly clock: Clock;
  readonly directory: string;
  readonly freeBytesMin: number;
  /** For tests: the database never grows above so many pages, plus the reserve once it is given back. */
  readonly pageCountMax: number | undefined;
  readonly reply: (packet: Packet, transfer: ArrayBuffer[]) => void;
  /** Asks the helper for a checkpoint; it answers through `checkpointed`. */
  readonly askCheckpoint: () => void;
  readonly fatal: (message: string) => void;
}

type Answer = (out: PacketWriter) => void;

/**
 * Group commit: takes what has gathered, one transaction, answers, again. There is no timer: batches form only while a commit runs.
 *
 * A crash before the commit returned leaves nothing of the batch; after it, all of it, answered or not. An I/O error ends the loop for
 * good (the file must be reopened: a repeated fsync may lie), a full disk only refuses what would grow.
 */
export class CommitLoop {
  readonly #parts: CommitLoopParts;
  readonly #out = new PacketWriter();
  readonly #packets: PacketReader[] = [];
  #dead: string | undefined;
  readonly #walState: StatementSync;
  #checkpointAsked = false;
  /** When there was room, and what has been taken since. */
  #roomAtMs = Number.NEGATIVE_INFINITY;
  #takenSinceBytes = 0;

  constructor(parts: CommitLoopParts) {
    this.#parts = parts;
    this.#walState = parts.db.prepare("PRAGMA wal_checkpoint(NOOP)");
    if (parts.pageCountMax !== undefined) parts.db.exec(`PRAGMA max_page_count = ${parts.pageCountMax}`);
  }

  push(packet: Packet): void {
    this.#packets.push(new PacketReader(packet));
  }

  /** Commits one batch; false when nothing waits. */
  step(): boolean {
    const operations = this.#take();
    if (operations.length === 0) return false;
    const startedAtMs = this.#parts.clock.monotonicMs();
    const answers = this.#commit(operations);
    const seconds = (this.#parts.clock.monotonicMs() - startedAtMs) / 1_000;
    this.#out.number(seconds);
    this.#out.number(operations.length);
    for (const answer of answers) answer(this.#out);
    const { packet, transfer } = this.#out.take();
    this.#parts.reply(packet, transfer);
    if (this.#dead === undefined) this.#afterCommit(operations);
    return true;
  }

  /** The helper has copied what it could: the writer's own pass is short and lets the log start over. */
  checkpointed(): void {
    this.#checkpointAsked = false;
    if (this.#dead === undefined) this.#guard(() => this.#parts.db.exec("PRAGMA wal_checkpoint(PASSIVE)"));
  }

  #take(): Operation[] {
    const operations: Operation[] = [];
    let bytes = 0;
    while (operations.length < BATCH_OPERATIONS_MAX && bytes < BATCH_BYTES_MAX) {
      const packet = this.#packets[0];
      if (packet === undefined) break;
      if (packet.done) {
        this.#packets.shift();
        continue;
      }
      const before = packet.bytesRead;
      operations.push(readOperation(packet));
      bytes += packet.bytesRead - before;
    }
    this.#takenSinceBytes += bytes;
    return operations;
  }

  #commit(operations: readonly Operation[]): Answer[] {
    // One of a batch that is tried operation by operation may have been fatal: what stands behind it must not be written any more.
    if (this.#dead !== undefined) return operations.map((each) => failed(each, this.#deadFailure()));
    const accepts = operations.some((each) => each.kind === "accept");
    if (accepts && !this.#hasRoom()) {
      const rest = operations.filter((each) => each.kind !== "accept");
      return [...operations.filter((each) => each.kind === "accept").map((each) => failed(each, this.#diskFull())), ...this.#commit(rest)];
    }
    if (operations.length === 0) return [];
    try {
      return this.#transaction(operations);
    } catch (error) {
      return this.#recover(operations, error);
    }
  }

  /** Asking the file system costs as much as three rows: a yes is remembered for a moment, a no never. */
  #hasRoom(): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#roomAtMs < ROOM_CHECK_MS && this.#takenSinceBytes < ROOM_CHECK_BYTES) return true;
    if (freeBytes(this.#parts.directory) < this.#parts.freeBytesMin) return false;
    this.#roomAtMs = nowMs;
    this.#takenSinceBytes = 0;
    return true;
  }

  #transaction(operations: readonly Operation[]): Answer[] {
    const { db, writer } = this.#parts;
    db.exec("BEGIN IMMEDIATE");
    const answers = operations.map((operation) => writer.apply(operation));
    writer.flush();
    db.exec("COMMIT");
    return answers;
  }

  #recover(operations: readonly Operation[], error: unknown): Answer[] {
    const code = resultCode(error);
    const message = error instanceof Error ? error.message : String(error);
    if (code !== undefined && FATAL_CODES.has(code)) {
      this.#die(message);
      return operations.map((each) => failed(each, { code: "unknown", message: `the commit may have been lost: ${message}` }));
    }
    this.#rollback();
    if (this.#dead !== undefined) return operations.map((each) => failed(each, this.#deadFailure()));
    if (code === SQLITE_FULL) return this.#recoverFull(operations);
    // A defect in one operation must not take the others with it.
    if (operations.length > 1) return operations.flatMap((each) => this.#commit([each]));
    return operations.map((each) => failed(each, { code: "unavailable", message: `the store refused the write: ${message}` }));
  }

  /** The reserve is given back and only what lets deliveries end is tried again. */
  #recoverFull(operations: readonly Operation[]): Answer[] {
    const reserved = this.#parts.reserve.bytes;
    const released = this.#parts.reserve.release();
    if (released && this.#parts.pageCountMax !== undefined) this.#raisePageCount(reserved);
    const kept = operations.filter((each) => each.kind !== "accept");
    const refused = operations.filter((each) => each.kind === "accept" || !released).map((each) => failed(each, this.#diskFull()));
    if (released) return [...refused, ...this.#commit(kept)];
    // Nothing left to give: each of the others alone, a small one may still fit.
    if (operations.length > 1)
      return operations.flatMap((each) => (each.kind === "accept" ? [failed(each, this.#diskFull())] : this.#commit([each])));
    return refused;
  }

  #raisePageCount(bytes: number): void {
    this.#parts.db.exec(`PRAGMA max_page_count = ${(this.#parts.pageCountMax ?? 0) + Math.floor(bytes / PAGE_BYTES)}`);
  }

  #rollback(): void {
    this.#guard(() => {
      if (this.#parts.db.isTransaction) this.#parts.db.exec("ROLLBACK");
      this.#parts.writer.reload();
    });
  }

  #afterCommit(operations: readonly Operation[]): void {
    if (operations.some((each) => each.kind === "call" && each.method === "dropExpired")) {
      this.#guard(() => vacuumStep(this.#parts.db));
      if (freeBytes(this.#parts.directory) > this.#parts.freeBytesMin * 2) this.#parts.reserve.fill();
    }
    const walBytes = this.#walBytesToCopy();
    if (walBytes >= WAL_BYTES_MAX) this.#guard(() => this.#parts.db.exec("PRAGMA wal_checkpoint(PASSIVE)"));
    else if (walBytes >= WAL_HANDOVER_BYTES && !this.#checkpointAsked) {
      this.#checkpointAsked = true;
      this.#parts.askCheckpoint();
    }
  }

  /** Not the size of the log's file: that stays when the log starts over, and would ask for one checkpoint after the other. */
  #walBytesToCopy(): number {
    const { log, checkpointed } = this.#walState.get() as { readonly log: number; readonly checkpointed: number };
    return (log - checkpointed) * PAGE_BYTES;
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      const code = resultCode(error);
      // A full disk or a busy reader only delays a checkpoint; after anything else the file cannot be trusted.
      if (code === undefined || FATAL_CODES.has(code)) this.#die(error instanceof Error ? error.message : String(error));
    }
  }

  #die(message: string): void {
    this.#dead = message;
    this.#parts.fatal(`the store cannot go on: ${message}; the process must exit and open it again`);
  }

  #deadFailure(): Failure {
    return { code: "unavailable", message: `the store cannot go on: ${this.#dead}` };
  }

  #diskFull(): Failure {
    const { directory, freeBytesMin } = this.#parts;
    const message = `the disk of ${directory} is full: ${freeBytes(directory)} bytes free, ${freeBytesMin} are kept for deliveries to end; free space or enlarge the volume`;
    return { code: "disk_full", message };
  }
}

function failed(operation: Operation, failure: Failure): Answer {
  return (out) => {
    out.number(ANSWER.failed);
    out.number(operation.callId);
    out.string(failure.code);
    out.string(failure.message);
  };
}

function resultCode(error: unknown): number | undefined {
  const code = (error as { readonly errcode?: unknown } | undefined)?.errcode;
  // Extended codes carry the primary one in their low byte.
  return typeof code === "number" ? code & 0xff : undefined;
}
