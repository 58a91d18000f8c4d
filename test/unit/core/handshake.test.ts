import { describe, expect, it } from "vitest";
import { allowedLimit, judgeHandshake, requestedRate } from "../../../src/core/permission.ts";
import { outcome } from "../../support/sim/world.ts";

const answer = (headers: Record<string, string>, fields = {}) =>
  outcome("success", { responseHeaders: Object.entries(headers), ...fields });

describe("a receiver's answer to the validation request", () => {
  it.each([
    ["our name", { "webhook-allowed-origin": "Hooks.Example.COM" }, { kind: "allowed", perMinute: undefined }],
    ["everybody", { "WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "120" }, { kind: "allowed", perMinute: 120 }],
    ["any rate", { "webhook-allowed-origin": "*", "webhook-allowed-rate": "*" }, { kind: "allowed", perMinute: undefined }],
    ["nobody", {}, { kind: "refused", message: expect.stringContaining("without WebHook-Allowed-Origin") }],
    [
      "somebody else",
      { "webhook-allowed-origin": "other.test" },
      { kind: "refused", message: expect.stringContaining("other.test, not hooks") },
    ],
    ["a prefix of us", { "webhook-allowed-origin": "hooks.example.com.evil" }, { kind: "refused" }],
    ["no requests", { "webhook-allowed-origin": "*", "webhook-allowed-rate": "0" }, { kind: "refused" }],
    ["a rate that is none", { "webhook-allowed-origin": "*", "webhook-allowed-rate": "1.5" }, { kind: "refused" }],
  ])("allows %s", (_, headers, verdict) => {
    expect(judgeHandshake(answer(headers), "hooks.example.com")).toMatchObject(verdict);
  });

  it("is a refusal with an error status, whatever its headers", () => {
    const headers = { responseHeaders: [["webhook-allowed-origin", "*"]] as const };
    expect(judgeHandshake(outcome("client_error", { statusCode: 405, message: "HTTP 405", ...headers }), "a")).toMatchObject({
      kind: "refused",
    });
    expect(judgeHandshake(outcome("client_error", { statusCode: 301, ...headers }), "a")).toMatchObject({ kind: "refused" });
  });

  it("is none when the receiver cannot answer now", () => {
    for (const fields of [{ statusCode: 503, retryAfterMs: 9 }, { statusCode: 429 }, { statusCode: undefined }])
      expect(judgeHandshake(outcome("server_error", fields), "a")).toMatchObject({ kind: "unanswered" });
  });

  it("gives a rate that is obeyed evenly", () => {
    expect(allowedLimit(120)).toEqual({ requests: 120, perMs: 60_000, burst: 2 });
    expect(allowedLimit(5)).toEqual({ requests: 5, perMs: 60_000, burst: 1 });
  });

  it("was asked for the rate of the policy", () => {
    expect(requestedRate(undefined)).toBeUndefined();
    expect(requestedRate({ requests: 10, perMs: 1_000, burst: 1 })).toBe(600);
    expect(requestedRate({ requests: 1, perMs: 3_600_000, burst: 1 })).toBe(1);
  });
});
