import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

import { afterEach, describe, expect, test } from "vitest";
import { attemptView } from "../../../src/admin/views.ts";
import type { Outcome } from "../../../src/core/outcome.ts";
import { attemptRecord } from "../../../src/delivery/flight/attempt-record.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { DnsResolver } from "../../../src/attempt/connect/resolver.ts";
import { anEvent, aRoute } from "../../support/delivery/attempt-input.ts";
import type { RouteChange } from "../../support/delivery/attempt-input.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { ConnectProxy } from "../../support/delivery/connect-proxy.ts";
import { startNameServer } from "../../support/delivery/name-server.ts";
import type { Zone } from "../../support/delivery/name-server.ts";
import { LeapingClock } from "../../support/time/leaping-clock.ts";

const NAME = "hooks.example.com";
const certificates = makeCertificates();
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function listening(server: Server, host = "127.0.0.1", port = 0): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  server.listen(port, host);
  await once(server, "listening");
  endings.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

function attempterWith(clock = new LeapingClock(), servers: readonly string[] = []): HttpAttempter {
  const resolver = new DnsResolver({ clock, servers });
  const ca = certificates === undefined ? {} : { ca: [certificates.ca] };
  const attempter = new HttpAttempter({ clock, version: "1", resolver, ...ca });
  endings.push(() => attempter.close());
  return attempter;
}

async function outcomeAt(attempter: HttpAttempter, url: string, change: Partial<RouteChange> = {}): Promise<Outcome> {
  const policy = { maxInFlight: 1, timeoutMs: 8_000, connectTimeoutMs: 4_000, ...change.policy };
  const done = await attempter.attempt({ route: aRoute({ url, ...change, policy }), event: anEvent(), attempt: 1 });
  // A completion is durable, so later, before its slot is used again; by then undici has taken the connection back.
  await new Promise((resolve) => setImmediate(resolve));
  return done.outcome;
}

