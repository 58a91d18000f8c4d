import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Outcome } from "../../../src/core/outcome.ts";
import type { EgressPolicy } from "../../../src/core/policy.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { DnsResolver } from "../../../src/attempt/connect/resolver.ts";
import type { NameResolver } from "../../../src/attempt/connect/resolver.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute, LOOPBACK_EGRESS } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { ConnectProxy } from "../../support/delivery/connect-proxy.ts";
import { startNameServer } from "../../support/delivery/name-server.ts";
import { TokenServer } from "../../support/delivery/token-server.ts";
import { startSilentListener } from "../../support/delivery/silent-listener.ts";

/** Loopback over both families. */
const EGRESS: EgressPolicy = { ...LOOPBACK_EGRESS, allowedCidrs: ["127.0.0.0/8", "::1/128"] };
const NAME = "hooks.example.com";
/** Long enough for a loaded machine; an address that is waited for to the end shows in it. */
const POLICY = { connectTimeoutMs: 8_000, timeoutMs: 9_000 };
/** A dead address is passed over long before it times out. */
const PASSED_OVER_MS = 4_000;

const certificates = makeCertificates();
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function listening(server: Server, host: string, port = 0): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  endings.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Answers 200 and closes, so that each attempt connects anew. */
function healthy(): { server: Server; requests: () => number } {
  let requests = 0;
  const server = createHttpServer((_req, res) => {
    requests += 1;
    res.setHeader("connection", "close").end();
  });
  return { server, requests: () => requests };
}

async function silent(host: string, port: number): Promise<void> {
  const { close } = await startSilentListener(host, port);
  endings.push(close);
}

/** Whoever names no other address finds these. */
function asking(addresses: readonly string[] | ((query: number) => readonly string[])): HttpAttempter {
  let query = 0;
  const resolver: NameResolver = {
    resolve: () => Promise.resolve(typeof addresses === "function" ? addresses((query += 1)) : addresses),
  };
  return attempterWith(resolver);
}

function attempterWith(resolver: NameResolver): HttpAttempter {
  const ca = certificates === undefined ? {} : { ca: [certificates.ca] };
  const attempter = new HttpAttempter({ clock: new SystemClock(), version: "1", resolver, ...ca });
  endings.push(() => attempter.close());
  return attempter;
}

async function outcomeAt(attempter: HttpAttempter, change: RouteChange): Promise<Outcome> {
  return (await attempter.attempt({ route: aRoute({ egress: EGRESS, policy: POLICY, ...change }), event: anEvent(), attempt: 1 })).outcome;
}

