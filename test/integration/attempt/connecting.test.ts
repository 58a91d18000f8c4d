import { createServer as createHttpsServer } from "node:https";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { Server } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import corpus from "../../corpus/destinations.json" with { type: "json" };
import { BUILT_IN_EGRESS } from "../../../src/core/policy.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { DnsResolver } from "../../../src/attempt/connect/resolver.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { anEvent, aRoute, LOOPBACK_EGRESS } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import type { Certificate } from "../../support/delivery/certificates.ts";
import { startNameServer } from "../../support/delivery/name-server.ts";
import type { Zone } from "../../support/delivery/name-server.ts";
import { listeningPort } from "../../support/listening-port.ts";

const certificates = makeCertificates();
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

function portOf(server: Server): Promise<number> {
  endings.push(() => server.close());
  return listeningPort(server);
}

function attempterWith(options: { ca?: readonly string[]; servers?: readonly string[]; timeoutMs?: number } = {}): HttpAttempter {
  const clock = new SystemClock();
  const resolver = new DnsResolver({ clock, servers: options.servers, timeoutMs: options.timeoutMs ?? 300 });
  const attempter = new HttpAttempter({ clock, version: "1", resolver, ...(options.ca === undefined ? {} : { ca: options.ca }) });
  endings.push(() => attempter.close());
  return attempter;
}

async function outcomeOf(attempter: HttpAttempter, url: string, change: Partial<RouteChange> = {}) {
  return (await attempter.attempt({ route: aRoute({ url, ...change }), event: anEvent(), attempt: 1 })).outcome;
}

describe.skipIf(certificates === undefined)("TLS", () => {
  async function httpsPort(certificate: Certificate): Promise<{ port: number; requests: () => number }> {
    let requests = 0;
    const server = createHttpsServer(certificate, (_req, res) => {
      requests += 1;
      res.end("ok");
    });
    server.on("tlsClientError", () => undefined);
    return { port: await portOf(server), requests: () => requests };
  }
  const { ca, good, expired, otherHost, selfSigned } = certificates ?? ({} as NonNullable<typeof certificates>);

  test.each(["127.0.0.1", "localhost"])("a good certificate for %s", async (host) => {
    const { port } = await httpsPort(good);
    const egress = { ...LOOPBACK_EGRESS, allowedHosts: [host] };
    expect(await outcomeOf(attempterWith({ ca: [ca] }), `https://${host}:${port}/`, { egress })).toMatchObject({
      class: "success",
      tlsStatus: "ok",
    });
  });

  test.each([
    ["expired", expired, "CERT_HAS_EXPIRED (10)", "has expired"],
    ["for another host", otherHost, "HOSTNAME_MISMATCH (62)", "another host"],
    ["self-signed", selfSigned, "DEPTH_ZERO_SELF_SIGNED_CERT (18)", "self-signed"],
  ])("a certificate that is %s is a tls_error and nothing is sent", async (_name, certificate, tlsStatus, words) => {
    const { port, requests } = await httpsPort(certificate);
    const outcome = await outcomeOf(attempterWith({ ca: [ca] }), `https://127.0.0.1:${port}/`);
    expect(outcome).toMatchObject({ class: "tls_error", tlsStatus });
    expect(outcome.message).toContain(words);
    expect(requests()).toBe(0);
  });

  test("a receiver that speaks no TLS", async () => {
    const port = await portOf(createTcpServer((socket) => socket.on("error", () => undefined).end("HTTP/1.1 400 X\r\n\r\n")));
    expect(await outcomeOf(attempterWith(), `https://127.0.0.1:${port}/`)).toMatchObject({ class: "tls_error" });
  });

  test("a handshake that stalls ends at connectTimeout", async () => {
    const sockets: { destroy(): void }[] = [];
    const port = await portOf(createTcpServer((socket) => sockets.push(socket.on("error", () => undefined))));
    const outcome = await outcomeOf(attempterWith(), `https://127.0.0.1:${port}/`, { policy: { connectTimeoutMs: 150, timeoutMs: 5_000 } });
    expect(outcome).toMatchObject({ class: "connect_error", connectionStatus: "ETIMEDOUT" });
    expect(outcome.message).toContain("TLS handshake");
    expect(outcome.durationMs).toBeLessThan(1_000);
    for (const socket of sockets) socket.destroy();
  });
});

