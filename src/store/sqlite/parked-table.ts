import type { DatabaseSync, StatementSync } from "node:sqlite";

/** A mark: the row waits for another spec, as long as it has made no further attempt. */
export interface Parked {
  readonly delivery: number;
  readonly attempt: number;
}

/** The table `parked`. Nothing is asked of it while it is empty, which it nearly always is. */
export class ParkedTable {
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #others: StatementSync;
  #rows = 0;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare("INSERT OR REPLACE INTO parked (delivery, queue, attempt, mark) VALUES (?, ?, ?, ?)");
    this.#delete = db.prepare("DELETE FROM parked WHERE delivery = ?");
    this.#others = db.prepare("SELECT delivery, attempt FROM parked WHERE queue = ? AND mark <> ? ORDER BY delivery LIMIT ?");
    this.#rows = Number(db.prepare("SELECT count(*) AS n FROM parked").get()?.["n"]);
  }

  mark(): number {
    return this.#rows;
  }

  undo(mark: number): void {
    this.#rows = mark;
  }

  put(row: { readonly id: number; readonly queue: number; readonly attempt: number }, mark: string): void {
    this.remove(row.id);
    this.#insert.run(row.id, row.queue, row.attempt, mark);
    this.#rows += 1;
  }

  remove(delivery: number): void {
    if (this.#rows > 0) this.#rows -= Number(this.#delete.run(delivery).changes);
  }

  /** Takes the marks of a queue that name another spec away and answers them, at most `limit`. */
  takeOthers(queue: number, mark: string, limit: number): Parked[] {
    if (this.#rows === 0) return [];
    const rows = this.#others
      .all(queue, mark, limit)
      .map((row) => ({ delivery: Number(row["delivery"]), attempt: Number(row["attempt"]) }));
    for (const { delivery } of rows) this.remove(delivery);
    return rows;
  }
}
