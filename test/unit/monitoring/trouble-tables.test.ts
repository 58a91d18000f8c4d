import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FIRST_SCREEN_LINES } from "../../support/observe/trouble-tables.ts";

const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/monitoring.md"), "utf8").replaceAll(/ +/g, " ");

/** The lines of the table that begins with this one, without the line below its head. */
function tableWith(head: string): string[] {
  const lines = PAGE.slice(PAGE.indexOf(head)).split("\n");
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(0, end).filter((line) => !/^\|[ -]+\|/.test(line));
}

it("docs/monitoring.md says of each trouble what the tests hold the first screen to", () => {
  expect(FIRST_SCREEN_LINES.length).toBeGreaterThan(15);
  expect(tableWith(FIRST_SCREEN_LINES[0] ?? "")).toEqual(FIRST_SCREEN_LINES);
});
