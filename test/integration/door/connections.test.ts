import { spawnSync } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { alone, Crowd, statusOf } from "../../support/door/crowd.ts";
import { scheme } from "../../support/door/link.ts";
import { API_TOKEN, runningApi, runningHealth } from "../../support/door/three-servers.ts";
import type { Metrics } from "../../../src/observe/metrics.ts";
import { RawClient, runningIngest } from "../../support/ingest/running-ingest.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function crowdAt(port: number): Crowd {
  const crowd = new Crowd(port);
  cleanups.push(() => crowd.leave());
  return crowd;
}

const TOKEN = "0123456789abcdef";
const BODY = '{"type":"order.paid"}';
const PATIENT = { timeout: 30_000 };
const head = (extra = ""): string =>
  `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n${extra}`;
const good = (extra = "Connection: close\r\n"): string => `${head(`Authorization: Bearer ${TOKEN}\r\n${extra}`)}\r\n${BODY}`;
const LIST = `GET /v1/namespaces/shop/subscriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_TOKEN}\r\n`;
const LIVEZ = "GET /livez HTTP/1.1\r\nHost: x\r\n";
const OPTIONS = "OPTIONS /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nWebHook-Request-Origin: x\r\n\r\n";

async function ingest(limits: { connections?: number; strangerConnections?: number; strangerIdleMs?: number } = {}) {
  const running = await runningIngest({ tokens: [TOKEN], limits });
  cleanups.push(() => running.stop());
  return running;
}
async function api() {
  const running = await runningApi();
  cleanups.push(() => running.stop());
  return running;
}
async function health() {
  const running = await runningHealth();
  cleanups.push(() => running.stop());
  return running;
}

/** What strangers may do with a connection; all of them from the producer's own address. */
const IDLERS: [string, string][] = [
  ["that say nothing", ""],
  ["with half a head", "GET /"],
  ["that were refused and rest", "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"],
];

/** A thousand handshakes take seconds of both ends, which are one process here; idlers differ behind them only, and there nothing does. */
const IDLERS_OF_1_000 = scheme() === "http" ? IDLERS : IDLERS.slice(1, 2);
const LONG = { timeout: 60_000 };
/** Over TLS each waits for its turn behind a hundred handshakes from its own address. */
const PRODUCERS_IN_A_STORM = scheme() === "http" ? 30 : 5;

describe("a full house never keeps out who comes", () => {
  it.each(IDLERS_OF_1_000)("1,024 and more connections %s do not hinder /livez", LONG, async (_, text) => {
    const { port } = await health();
    const crowd = crowdAt(port);
    await crowd.come(1_200, text);
    for (let i = 0; i < 10; i++) expect(statusOf(await alone(port, `${LIVEZ}Connection: close\r\n\r\n`))).toBe(200);
    // No more than needed were closed.
    expect(crowd.open).toBeGreaterThanOrEqual(510);
  });

  it("1,024 connections that asked and rest do not hinder /livez", LONG, async () => {
    const { port } = await health();
    const crowd = crowdAt(port);
    await crowd.come(1_200, `${LIVEZ}\r\n`);
    expect(statusOf(await alone(port, `${LIVEZ}Connection: close\r\n\r\n`))).toBe(200);
  });

  it.each(IDLERS_OF_1_000)("1,024 connections %s do not hinder a call of the API", LONG, async (_, text) => {
    const { port } = await api();
    await crowdAt(port).come(1_100, text);
    for (let i = 0; i < 5; i++) expect(statusOf(await alone(port, `${LIST}Connection: close\r\n\r\n`))).toBe(200);
  });

  it(
    "8,192 idle connections do not hinder a producer, and one of his own that works is not closed for them",
    { timeout: 120_000 },
    async () => {
      const files = Number(spawnSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).stdout);
      const connections = files >= 18_000 && scheme() === "http" ? 8_192 : 400;
      // Opening them all takes longer than strangers may rest: without that they would be gone when the house is full.
      const running = await ingest({ connections, strangerConnections: connections, strangerIdleMs: 120_000 });
      const own = new RawClient(running.port);
      cleanups.push(() => own.socket.destroy());
      await own.send(good("")).until(/correlationId/);
      const crowd = crowdAt(running.port);
      await crowd.come(connections - 1, OPTIONS);
      expect(crowd.open).toBe(connections - 1);
      for (let i = 0; i < 20; i++) expect(statusOf(await alone(running.port, good()))).toBe(202);
      await own.send(good("")).until(/correlationId[\s\S]*correlationId/);
      await expect.poll(() => closedFor(running.metrics, "room"), PATIENT).toBe(1);
    },
  );

  it.each(IDLERS)("connections %s beyond the limit make room, and it is counted why", async (_, text) => {
    const running = await ingest({ connections: 20 });
    const crowd = crowdAt(running.port);
    await crowd.come(100, text);
    expect(statusOf(await alone(running.port, good()))).toBe(202);
    await expect.poll(() => crowd.open, PATIENT).toBeLessThanOrEqual(20);
    const said = await running.metrics.expose();
    expect(Number(/connections_closed_total\{server="ingest",reason="room"\} (\d+)/.exec(said)?.[1])).toBeGreaterThanOrEqual(80);
  });

  it("strangers take half of the room at most, also where nobody else is there", async () => {
    const running = await ingest({ connections: 40 });
    const crowd = crowdAt(running.port);
    await crowd.come(40, OPTIONS);
    await expect.poll(() => crowd.open, PATIENT).toBe(20);
  });

  it("a storm of strangers pushes out no producer's connection that rests", async () => {
    const running = await ingest({ connections: 80 });
    const own = Array.from({ length: 20 }, () => new RawClient(running.port));
    cleanups.push(() => own.forEach(({ socket }) => socket.destroy()));
    for (const client of own) await client.send(good("")).until(/correlationId/);
    await crowdAt(running.port).come(500, "");
    for (const client of own) await client.send(good("")).until(/correlationId[\s\S]*correlationId/);
    expect(own.filter(({ socket }) => socket.destroyed)).toEqual([]);
  });

  it("connections opened and closed in a storm do not hinder a producer", LONG, async () => {
    const running = await ingest({ connections: 50 });
    const over = new AbortController();
    // A storm that outlives its test would hinder the next one.
    cleanups.push(() => over.abort());
    const storm = (async () => {
      while (!over.signal.aborted) {
        const crowd = crowdAt(running.port);
        await crowd.come(60, "");
        crowd.leave();
      }
    })();
    for (let i = 0; i < PRODUCERS_IN_A_STORM; i++) expect(statusOf(await alone(running.port, good()))).toBe(202);
    over.abort();
    await storm;
  });

  it("who works is spared: requests that wait for the store all get their answer", async () => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const running = await runningIngest({
      tokens: [TOKEN],
      limits: { connections: 12 },
      accept: async (request, store) => {
        await released;
        return store.accept(request);
      },
    });
    cleanups.push(() => running.stop());
    const working = Array.from({ length: 10 }, () => alone(running.port, good()));
    await expect.poll(() => running.intake.admitted, PATIENT).toBe(10);
    await crowdAt(running.port).come(100, OPTIONS);
    release();
    expect((await Promise.all(working)).map(statusOf)).toEqual(Array.from({ length: 10 }, () => 202));
  });
});

