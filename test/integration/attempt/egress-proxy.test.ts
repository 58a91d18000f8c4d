import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import corpus from "../../corpus/destinations.json" with { type: "json" };
import { BUILT_IN_EGRESS } from "../../../src/core/policy.ts";
import type { Outcome } from "../../../src/core/outcome.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import type { NameResolver } from "../../../src/attempt/connect/resolver.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute, LOOPBACK_EGRESS } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { ConnectProxy } from "../../support/delivery/connect-proxy.ts";

const certificates = makeCertificates();
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** Names as a test says; nothing else resolves. */
const zone: Record<string, readonly string[]> = {
  "hooks.example.com": ["127.0.0.1"],
  "inner.example.com": ["10.1.2.3"],
  "metadata.example.com": ["169.254.169.254"],
  "two.example.com": ["127.0.0.9", "127.0.0.1"],
};
const resolver: NameResolver = {
  resolve: (host) => {
    const addresses = zone[host];
    return addresses === undefined ? Promise.reject(Object.assign(new Error(host), { code: "ENOTFOUND" })) : Promise.resolve(addresses);
  },
};

async function receiver(server: Server): Promise<{ port: number; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  server.on("request", (req, res) => {
    requests.push(req);
    res.end("ok");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, requests };
}

async function proxied(proxy = new ConnectProxy()): Promise<{ proxy: ConnectProxy; url: string; by: HttpAttempter }> {
  const { url } = await proxy.start();
  endings.push(() => proxy.stop());
  return { proxy, url, by: attempter() };
}

function attempter(): HttpAttempter {
  const ca = certificates === undefined ? {} : { ca: [certificates.ca] };
  const made = new HttpAttempter({ clock: new SystemClock(), version: "1", resolver, ...ca });
  endings.push(() => made.close());
  return made;
}

async function attempt(by: HttpAttempter, change: RouteChange): Promise<Outcome> {
  return (await by.attempt({ route: aRoute(change), event: anEvent(), attempt: 1 })).outcome;
}

describe("the egress proxy", () => {
  test("is asked for the vetted address; the receiver sees the name", async () => {
    const { port, requests } = await receiver(createHttpServer());
    const { proxy, url, by } = await proxied();
    const target = { proxy: { url, authorization: "Basic dTpw" } };
    const change = { url: `http://hooks.example.com:${port}/in`, target, policy: { maxInFlight: 1 } };
    expect(await attempt(by, change)).toMatchObject({ class: "success", statusCode: 200 });
    expect(await attempt(by, change)).toMatchObject({ class: "success" });
    expect(proxy.calls).toMatchObject([{ authority: `127.0.0.1:${port}`, headers: { "proxy-authorization": "Basic dTpw" } }]);
    expect(requests.map(({ headers }) => headers.host)).toEqual([`hooks.example.com:${port}`, `hooks.example.com:${port}`]);
    expect(requests[0]?.headers).not.toHaveProperty("proxy-authorization");
  });

  test.skipIf(certificates === undefined).each(["http", "https"])("carries TLS end to end, over %s", async (scheme) => {
    const { good, service, ca } = certificates!;
    const { port, requests } = await receiver(createHttpsServer(service));
    const { proxy, url, by } = await proxied(new ConnectProxy(scheme === "https" ? good : undefined));
    const tls = { ca, clientCert: undefined, serverName: "receiver.shop.svc", minVersion: "TLSv1.2" as const };
    const target = { proxy: { url, authorization: undefined }, tls };
    expect(await attempt(by, { url: `https://hooks.example.com:${port}/`, target })).toMatchObject({ class: "success", tlsStatus: "ok" });
    expect(proxy.calls[0]?.authority).toBe(`127.0.0.1:${port}`);
    expect(requests[0]?.headers.host).toBe(`hooks.example.com:${port}`);
    const mismatched = await attempt(by, {
      url: `https://hooks.example.com:${port}/`,
      target: { ...target, tls: { ...tls, serverName: undefined } },
    });
    expect(mismatched).toMatchObject({ class: "tls_error", tlsStatus: "HOSTNAME_MISMATCH (62)" });
  });

  test.each([
    ["a private address", "https://inner.example.com/", /10\.1\.2\.3 is not a public address/],
    ["a metadata address", "https://metadata.example.com/", /metadata/],
    ["a literal", "https://192.168.0.1/", /192\.168\.0\.1/],
    ["plain http to a private address", "http://inner.example.com/", /10\.1\.2\.3/],
  ])("is not asked for %s", async (_name, to, words) => {
    const { proxy, url, by } = await proxied();
    const outcome = await attempt(by, { url: to, target: { proxy: { url, authorization: undefined } } });
    expect(outcome).toMatchObject({ class: "blocked", connectionStatus: "EGRESS_DENIED", message: expect.stringMatching(words) });
    expect(proxy.calls).toEqual([]);
  });

  test("is asked for none of the corpus's forbidden destinations", async () => {
    const { proxy, url, by } = await proxied();
    const forbidden = corpus.filter(({ verdict }) => verdict === "refuse");
    expect(forbidden.length).toBeGreaterThan(50);
    const target = { proxy: { url, authorization: undefined } };
    const egress = { ...BUILT_IN_EGRESS, allowPlainHttp: true };
    const outcomes = await Promise.all(forbidden.map((one, i) => attempt(by, { url: one.url, egress, target, uid: `uid-${i}` })));
    expect(forbidden.filter((_one, i) => outcomes[i]?.class !== "blocked")).toEqual([]);
    expect(proxy.calls).toEqual([]);
  });

  test("is never passed by: a Service is dialled without it, everything else fails while it is away", async () => {
    const { port, requests } = await receiver(createHttpServer());
    const { proxy, url, by } = await proxied();
    const away = { proxy: { url: "http://127.0.0.1:1", authorization: undefined } };
    const outcome = await attempt(by, { url: `http://hooks.example.com:${port}/`, target: away });
    expect(outcome).toMatchObject({ class: "connect_error", connectionStatus: "PROXY_UNREACHABLE" });
    expect(outcome.message).toContain("the egress proxy cannot be reached: connection refused");
    expect(requests).toHaveLength(0);
    const dial = { address: "127.0.0.1", port };
    const service = { url: `http://receiver.shop.svc:${port}/`, target: { dial, proxy: { url, authorization: undefined } } };
    expect(await attempt(by, service)).toMatchObject({ class: "success" });
    expect(requests[0]?.headers.host).toBe(`receiver.shop.svc:${port}`);
    expect(proxy.calls).toEqual([]);
  });

  test.each([
    ["407", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "PROXY_AUTH", "rejected the credentials (HTTP 407"],
    ["403", "HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\nno", "PROXY_REFUSED", "refused to connect to the receiver (HTTP 403 Forbidden)"],
    ["502", "HTTP/1.1 502 Bad Gateway\r\n\r\n", "PROXY_REFUSED", "could not connect to the receiver (HTTP 502 Bad Gateway)"],
    ["something else", "SSH-2.0-x\r\n\r\n", "PROXY_INVALID", "is it an HTTP proxy?"],
    ["an endless head", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(4_000)}`, "PROXY_INVALID", "16384 bytes"],
    ["more than an answer", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "PROXY_INVALID", "sent more than its answer"],
    ["nothing", "", "PROXY_REFUSED", "closed the connection"],
  ])("that answers %s makes a connect_error that says so", async (_name, said, code, words) => {
    const { proxy, url, by } = await proxied();
    proxy.answer = () => said;
    const outcome = await attempt(by, { url: "https://hooks.example.com/", target: { proxy: { url, authorization: "Basic c2VjcmV0" } } });
    expect(outcome).toMatchObject({ class: "connect_error", connectionStatus: code, tlsStatus: "none" });
    expect(outcome.message).toContain(words);
    expect(outcome.message).not.toContain("c2VjcmV0");
  });

  test("that says nothing is given up at connectTimeout", async () => {
    const silent = createTcpServer((socket) => void endings.push(() => socket.destroy()));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    endings.push(() => silent.close());
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const policy = { connectTimeoutMs: 150, timeoutMs: 5_000 };
    const outcome = await attempt(attempter(), {
      url: "https://hooks.example.com/",
      policy,
      target: { proxy: { url, authorization: undefined } },
    });
    expect(outcome).toMatchObject({ class: "connect_error", connectionStatus: "PROXY_TIMEOUT" });
    expect(outcome.durationMs).toBeLessThan(1_500);
  });

  test("is asked for the next address when it could not reach the first", async () => {
    const { port } = await receiver(createHttpServer());
    const { proxy, url, by } = await proxied();
    proxy.answer = ({ authority }) => (authority.startsWith("127.0.0.9:") ? "HTTP/1.1 502 Bad Gateway\r\n\r\n" : undefined);
    const change = { url: `http://two.example.com:${port}/`, target: { proxy: { url, authorization: undefined } } };
    expect(await attempt(by, change)).toMatchObject({ class: "success" });
    expect(proxy.calls.map(({ authority }) => authority)).toEqual([`127.0.0.9:${port}`, `127.0.0.1:${port}`]);
  });

  test("that is exchanged for another is used from the next attempt on", async () => {
    const { port } = await receiver(createHttpServer());
    const one = await proxied();
    const two = await proxied();
    for (const { url } of [one, two]) {
      const target = { proxy: { url, authorization: undefined } };
      expect(await attempt(one.by, { url: `http://hooks.example.com:${port}/`, target })).toMatchObject({ class: "success" });
    }
    expect([one.proxy.calls.length, two.proxy.calls.length]).toEqual([1, 1]);
  });
});

describe("a Service's address", () => {
  const service = { url: "http://receiver.shop.svc/", target: { dial: { address: "10.96.0.7", port: 80 } } };
  test.each([
    ["services None", { ...LOOPBACK_EGRESS, services: "None" as const }, service, /egress\.services is None/],
    ["deniedCIDRs", { ...LOOPBACK_EGRESS, deniedCidrs: ["10.96.0.0/16"] }, service, /deniedCIDRs/],
    ["its port", { ...LOOPBACK_EGRESS, ports: [{ from: 443, to: 443 }] }, service, /port 80 is not allowed/],
    ["the metadata rule", LOOPBACK_EGRESS, { ...service, target: { dial: { address: "169.254.169.254", port: 80 } } }, /metadata/],
  ])("is refused by %s at the attempt, whatever was resolved before", async (_name, egress, change, words) => {
    const outcome = await attempt(attempter(), { ...change, egress });
    expect(outcome).toMatchObject({ class: "blocked", connectionStatus: "EGRESS_DENIED", message: expect.stringMatching(words) });
  });
});
