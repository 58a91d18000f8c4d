import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import type { HandlerParts } from "../../../src/admin/handlers.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Metrics } from "../../../src/observe/metrics.ts";
import { StoreError, type StoredResult } from "../../../src/store/store.ts";
import { alone, Crowd, statusOf } from "../../support/door/crowd.ts";
import { historyOf } from "../../support/door/history.ts";
import { connectTo, scheme } from "../../support/door/link.ts";
import { API_TOKEN, runningApi, runningHealth } from "../../support/door/three-servers.ts";
import { route, runningIngest } from "../../support/ingest/running-ingest.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const MIB = 1024 * 1024;
const PATIENT = { timeout: 30_000 };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function api(parts: Partial<HandlerParts>, clock?: Clock) {
  const running = await runningApi({ ...parts, ...(clock === undefined ? {} : { clock }) });
  cleanups.push(() => running.stop());
  return running;
}

function crowdAt(port: number): Crowd {
  const crowd = new Crowd(port);
  cleanups.push(() => crowd.leave());
  return crowd;
}

const get = (path: string, token = API_TOKEN, extra = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${extra}\r\n`;
const LOG = "/v1/namespaces/shop/attempts?limit=500";
const ONE = `/v1/namespaces/shop/deliveries/${testDeliveryNames.nameOf("shop", 1)}/attempts`;
const idOf = ({ deliveryID }: { readonly deliveryID: string }): string => String(testDeliveryNames.idOf("shop", deliveryID));
const LARGE = { deliveries: 100, attemptsEach: 1, bodyBytes: 250_000 };

interface Page {
  items: { deliveryID: string; request: { body: { text: string } | null } }[];
  nextCursor: string | null;
}

async function page(port: number, path: string): Promise<Page> {
  const answer = await fetch(`${scheme()}://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${API_TOKEN}` } });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Page;
}

async function closedFor(metrics: Metrics, reason: string): Promise<number> {
  const { values } = await metrics.connectionsClosed.get();
  return values.filter(({ labels }) => labels.reason === reason).reduce((sum, { value }) => sum + value, 0);
}

async function openConnections(metrics: Metrics): Promise<number> {
  return (await metrics.connectionsOpen.get()).values.reduce((sum, { value }) => sum + value, 0);
}

describe("pages of the log", () => {
  it("hold about 1 MiB of bodies and go on, until every delivery was told once with its body", async () => {
    const { port } = await api(historyOf({ ...LARGE, deliveries: 23 }));
    const ids: string[] = [];
    for (let path: string | undefined = LOG; path !== undefined;) {
      const { items, nextCursor } = await page(port, path);
      expect(items.length).toBeLessThanOrEqual(4);
      for (const { request } of items) expect(request.body?.text.length).toBe(250_000);
      ids.push(...items.map(idOf));
      path = nextCursor === null ? undefined : `${LOG}&cursor=${nextCursor}`;
    }
    expect(ids).toEqual(Array.from({ length: 23 }, (_, i) => String(23 - i)));
  });

  it("end after the last delivery, and a delivery is never split", async () => {
    const { port } = await api(historyOf({ deliveries: 3, attemptsEach: 4, bodyBytes: 130_000 }));
    const first = await page(port, LOG);
    expect(first.items.map(idOf)).toEqual(["3", "3", "3", "3", "2", "2", "2", "2"]);
    const last = await page(port, `${LOG}&cursor=${first.nextCursor}`);
    expect([last.items.map(idOf), last.nextCursor]).toEqual([["1", "1", "1", "1"], null]);
    // By number as by bytes.
    const few = await page(port, LOG.replace("500", "5"));
    expect(few.items).toHaveLength(8);
  });

  it("tell a single delivery that is larger than a page, and leave out what does not fit", async () => {
    const { port } = await api(historyOf({ deliveries: 2, attemptsEach: 6, bodyBytes: 250_000 }));
    const first = await page(port, LOG);
    expect(first.items.map(({ request }) => request.body !== null)).toEqual([true, true, true, true, false, false]);
    expect((await page(port, `${LOG}&cursor=${first.nextCursor}`)).items).toHaveLength(6);
  });

  it("of a single delivery hold 8 MiB, and come to readers of HTTP/1.1 and 1.0", async () => {
    const { port } = await api(historyOf({ deliveries: 1, attemptsEach: 50, bodyBytes: 250_000 }));
    const { items } = await page(port, ONE);
    expect(items).toHaveLength(50);
    expect(items.filter(({ request }) => request.body !== null)).toHaveLength(33);
    const old = await alone(port, get(ONE).replace("HTTP/1.1", "HTTP/1.0"));
    expect(old).not.toMatch(/transfer-encoding/i);
    const { items: same } = JSON.parse(old.slice(old.indexOf("\r\n\r\n"))) as Page;
    expect(same).toHaveLength(50);
  });

  it("that cannot be read to their end end the connection, so that nobody takes a part for the whole", async () => {
    let asked = 0;
    const history = historyOf({
      ...LARGE,
      onAttempts: () => {
        if (++asked > 3) throw new StoreError("unavailable", "gone");
      },
    });
    const { port } = await api(history);
    const raw = await alone(port, get(LOG, API_TOKEN, "Connection: close\r\n"));
    expect(statusOf(raw)).toBe(200);
    expect(raw.endsWith("0\r\n\r\n")).toBe(false);
    // Before anything has gone it is an answer like any other.
    expect(statusOf(await alone(port, get(LOG, API_TOKEN, "Connection: close\r\n")))).toBe(503);
  });
});

