import { describe, expect, it } from "vitest";
import { emptyRecord, isTokenRefused, judgeEndpoint, noteAttempt } from "../../../src/core/endpoint-health.ts";
import type { OutcomeClass } from "../../../src/core/outcome.ts";

interface Seen {
  readonly class: OutcomeClass;
  readonly connectionStatus: string;
  readonly statusCode: number | undefined;
}

/** The verdict after a receiver has seen so many attempts end like this. */
function verdictAfter(attempts: readonly Seen[]): ReturnType<typeof judgeEndpoint> {
  const record = emptyRecord();
  for (const [i, seen] of attempts.entries()) {
    const { class: outcome, statusCode } = seen;
    const attempt = { atMs: i, eventId: "e", eventType: "a", attempt: i + 1, statusCode, durationMs: 1, outcome };
    const failure = outcome === "success" ? undefined : { ...attempt, reason: outcome, message: "why" };
    noteAttempt(record, { attempt, failure, tokenRefused: isTokenRefused(seen) });
  }
  return judgeEndpoint(record, false, undefined);
}

const OK: Seen = { class: "success", connectionStatus: "ok", statusCode: 200 };
const REFUSED: Seen = { class: "client_error", connectionStatus: "TOKEN_REFUSED", statusCode: undefined };

describe("EndpointHealthy", () => {
  it.each<[string, Seen, string]>([
    ["a token endpoint that refuses our credentials", REFUSED, "AuthRejected"],
    ["a token endpoint in trouble", { class: "server_error", connectionStatus: "TOKEN_REFUSED", statusCode: undefined }, "HighFailureRate"],
    ["an API server that cannot make tokens now", { ...REFUSED, connectionStatus: "API_SERVER_AWAY" }, "HighFailureRate"],
    ["a receiver that answers 401", { class: "client_error", connectionStatus: "ok", statusCode: 401 }, "AuthRejected"],
    ["a receiver that answers 403", { class: "client_error", connectionStatus: "ok", statusCode: 403 }, "AuthRejected"],
    ["a receiver that answers 404", { class: "client_error", connectionStatus: "ok", statusCode: 404 }, "HighFailureRate"],
    ["a receiver that answers 500", { class: "server_error", connectionStatus: "ok", statusCode: 500 }, "HighFailureRate"],
    [
      "a receiver that refuses connections",
      { class: "connect_error", connectionStatus: "ECONNREFUSED", statusCode: undefined },
      "HighFailureRate",
    ],
  ])("%s: %#", (_, seen, reason) => {
    expect(verdictAfter([seen])).toMatchObject({ healthy: false, reason });
    expect(verdictAfter([OK, seen, seen, seen])).toMatchObject({ healthy: false, reason });
  });

  it("tells of a token no longer once another attempt has ended otherwise", () => {
    expect(verdictAfter([REFUSED, OK])).toMatchObject({ healthy: true, reason: "Delivering" });
    expect(verdictAfter([REFUSED, { class: "timeout", connectionStatus: "ETIMEDOUT", statusCode: undefined }])).toMatchObject({
      reason: "Timeout",
    });
  });
});
