import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { countOf } from "../support/full-run.ts";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

/** What one window of the ramp is, and what the retry budget may have saved up. */
const WINDOW_MS = 10_000;
const RETRY_BURST = 100;
const WINDOWS = countOf(2, 4);
/** Requests in the first window of a ramp. */
const RAMP_FIRST = 20;
/** How long the receiver takes for each request. */
const ANSWER_MS = 20;
const BACKLOG = 3_000;
const SENDS = 2_000;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Request {
  readonly atMs: number;
  readonly id: string;
  readonly overlapped: boolean;
}

/** A server that answers what it is told to after 20 ms, and keeps when what came. */
async function receiver(
  status: () => number,
): Promise<{ readonly port: number; readonly requests: Request[]; readonly isIdle: () => boolean }> {
  const requests: Request[] = [];
  let open = 0;
  const server = createServer((request, response) => {
    requests.push({ atMs: performance.now(), id: String(request.headers["webhook-id"]), overlapped: open > 0 });
    open += 1;
    request.resume();
    setTimeout(() => {
      open -= 1;
      response.writeHead(status()).end();
    }, ANSWER_MS);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanups.push(() => new Promise((done) => server.close(done).closeAllConnections()));
  return { port: (server.address() as AddressInfo).port, requests, isIdle: () => open === 0 };
}

async function operatorFor(port: number, policy: readonly string[]): Promise<OperatorProcess> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-recovery-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(port, policy));
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}` });
  cleanups.push(() => operator.signal("SIGKILL"));
  return operator;
}

async function post(operator: OperatorProcess, count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, n) => ({
    specversion: "1.0",
    id: `e${n}-${performance.now()}`,
    source: "/t",
    type: "order.paid",
    data: { n },
  }));
  const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/cloudevents-batch+json" },
    body: JSON.stringify(events),
  });
  expect(answer.status).toBe(202);
  await answer.arrayBuffer();
}

it("a receiver that comes back gets one probe, then at most twice as much per 10 s (promise 17)", { timeout: 120_000 }, async () => {
  let healthy = false;
  const { port, requests, isIdle } = await receiver(() => (healthy ? 204 : 503));
  const operator = await operatorFor(port, [
    "maxInFlight: 32",
    "circuitBreaker: {consecutiveFailures: 10, openFor: 2s}",
    "retry: {maxAttempts: 100, backoff: {policy: Constant, initialDelay: 200ms, maxDelay: 200ms}}",
  ]);
  for (let left = BACKLOG; left > 0; left -= 1_000) await post(operator, 1_000);
  await vi.waitUntil(() => requests.length >= 10, { timeout: 10_000 });
  // It stays dead for two more looks at it.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  // Not in the middle of a probe: it would be answered by the receiver that has come back.
  await vi.waitUntil(isIdle, { timeout: 10_000, interval: 1 });
  const whileDead = requests.length;
  expect(whileDead).toBeLessThanOrEqual(10 + 32 + 3);
  healthy = true;
  await vi.waitUntil(() => requests.length > whileDead, { timeout: 10_000 });
  const probe = requests[whileDead]!;
  await new Promise((resolve) => setTimeout(resolve, WINDOWS * WINDOW_MS));
  expect(probe.overlapped).toBe(false);
  expect((requests[whileDead + 1]?.atMs ?? 0) - probe.atMs).toBeGreaterThanOrEqual(19);
  // The ramp's windows begin with the probe's success, however late a busy machine makes use of the first.
  const counts = Array.from({ length: WINDOWS }, () => 0);
  for (const { atMs } of requests.slice(whileDead + 1)) {
    const window = Math.floor((atMs - probe.atMs - ANSWER_MS) / WINDOW_MS);
    if (window < counts.length) counts[window]! += 1;
  }
  process.stdout.write(`after the probe, per 10 s: ${counts.join(", ")}\n`);
  expect(counts[0]).toBeGreaterThan(0);
  // The receiver's clock sees a window's edge a few ms beside ours.
  for (const [i, count] of counts.entries()) expect(count).toBeLessThanOrEqual(RAMP_FIRST * 2 ** i + 2);
  expect(counts.at(-1)).toBeGreaterThan(counts[0] ?? 0);
});

it("retries stay below a fifth of first sends and 10 a second, although everything fails (promise 18)", { timeout: 60_000 }, async () => {
  const { port, requests } = await receiver(() => 500);
  const operator = await operatorFor(port, [
    "maxInFlight: 100",
    "circuitBreaker: {consecutiveFailures: 1000}",
    "retry: {maxAttempts: 100, backoff: {policy: Constant, initialDelay: 100ms, maxDelay: 100ms}}",
  ]);
  const fromMs = performance.now();
  for (let left = SENDS; left > 0; left -= 100) {
    await post(operator, 100);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const seconds = (performance.now() - fromMs) / 1_000;
  const firsts = new Set(requests.map(({ id }) => id)).size;
  const retries = requests.length - firsts;
  process.stdout.write(`${firsts} first sends and ${retries} retries in ${seconds.toFixed(1)} s\n`);
  expect(firsts).toBeGreaterThan(100);
  expect(retries).toBeGreaterThan(0);
  expect(retries).toBeLessThanOrEqual(firsts * 0.2 + 10 * seconds + RETRY_BURST + 1);
});

function manifests(port: number, policy: readonly string[]): string {
  return manifestFile(
    loopbackPolicy(),
    defaultPolicy("shop", ...policy),
    subscription({ name: "billing", url: `http://127.0.0.1:${port}/hooks` }),
  );
}