describe("a connection has a greatest age", () => {
  interface Kept {
    readonly port: number;
    readonly requests: () => number;
    readonly connections: () => number;
  }
  async function keeping(host: string, port = 0): Promise<Kept> {
    let requests = 0;
    let connections = 0;
    const server = createHttpServer((_req, res) => {
      requests += 1;
      res.end();
    });
    server.keepAliveTimeout = 60_000;
    server.on("connection", () => (connections += 1));
    return { port: await listening(server, host, port), requests: () => requests, connections: () => connections };
  }
  async function named(zone: Zone, ttlSec: number): Promise<{ clock: LeapingClock; attempter: HttpAttempter }> {
    const dns = await startNameServer(zone, ttlSec);
    endings.push(dns.close);
    const clock = new LeapingClock();
    return { clock, attempter: attempterWith(clock, [dns.address]) };
  }

  test.each([
    [0, 9_000, 1],
    [0, 11_000, 2],
    [1, 11_000, 2],
    [30, 25_000, 1],
    [30, 31_000, 2],
    [86_400, 55_000, 1],
    [86_400, 61_000, 2],
  ])("with a TTL of %d s, %d ms later: %d connections", async (ttlSec, leapMs, connections) => {
    const receiver = await keeping("127.0.0.1");
    const { clock, attempter } = await named(() => ["127.0.0.1"], ttlSec);
    const url = `http://${NAME}:${receiver.port}/`;
    await outcomeAt(attempter, url);
    clock.leap(leapMs);
    expect(await outcomeAt(attempter, url)).toMatchObject({ class: "success" });
    expect([receiver.requests(), receiver.connections()]).toEqual([2, connections]);
  });

  test("an address or a Service is connected to anew after 60 s", async () => {
    const receiver = await keeping("127.0.0.1");
    const clock = new LeapingClock();
    const attempter = attempterWith(clock);
    const url = `http://127.0.0.1:${receiver.port}/`;
    for (const leapMs of [0, 55_000, 6_000]) {
      clock.leap(leapMs);
      await outcomeAt(attempter, url);
    }
    expect(receiver.connections()).toBe(2);
  });

  test("a moved receiver is followed under steady traffic", async () => {
    const old = await keeping("127.0.0.4");
    const young = await keeping("127.0.0.5", old.port);
    let address = "127.0.0.4";
    const { clock, attempter } = await named(() => [address], 1);
    const url = `http://${NAME}:${old.port}/`;
    for (let i = 0; i < 40; i++) {
      if (i === 10) address = "127.0.0.5";
      expect(await outcomeAt(attempter, url)).toMatchObject({ class: "success" });
      clock.leap(1_000);
    }
    expect(old.requests() + young.requests()).toBe(40);
    expect(young.requests()).toBeGreaterThanOrEqual(19);
    expect(old.connections()).toBeLessThanOrEqual(2);
  });

  test("a name that turns to a forbidden address is cut", async () => {
    const receiver = await keeping("127.0.0.4");
    let addresses = ["127.0.0.4"];
    const { clock, attempter } = await named(() => addresses, 1);
    const url = `http://${NAME}:${receiver.port}/`;
    expect(await outcomeAt(attempter, url)).toMatchObject({ class: "success" });
    addresses = ["127.0.0.4", "10.0.0.1"];
    clock.leap(11_000);
    expect(await outcomeAt(attempter, url)).toMatchObject({ class: "blocked", connectionStatus: "EGRESS_DENIED" });
    expect(receiver.requests()).toBe(1);
  });

  test("a request under way is never cut for age; the one after it has a new connection", async () => {
    let answer: () => void = () => undefined;
    let connections = 0;
    const server = createHttpServer((req, res) => {
      if (req.url === "/slow") answer = () => void res.end();
      else res.end();
    });
    server.keepAliveTimeout = 60_000;
    server.on("connection", () => (connections += 1));
    const port = await listening(server);
    const clock = new LeapingClock();
    const attempter = attempterWith(clock);
    const policy = { timeoutMs: 3_600_000 };
    await outcomeAt(attempter, `http://127.0.0.1:${port}/`);
    const arrived = once(server, "request");
    const slow = outcomeAt(attempter, `http://127.0.0.1:${port}/slow`, { policy });
    await arrived;
    clock.leap(120_000);
    const waiting = outcomeAt(attempter, `http://127.0.0.1:${port}/`, { policy });
    answer();
    expect(await slow).toMatchObject({ class: "success" });
    expect(await waiting).toMatchObject({ class: "success" });
    expect(connections).toBe(2);
  });
});

/** What a raw receiver does at a connection's second request. */
type Ending = (socket: Socket) => void;
const ENDINGS: readonly (readonly [string, Ending])[] = [
  ["is closed", (socket) => socket.destroy()],
  ["is reset", (socket) => socket.resetAndDestroy()],
  ["is half closed", (socket) => socket.end()],
];

interface Closing {
  readonly ids: readonly string[];
  readonly connections: () => number;
}

/** Answers the first request of each connection; at the second it does as told. */
function closing(
  server: Server,
  end: (socket: Socket, connection: number) => void,
  first = (_socket: Socket, _connection: number) => true,
): Closing {
  const ids: string[] = [];
  let connections = 0;
  const accept = (socket: Socket): void => {
    const connection = (connections += 1);
    let answered = 0;
    let text = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const head = /^(POST|OPTIONS) [\s\S]*?\r\n\r\n/.exec(text)?.[0];
      if (head === undefined) return;
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < head.length + length) return;
      text = text.slice(head.length + length);
      ids.push(/webhook-id: (\S+)/i.exec(head)?.[1] ?? "");
      answered += 1;
      if (answered > 1) end(socket, connection);
      else if (first(socket, connection)) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
  };
  server.on("connection", accept);
  return { ids, connections: () => connections };
}

