import { expect, it } from "vitest";
import { duration } from "../../../src/cli/option-values.ts";
import { durationMs, parseDuration } from "../../../src/lib/duration.ts";

it.each([
  ["0s", 0],
  ["500ms", 500],
  ["1h30m", 5_400_000],
  ["1h2m3s4ms", 3_723_004],
  ["99999h", 359_996_400_000],
])("%s is a duration", (text, ms) => expect(parseDuration(text)).toBe(ms));

// GEP-2257: no sign, fraction, day or space, at most five digits and four numbers.
it.each(["", "5", "s", "-1s", "1.5s", "1d", "1h 30m", "100000ms", "1h1m1s1ms1h", "1S", "1s\n"])("'%s' is none", (text) => {
  expect(parseDuration(text)).toBeUndefined();
  expect(() => durationMs(text)).toThrow(/not a GEP-2257 duration/);
  expect(() => duration(600_000, "10m")(text)).toThrow(/a duration up to 10m/);
});

it("a flag takes no more than its bound", () => {
  expect(duration(600_000, "10m")("10m")).toBe(600_000);
  expect(() => duration(600_000, "10m")("10m1ms")).toThrow(/a duration up to 10m/);
});
