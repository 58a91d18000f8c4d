import type { DatabaseSync, StatementSync } from "node:sqlite";

/** A database whose n-th statement from now fails, once, with a result code of SQLite's. */
export class FailingDatabase {
  readonly db: DatabaseSync;
  #left = Number.POSITIVE_INFINITY;
  #errcode = 0;
  #losesTransaction = false;
  failed = 0;

  constructor(real: DatabaseSync) {
    const exec = real.exec.bind(real);
    const prepare = real.prepare.bind(real);
    const fail = (sql: string): void => {
      // What undoes must not fail: SQLite promises as much.
      if (/^(ROLLBACK|SAVEPOINT|RELEASE)/.test(sql) || --this.#left > 0) return;
      this.#left = Number.POSITIVE_INFINITY;
      this.failed += 1;
      if (this.#losesTransaction && real.isTransaction) exec("ROLLBACK");
      throw Object.assign(new Error(`made to fail: ${sql}`), { errcode: this.#errcode });
    };
    this.db = Object.assign(real, {
      exec: (sql: string) => {
        fail(sql);
        exec(sql);
      },
      prepare: (sql: string) => failing(prepare(sql), () => fail(sql)),
    });
  }

  failAt(statement: number, how: { readonly errcode: number; readonly losesTransaction: boolean }): void {
    this.#left = statement;
    this.#errcode = how.errcode;
    this.#losesTransaction = how.losesTransaction;
  }

  heal(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }
}

function failing(statement: StatementSync, fail: () => void): StatementSync {
  const run = statement.run.bind(statement);
  return Object.assign(statement, {
    run: (...values: Parameters<typeof run>) => {
      fail();
      return run(...values);
    },
  });
}
