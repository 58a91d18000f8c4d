import { afterEach, describe, expect, it } from "vitest";
import type { StorageLimit } from "../../../src/core/storage-share.ts";
import { RawClient, route, runningIngest, type IngestSetup, type RunningIngest } from "../../support/ingest/running-ingest.ts";
import { claimOne, completion, DAY_MS } from "../../conformance/store/fixture.ts";

const MI = 2 ** 20;
const BATCH = { "content-type": "application/cloudevents-batch+json" };
const PATIENT = { timeout: 60_000 };

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

const limits = new Map<string, StorageLimit>();
async function start(setup: IngestSetup = {}): Promise<RunningIngest> {
  limits.clear();
  ingest = await runningIngest({ roomBytes: () => 64 * MI, storageLimit: (namespace) => limits.get(namespace) ?? "none", ...setup });
  return ingest;
}

const large = (type = "order.paid"): string => JSON.stringify({ type, data: "x".repeat(255 * 1_000) });

interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly status: number;
}

/** Sends until one is refused, so many at once; answers the refusal. */
async function pour(
  running: RunningIngest,
  body: () => string,
  at = { once: 8, headers: {} as Record<string, string> },
): Promise<{ problem: Problem; retryAfter: string | null }> {
  for (let round = 0; round < 500; round++) {
    const answers = await Promise.all(Array.from({ length: at.once }, () => running.post(body(), at.headers)));
    const refused = answers.find(({ status }) => status !== 202);
    const texts = await Promise.all(answers.map((answer) => answer.json() as Promise<Problem>));
    if (refused !== undefined) return { problem: texts[answers.indexOf(refused)]!, retryAfter: refused.headers.get("retry-after") };
  }
  throw new Error("nobody was refused");
}

