import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
const page = readFileSync(join(ROOT, "docs/errors.md"), "utf8");

/** The members of a union of string literals, as the source spells them. */
function wordsOf(file: string, type: string): string[] {
  const source = readFileSync(join(ROOT, file), "utf8").replaceAll(/\/\/.*$/gm, "");
  const union = new RegExp(`export type ${type} =([^;]+);`).exec(source)?.[1] ?? "";
  return [...union.matchAll(/"(\w+)"/g)].map(([, word]) => word ?? "");
}

it.each([
  ["src/core/delivery.ts", "EndReason", 10],
  ["src/core/outcome.ts", "OutcomeClass", 8],
])("docs/errors.md explains every word of %s %s", (file, type, least) => {
  const words = wordsOf(file, type);
  expect(words.length).toBeGreaterThanOrEqual(least);
  expect(words.filter((word) => !page.includes(`\`${word}\``))).toEqual([]);
});
