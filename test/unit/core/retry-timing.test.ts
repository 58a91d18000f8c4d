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
    // A value that has one member may come twice, in two lines or in one (RFC 9110, 5.3): the longest counts.
    ["10, 20", 20_000],
    ["20,10,", 20_000],
    [["10", "20"], 20_000],
    [["15", "15"], 15_000],
    [["soon", "15"], 15_000],
    ["soon, 15", 15_000],
    ["5, Thu, 01 Jan 2026 12:00:30 GMT", 30_000],
    ["Thu, 01 Jan 2026 12:00:30 GMT, 40", 40_000],
    ["Thu, 01 Jan 2026 12:00:30 GMT, Thu, 01 Jan 2026 12:00:20 GMT", 30_000],
    [",", undefined],
    [[], undefined],
    ["1e9", undefined],
    ["1.5", undefined],
    // 1*DIGIT: there is no longest number (RFC 9110, 10.2.3).
    ["12345678901", 3_600_000],
    ["9".repeat(400), 3_600_000],
    ["000000000000007", 7_000],
    ["+5", undefined],
    ["5s", undefined],
    ["0x10", undefined],
    ["١٢", undefined],
    // RFC 850 and asctime: a recipient MUST accept all three (RFC 9110, 5.6.7).
    ["Thursday, 01-Jan-26 12:00:30 GMT", 30_000],
    ["Thu Jan  1 12:00:30 2026", 30_000],
    ["Thu Jan 1 12:00:30 2026", 30_000],
    ["Thu Jan 01 12:00:30 2026", 30_000],
    ["Friday, 02-Jan-26 00:00:00 GMT", 3_600_000],
    // More than 50 years ahead is the past (RFC 9110, 5.6.7).
    ["Friday, 01-Jan-77 12:00:30 GMT", 0],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 0],
    ["Thursday, 01-Jan-76 12:00:00 GMT", 3_600_000],
    ["Thursday, 31-Feb-26 12:00:30 GMT", undefined],
    ["Thu Feb 31 12:00:30 2026", undefined],
    ["Thu, 1 Jan 2026 12:00:30 GMT", 30_000],
    ["Thu, 01 Jan 2026 12:00:30 UTC", 30_000],
    ["Thu, 01 Jan 2026 12:00:60 GMT", 60_000],
    ["Thu, 01 Jan 2026 12:00:61 GMT", undefined],
    ["Thu, 01 Jan 2026 12:00:30 +0100", undefined],
    ["Thu, 01 Jan 2026 12:00:30", undefined],
    ["Thu, 31 Feb 2026 12:00:30 GMT", undefined],
    ["Thu, 01 Jan 2026 25:00:30 GMT", undefined],
    ["thu, 01 jan 2026 12:00:30 gmt", undefined],
    ["2026-01-01T12:00:30Z", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%j is %s", (value, expected) => expect(parseRetryAfter(value, now, 3_600_000)).toBe(expected));
  test.each([
    ["behind by ten minutes", "Thu, 01 Jan 2026 11:50:20 GMT", "Thu, 01 Jan 2026 11:50:00 GMT", 20_000],
    ["ahead by a year", "Fri, 01 Jan 2027 12:00:20 GMT", "Fri, 01 Jan 2027 12:00:00 GMT", 20_000],
    ["without a battery", "Thu, 01 Jan 1970 00:01:20 GMT", "Thu, 01 Jan 1970 00:01:00 GMT", 20_000],
    ["that says another format", "Thu Jan  1 11:50:20 2026", "Thu, 01 Jan 2026 11:50:00 GMT", 20_000],
    ["and a date before its own", "Thu, 01 Jan 2026 11:49:00 GMT", "Thu, 01 Jan 2026 11:50:00 GMT", 0],
    ["that cannot be read: ours counts", "Thu, 01 Jan 2026 12:00:30 GMT", "yesterday", 30_000],
    ["and seconds, which need no clock", "20", "Thu, 01 Jan 1970 00:00:00 GMT", 20_000],
  ])("of a receiver whose clock is %s", (_name, value, date, expected) =>
    expect(parseRetryAfter(value, now, 3_600_000, date)).toBe(expected),
  );
  test("a line of 16 KiB of commas costs no time to speak of", () => {
    const startedMs = performance.now();
    expect(parseRetryAfter(",".repeat(16_384), now, 3_600_000)).toBeUndefined();
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });
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
