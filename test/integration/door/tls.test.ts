import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { alone, Crowd, statusOf } from "../../support/door/crowd.ts";
import { API_TOKEN, runningApi, runningHealth } from "../../support/door/three-servers.ts";
import { askTls, identity, identitySource, TlsClient } from "../../support/door/tls-clients.ts";
import { runningIngest, type IngestSetup } from "../../support/ingest/running-ingest.ts";
import { ingestLimits } from "../../../src/ingest/ingest-server.ts";
import type { Metrics } from "../../../src/observe/metrics.ts";

const certificates = makeCertificates();
if (certificates === undefined) throw new Error("these tests need the openssl command");
const { ca, good, selfSigned, clients, expired } = certificates;
const stranger = makeCertificates()!;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const TOKEN = "0123456789abcdef";
const BODY = '{"type":"order.paid"}';
const PATIENT = { timeout: 20_000 };
const publish = (extra = "Connection: close\r\n", body = BODY): string =>
  `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${extra}\r\n${body}`;

async function ingest(setup: IngestSetup = {}) {
  const running = await runningIngest({ tokens: [TOKEN], identity: identitySource(good), ...setup });
  cleanups.push(() => running.stop());
  return running;
}

function crowdAt(port: number): Crowd {
  const crowd = new Crowd(port);
  cleanups.push(() => crowd.leave());
  return crowd;
}

async function closedFor(metrics: Metrics, reason: string): Promise<number> {
  const { values } = await metrics.connectionsClosed.get();
  return values.filter(({ labels }) => labels.reason === reason).reduce((sum, { value }) => sum + value, 0);
}

async function handshakes(metrics: Metrics): Promise<Record<string, number>> {
  const { values } = await metrics.tlsHandshakes.get();
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels.result), value]));
}

async function openNow(metrics: Metrics): Promise<number> {
  return (await metrics.connectionsOpen.get()).values[0]?.value ?? 0;
}

/** The ClientHello of this machine's own client. */
async function clientHello(): Promise<Buffer> {
  const { createServer } = await import("node:net");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const came = new Promise<Buffer>((resolve) =>
    server.once("connection", (socket) => socket.once("data", (data: Buffer) => (socket.destroy(), resolve(data)))),
  );
  await askTls((server.address() as { port: number }).port, "", { ca });
  server.close();
  return came;
}

