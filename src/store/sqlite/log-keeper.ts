import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Clock } from "../../lib/clock.ts";
import type { ReadGate } from "./read-gate.ts";
import type { HelperWork } from "./worker-message.ts";

/** The helper is asked for a checkpoint above this, and the writer does it itself above the second. */
const HANDOVER_BYTES = 4 * 1_048_576;
const LOG_BYTES_MAX = 64 * 1_048_576;
const PAGE_BYTES = 8_192;
/** How long the writer itself waits for the reads under way. */
const GATE_WAIT_MS = 20;
/** Between two passes of the writer's own: at least so long, and so many times as long as the last one took. */
const OWN_PASS_EVERY_MS = 1_000;
const OWN_PASS_SHARE = 10;

export interface LogKeeperParts {
  readonly db: DatabaseSync;
  readonly gate: ReadGate;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly help: (work: HelperWork) => void;
  /** Runs what may fail: a full disk or a busy reader only delays a checkpoint. */
  readonly guard: (work: () => void) => void;
}

/**
 * Keeps the write-ahead log short. The helper copies most of it into the database without anybody waiting; the writer's own pass behind it is short
 * and, with no read under way, lets the log start over with the next commit. When that fails the next try comes after as much again has been
 * written: never with each commit.
 */
export class LogKeeper {
  readonly #parts: LogKeeperParts;
  readonly #state: StatementSync;
  #asked = false;
  /** What a pass left behind does not count: whoever stands in the way still does. */
  #askAtBytes = HANDOVER_BYTES;
  #ownPassAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: LogKeeperParts) {
    this.#parts = parts;
    this.#state = parts.db.prepare("PRAGMA wal_checkpoint(NOOP)");
  }

  afterCommit(): void {
    const bytes = this.#bytesToCopy();
    this.#askAtBytes = Math.min(this.#askAtBytes, bytes + HANDOVER_BYTES);
    if (bytes >= this.#askAtBytes && !this.#asked) {
      this.#asked = true;
      this.#parts.help({ type: "checkpoint" });
    }
    if (bytes >= LOG_BYTES_MAX) this.#ownPass();
  }

  /** The helper has copied what it could and closed the gate. */
  checkpointed(): void {
    this.#asked = false;
    this.#pass();
    this.#askAtBytes = this.#bytesToCopy() + HANDOVER_BYTES;
  }

  #ownPass(): void {
    const { clock, gate } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    if (startedAtMs < this.#ownPassAtMs) return;
    gate.close(GATE_WAIT_MS);
    this.#pass();
    const endedAtMs = clock.monotonicMs();
    this.#ownPassAtMs = endedAtMs + Math.max(OWN_PASS_EVERY_MS, (endedAtMs - startedAtMs) * OWN_PASS_SHARE);
  }

  #pass(): void {
    const { db, gate, guard } = this.#parts;
    guard(() => db.exec("PRAGMA wal_checkpoint(PASSIVE)"));
    gate.open();
  }

  /** Not the size of the log's file: that stays when the log starts over, and would ask for one checkpoint after the other. */
  #bytesToCopy(): number {
    const { log, checkpointed } = this.#state.get() as { readonly log: number; readonly checkpointed: number };
    return (log - checkpointed) * PAGE_BYTES;
  }
}