describe("answers that are not read", () => {
  it.each([
    ["pages", LOG, LARGE],
    ["single deliveries", ONE, { deliveries: 1, attemptsEach: 50, bodyBytes: 250_000 }],
  ])(
    "%s: 100 of them cost little memory, others are answered meanwhile, and all are closed in the end",
    { timeout: 90_000 },
    async (_, path, setup) => {
      const clock = new ManualClock();
      const { port, metrics } = await api(historyOf(setup), clock);
      await page(port, path);
      const before = process.memoryUsage().rss;
      // Time goes by itself, quickly: who is slow is known to be.
      const pump = setInterval(() => void clock.advance(200), 20);
      cleanups.push(() => clearInterval(pump));
      await crowdAt(port).come(100, get(path), true);
      const other = get("/v1/namespaces/depot/attempts?limit=1", `${API_TOKEN}-2`, "Connection: close\r\n");
      for (let i = 0; i < 5; i++) expect(statusOf(await alone(port, other))).toBe(200);
      const grown = process.memoryUsage().rss - before;
      process.stderr.write(`100 unread ${path}: ${(grown / MIB).toFixed(0)} MiB resident more\n`);
      expect(grown).toBeLessThan(120 * MIB);
      await expect.poll(() => openConnections(metrics), { timeout: 60_000 }).toBe(0);
    },
  );

  it("whoever reads, however slowly, has his whole", { timeout: 60_000 }, async () => {
    const { port, metrics } = await api(historyOf({ deliveries: 1, attemptsEach: 50, bodyBytes: 250_000 }));
    const slow = connectTo(port);
    cleanups.push(() => slow.destroy());
    let bytes = 0;
    let last = "";
    slow.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      last = (last + chunk.toString("latin1")).slice(-10);
      slow.pause();
      setTimeout(() => slow.resume(), 5);
    });
    slow.write(get(ONE));
    await expect.poll(() => last.endsWith("0\r\n\r\n"), PATIENT).toBe(true);
    expect(bytes).toBeGreaterThan(8_000_000);
    expect(await closedFor(metrics, "unread")).toBe(0);
  });

  it("scrapes: 60 of a large page cost little memory, and /livez is answered beside them", { timeout: 60_000 }, async () => {
    const running = await runningHealth(60_000);
    cleanups.push(() => running.stop());
    const { port, metrics } = running;
    const scrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const whole = await alone(port, scrape.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    expect(whole.length).toBeGreaterThan(12 * MIB);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 6; i++) {
      await crowdAt(port).come(10, scrape, true);
      expect(statusOf(await alone(port, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))).toBe(200);
    }
    // Four of them may wait.
    await expect.poll(() => closedFor(metrics, "unread"), PATIENT).toBeGreaterThanOrEqual(56);
    const grown = process.memoryUsage().rss - before;
    process.stderr.write(`60 unread scrapes of ${(whole.length / MIB).toFixed(1)} MiB: ${(grown / MIB).toFixed(0)} MiB resident more\n`);
    expect(grown).toBeLessThan(60 * (whole.length / 3));
    expect(statusOf(await alone(port, scrape.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")))).toBe(200);
  });

  it("results of the ingest are given up too, and a producer goes on", { timeout: 60_000 }, async () => {
    const clock = new ManualClock();
    const body = Buffer.alloc(900_000, "x");
    const deliveries = Array.from({ length: 10 }, (_, id) => ({
      id,
      eventId: "e",
      eventType: "order.paid",
      subscription: "uid-orders",
      namespace: "shop",
      state: "delivered" as const,
      reason: undefined,
      attempts: 1,
      crashes: 0,
      acceptedAtMs: 0,
      dueAtMs: undefined,
      endedAtMs: 1,
      recordId: undefined,
      answerLeftOut: false,
      lastAttempt: { statusCode: 200, message: "", responseHeaders: [], responseBody: body },
    }));
    const result = async (): Promise<StoredResult> => ({
      matched: 10,
      owed: 0,
      delivered: 10,
      failed: 0,
      discarded: 0,
      keptUntilMs: Number.MAX_SAFE_INTEGER,
      deliveries,
    });
    const running = await runningIngest({ routes: [route("orders", ["order.*"])], result, clock, limits: { unreadBytes: 25 * MIB } });
    cleanups.push(() => running.stop());
    const { id } = (await (await running.post('{"type":"order.paid"}')).json()) as { id: string };
    const ask = `GET /v1/namespaces/shop/results/${id} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const whole = await alone(running.port, ask.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    expect(statusOf(whole)).toBe(200);
    expect(whole.length).toBeGreaterThan(8 * MIB);
    await crowdAt(running.port).come(12, ask, true);
    for (let i = 0; i < 4; i++) {
      await clock.advance(600);
      expect((await running.post('{"type":"order.paid"}')).status).toBe(202);
    }
    // Each has 9 MiB: two of them may wait.
    await expect.poll(async () => (await clock.advance(600), closedFor(running.metrics, "unread")), PATIENT).toBeGreaterThanOrEqual(10);
    for (let i = 0; i < 3; i++) await clock.advance(31_000);
    await expect.poll(() => closedFor(running.metrics, "unread"), PATIENT).toBe(12);
  });
});

it("a reader that takes its answers is never given up, whatever it asks", async () => {
  const { port, metrics } = await api(historyOf(LARGE));
  const socket = connectTo(port);
  cleanups.push(() => socket.destroy());
  let seen = "";
  socket.on("data", (chunk: Buffer) => (seen = (seen + chunk.toString("latin1")).slice(-2_000_000)));
  for (let i = 0; i < 5; i++) {
    seen = "";
    socket.write(get(LOG));
    while (!seen.endsWith("0\r\n\r\n")) await once(socket, "data");
  }
  expect(await closedFor(metrics, "unread")).toBe(0);
});