describe("names", () => {
  async function withZone(zone: Zone): Promise<{ attempter: HttpAttempter; port: number; requests: () => number; queries: () => number }> {
    const nameServer = await startNameServer(zone);
    endings.push(nameServer.close);
    let requests = 0;
    const port = await portOf(
      createHttpServer((_req, res) => {
        requests += 1;
        res.setHeader("connection", "close").end();
      }),
    );
    return { attempter: attempterWith({ servers: [nameServer.address] }), port, requests: () => requests, queries: nameServer.queries };
  }

  test("a name whose addresses the policy opens is reached", async () => {
    const { attempter, port, requests } = await withZone(() => ["127.0.0.1"]);
    expect(await outcomeOf(attempter, `http://hooks.example.com:${port}/`)).toMatchObject({ class: "success" });
    expect(requests()).toBe(1);
  });

  test("a name with an underscore too, as the DNS has it", async () => {
    const { attempter, port, requests } = await withZone((name) => (name === "hook_svc.example.com" ? ["127.0.0.1"] : "NXDOMAIN"));
    expect(await outcomeOf(attempter, `http://hook_svc.example.com:${port}/`)).toMatchObject({ class: "success" });
    expect(requests()).toBe(1);
  });

  test.each([
    ["a private address", ["10.0.0.1"]],
    ["one forbidden among allowed ones", ["127.0.0.1", "169.254.169.254"]],
    ["a metadata address", ["168.63.129.16"]],
  ])("%s is blocked before any socket", async (_name, addresses) => {
    const { attempter, port, requests } = await withZone(() => addresses);
    const outcome = await outcomeOf(attempter, `http://hooks.example.com:${port}/`);
    expect(outcome).toMatchObject({ class: "blocked", connectionStatus: "EGRESS_DENIED" });
    expect(requests()).toBe(0);
  });

  test("a name that turns to a forbidden address is blocked at the next connect", async () => {
    const { attempter, port, requests } = await withZone((_name, query) => (query === 1 ? ["127.0.0.1"] : ["10.0.0.1"]));
    expect((await outcomeOf(attempter, `http://hooks.example.com:${port}/`)).class).toBe("success");
    expect((await outcomeOf(attempter, `http://hooks.example.com:${port}/`)).class).toBe("blocked");
    expect(requests()).toBe(1);
  });

  test.each([
    ["NXDOMAIN", "ENOTFOUND", "no such host name"],
    ["SERVFAIL", "ESERVFAIL", "name server failed"],
    ["silence", "ETIMEOUT", "no answer"],
  ] as const)("%s is a dns_error", async (answer, code, words) => {
    const { attempter, port } = await withZone(() => answer);
    const outcome = await outcomeOf(attempter, `http://hooks.example.com:${port}/`);
    expect(outcome).toMatchObject({ class: "dns_error", connectionStatus: code });
    expect(outcome.message).toContain(words);
    expect(outcome.durationMs).toBeLessThan(1_500);
  });

  test("names that never answer delay nobody else", async () => {
    const { attempter, port } = await withZone((name) => (name.startsWith("dead") ? "silence" : ["127.0.0.1"]));
    const dead = Array.from({ length: 50 }, (_, i) => outcomeOf(attempter, `http://dead${i}.example.com:${port}/`, { uid: `dead${i}` }));
    const outcome = await outcomeOf(attempter, `http://hooks.example.com:${port}/`);
    expect(outcome.class).toBe("success");
    expect(outcome.durationMs).toBeLessThan(250);
    expect((await Promise.all(dead)).every(({ class: outcomeClass }) => outcomeClass === "dns_error")).toBe(true);
  });
});

describe("the guard at connect", () => {
  test("refuses every forbidden destination of the corpus, as https and as it stands beside allowPlainHTTP", async () => {
    const attempter = attempterWith();
    const judged = corpus
      .filter(({ verdict }) => verdict === "refuse")
      .flatMap(({ url }) => [
        { url: url.replace(/^http:/i, "https:"), egress: BUILT_IN_EGRESS },
        { url, egress: { ...BUILT_IN_EGRESS, allowPlainHttp: true } },
      ]);
    expect(judged.length).toBeGreaterThan(100);
    const outcomes = await Promise.all(judged.map(({ url, egress }, i) => outcomeOf(attempter, url, { egress, uid: `uid-${i}` })));
    expect(judged.filter((_one, i) => outcomes[i]!.class !== "blocked")).toEqual([]);
  });

  test.each(["http://127.0.0.1:8080/", "http://[::ffff:127.0.0.1]:8080/", "http://10.0.0.1/", "http://localhost:8080/"])(
    "%s is blocked without a policy",
    async (url) => {
      const egress = { ...LOOPBACK_EGRESS, allowedCidrs: [] };
      expect(await outcomeOf(attempterWith(), url, { egress })).toMatchObject({ class: "blocked", connectionStatus: "EGRESS_DENIED" });
    },
  );
});