describe("of several addresses the first that can be had is used", () => {
  test("the first is silent: the healthy one gets it within the same attempt, and at once from then on", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    await silent("127.0.0.2", port);
    const attempter = asking(["127.0.0.2", "127.0.0.3"]);
    const first = await outcomeAt(attempter, { url: `http://${NAME}:${port}/` });
    expect(first).toMatchObject({ class: "success" });
    expect(first.durationMs).toBeLessThan(PASSED_OVER_MS);
    expect(first.durationMs).toBeGreaterThanOrEqual(240);
    const later = [];
    for (let i = 0; i < 5; i++) later.push((await outcomeAt(attempter, { url: `http://${NAME}:${port}/` })).durationMs);
    expect(Math.min(...later)).toBeLessThan(240);
    expect(requests()).toBe(6);
  });

  test.each([
    ["refuses", ["127.0.0.2", "127.0.0.3"]],
    ["is of a family that leads nowhere", ["2001:db8::1", "127.0.0.3"]],
    ["is of a family that is refused", ["::1", "127.0.0.3"]],
  ])("the first %s", async (_name, addresses) => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    const egress = { ...EGRESS, allowedCidrs: [...EGRESS.allowedCidrs, "2001:db8::/32"] };
    const outcome = await outcomeAt(asking(addresses), { url: `http://${NAME}:${port}/`, egress });
    expect(outcome).toMatchObject({ class: "success" });
    expect(outcome.durationMs).toBeLessThan(PASSED_OVER_MS);
    expect(requests()).toBe(1);
  });

  test("IPv4 is silent and only ::1 answers, which the name server gave last of nine", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "::1");
    const dead = Array.from({ length: 8 }, (_none, i) => `127.0.0.${20 + i}`);
    for (const address of dead.slice(0, 2)) await silent(address, port);
    const outcome = await outcomeAt(asking([...dead, "::1"]), { url: `http://${NAME}:${port}/` });
    expect(outcome).toMatchObject({ class: "success" });
    expect(requests()).toBe(1);
  });

  test("five silent ones before it: each has its share of the time", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    const dead = Array.from({ length: 5 }, (_none, i) => `127.0.0.${30 + i}`);
    for (const address of dead) await silent(address, port);
    const outcome = await outcomeAt(asking([...dead, "127.0.0.3"]), { url: `http://${NAME}:${port}/` });
    expect(outcome).toMatchObject({ class: "success" });
    expect(outcome.durationMs).toBeLessThan(PASSED_OVER_MS);
    expect(requests()).toBe(1);
  });

  test.skipIf(certificates === undefined).each([
    ["stands and says nothing in the TLS handshake", (socket: Socket) => void endings.push(() => socket.destroy())],
    ["stands and is closed in the TLS handshake", (socket: Socket) => socket.once("data", () => socket.destroy())],
    ["stands and is reset in the TLS handshake", (socket: Socket) => socket.once("data", () => socket.resetAndDestroy())],
  ])("a first that %s", async (_name, act) => {
    const { good } = certificates!;
    const server = createHttpsServer(good, (_req, res) => res.setHeader("connection", "close").end());
    const port = await listening(server, "127.0.0.3");
    await listening(
      createTcpServer((socket) => act(socket.on("error", () => undefined))),
      "127.0.0.2",
      port,
    );
    const outcome = await outcomeAt(asking(["127.0.0.2", "127.0.0.3"]), {
      url: `https://localhost.example.com:${port}/`,
      target: { tls: { ca: certificates!.ca, clientCert: undefined, serverName: "localhost", minVersion: "TLSv1.2" } },
    });
    expect(outcome).toMatchObject({ class: "success", tlsStatus: "ok" });
    expect(outcome.durationMs).toBeLessThan(4_000 + PASSED_OVER_MS);
  });

  test("all are silent: one limit for all of them, and the message says how many were tried", async () => {
    const port = await listening(createTcpServer(), "127.0.0.9");
    for (const address of ["127.0.0.2", "127.0.0.3"]) await silent(address, port);
    const outcome = await outcomeAt(asking(["127.0.0.2", "127.0.0.3"]), {
      url: `http://${NAME}:${port}/`,
      policy: { connectTimeoutMs: 800, timeoutMs: 8_000 },
    });
    expect(outcome).toMatchObject({
      class: "connect_error",
      connectionStatus: "ETIMEDOUT",
      message: "no connection within 0.8 s (2 addresses tried)",
    });
    expect(outcome.durationMs).toBeLessThan(PASSED_OVER_MS);
  });

  test("all refuse: what a receiver says is told before what a missing network says", async () => {
    const port = await listening(createTcpServer(), "127.0.0.9");
    const egress = { ...EGRESS, allowedCidrs: [...EGRESS.allowedCidrs, "2001:db8::/32"] };
    expect(
      await outcomeAt(asking(["127.0.0.2", "2001:db8::1"]), {
        url: `http://${NAME}:${port}/`,
        egress,
        policy: { connectTimeoutMs: 1_000 },
      }),
    ).toMatchObject({
      class: "connect_error",
      message: expect.stringMatching(/(connection refused|no connection within).*2 addresses tried/),
    });
  });

  test("over the attempts every address is tried, however many there are", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    const dead = Array.from({ length: 30 }, (_none, i) => `127.0.1.${i + 1}`);
    const attempter = asking([...dead, "127.0.0.3"]);
    expect((await outcomeAt(attempter, { url: `http://${NAME}:${port}/` })).class).toBe("connect_error");
    expect((await outcomeAt(attempter, { url: `http://${NAME}:${port}/` })).class).toBe("success");
    expect(requests()).toBe(1);
  });

  test("no address is dialled that the guard did not judge: one forbidden among them refuses all, at each connect", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    const attempter = asking((query) => (query % 2 === 1 ? ["127.0.0.2", "127.0.0.3"] : ["127.0.0.3", "10.0.0.1"]));
    const classes = [];
    for (let i = 0; i < 4; i++) classes.push((await outcomeAt(attempter, { url: `http://${NAME}:${port}/` })).class);
    expect(classes).toEqual(["success", "blocked", "success", "blocked"]);
    expect(requests()).toBe(2);
  });

  test("no socket is left behind", async () => {
    const { server } = healthy();
    const port = await listening(server, "127.0.0.3");
    let held = 0;
    const stalling = createTcpServer((socket) => {
      held += 1;
      socket
        .on("error", () => undefined)
        .on("close", () => (held -= 1))
        .resume();
    });
    await listening(stalling, "127.0.0.2", port);
    const outcome = await outcomeAt(asking(["127.0.0.2", "127.0.0.3"]), {
      url: `https://${NAME}:${port}/`,
      policy: { connectTimeoutMs: 700, timeoutMs: 5_000 },
    });
    expect(outcome.class).toBe("tls_error");
    await expect.poll(() => held, { timeout: 10_000 }).toBe(0);
  });
});