describe("strangers", () => {
  it("who say nothing, and who say no more, are closed after a while; who has shown a token is kept, and a slow head too", async () => {
    const running = await ingest({ strangerIdleMs: 300 });
    const known = new RawClient(running.port);
    cleanups.push(() => known.socket.destroy());
    await known.send(good("")).until(/correlationId/);
    const slow = new RawClient(running.port).send("POST /v1/name");
    const crowd = crowdAt(running.port);
    await crowd.come(5, "");
    await crowd.come(5, OPTIONS);
    await expect.poll(() => crowd.open, PATIENT).toBe(0);
    expect(await running.metrics.expose()).toContain('connections_closed_total{server="ingest",reason="idle"} 10');
    expect(known.socket.destroyed).toBe(false);
    expect(await known.send(good("")).until(/correlationId[\s\S]*correlationId/)).toBeTruthy();
    await slow.send(good().slice("POST /v1/name".length)).until(/correlationId/);
  });

  it("rest for 5 s at most on every port", async () => {
    const servers = [await ingest(), await api(), await health()];
    const startedMs = performance.now();
    const crowds = servers.map(({ port }) => crowdAt(port));
    for (const crowd of crowds) await crowd.come(3, "");
    await expect.poll(() => crowds.map(({ open }) => open), PATIENT).toEqual([0, 0, 0]);
    expect(performance.now() - startedMs).toBeGreaterThan(4_500);
  });
});

/** Counted by the server's door, for whoever does not read does not see that he was closed. */
async function closedFor(metrics: Metrics, reason: string): Promise<number> {
  const { values } = await metrics.connectionsClosed.get();
  return values.filter(({ labels }) => labels.reason === reason).reduce((sum, { value }) => sum + value, 0);
}

describe("requests on one connection whose answers are not read", () => {
  const request = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
  const last = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

  it.each([
    ["ingest", ingest],
    ["api", api],
    ["metrics", health],
  ] as const)("are few on the port %s: one too many ends it, and others are served", async (_, start) => {
    const { port, metrics } = await start();
    await crowdAt(port).come(20, request.repeat(1_000), true);
    await expect.poll(() => closedFor(metrics, "pipeline"), PATIENT).toBe(20);
    expect(statusOf(await alone(port, last))).toBe(404);
  });

  it("a few are answered in order, of strangers too", async () => {
    const { port } = await ingest();
    const raw = await alone(port, request.repeat(15) + last);
    expect(raw.match(/HTTP\/1\.1 404/g)).toHaveLength(16);
  });
});

it(
  "bodies that never end do not fill the API: 64 are read at once, and one that is sent at once is always read",
  { timeout: 60_000 },
  async () => {
    const { port, metrics } = await api();
    const post = (length: number): string =>
      `POST /v1/namespaces/shop/subscriptions/orders/test HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_TOKEN}\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`;
    const crowd = crowdAt(port);
    await crowd.come(200, post(250_000) + "x".repeat(200_000));
    await expect.poll(() => closedFor(metrics, "room"), PATIENT).toBe(136);
    await expect.poll(() => crowd.open, PATIENT).toBe(64);
    // There is no such subscription: but its body was read.
    expect(statusOf(await alone(port, `${post(2)}{}`))).toBe(404);
  },
);