describe("a port with a certificate", () => {
  it("serves all three ports over TLS, and says so in their addresses", async () => {
    const running = await ingest();
    expect(running.url).toMatch(/^https:/);
    expect(await askTls(running.port, publish(), { ca })).toMatchObject({ status: 202, protocol: "TLSv1.3" });
    const api = await runningApi({}, identitySource(good));
    const health = await runningHealth(5_000, identitySource(good));
    cleanups.push(
      () => api.stop(),
      () => health.stop(),
    );
    const list = `GET /v1/namespaces/shop/subscriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_TOKEN}\r\nConnection: close\r\n\r\n`;
    expect((await askTls(api.port, list, { ca })).status).toBe(200);
    const page = await askTls(health.port, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", { ca });
    expect([page.status, page.raw.length > 1_000_000]).toEqual([200, true]);
  });

  it.each([
    [
      "TLS 1.2 with forward secrecy",
      { maxVersion: "TLSv1.2" },
      { status: 202, protocol: "TLSv1.2", cipher: "ECDHE-ECDSA-AES128-GCM-SHA256" },
    ],
    [
      "TLS 1.1",
      { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" },
      { status: 0, error: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" },
    ],
    [
      "CBC suites",
      { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" },
      { status: 0, error: "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE" },
    ],
    ["HTTP/2 only", { ALPNProtocols: ["h2"] }, { status: 0, error: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL" }],
  ] as const)("answers a client with %s as it should", async (_what, options, expected) => {
    const { port, metrics } = await ingest();
    expect(await askTls(port, publish(), { ca, ...options, ALPNProtocols: "ALPNProtocols" in options ? ["h2"] : [] })).toMatchObject(
      expected,
    );
    expect((await handshakes(metrics))["failed"] ?? 0).toBe(expected.status === 0 ? 1 : 0);
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("resumes sessions of %s", async (version) => {
    const { port, metrics } = await ingest();
    const only = { ca, minVersion: version, maxVersion: version };
    const { session } = await askTls(port, publish(), only);
    expect(await askTls(port, publish(), { ...only, ...(session === undefined ? {} : { session }) })).toMatchObject({
      status: 202,
      resumed: true,
    });
    expect(await handshakes(metrics)).toEqual({ full: 1, resumed: 1 });
  });

  it("does not renegotiate", async () => {
    const { port } = await ingest();
    const client = await TlsClient.open(port, { ca, maxVersion: "TLSv1.2" });
    const refused = new Promise<string>((resolve) =>
      client.socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "")),
    );
    client.socket.renegotiate({}, (error) => error ?? undefined);
    expect(await refused).toBe("ERR_SSL_NO_RENEGOTIATION");
  });

  it("answers a client that closes its half", async () => {
    const { port } = await ingest();
    expect((await askTls(port, publish(""), { ca, half: true })).status).toBe(202);
    expect((await askTls(port, publish("").slice(0, -3), { ca, half: true })).status).toBe(400);
  });

  it("takes another certificate for new connections, and lets old ones live", async () => {
    const source = identitySource(good);
    const { port } = await ingest({ identity: source });
    const old = await TlsClient.open(port, { ca });
    await old.ask(publish(""), /correlationId/);
    source.use(identity(selfSigned));
    await old.ask(publish(""), /correlationId/);
    expect((await askTls(port, publish(), { ca })).error).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect((await askTls(port, publish(), { ca: selfSigned.cert, checkServerIdentity: () => undefined })).status).toBe(202);
    old.socket.destroy();
  });
});

describe("who does not speak TLS to a port with a certificate", () => {
  it("learns in plain HTTP to use https://, and is counted", async () => {
    const { port, metrics } = await ingest();
    const answer = await alone(port, publish());
    expect(answer).toContain("400 Bad Request");
    expect(answer).toContain("This port speaks HTTPS only: use https:// in place of http://.");
    expect(await handshakes(metrics)).toEqual({ plain_http: 1 });
  });

  it("is not waited for after its answer, however much it sends", async () => {
    const { port, metrics } = await ingest({ limits: { handshakeDeadlineMs: 300 } });
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => undefined);
    socket.resume();
    socket.write(publish("", "x".repeat(200_000)));
    const sending = setInterval(() => socket.write("y".repeat(1_000)), 20);
    cleanups.push(() => clearInterval(sending));
    await new Promise((resolve) => socket.once("close", resolve));
    expect(await closedFor(metrics, "handshake")).toBe(1);
    expect(await openNow(metrics)).toBe(0);
  });

  it.each([
    ["another protocol", Buffer.from("SSH-2.0-x\r\n".toLowerCase())],
    ["a record of an impossible length", Buffer.from([22, 3, 1, 255, 255, 1])],
    ["a record that is no ClientHello", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ["a ClientHello of 1 MB", Buffer.concat([Buffer.from([22, 3, 1, 64, 0, 1, 16, 0, 0]), Buffer.alloc(16_380)])],
  ])("is closed at once for %s", async (_what, bytes) => {
    const { port, metrics } = await ingest();
    const startedMs = performance.now();
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    socket.resume();
    socket.write(bytes);
    await new Promise((resolve) => socket.once("close", resolve));
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    await expect.poll(() => handshakes(metrics), PATIENT).toEqual({ unfinished: 1 });
    expect(await openNow(metrics)).toBe(0);
  });
});

describe("handshakes that do not come to an end", () => {
  const hello = clientHello();

  it.each([
    ["say nothing", async () => ""],
    ["begin a ClientHello", async () => (await hello).toString("latin1").slice(0, 60)],
    ["send a ClientHello and no more", async () => (await hello).toString("latin1")],
  ])("1,000 that %s do not hinder a producer, and are closed", { timeout: 60_000 }, async (_what, text) => {
    // Closed sooner than by default; the idle rule for strangers must not be what closes them.
    const { port, metrics } = await ingest({ limits: { handshakeDeadlineMs: 4_000, strangerIdleMs: 600_000 } });
    const bytes = Buffer.from(await text(), "latin1");
    const crowd = crowdAt(port);
    await crowd.come(1_000, "");
    for (const socket of crowd.sockets) socket.write(bytes);
    for (let i = 0; i < 5; i++) expect((await askTls(port, publish(), { ca })).status).toBe(202);
    await expect.poll(() => crowd.open, PATIENT).toBe(0);
    expect(await closedFor(metrics, "handshake")).toBe(1_000);
    expect(await openNow(metrics)).toBe(0);
  });

  it("one that comes byte by byte is closed at the deadline too", async () => {
    const { port, metrics } = await ingest({ limits: { handshakeDeadlineMs: 1_000 } });
    const bytes = await hello;
    const crowd = crowdAt(port);
    await crowd.come(1, "");
    const [socket] = crowd.sockets;
    let at = 0;
    const drip = setInterval(() => socket?.write(bytes.subarray(at, ++at)), 50);
    cleanups.push(() => clearInterval(drip));
    await expect.poll(() => crowd.open, PATIENT).toBe(0);
    expect(await closedFor(metrics, "handshake")).toBe(1);
  });

  it("a ClientHello that comes in small pieces in time is served", async () => {
    const { port } = await ingest();
    const { Duplex } = await import("node:stream");
    const raw = connect({ port, host: "127.0.0.1", noDelay: true });
    // Every byte in a packet of its own, as far as the system lets it.
    const slow = new Duplex({
      read: () => void raw.resume(),
      write: (chunk: Buffer, _encoding, done) => {
        let at = 0;
        const next = (): void => void (at === chunk.length ? done() : raw.write(chunk.subarray(at, ++at), () => setImmediate(next)));
        next();
      },
    });
    raw.on("data", (chunk: Buffer) => slow.push(chunk)).on("end", () => slow.push(null));
    expect((await askTls(port, publish(), { ca, socket: slow })).status).toBe(202);
    raw.destroy();
  });

  it("of clients that have left hold no place", async () => {
    const { port, metrics } = await ingest({ limits: { handshakeDeadlineMs: 60_000 } });
    const bytes = await hello;
    const leavers = Array.from({ length: 50 }, () => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => undefined);
      socket.write(bytes);
      // Once it has been answered: the half of the server is open, and it waits for the other.
      socket.once("data", () => socket.end());
      return socket;
    });
    await expect.poll(() => leavers.every(({ bytesRead }) => bytesRead > 0), PATIENT).toBe(true);
    await expect.poll(() => openNow(metrics), { timeout: 5_000 }).toBe(0);
    expect(await closedFor(metrics, "handshake")).toBe(0);
    expect(await handshakes(metrics)).toEqual({ unfinished: 50 });
  });

  it("make room for others when the port is full", async () => {
    const { port, metrics } = await ingest({ limits: { connections: 20 } });
    const crowd = crowdAt(port);
    await crowd.come(100, (await hello).toString("latin1").slice(0, 40));
    expect((await askTls(port, publish(), { ca })).status).toBe(202);
    expect(await closedFor(metrics, "room")).toBeGreaterThanOrEqual(80);
    await expect.poll(() => crowd.open, PATIENT).toBeLessThanOrEqual(20);
  });

  it("do not delay the stop of the server", async () => {
    const running = await runningIngest({ tokens: [TOKEN], identity: identitySource(good), drainMs: 10_000 });
    const crowd = crowdAt(running.port);
    await crowd.come(20, "");
    await crowd.come(20, (await hello).toString("latin1"));
    const startedMs = performance.now();
    await running.stop();
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });
});

it("a storm of handshakes does not hinder a producer that is connected, nor one who comes", { timeout: 60_000 }, async () => {
  const { port, metrics } = await ingest();
  const own = await TlsClient.open(port, { ca });
  const hello = await clientHello();
  const over = new AbortController();
  cleanups.push(() => over.abort());
  const storm = (async () => {
    while (!over.signal.aborted) {
      const crowd = crowdAt(port);
      await crowd.come(100, hello.toString("latin1"));
      crowd.leave();
    }
  })();
  for (let i = 0; i < 100; i++) await own.ask(publish(""), /correlationId/);
  for (let i = 0; i < 5; i++) expect((await askTls(port, publish(), { ca })).status).toBe(202);
  over.abort();
  await storm;
  own.socket.destroy();
  expect((await handshakes(metrics))["unfinished"]).toBeGreaterThan(100);
});

describe("a port that requires a certificate of its clients", () => {
  const required = () => ingest({ identity: identitySource(good, ca) });
  const [client, other] = clients;

  it("serves who shows one and a token, and refuses a certificate without a token", async () => {
    const { port } = await required();
    expect((await askTls(port, publish(), { ca, ...client })).status).toBe(202);
    expect((await askTls(port, publish(), { ca, ...other, maxVersion: "TLSv1.2" })).status).toBe(202);
    expect((await askTls(port, publish().replace(TOKEN, "another-token-16"), { ca, ...client })).status).toBe(401);
  });

  it.each([
    ["none", {}, "sent none"],
    ["none, with TLS 1.2", { maxVersion: "TLSv1.2" as const }, "sent none"],
    ["one that has expired", expired, "has expired: renew it"],
    ["one of another authority", stranger.clients[0], "is not issued by an authority that this port accepts"],
    ["one that it has signed itself", selfSigned, "is not issued by an authority that this port accepts"],
    ["one of a server", certificates.serverOnly, "extended key usage clientAuth"],
  ])("refuses a valid token with %s, and says why", async (_what, shown, text) => {
    const running = await required();
    const { status, raw } = await askTls(running.port, publish(""), { ca, ...shown });
    expect([status, raw]).toEqual([403, expect.stringContaining(text)]);
    expect(raw).toContain("client_certificate_refused");
    expect(raw).toMatch(/connection: close/i);
    expect(running.intake.committedEvents).toEqual([]);
  });

  it("resumes no session: neither without nor with a certificate", async () => {
    const { port } = await required();
    for (const shown of [{}, client])
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const only = { ca, minVersion: version, maxVersion: version };
        const { session } = await askTls(port, publish(), { ...only, ...shown });
        const again = await askTls(port, publish(), { ...only, ...(session === undefined ? {} : { session }) });
        expect([again.resumed, again.status]).toEqual([false, 403]);
      }
  });

  it("ends connections that were let in by authorities of before, with their next answer", async () => {
    const source = identitySource(good, ca);
    const { port } = await ingest({ identity: source });
    const old = await TlsClient.open(port, { ca, ...client });
    expect(await old.ask(publish(""), /correlationId/)).not.toMatch(/connection: close/i);
    source.use(identity(good, stranger.ca));
    expect(await old.ask(publish(""), /correlationId/)).toMatch(/connection: close/i);
    expect((await askTls(port, publish(), { ca, ...client })).status).toBe(403);
    expect((await askTls(port, publish(), { ca, ...stranger.clients[0] })).status).toBe(202);
  });
});

it("holds half as many connections over TLS, where each needs more memory, unless a limit is given", () => {
  const address = { host: "127.0.0.1", port: 0 };
  const secure = { ...address, identity: identitySource(good) };
  expect(ingestLimits({ listen: address }).connections).toBe(8_192);
  expect(ingestLimits({ listen: secure }).connections).toBe(4_096);
  expect(ingestLimits({ listen: secure, limits: { connections: 7 } }).connections).toBe(7);
});

it("keeps apart two connections that a client opens from one port of its own to two addresses of ours", async () => {
  const { port } = await ingest({ host: "0.0.0.0", limits: { handshakeDeadlineMs: 1_000 } });
  const from = { port, localAddress: "127.0.0.1" };
  const raw = connect({ ...from, host: "127.0.0.1" });
  cleanups.push(() => raw.destroy());
  await once(raw, "connect");
  // Begins after the first and before its handshake, and says nothing.
  const second = connect({ ...from, host: "127.0.0.2", localPort: raw.localPort! });
  cleanups.push(() => second.destroy());
  await once(second, "connect");
  second.resume();
  const first = connectTls({ socket: raw, ca, servername: "localhost" });
  await once(first, "secureConnect");
  const ask = async (): Promise<number> => {
    const answered = once(first, "data");
    first.write(publish(""));
    return statusOf(String((await answered)[0]));
  };
  expect(await ask()).toBe(202);
  // Its deadline is not the first one's.
  await once(second, "close");
  expect([await ask(), first.destroyed]).toEqual([202, false]);
});

it("a plain port knows no TLS: it answers as it did before", async () => {
  const running = await runningIngest({ tokens: [TOKEN] });
  cleanups.push(() => running.stop());
  expect(running.url).toMatch(/^http:/);
  expect(statusOf(await alone(running.port, publish()))).toBe(202);
});
