import { describe, expect, it } from "vitest";
import { clockText, parseClock, startingFrame } from "../../../src/core/clock-frame.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const THEN = Date.UTC(2026, 0, 2, 3, 4, 5);

describe("where engine time goes on", () => {
  it("with nothing kept it is the wall's", () => {
    expect(startingFrame(undefined, THEN)).toEqual({ nowMs: THEN, offsetMs: 0, awayMs: 0 });
  });

  it.each([
    ["started again at once", { offsetMs: 0, wall: THEN }, { nowMs: THEN, offsetMs: 0, awayMs: 0 }],
    [
      "a night later: what fell due meanwhile is due",
      { offsetMs: 0, wall: THEN + 9 * HOUR },
      { nowMs: THEN + 9 * HOUR, offsetMs: 0, awayMs: 9 * HOUR },
    ],
    ["the wall is 5 days ahead", { offsetMs: 0, wall: THEN + 5 * DAY }, { nowMs: THEN + 5 * DAY, offsetMs: 0, awayMs: 5 * DAY }],
    [
      "the wall is 10 years ahead: no further than anything lives",
      { offsetMs: 0, wall: THEN + 10 * YEAR },
      { nowMs: THEN + 31 * DAY, offsetMs: 10 * YEAR - 31 * DAY, awayMs: 31 * DAY },
    ],
    [
      "the wall was put back an hour: nothing is due later than it was",
      { offsetMs: 0, wall: THEN - HOUR },
      { nowMs: THEN, offsetMs: -HOUR, awayMs: 0 },
    ],
    ["the wall fell back 10 years", { offsetMs: 0, wall: THEN - 10 * YEAR }, { nowMs: THEN, offsetMs: -10 * YEAR, awayMs: 0 }],
    [
      "the wall was 10 years behind and still is, an hour later",
      { offsetMs: -10 * YEAR, wall: THEN - 10 * YEAR + HOUR },
      { nowMs: THEN + HOUR, offsetMs: -10 * YEAR, awayMs: HOUR },
    ],
    [
      "the wall was an hour behind and has been put right at once",
      { offsetMs: -HOUR, wall: THEN },
      { nowMs: THEN + HOUR, offsetMs: -HOUR, awayMs: HOUR },
    ],
    ["the wall was an hour ahead and has been put right", { offsetMs: HOUR, wall: THEN }, { nowMs: THEN, offsetMs: 0, awayMs: 0 }],
  ])("%s", (_name, { offsetMs, wall }, expected) => {
    const frame = startingFrame({ nowMs: THEN, offsetMs }, wall);
    expect(frame).toEqual(expected);
    // What an instant is called on the wall is right from the start.
    expect(frame.nowMs + frame.offsetMs).toBe(wall);
  });
});

describe("what is kept", () => {
  it("is read as it was written", () => {
    for (const frame of [
      { nowMs: THEN, offsetMs: 0 },
      { nowMs: THEN, offsetMs: -10 * YEAR },
    ])
      expect(parseClock(clockText(frame))).toEqual(frame);
  });

  it.each([
    undefined,
    "",
    "{",
    "null",
    "1",
    '"x"',
    "[]",
    "{}",
    '{"nowMs":1}',
    '{"nowMs":"1","offsetMs":0}',
    '{"nowMs":1.5,"offsetMs":0}',
    '{"nowMs":1e400,"offsetMs":0}',
  ])("%s tells nothing", (text) => {
    expect(parseClock(text)).toBeUndefined();
  });
});
