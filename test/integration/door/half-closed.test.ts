import { afterEach, describe, expect, it } from "vitest";
import { historyOf } from "../../support/door/history.ts";
import { connectTo } from "../../support/door/link.ts";
import { API_TOKEN, runningApi, runningHealth } from "../../support/door/three-servers.ts";
import { endDeliveries } from "../../support/ingest/ended-delivery.ts";
import { route, runningIngest, type IngestSetup } from "../../support/ingest/running-ingest.ts";

// RFC 9112 9.6 (httpwg/http-core#22): a connection of which the client has closed its half says neither where a request ends nor that nobody waits for the answer.

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Sends the request and the end of its half at once; answers all that came, and how long the connection lasted. */
async function sendAndFinish(
  port: number,
  request: string,
): Promise<{ readonly answer: string; readonly status: number; readonly ms: number }> {
  const startedMs = Date.now();
  const socket = connectTo(port, { allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.end(request);
  await new Promise((resolve) => socket.once("close", resolve));
  const answer = Buffer.concat(chunks).toString("latin1");
  const status = Number(/HTTP\/1\.1 ([2-5]\d\d) /.exec(answer)?.[1] ?? 0);
  return { answer, status, ms: Date.now() - startedMs };
}

const BODY = '{"type":"order.paid","data":1}';
const EVENT = '{"specversion":"1.0","id":"1","source":"/s","type":"order.paid"}';
const post = (path: string, more = "", body = BODY): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_TOKEN}\r\n\r\n`;

async function ingest(setup: IngestSetup = {}) {
  // A commit takes its time.
  const accept: IngestSetup["accept"] = async (request, store) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    return store.accept(request);
  };
  const running = await runningIngest({ routes: [route("alpha", ["order.*"])], accept, ...setup });
  cleanups.push(() => running.stop());
  return running;
}

async function waiting(running: Awaited<ReturnType<typeof ingest>>, count: number, timeout = 8_000): Promise<void> {
  await expect.poll(async () => (await running.metrics.resultPollsOpen.get()).values[0]?.value ?? 0, { timeout }).toBe(count);
}

describe("a client that has closed its half of the connection", () => {
  it.each([
    ["events", post("/v1/namespaces/shop/events"), 202],
    ["a batch", post("/v1/namespaces/shop/events", "", `[${EVENT},${EVENT}]`).replace("json", "cloudevents-batch+json"), 202],
    ["a hook", post("/v1/namespaces/shop/hooks/order.paid"), 200],
    [
      "chunks",
      post("/v1/namespaces/shop/events")
        .replace(/Content-Length: \d+/, "Transfer-Encoding: chunked")
        .replace(BODY, `1e\r\n${BODY}\r\n0\r\n\r\n`),
      202,
    ],
    ["a connection that is to close", post("/v1/namespaces/shop/events", "Connection: close\r\n"), 202],
    ["a type that is refused", post("/v1/namespaces/shop/events").replace("application/json", "text/csv"), 415],
    ["a result that nobody knows", get("/v1/namespaces/shop/results/01900000-0000-7000-8000-000000000000"), 404],
  ])("is answered by the ingest: %s", async (_what, request, status) => {
    const running = await ingest();
    for (let i = 0; i < 5; i++) expect(await sendAndFinish(running.port, request)).toMatchObject({ status });
  });

  it("is answered once its result is there, however long that takes", async () => {
    const running = await ingest();
    const answered = sendAndFinish(running.port, post("/v1/namespaces/shop/events?wait=20s"));
    await waiting(running, 1);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const [row] = await running.store.listDeliveries({ namespace: "shop", limit: 1 });
    await endDeliveries(running, row!.eventId, { state: "delivered" });
    const { status, answer } = await answered;
    expect({ status, shown: answer.includes('"Delivered"') }).toEqual({ status: 200, shown: true });
  }, 15_000);

  it("is found out when it was the whole of the connection: nobody waits for a result any more", async () => {
    const running = await ingest();
    const socket = connectTo(running.port);
    socket.on("error", () => undefined);
    socket.write(post("/v1/namespaces/shop/events?wait=30s"));
    await waiting(running, 1);
    socket.end();
    // Its system answers what we ask after a second with a reset.
    socket.destroySoon();
    await waiting(running, 0, 5_000);
  }, 15_000);

  it.each([
    ["/v1/namespaces/shop/attempts", 200],
    ["/nothing", 404],
  ])("is answered by the API: %s", async (path, status) => {
    const { store, acts } = historyOf({ deliveries: 3, attemptsEach: 1, bodyBytes: 10 });
    const history: typeof store.history = async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return store.history(...args);
    };
    const api = await runningApi({ store: { ...store, history }, acts });
    cleanups.push(() => api.stop());
    expect(await sendAndFinish(api.port, get(path))).toMatchObject({ status });
  });

  it.each(["/metrics", "/readyz", "/nothing"])("is answered by the metrics server: %s", async (path) => {
    const health = await runningHealth(50);
    cleanups.push(() => health.stop());
    expect((await sendAndFinish(health.port, get(path))).status).toBeGreaterThan(0);
  });

  it("does not hold a request open of which a part never comes", async () => {
    const running = await ingest();
    const { status, ms } = await sendAndFinish(running.port, post("/v1/namespaces/shop/events").slice(0, -5));
    expect({ status, soon: ms < 2_000 }).toEqual({ status: 400, soon: true });
  });
});
