import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const PAGE = readFileSync(join(ROOT, "docs/peers.md"), "utf8");

/** Tests that a page names as `file: title`; a title may be the beginning of one, and of a corpus it is a case's name. */
function namedTests(page: string): { readonly file: string; readonly title: string }[] {
  return Array.from(page.matchAll(/`(test\/[^`: ]+): ([^`]+)`/g), ([, file = "", title = ""]) => ({ file, title }));
}

function missing(page: string): string[] {
  return namedTests(page)
    .filter(({ file, title }) => !existsSync(join(ROOT, file)) || !readFileSync(join(ROOT, file), "utf8").includes(title))
    .map(({ file, title }) => `${file}: ${title}`);
}

it("every test that docs/peers.md names exists under that title", () => {
  expect(namedTests(PAGE).length).toBeGreaterThan(80);
  expect(missing(PAGE)).toEqual([]);
});

it("finds a title that no longer exists, and a file", () => {
  expect(missing("`test/house-peers.test.ts: a title of the past that was never` and `test/none.test.ts: x`")).toHaveLength(1);
  expect(missing(`\`test/house.test.ts: ${["no", "such"].join("-")} title\``)).toHaveLength(1);
});

it("docs/peers.md has a line for each report and each finding, in order", () => {
  const numbers = (section: string, pattern: RegExp): string[] =>
    Array.from((PAGE.split(`\n## ${section}\n`)[1]?.split("\n## ")[0] ?? "").matchAll(pattern), ([, id = ""]) => id);
  expect(numbers("Bug reports about others", /^- \*\*(\d+)\*\*/gm)).toEqual(Array.from({ length: 33 }, (_none, i) => String(i + 1)));
  expect(numbers("What people met at the keyboard", /^- \*\*([A-Z]\d+)\*\*/gm)).toEqual(
    [
      ["L", 1],
      ["N", 7],
      ["D", 6],
      ["P", 8],
      ["R", 7],
      ["S", 10],
    ].flatMap(([letter, count]) => Array.from({ length: Number(count) }, (_none, i) => `${letter}${i + 1}`)),
  );
});