describe("a kept connection that dies before the first byte of an answer", () => {
  test.each(ENDINGS)("%s: it is sent once more on a new one, within the same attempt", async (_name, end) => {
    const server = createTcpServer();
    const { ids, connections } = closing(server, end);
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    const first = await outcomeAt(attempter, url);
    const second = await outcomeAt(attempter, url);
    expect(first).toMatchObject({ class: "success" });
    expect(first).not.toHaveProperty("reconnected");
    expect(second).toMatchObject({ class: "success", reconnected: true, connectionStatus: "ok" });
    expect(second.message).toBe("HTTP 200 OK (on a new connection: the receiver had closed the one that was kept)");
    expect(connections()).toBe(2);
    expect(ids).toEqual([anEvent().id, anEvent().id, anEvent().id]);
  });

  test("is marked in the log of attempts, as the API shows it, and nowhere else", async () => {
    const server = createTcpServer();
    closing(server, (socket) => socket.destroy());
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    const route = aRoute({ url, policy: { maxInFlight: 1 } });
    const rows = [];
    for (const attempt of [1, 2]) {
      const done = await attempter.attempt({ route, event: anEvent(), attempt });
      const record = attemptRecord({ id: 1, attempt, event: anEvent(), recordId: undefined }, route.subscription, done);
      rows.push(
        attemptView(record, { id: "x", uid: "uid-1", name: "orders", isDeadLetter: false, hold: undefined }, undefined, new LeapingClock()),
      );
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(rows).toMatchObject([
      { outcome: "Success", reconnected: false, message: "HTTP 200 OK" },
      { outcome: "Success", reconnected: true, attempt: 2 },
    ]);
  });

  test("a request of 500 KB is sent once more as a whole", async () => {
    const server = createTcpServer();
    const { ids } = closing(server, (socket) => socket.destroy());
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    const data = Buffer.from(JSON.stringify("x".repeat(500_000)));
    for (const expected of [undefined, true]) {
      const route = aRoute({ url, policy: { maxInFlight: 1, timeoutMs: 8_000 } });
      const { outcome } = await attempter.attempt({ route, event: anEvent({ data }), attempt: 1 });
      expect(outcome.class).toBe("success");
      expect(outcome.reconnected).toBe(expected);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ids).toHaveLength(3);
  });

  test.skipIf(certificates === undefined)("over TLS", async () => {
    let requests = 0;
    const served = new WeakMap<Socket, number>();
    const server = createHttpsServer(certificates!.good, (req, res) => {
      requests += 1;
      const count = (served.get(req.socket) ?? 0) + 1;
      served.set(req.socket, count);
      if (count > 1) req.socket.destroy();
      else res.end();
    });
    const url = `https://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    await outcomeAt(attempter, url);
    expect(await outcomeAt(attempter, url)).toMatchObject({ class: "success", reconnected: true, tlsStatus: "ok" });
    expect(requests).toBe(3);
  });

  test("through the egress proxy", async () => {
    const server = createTcpServer();
    const { ids } = closing(server, (socket) => socket.destroy());
    const port = await listening(server);
    const proxy = new ConnectProxy();
    const { url: proxyUrl } = await proxy.start();
    endings.push(() => proxy.stop());
    const attempter = attempterWith();
    const target = { proxy: { url: proxyUrl, authorization: undefined } };
    await outcomeAt(attempter, `http://127.0.0.1:${port}/`, { target });
    expect(await outcomeAt(attempter, `http://127.0.0.1:${port}/`, { target })).toMatchObject({ class: "success", reconnected: true });
    expect([proxy.calls.length, ids.length]).toEqual([2, 3]);
  });

  test("a handshake's request too", async () => {
    const server = createTcpServer();
    const { connections } = closing(server, (socket) => socket.destroy());
    const { subscription } = aRoute({ url: `http://127.0.0.1:${await listening(server)}/` });
    const attempter = attempterWith();
    await attempter.askPermission(subscription);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await attempter.askPermission(subscription)).toMatchObject({ class: "success", reconnected: true });
    expect(connections()).toBe(2);
  });

  test("receivers that end idle connections just as the next request comes: no attempt fails", async () => {
    const server = createHttpServer((_req, res) => res.end());
    // Without a Keep-Alive hint, as most servers.
    server.on("connection", (socket: Socket) => {
      let timer: NodeJS.Timeout | undefined;
      socket.on("data", () => {
        clearTimeout(timer);
        timer = setTimeout(() => socket.destroy(), 20);
      });
      socket.on("close", () => clearTimeout(timer));
    });
    server.keepAliveTimeout = 0;
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    const failed: string[] = [];
    await Promise.all(
      Array.from({ length: 10 }, async (_none, worker) => {
        for (let i = 0; i < 30; i++) {
          const outcome = await outcomeAt(attempter, url, { uid: `uid-${worker}` });
          if (outcome.class !== "success") failed.push(outcome.message);
          await new Promise((resolve) => setTimeout(resolve, 15 + (i % 10)));
        }
      }),
    );
    expect(failed).toEqual([]);
  });
});

