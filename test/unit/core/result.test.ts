import { expect, it } from "vitest";
import { resultStatus } from "../../../src/core/result.ts";

const none = { matched: 0, owed: 0, delivered: 0, failed: 0, discarded: 0, keptUntilMs: 100 };

it.each([
  ["nobody wanted it", { ...none }, 99, "ok"],
  ["nobody wanted it, long ago", { ...none }, 100, "gone"],
  ["the only one is owed", { ...none, matched: 1, owed: 1 }, 0, "processing"],
  ["one is owed, one failed", { ...none, matched: 2, owed: 1, failed: 1 }, 0, "processing"],
  ["one is owed, the other forgotten", { ...none, matched: 2, owed: 1 }, 200, "processing"],
  ["all arrived", { ...none, matched: 2, delivered: 2 }, 200, "ok"],
  ["one of two failed", { ...none, matched: 2, delivered: 1, failed: 1 }, 0, "failed"],
  ["one of two was thrown away", { ...none, matched: 2, delivered: 1, discarded: 1 }, 0, "failed"],
  ["all failed", { ...none, matched: 2, failed: 2 }, 0, "failed"],
  ["one of two is forgotten", { ...none, matched: 2, delivered: 1 }, 0, "gone"],
  ["one of two failed, the other is forgotten", { ...none, matched: 2, failed: 1 }, 0, "failed"],
  ["one of two was thrown away, the other is forgotten", { ...none, matched: 2, discarded: 1 }, 0, "failed"],
  ["all are forgotten", { ...none, matched: 3 }, 0, "gone"],
] as const)("%s", (_, counts, nowMs, expected) => {
  expect(resultStatus(counts, nowMs)).toBe(expected);
});
