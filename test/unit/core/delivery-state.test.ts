import { describe, expect, test } from "vitest";
import { firstDueAtMs, next, spent } from "../../../src/core/delivery-state.ts";
import { outcome, policyOf } from "../../support/sim/world.ts";

const NOW = 1_000_000;
const POLICY = policyOf({ retry: { delays: { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 }, jitterPercent: 50 } });
const at = (random = 0) => ({ nowMs: NOW, random });
const delivery = (fields: { attempt?: number; acceptedAtMs?: number; resent?: boolean; mayPark?: boolean } = {}) => ({
  attempt: 1,
  acceptedAtMs: NOW - 10,
  resent: false,
  ...fields,
});

describe("where an attempt leaves its delivery", () => {
  test.each([
    ["success", outcome("success"), "Delivered"],
    ["410", outcome("client_error", { statusCode: 410 }), "EndpointGone"],
    ["400 is not retried", outcome("client_error", { statusCode: 400 }), "NotRetryable"],
    ["a redirect is not retried", outcome("client_error", { statusCode: 302 }), "NotRetryable"],
    ["a body that cannot be rendered", outcome("blocked", { permanent: true }), "PayloadInvalid"],
  ])("%s ends it", (_, result, reason) => {
    expect(next(delivery(), result, POLICY, at()).next).toMatchObject({ reason });
  });

  test.each([
    ["404", outcome("client_error", { statusCode: 404 })],
    ["409", outcome("client_error", { statusCode: 409 })],
    ["429", outcome("client_error", { statusCode: 429 })],
    ["500", outcome("server_error", { statusCode: 500 })],
    ["599", outcome("server_error", { statusCode: 599 })],
    ["time-out", outcome("timeout")],
    ["a time-out after a head that would not be retried", outcome("timeout", { statusCode: 400 })],
    ["connect", outcome("connect_error")],
    ["DNS", outcome("dns_error")],
    ["TLS", outcome("tls_error")],
    ["blocked", outcome("blocked")],
  ])("%s is retried", (_, result) => {
    expect(next(delivery(), result, POLICY, at()).next).toEqual({ state: "ready", dueAtMs: NOW + 1_000 });
  });

  test.each<[string, Parameters<typeof delivery>[0] & object, object]>([
    ["waits until its age is over", { mayPark: true }, { state: "ready", dueAtMs: NOW - 10 + POLICY.retry.maxAgeMs + 1, parked: true }],
    ["ends where it may not wait", { mayPark: false }, { state: "failed", reason: "PayloadInvalid" }],
    ["ends when it was sent again by hand", { mayPark: true, resent: true }, { state: "failed", reason: "PayloadInvalid" }],
    ["ends with the last attempt", { mayPark: true, attempt: POLICY.retry.maxAttempts }, { state: "failed", reason: "PayloadInvalid" }],
    ["ends when its age is over", { mayPark: true, acceptedAtMs: 0 }, { state: "failed", reason: "PayloadInvalid" }],
  ])("what cannot be made into a body %s", (_, fields, expected) => {
    const policy = fields.acceptedAtMs === 0 ? policyOf({ ...POLICY, retry: { ...POLICY.retry, maxAgeMs: 1_000 } }) : POLICY;
    expect(next(delivery(fields), outcome("client_error", { permanent: true }), policy, at()).next).toEqual(expected);
  });

  test("jitter only lengthens", () => {
    expect(next(delivery(), outcome("timeout"), POLICY, at(0.999)).next).toEqual({ state: "ready", dueAtMs: NOW + 1_500 });
  });

  test("the last attempt, the age and the resend end it", () => {
    const policy = policyOf({ ...POLICY, retry: { ...POLICY.retry, maxAttempts: 3, maxAgeMs: 60_000 } });
    const result = outcome("server_error");
    expect(next(delivery({ attempt: 2 }), result, policy, at()).next).toMatchObject({ state: "ready" });
    expect(next(delivery({ attempt: 3 }), result, policy, at()).next).toEqual({ state: "failed", reason: "AttemptsExhausted" });
    expect(next(delivery({ acceptedAtMs: NOW - 59_001 }), result, policy, at()).next).toEqual({ state: "failed", reason: "AgeExceeded" });
    expect(next(delivery({ acceptedAtMs: NOW - 59_000 }), result, policy, at()).next).toMatchObject({ state: "ready" });
    expect(next(delivery({ resent: true }), result, policy, at()).next).toEqual({ state: "failed", reason: "AttemptsExhausted" });
    expect(next(delivery({ attempt: 50, resent: true }), outcome("success"), policy, at()).next).toMatchObject({ state: "delivered" });
  });
});

describe("what it means for the subscription", () => {
  test("Retry-After pauses, up to the policy's most, for retryable answers only", () => {
    const answer = (statusCode: number) => outcome("client_error", { statusCode, retryAfterMs: 5_000_000 });
    expect(next(delivery(), answer(429), POLICY, at()).pauseMs).toBe(3_600_000);
    expect(next(delivery(), answer(400), POLICY, at()).pauseMs).toBeUndefined();
    const deaf = policyOf({ retry: { retryAfterMaxMs: 0 } });
    expect(next(delivery(), answer(429), deaf, at()).pauseMs).toBeUndefined();
  });

  test.each([
    [429, true],
    [502, true],
    [503, true],
    [504, true],
    [500, false],
    [404, false],
  ])("%i slows down: %s", (statusCode, slows) => {
    expect(next(delivery(), outcome("server_error", { statusCode }), POLICY, at()).slowDown).toBe(slows);
  });

  test("a time-out slows down, 410 suspends", () => {
    expect(next(delivery(), outcome("timeout"), POLICY, at()).slowDown).toBe(true);
    expect(next(delivery(), outcome("client_error", { statusCode: 410 }), POLICY, at()).endpointGone).toBe(true);
    expect(next(delivery(), outcome("success", { statusCode: 410 }), POLICY, at()).endpointGone).toBe(false);
  });
});

test("the first send waits for schedule[0], never for a backoff", () => {
  expect(firstDueAtMs(policyOf({ retry: { delays: { kind: "schedule", delaysMs: [7_000, 1] } } }), NOW)).toBe(NOW + 7_000);
  expect(firstDueAtMs(POLICY, NOW)).toBe(NOW);
});

test("attempts and age are judged by the policy at claim, and nothing expires by age untried", () => {
  const policy = policyOf({ retry: { maxAttempts: 2, maxAgeMs: 100 } });
  const LIVED = { nowMs: NOW, livedSinceMs: NOW - 10_000 };
  const old = { acceptedAtMs: NOW - 101, resent: false };
  expect(spent({ ...old, made: 1 }, policy, LIVED)).toBe("AgeExceeded");
  expect(spent({ ...old, made: 0 }, policy, LIVED)).toBeUndefined();
  expect(spent({ acceptedAtMs: NOW, resent: false, made: 2 }, policy, LIVED)).toBe("AttemptsExhausted");
  expect(spent({ ...old, made: 9, resent: true }, policy, LIVED)).toBeUndefined();
});
