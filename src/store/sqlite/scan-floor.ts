import type { DatabaseSync } from "node:sqlite";
import { HISTORY_SCAN_ROWS_MAX } from "../store.ts";

/** Rows of one table that are counted at once. */
const SCAN_BLOCK_ROWS = 512;

/** Tables that one page looks through, and the number by which it goes down. */
export interface Scanned {
  readonly tables: readonly string[];
  readonly column: "id" | "event";
}

/**
 * Down to which number a page may look so that it looks at no more than HISTORY_SCAN_ROWS_MAX rows of all tables together (and a block of each);
 * undefined = to the end. Always counts on where the newest rows lie, so that a page comes as far as it can. Every page gets further, and none
 * leaves a row out: the floor lies above whatever was not counted.
 */
export function scanFloor(db: DatabaseSync, { tables, column }: Scanned, before: number | undefined): number | undefined {
  const heads = tables.map((table) => ({
    newest: db.prepare(`SELECT max(${column}) AS id FROM ${table} WHERE ${column} < ?`),
    block: db.prepare(
      `SELECT ${column} AS id FROM ${table} WHERE ${column} < ? ORDER BY ${column} DESC LIMIT 1 OFFSET ${SCAN_BLOCK_ROWS - 1}`,
    ),
    next: undefined as number | undefined,
  }));
  const idOf = (row: Record<string, unknown> | undefined): number | undefined => (typeof row?.["id"] === "number" ? row["id"] : undefined);
  for (const head of heads) head.next = idOf(head.newest.get(before ?? Number.MAX_SAFE_INTEGER));
  for (let rows = 0; ; rows += SCAN_BLOCK_ROWS) {
    const left = heads.filter(({ next }) => next !== undefined);
    const [head] = left.toSorted((a, b) => (b.next ?? 0) - (a.next ?? 0));
    if (head?.next === undefined) return undefined;
    if (rows >= HISTORY_SCAN_ROWS_MAX) return head.next + 1;
    const end = idOf(head.block.get(head.next + 1));
    head.next = end === undefined ? undefined : idOf(head.newest.get(end));
  }
}
