import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { countOf, fullRun } from "../support/full-run.ts";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const SUBSCRIPTIONS = 1_000;
const BATCH = "application/cloudevents-batch+json";
/** What others may wait for their 202 while one namespace sends the largest requests that there are, ms. */
const OTHERS_P99_MS = 250;
/** What they wait with nobody else there on two cores that do nothing else, ms; on a busy machine both grow, and the bar with them. */
const ALONE_P99_MS = 15;
const RESIDENT_MIB_MAX = 400;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}

const agent = new Agent({ keepAlive: true });

function post(url: string, body: string, type = "application/json"): Promise<Answer> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers: { "content-type": type } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text, ms: performance.now() - startMs }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function batchOf(events: number): string {
  return JSON.stringify(
    Array.from({ length: events }, (_, i) => ({ specversion: "1.0", id: `${i}-${Math.random()}`, source: "/s", type: "a.b" })),
  );
}

/** One namespace with a thousand subscriptions, and one with a single one; a receiver that answers at once. */
async function started(greedySpec: readonly string[] = []): Promise<OperatorProcess> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-door-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const receiver = createServer((incoming, response) => incoming.resume().on("end", () => response.writeHead(200).end()));
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  cleanups.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const { port } = receiver.address() as AddressInfo;
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "policy.yaml"), loopbackPolicy());
  const greedy = Array.from({ length: SUBSCRIPTIONS }, (_, i) => ordersOf("greedy", `s${i}`, port, greedySpec));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifestFile(...greedy, ordersOf("shop", "orders", port)));
  const operator = await OperatorProcess.start({
    manifests: join(directory, "manifests"),
    store: `sqlite:${join(directory, "store")}`,
  });
  cleanups.push(() => operator.signal("SIGKILL"));
  return operator;
}

/** Waits that others have for their answers while `work` goes on, ms, and the most memory that the process had. */
async function others(
  operator: OperatorProcess,
  work: Promise<unknown>,
): Promise<{ readonly p99Ms: number; readonly maxMs: number; readonly residentMiB: number }> {
  const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
  const waits: number[] = [];
  const state = { going: true };
  void work.finally(() => (state.going = false));
  const producer = async (): Promise<void> => {
    while (state.going) {
      const { status, ms } = await post(url, '{"type":"a.b"}');
      expect(status).toBe(202);
      waits.push(ms);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await Promise.all([producer(), producer(), producer(), work]);
  waits.sort((a, b) => a - b);
  const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${operator.ready.pid}/status`, "utf8")) ?? [];
  return { p99Ms: waits[Math.floor(waits.length * 0.99)] ?? 0, maxMs: waits.at(-1) ?? 0, residentMiB: Number(kib) / 1_024 };
}

/** The bar on this machine as it is now. */
async function barOf(operator: OperatorProcess): Promise<number> {
  const alone = await others(operator, new Promise((resolve) => setTimeout(resolve, 3_000)));
  return OTHERS_P99_MS * Math.max(1, alone.p99Ms / ALONE_P99_MS);
}

async function repeat(times: number, work: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < times; i++) await work();
}

it(`1,000 events for ${SUBSCRIPTIONS} subscriptions are refused with the numbers, and hold up nobody`, async () => {
  const operator = await started();
  const barMs = await barOf(operator);
  const url = `${operator.ready.ingest}/v1/namespaces/greedy/events`;
  const refusals: Answer[] = [];
  const work = Promise.all(
    Array.from({ length: 4 }, () => repeat(countOf(10, 100), async () => refusals.push(await post(url, batchOf(1_000), BATCH)))),
  );
  const seen = await others(operator, work);
  console.log(
    `refused: others p99 ${seen.p99Ms.toFixed(1)} ms, max ${seen.maxMs.toFixed(1)} ms of ${barMs.toFixed(0)}, resident ${seen.residentMiB.toFixed(0)} MiB`,
  );
  expect(new Set(refusals.map(({ status }) => status))).toEqual(new Set([413]));
  expect(JSON.parse(refusals[0]?.body ?? "")).toMatchObject({
    code: "too_many_deliveries",
    detail:
      "The first 11 of 1000 events would make 11000 deliveries; at most 10000 are allowed in one request. Nothing was stored: send fewer events per request, about 10.",
  });
  expect(seen.p99Ms).toBeLessThanOrEqual(barMs);
  expect(seen.residentMiB).toBeLessThanOrEqual(RESIDENT_MIB_MAX);
}, 120_000);

/** Publishes the largest request that is allowed, one after the other; answers what others saw and how long the slowest took. */
async function mostAllowed(operator: OperatorProcess, times: number) {
  const url = `${operator.ready.ingest}/v1/namespaces/greedy/events`;
  const answers: Answer[] = [];
  const seen = await others(
    operator,
    repeat(times, async () => answers.push(await post(url, batchOf(10), BATCH))),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
  return { ...seen, slowestMs: Math.max(...answers.map(({ ms }) => ms)) };
}

it(`10 events for ${SUBSCRIPTIONS} subscriptions, the most that is allowed, one request after the other: others do not wait`, async () => {
  const operator = await started(["suspend: true"]);
  const barMs = await barOf(operator);
  const seen = await mostAllowed(operator, countOf(20, 100));
  console.log(
    `accepted: slowest ${seen.slowestMs.toFixed(0)} ms, others p99 ${seen.p99Ms.toFixed(1)} ms of ${barMs.toFixed(0)}, resident ${seen.residentMiB.toFixed(0)} MiB`,
  );
  expect(seen.p99Ms).toBeLessThanOrEqual(barMs);
}, 240_000);

it.runIf(fullRun)(
  "the same while 10,000 deliveries a request are being made: others do not wait",
  async () => {
    const operator = await started();
    const barMs = await barOf(operator);
    const seen = await mostAllowed(operator, 20);
    console.log(
      `accepted and delivered: slowest ${seen.slowestMs.toFixed(0)} ms, others p99 ${seen.p99Ms.toFixed(1)} ms of ${barMs.toFixed(0)}, resident ${seen.residentMiB.toFixed(0)} MiB`,
    );
    expect(seen.p99Ms).toBeLessThanOrEqual(barMs);
  },
  240_000,
);

function ordersOf(namespace: string, name: string, port: number, more: readonly string[] = []): string {
  return subscription({ name, namespace, types: ["a.*"], url: `http://127.0.0.1:${port}/${name}`, more });
}
