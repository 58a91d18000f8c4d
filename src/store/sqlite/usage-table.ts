import type { DatabaseSync, StatementSync } from "node:sqlite";
import { UsageBook, type Held } from "../usage-book.ts";
import { ownText } from "../../lib/own-text.ts";
import { DAY_MS } from "./schema.ts";

/** A change that a transaction has written. */
interface Change extends Held {
  readonly namespace: string;
}

export type NamespaceHeld = readonly [namespace: string, held: Held];

/**
 * How many bytes each namespace holds, by the day on which they go, and how many deliveries it is owed: written in the transaction that changes the rows, once for each namespace and day,
 * so a kill leaves it true. What is in memory is only the sum over the days.
 */
export class UsageTable {
  readonly #add: StatementSync;
  readonly #drop: StatementSync;
  readonly #sums = new UsageBook();
  /** Not written yet, by day; NO_DAY for what goes one by one. */
  readonly #pending = new Map<number, Map<string, { bytes: number; owed: number }>>();
  #written: Change[] = [];
  #untold = new Set<string>();

  constructor(db: DatabaseSync) {
    this.#add = db.prepare(
      `INSERT INTO namespace_bytes (day, namespace, bytes, owed) VALUES (?, ?, ?, ?)
       ON CONFLICT (day, namespace) DO UPDATE SET bytes = bytes + excluded.bytes, owed = owed + excluded.owed`,
    );
    this.#drop = db.prepare("DELETE FROM namespace_bytes WHERE day > 0 AND day < ? RETURNING namespace, bytes");
    for (const row of db
      .prepare("SELECT namespace, sum(bytes) AS bytes, sum(owed) AS owed FROM namespace_bytes GROUP BY namespace")
      .iterate()) {
      this.#sums.set(String(row["namespace"]), { bytes: Number(row["bytes"]), owed: Number(row["owed"]) });
    }
  }

  /** Durable once the transaction is; negative for what goes before its day. */
  add(day: number, namespace: string, bytes: number, owed = 0): void {
    let ofDay = this.#pending.get(day);
    if (ofDay === undefined) this.#pending.set(day, (ofDay = new Map()));
    const change = ofDay.get(namespace);
    if (change === undefined) ofDay.set(namespace, { bytes, owed });
    else {
      change.bytes += bytes;
      change.owed += owed;
    }
  }

  /** The tables of all days that are over have been dropped. */
  dropDays(nowMs: number): void {
    this.flush();
    for (const row of this.#drop.all(Math.floor(nowMs / DAY_MS)))
      this.#change(String(row["namespace"]), { bytes: -Number(row["bytes"]), owed: 0 });
  }

  /** Writes what was added; last in every transaction and savepoint. */
  flush(): void {
    if (this.#pending.size === 0) return;
    for (const [day, ofDay] of this.#pending) {
      for (const [namespace, change] of ofDay) {
        if (change.bytes === 0 && change.owed === 0) continue;
        this.#add.run(day, namespace, change.bytes, change.owed);
        this.#change(namespace, change);
      }
    }
    this.#pending.clear();
  }

  /** Whatever was added before it must have been flushed. */
  mark(): number {
    return this.#written.length;
  }

  undo(mark: number): void {
    this.#pending.clear();
    for (const { namespace, bytes, owed } of this.#written.splice(mark)) this.#sums.add(namespace, -bytes, -owed);
  }

  settle(): void {
    if (this.#written.length === 0) return;
    for (const { namespace } of this.#written) this.#untold.add(namespace);
    this.#written = [];
  }

  all(): readonly NamespaceHeld[] {
    return Array.from(this.#sums.namespaces(), (namespace): NamespaceHeld => [namespace, this.#sums.held(namespace)]);
  }

  /** Sums that have changed, durably, since the last call. */
  takeChanged(): readonly NamespaceHeld[] {
    if (this.#untold.size === 0) return NONE;
    const changed = Array.from(this.#untold, (namespace): NamespaceHeld => [namespace, this.#sums.held(namespace)]);
    this.#untold.clear();
    return changed;
  }

  #change(namespace: string, { bytes, owed }: Held): void {
    // A slice of a packet would keep its whole text.
    const own = this.#sums.of(namespace) === 0 ? ownText(namespace) : namespace;
    this.#sums.add(own, bytes, owed);
    this.#written.push({ namespace: own, bytes, owed });
  }
}

const NONE: readonly NamespaceHeld[] = [];
