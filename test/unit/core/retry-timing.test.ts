import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { delayBefore, DELAY_MAX_MS } from "../../../src/core/backoff.ts";
import { judgeHeaders } from "../../../src/core/header-rules.ts";
import { STANDARD_SCHEDULE_MS } from "../../../src/core/policy.ts";
import type { RetryDelays } from "../../../src/core/policy.ts";
import { parseRetryAfter } from "../../../src/core/retry-after.ts";

describe("Retry-After", () => {
  const now = Date.UTC(2026, 0, 1, 12, 0, 0);
  test.each([
    ["0", 0],
    ["120", 120_000],
    [" 120 ", 120_000],
    ["9999999999", 3_600_000],
    ["Thu, 01 Jan 2026 12:00:30 GMT", 30_000],
    ["Thu, 01 Jan 2026 11:00:00 GMT", 0],
    ["-5", undefined],
    ["10, 20", undefined],
    ["1e9", undefined],
    ["1.5", undefined],
    ["12345678901", undefined],
    ["Thu, 31 Feb 2026 12:00:30 GMT", undefined],
    ["Thu, 01 Jan 2026 25:00:30 GMT", undefined],
    ["thu, 01 jan 2026 12:00:30 gmt", undefined],
    ["2026-01-01T12:00:30Z", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%j is %s", (value, expected) => expect(parseRetryAfter(value, now, 3_600_000)).toBe(expected));
  test("0 as the longest means ignored", () => expect(parseRetryAfter("120", now, 0)).toBeUndefined());
});

describe("delays", () => {
  const schedule: RetryDelays = { kind: "schedule", delaysMs: [100, 200, 300] };
  const backoff = (growth: "Exponential" | "Linear" | "Constant"): RetryDelays => ({
    kind: "backoff",
    growth,
    initialMs: 1_000,
    maxMs: 5_000,
  });
  test.each([
    [schedule, [100, 200, 300, 300, 300]],
    [{ kind: "schedule", delaysMs: STANDARD_SCHEDULE_MS } as const, [0, 5_000, 300_000, 1_800_000, 7_200_000]],
    [backoff("Exponential"), [0, 1_000, 2_000, 4_000, 5_000]],
    [backoff("Linear"), [0, 1_000, 2_000, 3_000, 4_000]],
    [backoff("Constant"), [0, 1_000, 1_000, 1_000, 1_000]],
  ])("%o", (delays, expected) => {
    expect([1, 2, 3, 4, 5].map((attempt) => delayBefore(attempt, { delays, jitterPercent: 0 }, 0.9))).toEqual(expected);
  });
  test("jitter only lengthens, by at most its share, and never the first send", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.integer({ min: 0, max: 50 }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        (attempt, jitterPercent, random) => {
          const delays = backoff("Exponential");
          const base = delayBefore(attempt, { delays, jitterPercent: 0 }, 0);
          const delay = delayBefore(attempt, { delays, jitterPercent }, random);
          expect(delay).toBeGreaterThanOrEqual(base);
          expect(delay).toBeLessThanOrEqual(Math.min(base * (1 + jitterPercent / 100) + 1, DELAY_MAX_MS));
          if (attempt === 1) expect(delay).toBe(base);
        },
      ),
    );
  });
});

describe("headers", () => {
  test.each([
    [
      [
        ["X-Team", "a"],
        ["Authorization", "b"],
      ],
      false,
      undefined,
    ],
    [[["Host", "a"]], false, "Host"],
    [[["WEBHOOK-ID", "a"]], false, "WEBHOOK-ID"],
    [[["Transfer-Encoding", "chunked"]], false, "Transfer-Encoding"],
    [
      [
        ["X-A", "a"],
        ["x-a", "b"],
      ],
      false,
      "twice",
    ],
    [[["Authorization", "b"]], true, "twice"],
    [[["X-A", "a\r\nX-B: secret"]], false, "line breaks"],
    [[["X A", "a"]], false, "token"],
    [[["X-A", "ä"]], false, "ASCII"],
    [[["X-A", "a".repeat(8_193)]], false, "8192"],
  ] as const)("%# %j", (headers, hasAuth, message) => {
    const problem = judgeHeaders(headers, hasAuth);
    if (message === undefined) expect(problem).toBeUndefined();
    else expect(problem?.message).toContain(message);
    expect(problem?.message ?? "").not.toContain("secret");
  });
});
