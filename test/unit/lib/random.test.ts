import { expect, it } from "vitest";
import { uuidv7, uuidv7Ms } from "../../../src/lib/random.ts";

const YEAR = 365 * 86_400_000;

it("ids tell the time they were made at, whichever way the wall clock was stepped before", () => {
  const then = Date.UTC(2026, 5, 1);
  for (const atMs of [then, then + 10 * YEAR, then, then - 10 * YEAR, then - 3_600_000]) expect(uuidv7Ms(uuidv7(atMs))).toBe(atMs);
});

it("ids of one process grow within a millisecond, and when the clock is put back by no more than a second", () => {
  const then = Date.UTC(2030, 5, 1);
  const ids = [then, then, then - 1_000, then - 1, then, then + 1].map((atMs) => uuidv7(atMs));
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

it.each([
  "",
  "evt_1",
  "0199c0de-0000-4000-8000-000000000001",
  "0199C0DE-0000-7000-8000-000000000001",
  "0199c0de-0000-7000-8000-00000000000",
])("%s tells no time", (id) => {
  expect(uuidv7Ms(id)).toBeUndefined();
});
