import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../lib/clock.ts";
import type { DiskRoom } from "./disk-room.ts";
import { grows } from "./disk-room.ts";
import { LogKeeper } from "./log-keeper.ts";
import { ANSWER, type Failure } from "./message.ts";
import { PacketWriter, type Packet } from "./packet.ts";
import type { ReadGate } from "./read-gate.ts";
import { vacuumStep } from "./retention.ts";
import type { HelperWork } from "./worker-message.ts";
import { WriteLine, type Waiting } from "./write-line.ts";
import type { Writer } from "./writer.ts";

/** On a disk that is full to the end: so many writes of a batch are tried in vain, each alone, before the others are refused with them. */
const FULL_TRIES_MAX = 8;
/** A write that fails may take the whole transaction with it: the others are tried again so many times. */
const LOST_TRANSACTIONS_MAX = 4;

/** SQLite's primary result codes. */
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
const FATAL_CODES = new Set([SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB]);

export interface CommitLoopParts {
  readonly db: DatabaseSync;
  readonly writer: Pick<Writer, "apply" | "flush" | "mark" | "undo" | "settle" | "tellUsage">;
  readonly room: DiskRoom;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly gate: ReadGate;
  readonly reply: (packet: Packet, transfer: ArrayBuffer[]) => void;
  /** Asks the helper for something; it answers through `helped`. */
  readonly help: (work: HelperWork) => void;
  readonly fatal: (message: string) => void;
}

type Answer = (out: PacketWriter) => void;

/**
 * Group commit: takes what has gathered, one transaction, answers, again. There is no timer: batches form only while a commit runs.
 *
 * A crash before the commit returned leaves nothing of the batch; after it, all of it, answered or not. An I/O error ends the loop for
 * good (the file must be reopened: a repeated fsync may lie), a full disk only refuses what would grow. After any other error the batch is tried
 * again with a savepoint around each: one that fails costs the others one more try, whoever brought it.
 */
export class CommitLoop {
  readonly #parts: CommitLoopParts;
  readonly #out = new PacketWriter();
  readonly #line = new WriteLine();
  readonly #log: LogKeeper;
  #dead: string | undefined;

  constructor(parts: CommitLoopParts) {
    this.#parts = parts;
    const { db, gate, clock, help } = parts;
    this.#log = new LogKeeper({ db, gate, clock, help, guard: (work) => this.#guard(work) });
  }

  push(packet: Packet): void {
    this.#line.push(packet);
  }

