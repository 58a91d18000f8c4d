import type { DatabaseSync, StatementSync } from "node:sqlite";
import { SINGLE_OWNER_EPOCH, type QueueCounters } from "../store.ts";
import { insertQueueRow, toQueueRow, type QueueRow } from "./generated/rows.ts";
import { ownText } from "../../lib/own-text.ts";
import { prepareRows, type RowStatement } from "./row-statement.ts";
import { columnNames, insertSql, QUEUE } from "./tables.ts";

/** One subscription's queue as the writer keeps it in memory; written once per commit however many deliveries touched it. */
export interface Queue extends QueueRow {
  dirty: boolean;
}

interface QueueMark {
  readonly touched: number;
  readonly last: number;
}

/** The longest history there is (720 h), its last day and one more: for so long an ended delivery may need the name behind its queue's number. */
const FORGOTTEN_KEPT_MS = 32 * 86_400_000;
/** Rows let go of in one step. */
const LET_GO_MAX = 256;

/** Of a queue that is there, these stay as they were written first. */
const WRITTEN_ONCE = new Set(["queue", "subscription", "epoch", "owner"]);
const WRITTEN_AGAIN = QUEUE.columns.filter(({ name }) => !WRITTEN_ONCE.has(name)).map(({ name }) => `${name} = excluded.${name}`);
const UPSERT = `${insertSql(QUEUE)} ON CONFLICT (queue) DO UPDATE SET ${WRITTEN_AGAIN.join(", ")}`;
const SELECT = `SELECT ${columnNames(QUEUE)} FROM subscription_queue`;

/** The table `subscription_queue`, written behind: changes are kept until `flush`, inside the same transaction. */
export class QueueTable {
  readonly #db: DatabaseSync;
  readonly #upsert: StatementSync;
  readonly #bySubscription = new Map<string, Queue>();
  readonly #byNumber = new Map<number, Queue>();
  readonly #select: RowStatement;
  #dirty: Queue[] = [];
  /** Changed since the transaction began, flushed or not. */
  #touched: Queue[] = [];
  #last = 0;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#upsert = db.prepare(UPSERT);
    this.#select = prepareRows(db, `${SELECT} WHERE queue = ?`);
    for (const row of prepareRows(db, SELECT).all()) this.#add({ ...toQueueRow(row), dirty: false });
  }

  /** Whatever was changed before it must have been flushed. */
  mark(): QueueMark {
    return { touched: this.#touched.length, last: this.#last };
  }

  /** The file is as it was at the mark: what was changed since is read anew, and nothing else. */
  undo(mark: QueueMark): void {
    // The last change first: a subscription let go of may have come again under another number.
    for (const queue of this.#touched.splice(mark.touched).toReversed()) {
      const row = this.#select.get(queue.queue);
      this.#byNumber.delete(queue.queue);
      this.#bySubscription.delete(queue.subscription);
      if (row !== undefined) this.#add({ ...toQueueRow(row), dirty: false });
    }
    this.#dirty = [];
    this.#last = mark.last;
  }

  settle(): void {
    if (this.#touched.length > 0) this.#touched = [];
  }

  /** The queue of a subscription, made on first use; a forgotten one begins anew. */
  of(subscription: string, namespace: string, nowMs: number): Queue {
    const found = this.#bySubscription.get(subscription);
    if (found === undefined) {
      const zero = { pending: 0, accepted: 0, delivered: 0, retried: 0, failed: 0, discarded: 0 };
      const made = this.#add({
        queue: this.#last + 1,
        subscription: ownText(subscription),
        namespace: ownText(namespace),
        forgotten: false,
        epoch: SINGLE_OWNER_EPOCH,
        owner: undefined,
        pauses: {},
        forwards: false,
        sinceMs: nowMs,
        ...zero,
        dirty: false,
      });
      this.touch(made);
      return made;
    }
    if (found.forgotten) {
      this.touch(found);
      Object.assign(found, {
        forgotten: false,
        pauses: {},
        forwards: false,
        sinceMs: nowMs,
        accepted: 0,
        delivered: 0,
        retried: 0,
        failed: 0,
        discarded: 0,
      });
    }
    if (found.namespace === "" && namespace !== "") {
      this.touch(found);
      found.namespace = ownText(namespace);
    }
    return found;
  }

  find(subscription: string): Queue | undefined {
    const found = this.#bySubscription.get(subscription);
    return found?.forgotten === true ? undefined : found;
  }

  byNumber(queue: number): Queue | undefined {
    return this.#byNumber.get(queue);
  }

  /** The row stays for a while: ended deliveries still need the name behind its number. `sinceMs` tells from now on since when it is forgotten. */
  forget(queue: Queue, nowMs: number): void {
    queue.forgotten = true;
    queue.sinceMs = nowMs;
    this.touch(queue);
  }

  /** Lets go of some of those that no delivery can refer to any more; false when none is left. The highest number stays: none is given twice. */
  letGo(nowMs: number): boolean {
    const over = [...this.#byNumber.values()].filter(
      ({ queue, forgotten, dirty, sinceMs }) => forgotten && !dirty && queue < this.#last && nowMs - sinceMs > FORGOTTEN_KEPT_MS,
    );
    const remove = this.#db.prepare("DELETE FROM subscription_queue WHERE queue = ?");
    for (const gone of over.slice(0, LET_GO_MAX)) {
      this.#touched.push(gone);
      remove.run(gone.queue);
      this.#byNumber.delete(gone.queue);
      this.#bySubscription.delete(gone.subscription);
    }
    return over.length > LET_GO_MAX;
  }

  pending(): number {
    let sum = 0;
    for (const queue of this.#byNumber.values()) sum += queue.pending;
    return sum;
  }

  touch(queue: Queue): void {
    if (queue.dirty) return;
    queue.dirty = true;
    this.#dirty.push(queue);
    this.#touched.push(queue);
  }

  count(queue: Queue, counter: Exclude<keyof QueueCounters, "sinceMs">, pendingBy: number): void {
    queue[counter] += 1;
    queue.pending += pendingBy;
    this.touch(queue);
  }

  /** Writes what was touched; runs last in the transaction. */
  flush(): void {
    for (const q of this.#dirty) {
      q.dirty = false;
      insertQueueRow(this.#upsert, q);
    }
    this.#dirty = [];
  }

  #add(queue: Queue): Queue {
    this.#bySubscription.set(queue.subscription, queue);
    this.#byNumber.set(queue.queue, queue);
    this.#last = Math.max(this.#last, queue.queue);
    return queue;
  }
}