describe("is not sent once more", () => {
  test("when it was the connection's first request", async () => {
    const server = createTcpServer();
    const { ids } = closing(
      server,
      () => undefined,
      (socket) => {
        socket.destroy();
        return false;
      },
    );
    const outcome = await outcomeAt(attempterWith(), `http://127.0.0.1:${await listening(server)}/`);
    expect(outcome).toMatchObject({ class: "connect_error", connectionStatus: "ECONNRESET" });
    expect(outcome).not.toHaveProperty("reconnected");
    expect(ids).toHaveLength(1);
  });

  test("when a byte of an answer had come", async () => {
    const server = createTcpServer();
    const { ids } = closing(server, (socket) => socket.end("HTTP/1.1 2"));
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    await outcomeAt(attempter, url);
    const outcome = await outcomeAt(attempter, url);
    expect(outcome).toMatchObject({ class: "connect_error" });
    expect(outcome).not.toHaveProperty("reconnected");
    expect(ids).toHaveLength(2);
  });

  test("a third time: when the new connection dies too, that is what came of it", async () => {
    const server = createTcpServer();
    const { ids, connections } = closing(
      server,
      (socket) => socket.destroy(),
      (socket, connection) => {
        if (connection > 1) socket.destroy();
        return connection === 1;
      },
    );
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    await outcomeAt(attempter, url);
    expect(await outcomeAt(attempter, url)).toMatchObject({ class: "connect_error", connectionStatus: "ECONNRESET", reconnected: true });
    expect([ids.length, connections()]).toEqual([3, 2]);
  });

  test("when nobody listens any more: that is told", async () => {
    const server = createTcpServer();
    closing(server, (socket) => {
      server.close();
      socket.destroy();
    });
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    await outcomeAt(attempter, url);
    expect(await outcomeAt(attempter, url)).toMatchObject({ class: "connect_error", connectionStatus: "ECONNREFUSED", reconnected: true });
  });

  test("beyond the attempt's time: the second has what the first has left", async () => {
    const server = createTcpServer();
    const { ids } = closing(
      server,
      (socket) => void setTimeout(() => socket.destroy(), 300),
      (_socket, connection) => connection === 1,
    );
    const url = `http://127.0.0.1:${await listening(server)}/`;
    const attempter = attempterWith();
    const policy = { timeoutMs: 1_000, connectTimeoutMs: 1_000 };
    await outcomeAt(attempter, url, { policy });
    const outcome = await outcomeAt(attempter, url, { policy });
    expect(outcome).toMatchObject({ class: "timeout", reconnected: true });
    expect(outcome.durationMs).toBeLessThan(3_000);
    expect(ids).toHaveLength(3);
  });
});
