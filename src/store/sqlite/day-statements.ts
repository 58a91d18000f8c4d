import type { DatabaseSync, StatementSync } from "node:sqlite";
import { dayTableName, dayTableSql, type DayTable } from "./schema.ts";

/** One prepared statement a day table, which is made with it. What a transaction has made is let go of when it is rolled back. */
export class DayStatements {
  readonly #db: DatabaseSync;
  readonly #table: DayTable;
  readonly #sql: (name: string) => string;
  readonly #known = new Map<number, StatementSync>();
  #made: number[] = [];

  constructor(db: DatabaseSync, table: DayTable, sql: (name: string) => string) {
    this.#db = db;
    this.#table = table;
    this.#sql = sql;
  }

  of(day: number): StatementSync {
    const known = this.#known.get(day);
    if (known !== undefined) return known;
    this.#db.exec(dayTableSql(this.#table, day));
    const statement = this.#db.prepare(this.#sql(dayTableName(this.#table, day)));
    this.#known.set(day, statement);
    this.#made.push(day);
    return statement;
  }

  /** Days have been dropped. */
  clear(): void {
    this.#known.clear();
  }

  mark(): number {
    return this.#made.length;
  }

  undo(mark: number): void {
    for (const day of this.#made.splice(mark)) this.#known.delete(day);
  }

  settle(): void {
    if (this.#made.length > 0) this.#made = [];
  }
}
