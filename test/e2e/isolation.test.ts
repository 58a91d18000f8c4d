import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const EVENTS = 150;
const ROUNDS = 3;
/** What a shared machine adds by itself to a p99 of 150 events: a baseline below counts as this. */
const JITTER_MS = 10;
const PAUSE_MS = 10;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/**
 * Promise 16: a receiver that never answers and holds half of the traffic does not slow the other subscription. Baseline and trial take
 * turns, medians are compared: one stall of a shared machine must not decide.
 */
it("keeps the quiet subscription's p99 within 2x beside a receiver that never answers", { timeout: 120_000 }, async () => {
  const healthy: number[] = [];
  const beside: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    healthy.push(await p99Of(["order.quiet", "order.other"]));
    beside.push(await p99Of(["order.quiet", "order.hung"]));
  }
  const baselineMs = Math.max(median(healthy), JITTER_MS);
  expect(median(beside), `both healthy ${String(healthy)} ms, beside a hung one ${String(beside)} ms`).toBeLessThanOrEqual(2 * baselineMs);
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.POSITIVE_INFINITY;
}

/** p99 from the answer's 202 to the arrival of `order.quiet`, ms; the types are posted in turn. */
async function p99Of(types: readonly string[]): Promise<number> {
  const arrivedAt = new Map<string, number>();
  const receiver = createServer((request, response) => {
    request.resume();
    if (request.url === "/hang") return;
    if (request.url === "/quiet") arrivedAt.set(String(request.headers["webhook-id"]), performance.now());
    response.end();
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  cleanups.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const directory = mkdtempSync(join(tmpdir(), "postrider-isolation-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests((receiver.address() as AddressInfo).port));
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}` });
  cleanups.push(() => operator.signal("SIGKILL"));
  const answeredAt = await post(`${operator.ready.ingest}/v1/namespaces/shop/events`, types);
  await expect.poll(() => arrivedAt.size, { timeout: 20_000, interval: 20 }).toBe(answeredAt.size);
  await operator.signal("SIGKILL");
  const waits = [...answeredAt]
    .map(([id, at]) => Math.max(0, (arrivedAt.get(id) ?? Number.POSITIVE_INFINITY) - at))
    .toSorted((a, b) => a - b);
  return waits[Math.floor(waits.length * 0.99)] ?? Number.POSITIVE_INFINITY;
}

/** When each `order.quiet` was answered, by id. */
async function post(url: string, types: readonly string[]): Promise<Map<string, number>> {
  const answeredAt = new Map<string, number>();
  for (let n = 0; n < EVENTS; n++) {
    for (const type of types) {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ type, data: { n } }),
      });
      expect(answer.status).toBe(202);
      const { id } = (await answer.json()) as { id: string };
      if (type === "order.quiet") answeredAt.set(id, performance.now());
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  return answeredAt;
}

function manifests(port: number): string {
  const at = (name: string, path: string): string =>
    subscription({ name, types: [`order.${name}`], url: `http://127.0.0.1:${port}/${path}`, signing: "{}" });
  return manifestFile(loopbackPolicy(), at("quiet", "quiet"), at("other", "other"), at("hung", "hang"));
}
