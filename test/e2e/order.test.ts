import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { countOf } from "../support/full-run.ts";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { seededRandom } from "../support/sim/seeded-random.ts";
import { freePort } from "../support/free-port.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { until } from "../support/until.ts";

const KEYS = 200;
const EVENTS_PER_KEY = countOf(50, 500);
const KILLS = countOf(3, 10);
const PRODUCERS = 20;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A receiver that keeps the order in which the events of each key came, and refuses some of them. */
class Ledger {
  readonly arrivals = new Map<string, number[]>();
  /** Arrivals of an event after a later one of its key. */
  readonly outOfOrder: string[] = [];
  readonly ended = new Set<string>();
  refused = 0;
  readonly #random = seededRandom(24);

  /** Answers the status for an arrival: one in fifty events is never taken, one request in eight is refused (the retry budget is a fifth of sends). */
  take(key: string, n: number): number {
    const seen = this.arrivals.get(key) ?? [];
    if ((seen.at(-1) ?? -1) > n) this.outOfOrder.push(`${key}: ${n} after ${seen.at(-1)}`);
    seen.push(n);
    this.arrivals.set(key, seen);
    const poisoned = n % 50 === 17;
    const refuses = !poisoned && this.#random.below(8) === 0;
    if (refuses) this.refused += 1;
    else this.ended.add(`${key} ${n}`);
    return poisoned ? 400 : refuses ? 500 : 204;
  }
}

/** Promise 24: arrivals of one key never go back, whatever fails or is killed; and nothing is missing. */
it(`keeps the order of ${KEYS} keys x ${EVENTS_PER_KEY} events over ${KILLS} kills`, { timeout: countOf(180_000, 1_800_000) }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-order-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const ledger = new Ledger();
  const port = await listen(ledger);
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(port));
  const ingestPort = await freePort();
  const source = { manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}`, ingestPort };
  let operator = await OperatorProcess.start(source);
  cleanups.push(() => operator.signal("SIGKILL"));
  const total = KEYS * EVENTS_PER_KEY;
  let posted = 0;
  const producers = Promise.all(
    Array.from({ length: PRODUCERS }, (_, producer) =>
      produce(`${operator.ready.ingest}/v1/namespaces/shop/events`, producer, () => {
        posted += 1;
      }),
    ),
  );
  for (let kill = 1; kill <= KILLS; kill++) {
    await until(() => posted >= (total * kill) / (KILLS + 1), { withinMs: 600_000 });
    await operator.signal("SIGKILL");
    operator = await OperatorProcess.start(source);
  }
  await producers;
  await until(() => ledger.ended.size === total, { withinMs: 600_000 });
  expect(await operator.signal("SIGTERM")).toBe(0);
  expect(ledger.outOfOrder).toEqual([]);
  expect(ledger.refused).toBeGreaterThan(total / 20);
});

async function listen(ledger: Ledger): Promise<number> {
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => (text += part));
    request.on("end", () => {
      const { key, n } = (JSON.parse(text) as { data: { key: string; n: number } }).data;
      response.writeHead(ledger.take(key, n)).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanups.push(() => new Promise((done) => server.close(done).closeAllConnections()));
  return (server.address() as AddressInfo).port;
}

/** Posts the events of its keys one after the other, each again until it is taken. */
async function produce(url: string, producer: number, posted: () => void): Promise<void> {
  for (let n = 0; n < EVENTS_PER_KEY; n++) {
    for (let key = producer; key < KEYS; key += PRODUCERS) {
      await post(url, `k${key}`, n);
      posted();
    }
  }
}

async function post(url: string, key: string, n: number): Promise<void> {
  const body = JSON.stringify({ type: "order.changed", data: { key, n } });
  const headers = { "content-type": "application/json", "idempotency-key": `${key}-${n}` };
  for (let turn = 0; turn < 1_200; turn++) {
    const status = await fetch(url, { method: "POST", headers, body }).then(
      async (answer) => (await answer.arrayBuffer(), answer.status),
      () => 503,
    );
    if (status === 202) return;
    if (status !== 503) throw new Error(`answered ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${key} ${n} was never accepted`);
}

function manifests(port: number): string {
  return manifestFile(
    loopbackPolicy(),
    defaultPolicy(
      "shop",
      "maxInFlight: 64",
      "timeout: 5s",
      "circuitBreaker: {consecutiveFailures: 1000}",
      "retry: {maxAttempts: 50, backoff: {policy: Constant, initialDelay: 100ms, maxDelay: 100ms}}",
    ),
    subscription({ name: "ordered", url: `http://127.0.0.1:${port}/hooks`, more: ["ordering: {mode: PerKey, key: data.key}"] }),
  );
}
