import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { judgeHandshake } from "../../../src/core/permission.ts";
import { BUILT_IN_EGRESS } from "../../../src/core/policy.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { aRoute } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";

let attempter: HttpAttempter;
let server: Server;
let url = "";
let seen: IncomingMessage[] = [];
let answer: (res: ServerResponse) => void;

beforeEach(async () => {
  attempter = new HttpAttempter({ clock: new SystemClock(), version: "9.9.9", origin: "hooks.example.com" });
  seen = [];
  server = createServer((req, res) => {
    seen.push(req);
    answer(res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?a=1`;
});
afterEach(async () => {
  await attempter.close();
  server.close();
  server.closeAllConnections();
});

const ask = (change: Partial<RouteChange> = {}) => attempter.askPermission(aRoute({ url, ...change }).subscription);

test("is an OPTIONS request with our name and rate, and without any credential", async () => {
  answer = (res) => void res.writeHead(200, { "WebHook-Allowed-Origin": "hooks.example.com", "WebHook-Allowed-Rate": "120" }).end();
  const outcome = await ask({
    policy: { rateLimit: { requests: 5, perMs: 1_000, burst: 5 } },
    target: { authorization: "Bearer s3cr3t", headers: [["X-Key", "s3cr3t"]] },
  });
  expect(judgeHandshake(outcome, attempter.origin)).toEqual({ kind: "allowed", perMinute: 120 });
  expect(seen).toHaveLength(1);
  const [{ method, url: path, headers }] = seen as [IncomingMessage];
  expect([method, path]).toEqual(["OPTIONS", "/hook?a=1"]);
  expect(headers).toMatchObject({ "webhook-request-origin": "hooks.example.com", "webhook-request-rate": "300" });
  expect(JSON.stringify(headers)).not.toContain("s3cr3t");
});

test("a redirect is a refusal and is not followed", async () => {
  answer = (res) => void res.writeHead(302, { location: url, "WebHook-Allowed-Origin": "*" }).end();
  expect(judgeHandshake(await ask(), attempter.origin)).toMatchObject({
    kind: "refused",
    message: expect.stringMatching(/302.*not followed/),
  });
  expect(seen).toHaveLength(1);
});

test("the guard holds", async () => {
  answer = (res) => void res.end();
  const outcome = await ask({ egress: BUILT_IN_EGRESS });
  expect(outcome.class).toBe("blocked");
  expect(judgeHandshake(outcome, attempter.origin)).toMatchObject({ kind: "unanswered" });
  expect(seen).toEqual([]);
});

test("a receiver that never answers is given up at the deadline", async () => {
  answer = () => undefined;
  expect(await ask({ policy: { timeoutMs: 150 } })).toMatchObject({ class: "timeout" });
});
