import { DatabaseSync, type StatementSync } from "node:sqlite";
import { expect, it } from "vitest";
import * as rows from "../../../src/store/sqlite/generated/rows.ts";
import { PacketReader, PacketWriter } from "../../../src/store/sqlite/packet.ts";
import { prepareRows, type Value } from "../../../src/store/sqlite/row-statement.ts";
import { dayTableName, dayTableSql, migrate } from "../../../src/store/sqlite/schema.ts";
import { ATTEMPT, columnNames, DELIVERY, EVENT, insertSql, OUTCOME, QUEUE, RESULT, TABLES } from "../../../src/store/sqlite/tables.ts";
import type { Column, Table } from "../../../src/store/sqlite/tables.ts";
import { differences } from "../../support/store/described-columns.ts";

const DAY = 20_000;
const DAY_TABLES = ["event", "outcome", "attempt", "result"] as const;

function opened(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  migrate(db, "memory");
  for (const table of DAY_TABLES) db.exec(dayTableSql(table, DAY));
  return db;
}

/** What the table is called in the file of `opened`. */
function nameIn(table: Table): string {
  const day = DAY_TABLES.find((name) => name === table.name);
  return day === undefined ? table.name : dayTableName(day, DAY);
}

it.each(TABLES)("$name: migrations lead to the columns described", (table) => {
  const db = opened();
  expect(differences(db, table, nameIn(table))).toEqual([]);
  if (table === EVENT) expect(differences(db, table, "event_kept")).toEqual([]);
});

it("finds a column that a migration forgot, one that is nowhere described, and one that differs", () => {
  const db = opened();
  db.exec("DROP INDEX delivery_record; ALTER TABLE delivery DROP COLUMN record_id");
  expect(differences(db, DELIVERY, "delivery")).toEqual(["delivery: nothing instead of record_id TEXT"]);
  db.exec("ALTER TABLE delivery ADD COLUMN record_id BLOB; ALTER TABLE delivery ADD COLUMN more TEXT");
  expect(differences(db, DELIVERY, "delivery")).toEqual([
    "delivery: record_id BLOB instead of record_id TEXT",
    "delivery: more TEXT instead of nothing",
  ]);
});

/** Of each column another value, so that two which change places are seen. */
function sample({ type, json }: Column, place: number): unknown {
  if (json === "value") return { BySpec: place };
  if (type === "boolean") return place % 2 === 0;
  if (type.startsWith("number")) return 1_000 + place;
  return type.startsWith("Uint8Array") ? new Uint8Array([place, place]) : `text ${place}`;
}

function sampleRow({ columns }: Table, empty: boolean): Record<string, unknown> {
  const isEmpty = (column: Column): boolean => empty && / (?:undefined|null)$/u.test(column.type);
  const nothing = (column: Column): unknown => (column.type.endsWith(" null") ? null : undefined);
  return Object.fromEntries(
    columns.map((column, place) => [column.field.replace("?", ""), isEmpty(column) ? nothing(column) : sample(column, place)]),
  );
}

interface Moves {
  readonly table: Table;
  readonly insert: (statement: StatementSync, ...row: never[]) => unknown;
  readonly read: (values: readonly Value[]) => object;
}

const MOVES: readonly Moves[] = [
  { table: DELIVERY, insert: rows.insertHot, read: rows.toHot },
  { table: OUTCOME, insert: rows.insertOutcomeRow, read: rows.toOutcomeRow },
  { table: ATTEMPT, insert: rows.insertAttemptRow, read: rows.toAttemptRow },
  { table: EVENT, insert: rows.insertEventRow, read: rows.toEventRow },
  { table: QUEUE, insert: rows.insertQueueRow, read: rows.toQueueRow },
  { table: RESULT, insert: rows.insertResultRow, read: rows.toResultRow },
];

it.each(MOVES)("$table.name: a row comes back as it was stored, each value in its column", ({ table, insert, read }) => {
  expect(MOVES.map((each) => each.table)).toEqual(TABLES);
  for (const empty of [false, true]) {
    const db = opened();
    const row = sampleRow(table, empty);
    // What is a row's own and what is told of it lie in one object here.
    insert(db.prepare(insertSql(table, nameIn(table))), ...([row, row] as never[]));
    const [stored] = prepareRows(db, `SELECT ${columnNames(table)} FROM ${nameIn(table)}`).all();
    expect(read(stored ?? [])).toEqual(row);
    const byName = db.prepare(`SELECT * FROM ${nameIn(table)}`).get();
    expect(Object.keys(byName ?? {})).toEqual(table.columns.map(({ name }) => name));
    for (const [place, { name }] of table.columns.entries()) expect(byName?.[name]).toEqual(stored?.[place]);
  }
});

it.each([false, true])("messages come out as they went in (as little as possible in them: %s)", (empty) => {
  const out = new PacketWriter();
  const told = (table: Table): Record<string, unknown> => {
    const own = new Set(table.columns.filter(({ isOwn }) => isOwn).map(({ field }) => field));
    return Object.fromEntries(Object.entries(sampleRow(table, empty)).filter(([field]) => !own.has(field)));
  };
  const attempt = told(ATTEMPT) as unknown as rows.AttemptTold;
  const event = { id: "id", ...told(EVENT) } as unknown as rows.EventTold;
  rows.writeAttempt(out, attempt, attempt.requestHeadersText, attempt.responseHeadersText);
  rows.writeEvent(out, event, event.extensionsText);
  const from = new PacketReader(out.take().packet);
  expect(rows.readAttempt(from)).toEqual(attempt);
  expect(rows.readEvent(from)).toEqual(event);
  expect(from.done).toBe(true);
});
