import { afterEach, describe, expect, it } from "vitest";
import { alone, statusOf } from "../../support/door/crowd.ts";
import { API_TOKEN, runningApi, runningHealth } from "../../support/door/three-servers.ts";
import { runningIngest } from "../../support/ingest/running-ingest.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

type Ports = "ingest" | "api" | "metrics";
const START = { ingest: () => runningIngest(), api: () => runningApi(), metrics: () => runningHealth() };
const PATHS = { ingest: "/v1/namespaces/shop/events", api: "/v1/namespaces/shop/subscriptions", metrics: "/livez" };
const METHODS = { ingest: "POST", api: "GET", metrics: "GET" };
const EXTRA = { ingest: "Content-Type: application/json\r\n", api: `Authorization: Bearer ${API_TOKEN}\r\n`, metrics: "" };
const BODY = '{"type":"order.paid"}';
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

async function ask(port: Ports, version: string, headers: string, target = PATHS[port], rest = ""): Promise<string> {
  const server = await START[port]();
  cleanups.push(() => server.stop());
  return alone(server.port, `${METHODS[port]} ${target} HTTP/${version}\r\n${EXTRA[port]}${headers}\r\n${rest}`);
}

describe.each<Ports>(["ingest", "api", "metrics"])("on the port %s", (port) => {
  it.each<[string, string, string, number]>([
    ["HTTP/1.0 with Transfer-Encoding", "1.0", "Host: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n", 400],
    ["identity, chunked", "1.1", "Host: x\r\nTransfer-Encoding: identity, chunked\r\n", 501],
    ["gzip, chunked", "1.1", "Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501],
    ["chunked twice", "1.1", "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400],
    ["no Host", "1.1", "Transfer-Encoding: chunked\r\n", 400],
    ["two Hosts", "1.1", "Host: x\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", 400],
    ["a Host that is none", "1.1", "Host: a b\r\nTransfer-Encoding: chunked\r\n", 400],
  ])("%s is refused, its connection closed, and what follows on it is no request", async (_, version, headers, status) => {
    const raw = await ask(port, version, headers, PATHS[port], `${CHUNKED}GET /livez HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(raw.match(/HTTP\/1\.1 \d{3}/g)).toEqual([`HTTP/1.1 ${status}`]);
    expect(raw).toMatch(/connection: close/i);
  });

  it("the absolute form of the target is taken", async () => {
    const length = port === "ingest" ? `Content-Length: ${BODY.length}\r\n` : "";
    const raw = await ask(
      port,
      "1.1",
      `Host: x\r\nConnection: close\r\n${length}`,
      `http://x${PATHS[port]}`,
      port === "ingest" ? BODY : "",
    );
    expect(statusOf(raw)).toBe(port === "ingest" ? 202 : 200);
  });

  it("plain chunked is taken, in any case", async () => {
    const raw = await ask(port, "1.1", "Host: x\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n", PATHS[port], CHUNKED);
    expect(statusOf(raw)).toBe(port === "ingest" ? 202 : 200);
  });
});

it("problems of the ingest are neither kept nor sniffed", async () => {
  const raw = await ask("ingest", "1.1", "Host: x\r\nConnection: close\r\nContent-Length: 1\r\n", PATHS.ingest, "{");
  expect(statusOf(raw)).toBe(400);
  expect(raw).toMatch(/^x-content-type-options: nosniff\r$/im);
  expect(raw).toMatch(/^cache-control: no-store\r$/im);
});