describe("localhost", () => {
  test.each([
    ["127.0.0.1", ["127.0.0.0/8", "::1/128"]],
    ["::1", ["127.0.0.0/8", "::1/128"]],
    ["::1", ["::1/128"]],
    ["127.0.0.1", ["127.0.0.0/8"]],
  ])("a receiver on %s alone is reached where %s is open", async (host, allowedCidrs) => {
    const { server, requests } = healthy();
    const port = await listening(server, host);
    const resolver = new DnsResolver({ clock: new SystemClock(), servers: [] });
    const egress = { ...EGRESS, allowedCidrs, allowedHosts: ["localhost"] };
    expect(await outcomeAt(attempterWith(resolver), { url: `http://localhost:${port}/`, egress })).toMatchObject({ class: "success" });
    expect(requests()).toBe(1);
  });

  test("[::1] is reached where ::1/128 is open, under its own name", async () => {
    const hosts: (string | undefined)[] = [];
    const server = createHttpServer((req, res) => {
      hosts.push(req.headers.host);
      res.setHeader("connection", "close").end();
    });
    const port = await listening(server, "::1");
    const egress = { ...EGRESS, allowedCidrs: ["::1/128"] };
    expect(await outcomeAt(asking([]), { url: `http://[::1]:${port}/`, egress })).toMatchObject({ class: "success" });
    expect(hosts).toEqual([`[::1]:${port}`]);
  });

  test("neither is reached where neither is open", async () => {
    const resolver = new DnsResolver({ clock: new SystemClock(), servers: [] });
    const egress = { ...EGRESS, allowedCidrs: [], allowedHosts: ["localhost"] };
    expect(await outcomeAt(attempterWith(resolver), { url: "http://localhost:8080/", egress })).toMatchObject({ class: "blocked" });
  });
});

describe("name servers that answer for one family alone", () => {
  test.each([
    ["A", ["127.0.0.3"]],
    ["AAAA", ["::1"]],
  ] as const)("only the %s question is answered", async (_name, answer) => {
    const { server } = healthy();
    const port = await listening(server, answer[0]);
    const dns = await startNameServer((_host, _query, isV6) => (isV6 === answer[0].includes(":") ? answer : "silence"));
    endings.push(dns.close);
    const resolver = new DnsResolver({ clock: new SystemClock(), servers: [dns.address] });
    endings.push(() => resolver.close());
    expect(await outcomeAt(attempterWith(resolver), { url: `http://${NAME}:${port}/` })).toMatchObject({ class: "success" });
  });
});

describe("the same for what is reached beside deliveries", () => {
  test("an egress proxy whose first address is silent", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    const proxy = new ConnectProxy();
    const { authority } = await proxy.start();
    endings.push(() => proxy.stop());
    const proxyPort = Number(authority.split(":")[1]);
    await silent("127.0.0.2", proxyPort);
    const resolver: NameResolver = {
      resolve: (host) => Promise.resolve(host === NAME ? ["127.0.0.3"] : ["127.0.0.2", "127.0.0.1"]),
    };
    const outcome = await outcomeAt(attempterWith(resolver), {
      url: `http://${NAME}:${port}/`,
      target: { proxy: { url: `http://proxy.example.com:${proxyPort}`, authorization: undefined } },
    });
    expect(outcome).toMatchObject({ class: "success" });
    expect(outcome.durationMs).toBeLessThan(PASSED_OVER_MS);
    expect(requests()).toBe(1);
  });

  test("a proxy that hangs on the first address is asked for the second", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    await silent("127.0.0.2", port);
    const proxy = new ConnectProxy();
    const { url } = await proxy.start();
    endings.push(() => proxy.stop());
    const outcome = await outcomeAt(asking(["127.0.0.2", "127.0.0.3"]), {
      url: `http://${NAME}:${port}/`,
      target: { proxy: { url, authorization: undefined } },
    });
    expect(outcome).toMatchObject({ class: "success" });
    expect(requests()).toBe(1);
    expect(proxy.calls.map(({ authority }) => authority)).toEqual([`127.0.0.2:${port}`, `127.0.0.3:${port}`]);
  });

  test("a token endpoint whose first address is silent", async () => {
    const { server, requests } = healthy();
    const port = await listening(server, "127.0.0.3");
    const tokens = new TokenServer();
    const { port: tokenPort } = new URL(await tokens.start());
    endings.push(() => tokens.stop());
    await silent("127.0.0.2", Number(tokenPort));
    const resolver: NameResolver = {
      resolve: (host) => Promise.resolve(host === NAME ? ["127.0.0.3"] : ["127.0.0.2", "127.0.0.1"]),
    };
    const outcome = await outcomeAt(attempterWith(resolver), {
      url: `http://${NAME}:${port}/`,
      target: {
        credential: {
          kind: "oauth2",
          tokenUrl: `http://tokens.example.com:${tokenPort}/oauth/token`,
          clientId: "client",
          clientSecret: "secret",
          scopes: [],
          audience: undefined,
        },
      },
    });
    expect(outcome).toMatchObject({ class: "success" });
    expect([tokens.calls.length, requests()]).toEqual([1, 1]);
  });

  test("a handshake's receiver whose first address is silent", async () => {
    const server = createHttpServer((_req, res) => res.writeHead(200, { "webhook-allowed-origin": "*" }).end());
    const port = await listening(server, "127.0.0.3");
    await silent("127.0.0.2", port);
    const attempter = asking(["127.0.0.2", "127.0.0.3"]);
    const { subscription } = aRoute({ url: `http://${NAME}:${port}/`, egress: EGRESS, policy: POLICY });
    expect(await attempter.askPermission(subscription)).toMatchObject({ class: "success" });
  });
});
