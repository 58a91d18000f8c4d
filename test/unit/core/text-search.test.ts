import { expect, test } from "vitest";
import { containsText } from "../../../src/core/expression/text-search.ts";
import { Chance } from "../../support/expressions/worst.ts";
import { countOf } from "../../support/full-run.ts";

test("finds what V8 finds, in texts that repeat themselves, for needles shorter and longer than its tables", () => {
  let found = 0;
  const SEARCHES = countOf(3_000, 30_000);
  for (let seed = 0; seed < SEARCHES; seed++) {
    const chance = new Chance(seed);
    const unit = chance.of(["a", "ab", "aab", "é", "\u{1f600}"]);
    const text = `${unit.repeat(chance.below(400))}${chance.of(["", "b", "a"])}${unit.repeat(chance.below(400))}`;
    const from = chance.below(text.length);
    const needle = `${text.slice(from, from + chance.of([1, 249, 250, 251, 260, 400]))}${chance.of(["", "", "b"])}`;
    expect([seed, containsText(text, needle)]).toEqual([seed, text.includes(needle)]);
    if (text.includes(needle)) found += 1;
  }
  expect(found).toBeGreaterThan(SEARCHES / 4);
  expect(found).toBeLessThan(SEARCHES);
});
