import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { next } from "../../../src/core/delivery-state.ts";
import { BUILT_IN_EGRESS, BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import type { Credential } from "../../../src/core/subscription.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import type { AttemptDone } from "../../../src/delivery/attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";
import { TokenServer } from "../../support/delivery/token-server.ts";

let attempter: HttpAttempter;
let tokens: TokenServer;
let receiver: Server;
let receiverUrl = "";
let authorizations: (string | undefined)[] = [];
let refusedTokens = new Set<string>();

beforeEach(async () => {
  attempter = new HttpAttempter({ clock: new SystemClock(), version: "9.9.9" });
  tokens = new TokenServer();
  await tokens.start();
  authorizations = [];
  refusedTokens = new Set();
  receiver = createServer((req, res) => {
    authorizations.push(req.headers.authorization);
    req.resume();
    res.writeHead(refusedTokens.has(req.headers.authorization ?? "") ? 401 : 200).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  receiverUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
});
afterEach(async () => {
  await attempter.close();
  tokens.stop();
  receiver.close();
});

function credential(change: Partial<Extract<Credential, { kind: "oauth2" }>> = {}): Credential {
  const { url } = tokens;
  return {
    kind: "oauth2",
    tokenUrl: url,
    clientId: "client-4711",
    clientSecret: "s3cr3t-value",
    scopes: [],
    audience: undefined,
    ...change,
  };
}

function attempt(given: Credential = credential(), change: Partial<RouteChange> = {}): Promise<AttemptDone> {
  const route = aRoute({ url: receiverUrl, ...change, target: { credential: given } });
  return attempter.attempt({ route, event: anEvent(), attempt: 1 });
}

describe("OAuth 2.0 client credentials", () => {
  test("are exchanged as RFC 6749 says: form-encoded Basic, scopes joined, audience", async () => {
    const given = credential({ clientId: "a b:ü", clientSecret: "p%+/=:&", scopes: ["read", "write:all"], audience: "https://r.test/" });
    const done = await attempt(given);
    expect(done.outcome.class).toBe("success");
    const [call] = tokens.calls;
    expect(call?.body).toBe("grant_type=client_credentials&scope=read+write%3Aall&audience=https%3A%2F%2Fr.test%2F");
    expect(call?.headers["content-type"]).toBe("application/x-www-form-urlencoded");
    const basic = Buffer.from((call?.headers.authorization ?? "").slice("Basic ".length), "base64").toString("latin1");
    expect(basic).toBe("a+b%3A%C3%BC:p%25%2B%2F%3D%3A%26");
    expect(authorizations).toEqual(["Bearer t1"]);
    expect(done.requestHeaders).toContainEqual(["authorization", "[redacted]"]);
    expect(JSON.stringify(done)).not.toContain("s3cr3t");
  });

  test("one fetch serves a burst, and every subscription of the namespace that says the same", async () => {
    const done = await Promise.all(Array.from({ length: 20 }, (_, i) => attempt(credential(), { uid: `uid-${i % 4}` })));
    expect(done.map(({ outcome }) => outcome.class)).toEqual(Array<string>(20).fill("success"));
    expect(tokens.calls).toHaveLength(1);
    await attempt(credential({ clientSecret: "another" }));
    expect(tokens.calls).toHaveLength(2);
  });

  test("a token whose life the answer does not tell is kept", async () => {
    tokens.answer = (_call, res) => tokens.give(res, { expires_in: undefined });
    await attempt();
    await attempt();
    expect(tokens.calls).toHaveLength(1);
  });

  test("a token that the receiver refuses is dropped once, and the delivery tried again although 401 is not listed", async () => {
    await attempt();
    refusedTokens.add("Bearer t1").add("Bearer t2");
    const first = await attempt();
    expect(first.outcome).toMatchObject({ statusCode: 401, tokenDropped: true });
    const moment = { nowMs: 0, random: 0 };
    const delivery = { attempt: 1, acceptedAtMs: 0, resent: false };
    expect(next(delivery, first.outcome, BUILT_IN_POLICY, moment).next.state).toBe("ready");
    const second = await attempt();
    expect(authorizations.at(-1)).toBe("Bearer t2");
    expect(second.outcome.tokenDropped).toBeUndefined();
    expect(next(delivery, second.outcome, BUILT_IN_POLICY, moment).next).toEqual({ state: "failed", reason: "NotRetryable" });
    await attempt();
    expect(tokens.calls).toHaveLength(2);
  });

  const refusals: [string, TokenServer["answer"], RegExp][] = [
    [
      "an error of the authorization server, what it echoes hidden",
      (_call, res) =>
        void res.writeHead(401).end('{"error":"invalid_client","error_description":"client-4711 with secret s3cr3t-value unknown\\n"}'),
      /^no token from 127\.0\.0\.1:\d+: HTTP 401 Unauthorized, invalid_client: \[redacted\] with secret \[redacted\] unknown$/,
    ],
    ["a redirect", (_call, res) => void res.writeHead(307, { location: receiverUrl }).end(), /HTTP 307 .*redirect to .* not followed/],
    ["an answer that is not JSON", (_call, res) => void res.end("<html>"), /not a JSON object/],
    ["an answer without a token", (_call, res) => void res.end('{"token_type":"bearer"}'), /no usable access_token/],
    ["a token that would break the header", (_call, res) => tokens.give(res, { access_token: "a\r\nx: y" }), /no usable access_token/],
    ["a token too long to send", (_call, res) => tokens.give(res, { access_token: "a".repeat(13_000) }), /longer than 12288 characters/],
    ["another token type", (_call, res) => tokens.give(res, { token_type: "mac" }), /token_type is mac; only Bearer/],
    ["an endless answer", (_call, res) => void res.end(`{"x":"${"y".repeat(70_000)}"}`), /longer than 65536 bytes/],
    ["a closed connection", (call, res) => void (call.body === "" ? undefined : res.destroy()), /closed the connection/],
  ];
  test.each(refusals)("%s is the attempt's outcome and nothing is sent", async (_, answer, message) => {
    tokens.answer = answer;
    const { outcome } = await attempt();
    expect(outcome.class).not.toBe("success");
    expect(outcome.message).toMatch(message);
    expect(outcome.message).toMatch(/^no token from 127\.0\.0\.1:\d+: /);
    expect(JSON.stringify(outcome)).not.toContain("s3cr3t");
    expect(outcome.statusCode).toBeUndefined();
    expect(authorizations).toEqual([]);
    const transition = next({ attempt: 1, acceptedAtMs: 0, resent: false }, outcome, BUILT_IN_POLICY, { nowMs: 0, random: 0 });
    expect(transition.next.state).toBe("ready");
  });

  test("Retry-After of the token endpoint reaches the subscription", async () => {
    tokens.answer = (_call, res) => void res.writeHead(503, { "retry-after": "7" }).end();
    expect((await attempt()).outcome).toMatchObject({ class: "server_error", connectionStatus: "TOKEN_REFUSED", retryAfterMs: 7_000 });
  });

  test("the time it takes counts against the attempt's deadline", async () => {
    tokens.answer = () => undefined;
    const startedMs = performance.now();
    const { outcome } = await attempt(credential(), { policy: { timeoutMs: 200, connectTimeoutMs: 200 } });
    expect(outcome).toMatchObject({ class: "timeout", connectionStatus: "ETIMEDOUT" });
    expect(outcome.message).toMatch(/^no token from 127\.0\.0\.1:\d+ within 0\.2 s$/);
    expect(performance.now() - startedMs).toBeLessThan(1_200);
    expect(authorizations).toEqual([]);
  });

  test.each([
    ["http://169.254.169.254/token", /not sent/],
    ["https://10.0.0.1/token", /not sent/],
    ["http://localhost:1/token", /not sent/],
  ])("the guard judges %s like any endpoint", async (tokenUrl, message) => {
    const egress = tokenUrl.includes("169") ? { ...BUILT_IN_EGRESS, allowPlainHttp: true, allowedCidrs: ["127.0.0.0/8"] } : undefined;
    const { outcome } = await attempt(credential({ tokenUrl }), {
      egress: egress ?? {
        ...BUILT_IN_EGRESS,
        allowPlainHttp: true,
        allowedCidrs: ["127.0.0.1/32"],
        allowedHosts: ["127.0.0.1", "10.0.0.1"],
      },
    });
    expect(outcome).toMatchObject({ class: "blocked", connectionStatus: "EGRESS_DENIED" });
    expect(outcome.message).toMatch(message);
    expect(authorizations).toEqual([]);
  });

  test("shutting down ends a fetch that hangs", async () => {
    tokens.answer = () => undefined;
    const done = attempt();
    while (tokens.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await attempter.close();
    expect((await done).outcome).toMatchObject({ class: "connect_error", connectionStatus: "ECANCELED" });
  });
});
