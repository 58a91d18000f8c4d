import { FAILURE_REASONS } from "../../../src/core/delivery.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { OUTCOME_NAMES } from "../../../src/core/outcome.ts";

const ROOT = join(import.meta.dirname, "../../..");
const page = readFileSync(join(ROOT, "docs/errors.md"), "utf8");

/** The members of a union of string literals, as the source spells them. */
function wordsOf(file: string, type: string): string[] {
  const source = readFileSync(join(ROOT, file), "utf8").replaceAll(/\/\/.*$/gm, "");
  const union = new RegExp(`export type ${type} =([^;]+);`).exec(source)?.[1] ?? "";
  return [...union.matchAll(/"(\w+)"/g)].map(([, word]) => word ?? "");
}

it("docs/errors.md explains every EndReason", () => {
  const words = [...wordsOf("src/core/delivery.ts", "EndReason"), ...FAILURE_REASONS];
  expect(words.length).toBeGreaterThanOrEqual(10);
  expect(words.filter((word) => !page.includes(`\`${word}\``))).toEqual([]);
});

it("docs/errors.md explains every outcome, as status and the API spell it", () => {
  const names = Object.values(OUTCOME_NAMES);
  expect(names.length).toBeGreaterThanOrEqual(9);
  expect(names.filter((name) => !page.includes(`| \`${name}\``))).toEqual([]);
});
