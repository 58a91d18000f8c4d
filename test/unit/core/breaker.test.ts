import { expect, test } from "vitest";
import { Breaker } from "../../../src/core/breaker.ts";
import { TokenBucket } from "../../../src/core/rate-limit.ts";

const POLICY = { consecutiveFailures: 3, openForMs: 1_000, halfOpenProbes: 1 };

function opened(): Breaker {
  const breaker = new Breaker();
  for (let i = 0; i < 3; i++) breaker.failed(breaker.started(), 0, POLICY);
  return breaker;
}

test("opens after so many failures in a row; a success in between starts over", () => {
  const breaker = new Breaker();
  expect(breaker.failed(false, 0, POLICY)).toBe(false);
  expect(breaker.failed(false, 0, POLICY)).toBe(false);
  breaker.succeeded(false, 0);
  expect(breaker.failed(false, 0, POLICY)).toBe(false);
  expect(breaker.failed(false, 0, POLICY)).toBe(false);
  expect(breaker.failed(false, 5, POLICY)).toBe(true);
  expect(breaker.readyAtMs(6, POLICY)).toBe(1_005);
});

test("half-open lets one probe through; what was sent before changes nothing", () => {
  const breaker = opened();
  expect(breaker.readyAtMs(1_000, POLICY)).toBe(1_000);
  expect(breaker.started()).toBe(true);
  expect(breaker.readyAtMs(1_000, POLICY)).toBe(Number.POSITIVE_INFINITY);
  expect(breaker.succeeded(false, 1_001)).toBe(false);
  expect(breaker.failed(false, 1_001, POLICY)).toBe(false);
  expect(breaker.isOpen).toBe(true);
  expect(breaker.failed(true, 1_002, POLICY)).toBe(true);
  expect(breaker.readyAtMs(1_003, POLICY)).toBe(2_002);
});

test("a probe that never left may be tried again", () => {
  const breaker = opened();
  breaker.readyAtMs(1_000, POLICY);
  breaker.abandoned(breaker.started());
  expect(breaker.readyAtMs(1_000, POLICY)).toBe(1_000);
});

/** Requests let through in each of the first windows after the recovery at `fromMs`. */
function perWindow(breaker: Breaker, fromMs: number, windows: number): number[] {
  return Array.from({ length: windows }, (_, window) => {
    let sent = 0;
    const nowMs = fromMs + window * 10_000;
    while (breaker.readyAtMs(nowMs, POLICY) <= nowMs) {
      breaker.started();
      sent += 1;
    }
    return sent;
  });
}

test("closed again it ramps by doubling, from 20 where nothing is known of the receiver", () => {
  const breaker = opened();
  breaker.readyAtMs(1_000, POLICY);
  expect(breaker.succeeded(breaker.started(), 1_000)).toBe(true);
  expect(perWindow(breaker, 1_000, 5)).toEqual([20, 40, 80, 160, 320]);
});

test.each([[8_000], [100]])(
  "a receiver that took %d in two windows before it failed begins with an eighth of the better one",
  (successes) => {
    const breaker = new Breaker();
    for (let n = 0; n < successes; n++) breaker.succeeded(false, 50_000 + (n * 20_000) / successes);
    for (let n = 0; n < 3; n++) breaker.failed(breaker.started(), 70_000, POLICY);
    breaker.readyAtMs(71_000, POLICY);
    expect(breaker.succeeded(breaker.started(), 71_000)).toBe(true);
    const first = Math.max(20, successes / 2 / 8);
    expect(perWindow(breaker, 71_000, 4)).toEqual([first, first * 2, first * 4, first * 8]);
  },
);

test("the ramp ends by itself", () => {
  const breaker = opened();
  breaker.readyAtMs(1_000, POLICY);
  breaker.succeeded(breaker.started(), 1_000);
  const lateMs = 1_000 + 20 * 10_000;
  for (let n = 0; n < 200_000; n++) {
    expect(breaker.readyAtMs(lateMs, POLICY)).toBe(lateMs);
    breaker.started();
  }
});

test("comes back open after a crash", () => {
  const breaker = new Breaker(7, 500);
  expect(breaker.readyAtMs(400, POLICY)).toBe(500);
  expect(breaker.readyAtMs(600, POLICY)).toBe(600);
  expect(breaker.started()).toBe(true);
});

test("a token bucket gives its burst, then its rate, whatever the steps of time", () => {
  const bucket = new TokenBucket({ requests: 10, perMs: 1_000, burst: 5 }, 0);
  let taken = 0;
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 7) {
    while (bucket.readyAtMs(nowMs) <= nowMs) {
      bucket.take(nowMs);
      taken += 1;
    }
  }
  expect(taken).toBeGreaterThanOrEqual(104);
  expect(taken).toBeLessThanOrEqual(105);
  expect(bucket.readyAtMs(9_996)).toBeGreaterThan(9_996);
  expect(bucket.readyAtMs(9_996)).toBeLessThanOrEqual(10_096);
});

test("a wall clock taken over that lies behind stops neither the rate nor the ramp", () => {
  const hourMs = 3_600_000;
  const bucket = new TokenBucket({ requests: 10, perMs: 1_000, burst: 1 }, hourMs);
  bucket.take(hourMs);
  expect(bucket.readyAtMs(0)).toBe(100);
  expect(bucket.readyAtMs(100)).toBe(100);

  const breaker = opened();
  breaker.readyAtMs(hourMs, POLICY);
  expect(breaker.succeeded(breaker.started(), hourMs)).toBe(true);
  for (let i = 0; i < 20; i++) breaker.started();
  expect(breaker.readyAtMs(0, POLICY)).toBe(10_000);
  expect(breaker.readyAtMs(10_000, POLICY)).toBe(10_000);
});
