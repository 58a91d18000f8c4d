import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fullRun } from "../support/full-run.ts";
import { RunningExample } from "../support/systems/running-example.ts";

const TOKEN = "replace-this-token-before-real-use";
const HEADERS = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
/** The shortest that a policy can say. */
const HISTORY_MS = 60_000;

/** The work: answers in upper case, at once or when the test says so. */
class ShoutingPipeline {
  readonly #server: Server;
  readonly #held: { readonly response: ServerResponse; readonly text: string }[] = [];
  #heard = (): void => undefined;
  holds = false;

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { text } = JSON.parse(Buffer.concat(chunks).toString()) as { text: string };
        if (!this.holds) response.end(text.toUpperCase());
        else this.#held.push({ response, text });
        this.#heard();
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async untilWorking(): Promise<void> {
    while (this.#held.length === 0) await new Promise<void>((wake) => (this.#heard = wake));
  }

  finish(): void {
    for (const { response, text } of this.#held.splice(0)) response.end(text.toUpperCase());
  }
}

const pipeline = new ShoutingPipeline();
let example: RunningExample;

type Json = Record<string, unknown>;
const hook = (query = "", init: RequestInit = {}) =>
  fetch(`${example.operator.ready.ingest}/v1/namespaces/pipeforce/hooks/text.shout${query}`, {
    method: "POST",
    headers: HEADERS,
    body: '{"text":"hello world"}',
    ...init,
  });
const result = (id: unknown, query = "", init: RequestInit = {}) =>
  fetch(`${example.operator.ready.ingest}/v1/namespaces/pipeforce/results/${String(id)}${query}`, { headers: HEADERS, ...init });
/** As a caller should: 503 right after a start means to ask again. */
async function patiently(ask: () => Promise<Response>): Promise<Response> {
  for (let tries = 100; ; tries--) {
    const answer = await ask();
    if (answer.status !== 503 || tries === 0) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const jsonOf = async (answer: Response | Promise<Response>): Promise<Json> => (await (await answer).json()) as Json;
const SHOUTED = [
  { subscription: "pipeline", outcome: "Delivered", statusCode: 200, attempts: 1, answer: { body: { text: "HELLO WORLD" } } },
];

beforeAll(async () => {
  const auth = ["--ingest-auth", "static", "--api-auth", "none", "--ingest-token-in-query", "true"];
  const adapt = (directory: string): void => {
    const file = join(directory, "policy.yaml");
    const text = readFileSync(file, "utf8");
    const shorter = text.replace("history: 1h", "history: 1m");
    if (shorter === text) throw new Error("policy.yaml keeps history for another time");
    writeFileSync(file, shorter);
  };
  example = await RunningExample.start({ name: "pipeforce", receiver: await pipeline.start(), auth, adapt });
});
afterAll(async () => {
  await example?.stop();
  pipeline.stop();
});

it("work that ends within the request is answered with its value", async () => {
  const answer = await hook("?wait=10s");
  const body = await jsonOf(answer);
  expect(answer.status).toBe(200);
  expect(body).toMatchObject({ statusCode: 200, status: "ok", pollingRedirectEnabled: false, value: SHOUTED });
  expect(answer.headers.get("postrider-result-correlationid")).toBe(body["correlationId"]);
});

it("work that takes longer is polled for by its correlation id", async () => {
  pipeline.holds = true;
  const { correlationId, status, value } = await jsonOf(hook());
  expect([status, value]).toEqual(["processing", null]);
  await pipeline.untilWorking();
  expect(await jsonOf(result(correlationId))).toMatchObject({ statusCode: 200, status: "processing", value: null });
  const polled = jsonOf(result(correlationId, "?wait=30s"));
  pipeline.holds = false;
  pipeline.finish();
  expect(await polled).toMatchObject({ statusCode: 200, status: "ok", value: SHOUTED, correlationId });
});

it("a caller that follows redirects gets the value by one call, with its token in the query too", async () => {
  pipeline.holds = true;
  const calls = [
    hook("?pollingRedirectEnabled=true"),
    hook(`?pollingRedirectEnabled=true&token=${TOKEN}`, { headers: { "content-type": "application/json" } }),
  ];
  await pipeline.untilWorking();
  pipeline.holds = false;
  pipeline.finish();
  for (const answer of await Promise.all(calls)) {
    expect(answer.redirected).toBe(true);
    expect(await jsonOf(answer)).toMatchObject({ statusCode: 200, status: "ok", value: SHOUTED, pollingRedirectEnabled: true });
  }
});

it("the redirect is refused to nobody and switched off at any poll", async () => {
  const answer = await hook("?pollingRedirectEnabled=true", { redirect: "manual" });
  expect(answer.status).toBe(303);
  const { correlationId } = await jsonOf(answer);
  expect(answer.headers.get("location")).toBe(
    `/v1/namespaces/pipeforce/results/${String(correlationId)}?pollingRedirectEnabled=true&hop=1`,
  );
  const polled = await result(correlationId, "?pollingRedirectEnabled=false&wait=10s", { redirect: "manual" });
  expect(await jsonOf(polled)).toMatchObject({ status: "ok", pollingRedirectEnabled: false });
});

it("results are nobody's without a token, and 404 where they never were", async () => {
  const { correlationId } = await jsonOf(hook("?wait=10s"));
  expect((await result(correlationId, "", { headers: {} })).status).toBe(401);
  expect((await result("01900000-0000-7000-8000-000000000000")).status).toBe(404);
  expect((await result(correlationId)).status).toBe(200);
});

it("results are 410 once they were cleaned up, seen by processes started before and after that moment", async () => {
  const { correlationId } = await jsonOf(hook("?wait=10s"));
  const restarted = async (laterMs: number, query = ""): Promise<Response> => {
    await example.restart(laterMs);
    return patiently(() => result(correlationId, query));
  };
  expect(await jsonOf(restarted(HISTORY_MS / 2))).toMatchObject({ statusCode: 200, status: "ok", value: SHOUTED });
  for (const query of ["", "?wait=10s", "?pollingRedirectEnabled=true"]) {
    const gone = await restarted(HISTORY_MS, query);
    expect([gone.status, await jsonOf(gone)]).toEqual([410, expect.objectContaining({ status: 410, code: "result_gone" })]);
    expect((await result(correlationId, query, { headers: {} })).status).toBe(401);
    expect((await result("01900000-0000-7000-8000-000000000000", query)).status).toBe(404);
  }
  await example.restart();
  // Back in time it is there again: nothing was dropped, it was only hidden.
  expect((await patiently(() => result(correlationId))).status).toBe(200);
});

// The same without a clock in hand: takes the minute that it is about.
it.runIf(fullRun)("results are 410 after a minute of history", { timeout: 2 * HISTORY_MS }, async () => {
  const { correlationId } = await jsonOf(hook("?wait=10s"));
  expect((await result(correlationId)).status).toBe(200);
  // The exact retention is what is shown; nothing can be awaited but time itself.
  await expect.poll(async () => (await result(correlationId)).status, { timeout: 1.2 * HISTORY_MS, interval: 500 }).toBe(410);
  expect(await jsonOf(result(correlationId, "?wait=10s"))).toMatchObject({ status: 410, code: "result_gone" });
});

it("a result outlives the process that began it", async () => {
  pipeline.holds = true;
  const { correlationId } = await jsonOf(hook());
  await pipeline.untilWorking();
  await example.restart();
  pipeline.holds = false;
  pipeline.finish();
  const told = await jsonOf(patiently(() => result(correlationId, "?wait=30s")));
  // The attempt that was cut off by the kill counts as one.
  expect(told).toMatchObject({
    status: "ok",
    value: [{ subscription: "pipeline", outcome: "Delivered", answer: { body: { text: "HELLO WORLD" } } }],
  });
});

it("a caller that waits while the process stops is told that it is processing, and finds the value later", async () => {
  pipeline.holds = true;
  const waiting = patiently(() => hook("?wait=50s"));
  await pipeline.untilWorking();
  const stopped = example.operator.signal("SIGTERM");
  const told = await jsonOf(waiting);
  expect(told).toMatchObject({ statusCode: 200, status: "processing", value: null });
  pipeline.holds = false;
  pipeline.finish();
  await stopped;
  await example.restart();
  expect(await jsonOf(patiently(() => result(told["correlationId"], "?wait=30s")))).toMatchObject({ status: "ok", value: SHOUTED });
});
