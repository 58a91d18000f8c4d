import { describe, expect, it } from "vitest";
import { Reading, UNREAD_MS_MAX } from "../../../../src/lib/door/reading.ts";

/** Looked at every half second: what had been taken by then. */
function after(seconds: number, takenAt: (second: number) => number): Reading {
  const reading = new Reading(0, 1_000_000, 0);
  for (let ms = 500; ms <= seconds * 1_000; ms += 500) reading.look(takenAt(ms / 1_000), 1_000_000, ms);
  return reading;
}

describe("a reader is given up", () => {
  it.each<[string, number, (second: number) => number, boolean]>([
    ["who takes nothing, after 30 s", 30, () => 0, true],
    ["not before", 29, () => 0, false],
    ["who stopped after a good beginning, 30 s later", 41, (second) => Math.min(second, 10) * 1_000_000, true],
    ["not while he goes on at 64 KiB in 10 s", 300, (second) => Math.floor(second / 10) * 65_536, false],
    ["who takes a byte a second, after 30 s", 30, (second) => Math.floor(second), true],
    ["not in the beginning, however slow", 20, (second) => Math.floor(second), false],
  ])("%s", (_, seconds, takenAt, hopeless) => {
    expect(after(seconds, takenAt).isHopeless(seconds * 1_000)).toBe(hopeless);
  });

  it("is slow after a second without taking anything, until he takes something", () => {
    const reading = after(1, () => 0);
    expect(reading.isSlow(1_000)).toBe(true);
    reading.look(1, 10, 1_500);
    expect(reading.isSlow(1_500)).toBe(false);
    expect(UNREAD_MS_MAX).toBe(30_000);
  });
});