describe("a namespace that holds all that it may", PATIENT, () => {
  it("is answered 429 with the numbers and what to do, and never holds more, however many come together; others are not touched", async () => {
    const running = await start();
    const { problem, retryAfter } = await pour(running, large, { once: 32, headers: {} });
    expect(problem).toMatchObject({ status: 429, code: "quota_exceeded" });
    expect(retryAfter).toBe("60");
    expect(problem.detail).toMatch(
      /^Namespace shop holds \d+ bytes of events and history \(512 of them reserved for the results of open deliveries\) and would add \d+; it may hold 33554432, /,
    );
    expect(problem.detail).toContain("limits.storage");
    expect(problem.detail).toContain("retention.bodies");
    expect(running.store.usage().of("shop")).toBeLessThanOrEqual(32 * MI);
    // What is on its way is counted with the most that it may take, so of many together some are refused that would have fitted: one at a time they fit.
    await pour(running, large, { once: 1, headers: {} });
    const held = running.store.usage().of("shop");
    expect(held).toBeLessThanOrEqual(32 * MI);
    expect(held).toBeGreaterThan(31 * MI);
    expect((await running.post(large(), {}, "depot")).status).toBe(202);
    expect((await running.post('{"type":"order.paid"}')).status).toBe(202);
  });

  it("is told so before its body is read", async () => {
    const running = await start();
    limits.set("shop", 1);
    const raw = new RawClient(running.port);
    raw.send(
      "POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n",
    );
    const answer = await raw.until(/quota_exceeded/);
    expect(answer).toMatch(/^HTTP\/1\.1 429 /);
    expect(answer).not.toContain("100 Continue");
    raw.socket.destroy();
  });

  it("is bounded by events that nobody wants too, which cost their envelopes", async () => {
    const running = await start();
    limits.set("shop", MI);
    const before = running.store.usage().of("shop");
    expect((await running.post(large("nobody.wants"))).status).toBe(202);
    expect(running.store.usage().of("shop") - before).toBeLessThan(1_024);
    const unwanted = () =>
      JSON.stringify(
        Array.from({ length: 500 }, () => ({
          specversion: "1.0",
          id: crypto.randomUUID(),
          source: "/s",
          type: "nobody.wants",
          note: "y".repeat(100),
        })),
      );
    const { problem } = await pour(running, unwanted, { once: 4, headers: BATCH });
    expect(problem.code).toBe("quota_exceeded");
    expect(running.store.usage().of("shop")).toBeLessThanOrEqual(MI);
  });

  it("is bounded by the deliveries of a wide event, not by its body alone", async () => {
    const routes = Array.from({ length: 500 }, (_, i) => route(`wide-${i}`, ["order.*"]));
    const running = await start({ routes });
    limits.set("shop", MI);
    const { problem } = await pour(running, () => '{"type":"order.paid"}');
    expect(problem.code).toBe("quota_exceeded");
    expect(running.store.usage().of("shop")).toBeLessThanOrEqual(MI);
  });

  it("still delivers what was accepted, and the record of it is written", async () => {
    const running = await start();
    const { id } = (await (await running.post('{"type":"order.paid"}')).json()) as { id: string };
    limits.set("shop", 1);
    expect((await running.post('{"type":"order.paid"}')).status).toBe(429);
    const [owed] = await running.store.deliveriesOf(id);
    const delivery = owed?.id ?? 0;
    await claimOne(running.store, delivery);
    expect(await running.store.complete([completion(delivery, { nowMs: Date.now() })])).toEqual([true]);
    expect(await running.store.attemptsOf(delivery)).toHaveLength(1);
    const result = await fetch(`${running.url}/v1/namespaces/shop/results/${id}`);
    expect(await result.json()).toMatchObject({ status: "ok", value: [{ outcome: "Delivered" }] });
  });

  it("may send again as soon as its limit is raised, and is only kept from more when it is lowered", async () => {
    const running = await start();
    limits.set("shop", 2 * MI);
    const { problem } = await pour(running, large);
    expect(problem.detail).toContain("it may hold 2097152, by limits.storage of the cluster policy");
    limits.set("shop", 4 * MI);
    expect((await running.post(large())).status).toBe(202);
    limits.set("shop", MI);
    const held = running.store.usage().of("shop");
    expect((await running.post('{"type":"order.paid"}')).status).toBe(429);
    expect(running.store.usage().of("shop")).toBe(held);
  });

  it("may send again when days are over, unaided", async () => {
    const running = await start();
    limits.set("shop", 2 * MI);
    await pour(running, large);
    for (const { subscription } of await running.store.queues()) {
      await running.store.endAll({
        subscription,
        state: "discarded",
        reason: "Discarded",
        nowMs: Date.now(),
        historyRetentionMs: DAY_MS,
        limit: 1_000,
      });
    }
    expect((await running.post(large())).status).toBe(429);
    await running.store.dropExpired(Date.now() + 5 * DAY_MS);
    expect((await running.post(large())).status).toBe(202);
  });

  it("is not judged where the volume is not known, or is full: free space itself is", async () => {
    const room: { bytes: number | undefined } = { bytes: undefined };
    const running = await start({ roomBytes: () => room.bytes });
    expect((await running.post(large())).status).toBe(202);
    room.bytes = -1;
    running.state.diskLow = true;
    expect((await running.post(large())).status).toBe(507);
    running.state.diskLow = false;
    expect((await running.post(large())).status).toBe(202);
  });

  it("tells no stranger how much it holds", async () => {
    const running = await start({ tokens: ["a-token-of-sixteen-bytes"] });
    limits.set("shop", 1);
    const stranger = await running.post('{"type":"order.paid","token":"a-wrong-one-of-16-bytes"}');
    expect(stranger.status).toBe(401);
    const known = await running.post('{"type":"order.paid","token":"a-token-of-sixteen-bytes"}');
    expect(known.status).toBe(429);
    expect((await running.post("{}", { authorization: "Bearer a-token-of-sixteen-bytes" })).status).toBe(429);
  });

  it("gives back what was refused, what failed, and what was a duplicate", async () => {
    const running = await start();
    limits.set("shop", MI);
    const body = JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "order.paid", data: "x".repeat(200_000) });
    const headers = { "content-type": "application/cloudevents+json" };
    for (let round = 0; round < 40; round++) expect((await running.post(body, headers)).status).toBe(202);
    const other = body.replace("xx", "yy");
    for (let round = 0; round < 40; round++) expect((await running.post(other, headers)).status).toBe(409);
    expect((await running.post(large())).status).toBe(202);
  });
});
