import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { shopManifests } from "../support/manifests.ts";
import { VerifyingReceiver } from "../support/operator/verifying-receiver.ts";
import { until } from "../support/until.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const EVENTS = 10_000;
const KILLS = 5;
const MAX_IN_FLIGHT = 32;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Invariant (promises 1 and 4): an id answered 2xx arrives, whatever kills come between; extra arrivals only for what was in flight at a kill. */
it(`delivers every acknowledged event over ${KILLS} kills`, async () => {
  const directory = mkdtempSync(join(tmpdir(), "postrider-kill-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const receiver = new VerifyingReceiver(SECRET);
  const port = await receiver.start();
  cleanups.push(() => receiver.stop());
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(port));
  const ingestPort = await freePort();
  const start = async () =>
    OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}`, ingestPort });
  let operator = await start();
  cleanups.push(() => operator.signal("SIGKILL"));

  const acknowledged = new Set<string>();
  const producers = produce(`${operator.ready.ingest}/v1/namespaces/shop/events`, acknowledged);
  for (let kill = 1; kill <= KILLS; kill++) {
    await until(() => acknowledged.size >= (EVENTS * kill) / (KILLS + 1));
    await operator.signal("SIGKILL");
    operator = await start();
  }
  await producers;
  expect(acknowledged.size).toBe(EVENTS);
  await receiver.until(() => [...acknowledged].every((id) => receiver.arrivals.has(id)), 60_000);
  expect(await operator.signal("SIGTERM")).toBe(0);

  const missing = [...acknowledged].filter((id) => !receiver.arrivals.has(id));
  const duplicates = [...receiver.arrivals.values()].reduce((sum, count) => sum + count - 1, 0);
  expect(missing).toEqual([]);
  expect(receiver.refused).toBe(0);
  expect(receiver.changedBodies).toBe(0);
  expect(duplicates).toBeLessThanOrEqual(KILLS * MAX_IN_FLIGHT);
}, 180_000);

/** Posts all events with 24 producers; a refused or cut post is tried again under the same idempotency key. */
async function produce(url: string, acknowledged: Set<string>): Promise<void> {
  let next = 0;
  const producer = async (): Promise<void> => {
    for (let n = next++; n < EVENTS; n = next++) acknowledged.add(await postUntilAccepted(url, n));
  };
  await Promise.all(Array.from({ length: 24 }, producer));
}

async function postUntilAccepted(url: string, n: number): Promise<string> {
  for (let turn = 0; turn < 600; turn++) {
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": `key-${n}` },
        body: JSON.stringify({ type: "order.paid", data: { n, filler: "x".repeat(200) } }),
      });
      const told = (await answer.json()) as { id: string };
      if (answer.status === 202) return told.id;
      if (answer.status !== 503) throw new TypeError(`answered ${answer.status}: ${JSON.stringify(told)}`);
    } catch (error) {
      if (error instanceof TypeError && error.message.startsWith("answered")) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`event ${n} was never accepted`);
}

function manifests(port: number): string {
  return shopManifests({ name: "billing", port, secret: SECRET, retryMs: 200, policy: [`maxInFlight: ${MAX_IN_FLIGHT}`, "timeout: 5s"] });
}