  /** Commits one batch; false when nothing waits. */
  step(): boolean {
    const batch = this.#line.take();
    if (batch.length === 0) return false;
    const startedAtMs = this.#parts.clock.monotonicMs();
    const answers = this.#commit(batch);
    const seconds = (this.#parts.clock.monotonicMs() - startedAtMs) / 1_000;
    this.#out.number(seconds);
    this.#out.number(batch.length);
    this.#parts.writer.tellUsage(this.#out);
    for (const answer of answers) answer(this.#out);
    const { packet, transfer } = this.#out.take();
    this.#parts.reply(packet, transfer);
    if (this.#dead === undefined) this.#afterCommit(batch);
    return true;
  }

  helped(with_: "checkpointed" | "reserveFilled"): void {
    if (this.#dead !== undefined) return;
    if (with_ === "checkpointed") this.#log.checkpointed();
    else this.#parts.room.reserveFilled();
  }

  #commit(batch: readonly Waiting[]): Answer[] {
    if (this.#dead !== undefined) return batch.map((each) => this.#afterDeath(each));
    const refused: Answer[] = [];
    const tried: Waiting[] = [];
    for (const each of batch) {
      if (this.#parts.room.refuses(each)) refused.push(this.#diskFull(each));
      else tried.push(each);
    }
    if (tried.length === 0) return refused;
    try {
      return [...refused, ...this.#transaction(() => tried.map(({ operation }) => this.#parts.writer.apply(operation)))];
    } catch (error) {
      return [...refused, ...this.#recover(tried, error)];
    }
  }

  /** All of it or nothing, in the file and in memory. @throws whatever stood in the way */
  #transaction(work: () => Answer[]): Answer[] {
    const { db, writer } = this.#parts;
    const mark = writer.mark();
    try {
      db.exec("BEGIN IMMEDIATE");
      const answers = work();
      writer.flush();
      db.exec("COMMIT");
      writer.settle();
      return answers;
    } catch (error) {
      if (!isFatal(error)) {
        this.#guard(() => {
          if (db.isTransaction) db.exec("ROLLBACK");
          writer.undo(mark);
        });
      }
      throw error;
    }
  }

  #recover(batch: readonly Waiting[], error: unknown): Answer[] {
    if (isFatal(error)) {
      this.#die(messageOf(error));
      const failure: Failure = { code: "unknown", message: `the commit may have been lost: ${messageOf(error)}` };
      return batch.map((each) => failed(each, failure));
    }
    if (this.#dead !== undefined) return batch.map((each) => this.#afterDeath(each));
    if (resultCode(error) === SQLITE_FULL) return this.#recoverFull(batch);
    const [only] = batch;
    return only !== undefined && batch.length === 1 ? [refusedWith(only, error)] : this.#oneByOne(batch);
  }

  /** One transaction with a savepoint around each: what fails is undone alone. */
  #oneByOne(batch: readonly Waiting[]): Answer[] {
    const failures = new Map<Waiting, Answer>();
    let reached = 0;
    const left = (): Waiting[] => batch.filter((each) => !failures.has(each));
    for (let [tries, known] = [0, -1]; tries < LOST_TRANSACTIONS_MAX && failures.size > known; tries++) {
      known = failures.size;
      reached = 0;
      const rest = left();
      try {
        const answers = this.#transaction(() => rest.flatMap((each) => (reached++, this.#saved(each, failures))));
        return [...answers, ...failures.values()];
      } catch (error) {
        const undone = left();
        if (resultCode(error) === SQLITE_FULL) return [...failures.values(), ...this.#recover(undone, error)];
        if (!isFatal(error) && this.#dead === undefined) continue;
        // What had not been reached when the file failed was certainly not written.
        const begun = rest.slice(0, reached).filter((each) => !failures.has(each));
        const untouched = rest.slice(reached);
        return [...failures.values(), ...this.#recover(begun, error), ...untouched.map((each) => this.#afterDeath(each))];
      }
    }
    const lost = new Error("other writes of the same commit failed");
    return [...failures.values(), ...left().map((each) => refusedWith(each, lost))];
  }

  #saved(each: Waiting, failures: Map<Waiting, Answer>): Answer[] {
    const { db, writer } = this.#parts;
    const mark = writer.mark();
    try {
      db.exec("SAVEPOINT one");
      const answer = writer.apply(each.operation);
      writer.flush();
      db.exec("RELEASE one");
      return [answer];
    } catch (error) {
      if (isFatal(error) || resultCode(error) === SQLITE_FULL) throw error;
      failures.set(each, refusedWith(each, error));
      // Some errors end the transaction: the others begin anew without this one.
      if (!db.isTransaction) throw error;
      db.exec("ROLLBACK TO one; RELEASE one");
      writer.undo(mark);
      return [];
    }
  }

  /** The reserve is given back and only what lets deliveries end is tried again. */
  #recoverFull(batch: readonly Waiting[]): Answer[] {
    const released = this.#parts.room.full();
    const refused = batch.filter(grows).map((each) => this.#diskFull(each));
    const kept = batch.filter((each) => !grows(each));
    if (released) return kept.length === 0 ? refused : [...refused, ...this.#commit(kept)];
    // Nothing left to give: each of the others alone, a small one may still fit.
    let triesLeft = batch.length === 1 ? 0 : FULL_TRIES_MAX;
    for (const each of kept) {
      const answer = triesLeft === 0 ? undefined : this.#alone(each);
      if (answer === undefined) triesLeft = Math.max(0, triesLeft - 1);
      refused.push(answer ?? this.#diskFull(each));
    }
    return refused;
  }

  /** Undefined = the disk is full. */
  #alone(each: Waiting): Answer | undefined {
    if (this.#dead !== undefined) return this.#afterDeath(each);
    try {
      return this.#transaction(() => [this.#parts.writer.apply(each.operation)])[0];
    } catch (error) {
      return resultCode(error) === SQLITE_FULL && this.#dead === undefined ? undefined : this.#recover([each], error)[0];
    }
  }

  #afterCommit(batch: readonly Waiting[]): void {
    const drops = batch.some(({ operation }) => operation.kind === "call" && operation.call.method === "dropExpired");
    if (drops) this.#guard(() => vacuumStep(this.#parts.db));
    this.#parts.room.afterCommit();
    this.#log.afterCommit();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      // A full disk or a busy reader only delays a checkpoint; after anything else the file cannot be trusted.
      if (resultCode(error) === undefined || isFatal(error)) this.#die(messageOf(error));
    }
  }

  #die(message: string): void {
    if (this.#dead !== undefined) return;
    this.#dead = message;
    this.#parts.fatal(`the store has failed: ${message}; the process must exit and reopen it`);
  }

  #afterDeath(each: Waiting): Answer {
    return failed(each, { code: "unavailable", message: `the store has failed: ${this.#dead}` });
  }

  #diskFull(each: Waiting): Answer {
    return failed(each, this.#parts.room.failure());
  }
}

function failed({ operation }: Waiting, failure: Failure): Answer {
  return (out) => {
    out.number(ANSWER.failed);
    out.number(operation.callId);
    out.string(failure.code);
    out.string(failure.message);
  };
}

function refusedWith(each: Waiting, error: unknown): Answer {
  return failed(each, { code: "unavailable", message: `the store refused the write: ${messageOf(error)}` });
}

function isFatal(error: unknown): boolean {
  return FATAL_CODES.has(resultCode(error) ?? 0);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function resultCode(error: unknown): number | undefined {
  const code = (error as { readonly errcode?: unknown } | undefined)?.errcode;
  // Extended codes carry the primary one in their low byte.
  return typeof code === "number" ? code & 0xff : undefined;
}
