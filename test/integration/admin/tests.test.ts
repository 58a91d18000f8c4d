import { testDeliveryNames } from "../../support/delivery/test-delivery-names.ts";
import { once } from "node:events";
import { Metrics } from "../../../src/observe/metrics.ts";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiServer } from "../../../src/admin/api-server.ts";
import { apiOpenToAll } from "../../../src/admin/authenticator.ts";
import { RouteTable, type Route } from "../../../src/core/route-table.ts";
import { HttpAttempter } from "../../../src/attempt/http-attempter.ts";
import { TestSender } from "../../../src/delivery/test-sender.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { aRoute } from "../../support/delivery/attempt-input.ts";
import { silentLog } from "../../support/silent-log.ts";
import { UNREACHED } from "../../support/door/unreached.ts";

const WAIT = { timeout: 20_000, interval: 10 };

let receiver: Server;
/** Requests that hang, and the receiver's connections. */
let hanging: number;
let sockets: Set<Socket>;
let attempter: HttpAttempter;
let url: string;
let stop: () => Promise<void>;
const told: { readonly namespace: string; readonly callerGone: boolean }[] = [];

beforeEach(async () => {
  hanging = 0;
  sockets = new Set();
  told.length = 0;
  receiver = createServer((request, response) => {
    request.resume();
    if (request.url === "/hangs") hanging += 1;
    else response.end();
  });
  receiver.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket)).on("error", () => undefined);
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const origin = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const clock = new SystemClock();
  attempter = new HttpAttempter({ clock, version: "test" });
  const routes = ["a", "b"].flatMap((namespace) => ["hangs", "answers"].map((name) => routeTo(origin, namespace, name)));
  const table = RouteTable.build(routes);
  const known = ({ subscription: { uid, namespace, name } }: Route) => ({
    uid,
    namespace,
    name,
    generation: 1,
    spec: null,
    status: null,
  });
  const events = { testEnded: (one: (typeof told)[number]) => told.push(one) };
  const tests = new TestSender({ clock, attempter, table: () => table, recover: async () => undefined, events, laneOf: () => undefined });
  const server = new ApiServer({
    listen: { host: "127.0.0.1", port: 0 },
    authenticator: apiOpenToAll,
    log: silentLog,
    clock,
    watch: new Metrics({ version: "test", defaults: false }).doorOf("api"),
    deliveryNames: testDeliveryNames,
    store: UNREACHED.store,
    directory: {
      list: () => [],
      get: (namespace, name) => routes.map(known).find((one) => one.namespace === namespace && one.name === name),
      nameOf: () => undefined,
      uidsOf: () => [],
    },
    acts: { ...UNREACHED.acts, test: (order, signal) => tests.send(order, signal) },
  });
  url = await server.open();
  const abort = new AbortController();
  const running = server.run(abort.signal);
  stop = async () => {
    abort.abort();
    await running;
  };
});

afterEach(async () => {
  await stop();
  await attempter.close();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
});

function routeTo(origin: string, namespace: string, name: string): Route {
  const route = aRoute({ url: `${origin}/${name}`, uid: `${namespace}/${name}`, policy: { timeoutMs: 300_000 } });
  return { ...route, subscription: { ...route.subscription, namespace, name } };
}

/** A caller who does not wait for the answer; what it has heard so far. */
function ask(namespace: string, name: string): { readonly socket: Socket; heard: string } {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const asked = { socket, heard: "" };
  socket.on("data", (chunk) => (asked.heard += chunk.toString())).on("error", () => undefined);
  socket.write(`POST /v1/namespaces/${namespace}/subscriptions/${name}/test HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
  return asked;
}

async function answer(namespace: string, name: string): Promise<number> {
  const response = await fetch(`${url}/v1/namespaces/${namespace}/subscriptions/${name}/test`, { method: "POST" });
  await response.text();
  return response.status;
}

test("tests of one namespace that hang, with their callers or without them, stand in nobody else's way", async () => {
  const callers = Array.from({ length: 20 }, () => ask("a", "hangs"));
  await vi.waitFor(() => expect(callers.filter(({ heard }) => heard.startsWith("HTTP/1.1 429"))).toHaveLength(18), WAIT);
  await vi.waitFor(() => expect(hanging).toBe(2), WAIT);
  expect(callers.find(({ heard }) => heard !== "")?.heard).toMatch(/retry-after: 5\r\n[^]*"code":"tests_busy"/i);
  expect(await answer("b", "answers")).toBe(200);
  expect(await answer("a", "answers")).toBe(429);
  for (const { socket } of callers) socket.destroy();
  // Their places come back, and no connection of theirs stays.
  await vi.waitFor(() => expect(told.filter(({ namespace, callerGone }) => namespace === "a" && callerGone)).toHaveLength(2), WAIT);
  expect(await answer("b", "answers")).toBe(200);
  await vi.waitFor(async () => expect(await answer("a", "answers")).toBe(200), WAIT);
});

test("a caller who leaves takes the request to the receiver along", async () => {
  const { socket } = ask("a", "hangs");
  await vi.waitFor(() => expect([hanging, sockets.size]).toEqual([1, 1]), WAIT);
  await sleep(50);
  expect(sockets.size).toBe(1);
  socket.destroy();
  await vi.waitFor(() => expect(sockets.size).toBe(0), WAIT);
});

test("a thousand tests in a moment are a handful, and the rest is told when to come again", async () => {
  const statuses = new Map<number, number>();
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: 2 }, async () => {
      for (let n = 0; n < 500; n++) {
        const status = await answer("a", "answers");
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  expect(statuses.get(200)).toBeGreaterThanOrEqual(5);
  expect(statuses.get(200)).toBeLessThanOrEqual(5 + Math.ceil(seconds));
  expect(statuses.get(429)).toBe(1_000 - (statuses.get(200) ?? 0));
});
