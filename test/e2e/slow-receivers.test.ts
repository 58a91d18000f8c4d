import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

/** Receivers that are slow answer 200 after this long: much longer than the bar, and never a failure. */
const SLOW_MS = 25_000;
const HEALTHY_EVENTS = 20;
const BATCH = 100;
/** Half of the healthy ones must have come within a second, each within what a loaded machine may add. */
const MEDIAN_MAX_MS = 1_000;
const EACH_MAX_MS = 5_000;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Attack {
  readonly namespaces: number;
  readonly eventsEach: number;
  readonly flags: readonly string[];
  /** `limits` of the cluster policy. */
  readonly limits: string;
  /** Requests that the slow ones together hold at least, and at most. */
  readonly held: readonly [number, number];
}

it.each<[string, Attack]>([
  // All defaults: the built-in ceiling leaves each of the two 6.
  ["two with all that a policy may say", { namespaces: 2, eventsEach: 1_200, flags: [], limits: "{}", held: [12, 12] }],
  // Where the cluster allows it, slow ones together have three eighths of 2,048, one subscription a quarter of that.
  ["two that the cluster allows 1,024", { namespaces: 2, eventsEach: 1_200, flags: [], limits: "{maxInFlight: 1024}", held: [300, 400] }],
  [
    "thirty-two of 64 slots",
    { namespaces: 32, eventsEach: 20, flags: ["--max-in-flight=64"], limits: "{maxInFlight: 1024}", held: [32, 60] },
  ],
])("receivers that answer 200 after long leave a healthy namespace its slots: %s", { timeout: 180_000 }, async (_, attack) => {
  const arrivedAt = new Map<string, number>();
  let open = 0;
  const receiver = createServer((request, response) => {
    request.resume();
    if (request.url === "/slow") {
      open += 1;
      const timer = setTimeout(() => response.end(), SLOW_MS);
      response.once("close", () => {
        clearTimeout(timer);
        open -= 1;
      });
      return;
    }
    arrivedAt.set(String(request.headers["webhook-id"]), performance.now());
    setTimeout(() => response.end(), 5);
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  cleanups.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const directory = mkdtempSync(join(tmpdir(), "postrider-slow-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests((receiver.address() as AddressInfo).port, attack));
  const store = `sqlite:${join(directory, "store")}`;
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store, flags: attack.flags });
  cleanups.push(() => operator.signal("SIGKILL"));
  for (let n = 0; n < attack.namespaces; n++) {
    for (let left = attack.eventsEach; left > 0; left -= BATCH) await publish(operator, `slow${n}`, Math.min(BATCH, left));
  }
  const [least, most] = attack.held;
  await vi.waitFor(() => expect(open).toBeGreaterThanOrEqual(least), { timeout: 15_000, interval: 50 });
  const sentAt = new Map<string, number>();
  for (let n = 0; n < HEALTHY_EVENTS; n++) {
    for (const id of await publish(operator, "healthy", 1)) sentAt.set(id, performance.now());
    await sleep(100);
    // Held all the time, and never more than their share.
    expect(open).toBeGreaterThanOrEqual(least);
    expect(open).toBeLessThanOrEqual(most);
  }
  await vi.waitFor(() => expect(arrivedAt.size).toBe(sentAt.size), { timeout: EACH_MAX_MS, interval: 20 });
  const waits = [...sentAt].map(([id, at]) => (arrivedAt.get(id) ?? Number.POSITIVE_INFINITY) - at).toSorted((a, b) => a - b);
  expect(waits[waits.length >> 1]).toBeLessThanOrEqual(MEDIAN_MAX_MS);
  expect(waits.at(-1)).toBeLessThanOrEqual(EACH_MAX_MS);
});

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Publishes so many events at once; answers their ids. */
async function publish(operator: OperatorProcess, namespace: string, count: number): Promise<string[]> {
  const event = (n: number) => ({
    specversion: "1.0",
    type: "order.paid",
    source: "/orders",
    id: `${performance.now()}-${n}`,
    data: { n },
  });
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/${namespace}/events`, {
    method: "POST",
    headers: { "content-type": "application/cloudevents-batch+json" },
    body: JSON.stringify(Array.from({ length: count }, (_, n) => event(n))),
  });
  expect(answer.status).toBe(202);
  return JSON.stringify(await answer.json()).match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [];
}

function manifests(port: number, { namespaces, limits }: Attack): string {
  const orders = (namespace: string, path: string): string =>
    subscription({ name: "orders", namespace, types: ["order.paid"], url: `http://127.0.0.1:${port}/${path}`, signing: "{}" });
  const slow = Array.from({ length: namespaces }, (_, n) => `slow${n}`);
  return manifestFile(
    loopbackPolicy(`limits: ${limits}`),
    ...slow.flatMap((namespace) => [defaultPolicy(namespace, "maxInFlight: 1024", "timeout: 5m"), orders(namespace, "slow")]),
    orders("healthy", "healthy"),
  );
}
