import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { BUILT_IN_POLICY } from "../../../src/core/policy.ts";
import type { Target } from "../../../src/core/subscription.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";

const BEARER = "bearer-value-0123456789";
const HEADER = "hunter2-secret-value-0123";
const PASSWORD = "basic/pass+word-0123";
const QUERY = "query-key-0123456789";

let server: Server;
let attempter: HttpAttempter;
let url: string;

/** As debug pages, API gateways and httpbin do: everything that it was told, in its answer's body. */
beforeEach(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const raw = `${request.method} ${request.url} HTTP/1.1\r\n${request.rawHeaders.join("\r\n")}\r\n\r\n${Buffer.concat(chunks).toString()}`;
      const all = { url: request.url, headers: request.headers, raw, base64: Buffer.from(raw).toString("base64") };
      response.writeHead(422, { "content-type": "application/json" }).end(JSON.stringify(all));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  attempter = new HttpAttempter({ clock: new SystemClock(), version: "test" });
});

afterEach(async () => {
  await attempter.close();
  server.closeAllConnections();
  server.close();
});

async function echoed(target: Partial<Target>): Promise<string> {
  const policy = { retention: { ...BUILT_IN_POLICY.retention, responseBytes: 65_536 } };
  const route = aRoute({ url: target.url ?? url, target, policy });
  const { outcome } = await attempter.attempt({ route, event: anEvent({ data: Buffer.from('{"order":"o-1"}') }), attempt: 1 });
  expect(outcome.statusCode).toBe(422);
  return Buffer.from(outcome.responseBody).toString();
}

describe("a receiver that says again what it was told, in its body", () => {
  it.each([
    ["a bearer token", { authorization: `Bearer ${BEARER}` }, [BEARER]],
    ["basic credentials", { authorization: `Basic ${Buffer.from(`ann:${PASSWORD}`).toString("base64")}` }, [PASSWORD]],
    ["a header", { headers: [["x-key", HEADER]] }, [HEADER]],
  ] as [string, Partial<Target>, string[]][])("shows no more of %s", async (_what, target, secrets) => {
    const body = await echoed(target);
    expect(body).toContain("[redacted]");
    // What is no secret is what one looks for.
    expect(body).toContain("o-1");
    for (const secret of secrets)
      for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) expect(body).not.toContain(form);
    expect(Buffer.from((JSON.parse(body) as { base64: string }).base64, "base64").toString()).not.toContain(secrets[0]);
  });

  it("nor of the URL's query", async () => {
    const body = await echoed({ url: `${url}/hook?key=${QUERY}` });
    expect(body).toContain("/hook?[redacted]");
    expect(body).not.toContain(QUERY);
  });
});
