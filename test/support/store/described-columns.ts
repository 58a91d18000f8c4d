import type { DatabaseSync } from "node:sqlite";
import type { Table } from "../../../src/store/sqlite/tables.ts";

/** How a table of a database differs from its description: a line for each column that is not as described, in its place. */
export function differences(db: DatabaseSync, { columns }: Table, name: string): string[] {
  const found = db.prepare(`PRAGMA table_info(${name})`).all().map(declared);
  const wanted = columns.map((column) => `${column.name} ${column.sql}`.replace(/ UNIQUE$/u, ""));
  const places = Array.from({ length: Math.max(found.length, wanted.length) }, (_, place) => place);
  return places
    .filter((place) => found[place] !== wanted[place])
    .map((place) => `${name}: ${found[place] ?? "nothing"} instead of ${wanted[place] ?? "nothing"}`);
}

function declared(row: Record<string, unknown>): string {
  const rules = [Number(row["pk"]) > 0 ? " PRIMARY KEY" : "", Number(row["notnull"]) > 0 && Number(row["pk"]) === 0 ? " NOT NULL" : ""];
  const standard = typeof row["dflt_value"] === "string" ? ` DEFAULT ${row["dflt_value"]}` : "";
  return `${String(row["name"])} ${String(row["type"])}${rules.join("")}${standard}`;
}
