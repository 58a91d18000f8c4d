import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readHistoryQuery } from "../../../src/admin/history-query.ts";
import { parseHttpDate } from "../../../src/core/http-date.ts";
import { isDateTime, isDay } from "../../../src/core/instant.ts";
import { attributeMistake } from "../../../src/ingest/event-draft.ts";

describe("a day", () => {
  it("is one exactly where the calendar has it", () => {
    const numbers = [fc.integer({ min: 100, max: 9_999 }), fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 33 })] as const;
    fc.assert(
      fc.property(...numbers, (year, month, day) => {
        const date = new Date(Date.UTC(year, month - 1, day));
        expect(isDay(year, month, day)).toBe(date.getUTCMonth() === month - 1 && date.getUTCDate() === day);
      }),
    );
  });

  it("of leap years is told by the rule, in the first century too", () => {
    expect([0, 4, 1900, 2000, 2023, 2024].map((year) => isDay(year, 2, 29))).toEqual([true, true, false, true, false, true]);
  });
});

describe("a date-time", () => {
  it.each(["2026-01-31T12:00:00Z", "2024-02-29t23:59:60.123456789z", "0000-02-29T00:00:00+14:00", "2026-12-31T00:00:00-00:00"])(
    "is %s",
    (text) => expect(isDateTime(text)).toBe(true),
  );

  it.each([
    "2026-02-30T12:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-01-00T12:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31 12:00:00Z",
    "2026-01-31T12:00:00",
    "2026-01-31T12:00Z",
    "2026-01-31T12:00:00,5Z",
    "2026-01-31T12:00:00Z\n",
  ])("is not %s", (text) => expect(isDateTime(text)).toBe(false));
});

// Who reads times from outside, and the same day that never was.
describe("30 February is no day", () => {
  it("of an event's time", () => {
    expect(attributeMistake("time", "2026-02-28T12:00:00Z")).toBeUndefined();
    expect(attributeMistake("time", "2026-02-30T12:00:00Z")).toMatch(/RFC 3339/);
    expect(attributeMistake("time", "2026-02-28T12:00:00.123456789Z")).toBeUndefined();
    expect(attributeMistake("time", "2026-02-28T12:00:00.1234567890Z")).toMatch(/RFC 3339/);
  });

  it("of a list's filter", () => {
    const since = (text: string): boolean =>
      readHistoryQuery(new URLSearchParams({ since: text }), { beforeIdOf: () => undefined, nowMs: 0 }).ok;
    expect(since("2026-02-28T12:00Z")).toBe(true);
    expect(since("2026-02-30T12:00Z")).toBe(false);
  });

  it("of an HTTP-date", () => {
    expect(parseHttpDate("Sat, 28 Feb 2026 12:00:00 GMT", 0)).toBe(Date.UTC(2026, 1, 28, 12));
    expect(parseHttpDate("Mon, 30 Feb 2026 12:00:00 GMT", 0)).toBeUndefined();
  });
});
