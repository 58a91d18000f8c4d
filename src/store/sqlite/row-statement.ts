import type { DatabaseSync } from "node:sqlite";

/** What a column can hold. */
export type Value = number | string | Uint8Array | null;

/** A statement whose rows are arrays, in the order of the columns that it names: an object for each row costs twice as much. */
export interface RowStatement {
  get(...values: readonly Value[]): readonly Value[] | undefined;
  all(...values: readonly Value[]): readonly (readonly Value[])[];
}

export function prepareRows(db: DatabaseSync, sql: string): RowStatement {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  // The types know nothing of setReturnArrays.
  return statement as unknown as RowStatement;
}
