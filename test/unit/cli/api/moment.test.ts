import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { lengthText, moment, momentLines, momentMs, rfc3339, timeText } from "../../../../src/cli/api/moment.ts";

/** A Sunday, 14:30 in Berlin. */
const NOW = Date.parse("2026-11-29T13:30:00Z");

describe("a moment", () => {
  beforeEach(() => vi.stubEnv("TZ", "Europe/Berlin"));
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    ["2h", "2026-11-29T11:30:00Z"],
    ["90m", "2026-11-29T12:00:00Z"],
    ["1h30m", "2026-11-29T12:00:00Z"],
    ["3d", "2026-11-26T13:30:00Z"],
    ["0s", "2026-11-29T13:30:00Z"],
    ["02:00", "2026-11-29T01:00:00Z"],
    ["2:00", "2026-11-29T01:00:00Z"],
    ["14:30", "2026-11-29T13:30:00Z"],
    ["14:30:01", "2026-11-28T13:30:01Z"],
    ["23:59", "2026-11-28T22:59:00Z"],
    ["2026-11-29T02:00:00+01:00", "2026-11-29T01:00:00Z"],
    ["2026-11-29t02:00:00z", "2026-11-29T02:00:00Z"],
    ["2026-11-29T02:00Z", "2026-11-29T02:00:00Z"],
    ["2026-11-29T02:00:00.5Z", "2026-11-29T02:00:00.500Z"],
  ])("%s is %s", (text, expected) => {
    expect(rfc3339(momentMs(text, NOW) ?? 0)).toBe(expected);
  });

  it.each([
    "",
    "2",
    "25:00",
    "02:60",
    "yesterday",
    "2026-11-29",
    "2026-02-30T00:00:00Z",
    "2026-11-29T24:00:00Z",
    "2026-11-29T02:00:00",
    "-2h",
    "2 h",
  ])("'%s' is none", (text) => {
    expect(momentMs(text, NOW)).toBeUndefined();
    expect(() => moment(() => NOW)(text)).toThrow(/expected how long ago/);
  });

  it("of a time of day is a real one in the nights in which the clock is changed", () => {
    // 02:30 does not exist on 2026-03-29 and is there twice on 2026-10-25.
    expect(rfc3339(momentMs("02:30", Date.parse("2026-03-29T10:00:00Z")) ?? 0)).toBe("2026-03-29T01:30:00Z");
    expect(rfc3339(momentMs("02:30", Date.parse("2026-10-25T10:00:00Z")) ?? 0)).toMatch(/^2026-10-25T0[01]:30:00Z$/);
    expect(rfc3339(momentMs("04:00", Date.parse("2026-10-25T10:00:00Z")) ?? 0)).toBe("2026-10-25T03:00:00Z");
  });

  it("is said as it was understood; a clock that is wrong is said where it matters", () => {
    const lines = (text: string, skewMs?: number): string[] =>
      momentLines(
        { "--since": moment(() => NOW)(text), "--until": undefined },
        skewMs === undefined ? undefined : { operatorAheadMs: skewMs },
      ).map(({ text: line }) => line);
    expect(lines("02:00")).toEqual(["--since 02:00 is 2026-11-29T01:00:00Z"]);
    expect(lines("2026-11-29T01:00:00Z", 600_000)).toEqual([]);
    expect(lines("2h", 600_000)[1]).toBe("this machine's clock is 10m behind the operator's: give --since and --until as RFC 3339");
    expect(lines("2h", -90_000)[1]).toContain("1m30s ahead of the operator's");
  });

  it("is shown in the machine's zone, or in UTC with a Z, and not at all where it is none", () => {
    expect(timeText("2026-11-29T13:30:00.123Z", false)).toBe("2026-11-29 14:30:00");
    expect(timeText("2026-11-29T13:30:00.123Z", true)).toBe("2026-11-29 13:30:00Z");
    expect([timeText(null, false), timeText(undefined, true), timeText("soon", false), timeText(7, false)]).toEqual(["", "", "", ""]);
  });
});

it.each([
  [-5_000, "0 s"],
  [18_400, "18 s"],
  [60_000, "1 min"],
  [61_000, "1 min 1 s"],
  [4_320_000, "1 h 12 min"],
  [3_600_000, "1 h"],
  [273_600_000, "3 d 4 h"],
  [86_400_000, "1 d"],
])("a length of %i ms is %s", (ms, text) => {
  expect(lengthText(ms)).toBe(text);
});
