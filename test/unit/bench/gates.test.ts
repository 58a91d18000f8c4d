import { expect, it } from "vitest";
import { gateLine, isMet, MANY_AGAINST_EMPTY_MAX, SHARE_OF_PARTS_MIN } from "../../bench/gates.ts";

const SHARE = { name: "share", atLeast: SHARE_OF_PARTS_MIN, parts: "1 of 2 µs" };
const MEMORY = { name: "memory", atMost: MANY_AGAINST_EMPTY_MAX, parts: "300 and 100 MiB" };

it.each([
  [{ ...SHARE, figure: 0.35 }, true],
  [{ ...SHARE, figure: SHARE_OF_PARTS_MIN - 0.01 }, false],
  [{ ...SHARE, figure: Number.NaN }, false],
  [{ ...MEMORY, figure: 3 }, true],
  [{ ...MEMORY, figure: MANY_AGAINST_EMPTY_MAX + 0.1 }, false],
  [{ ...MEMORY, figure: Number.NaN }, false],
])("%j: met = %s", (gate, met) => {
  expect(isMet(gate)).toBe(met);
  expect(gateLine(gate).startsWith(met ? "met " : "NOT MET ")).toBe(true);
});
