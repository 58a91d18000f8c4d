import { afterEach, expect, it } from "vitest";
import { recordingLog } from "../../support/recording-log.ts";
import { runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

const TOKEN = "a-token-of-thirty-two-characters";
const EVENT = '{"type":"order.paid"}';

async function start(setup: IngestSetup = {}) {
  const { log, lines } = recordingLog();
  ingest = await runningIngest({ ...setup, log });
  return { running: ingest, lines };
}

const refusedIn = async (running: RunningIngest): Promise<string[]> =>
  (await running.metrics.expose())
    .split("\n")
    .filter((line) => /^postrider_ingest_refused_total\{.*\} [1-9]/.test(line))
    .map((line) => line.replace("postrider_ingest_refused_total", ""));

it("a producer that is locked out is found: in a line with its namespace and address, and in a counter with both words", async () => {
  const { running, lines } = await start({ tokens: [TOKEN] });
  running.metrics.showSubscription({ namespace: "shop", name: "orders" }, false);
  const zero = '\npostrider_ingest_refused_total{namespace="shop",code="unauthenticated"} 0\n';
  expect(await running.metrics.expose()).toContain(zero);
  for (let i = 0; i < 5; i++) expect((await running.post(EVENT, { authorization: "Bearer wrong-wrong-wrong" })).status).toBe(401);
  expect(await refusedIn(running)).toEqual(['{namespace="shop",code="unauthenticated"} 5']);
  expect(lines).toMatchObject([
    { level: "warn", event: "ingest.refused", namespace: "shop", code: "unauthenticated", statusCode: 401, from: "127.0.0.1", count: 1 },
  ]);
  await running.stop();
  ingest = undefined;
  expect(lines.slice(1)).toMatchObject([{ event: "ingest.refused", count: 4 }]);
});

it("namespaces that are not known share one series: anybody may ask for any", async () => {
  const { running, lines } = await start({ tokens: [TOKEN] });
  for (const namespace of ["one", "two", "three"]) await running.post(EVENT, { authorization: "Bearer wrong-wrong-wrong" }, namespace);
  expect(await refusedIn(running)).toEqual(['{namespace="",code="unauthenticated"} 3']);
  expect(lines.map(({ namespace }) => namespace)).toEqual(["one", "two", "three"]);
});

it("what is wrong with the event, its size or its rate is told by its code, and a duplicate is counted", async () => {
  const { running } = await start({ rateLimitPerSecond: 2 });
  running.metrics.showSubscription({ namespace: "shop", name: "orders" }, false);
  await running.post("{");
  await running.post(`{"type":"order.paid","data":"${"x".repeat(262_144)}"}`);
  for (let i = 0; i < 2; i++) await running.post(EVENT, { "idempotency-key": "k" });
  for (let i = 0; i < 8; i++) await running.post(EVENT);
  const codes = (await refusedIn(running)).map((line) => /code="(\w+)"/.exec(line)?.[1] ?? "").toSorted();
  expect(codes).toEqual(["event_too_large", "json_invalid", "rate_limited"]);
  expect(await running.metrics.expose()).toContain('\npostrider_events_duplicate_total{namespace="shop"} 1\n');
});
