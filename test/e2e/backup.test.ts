import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { shopManifests } from "../support/manifests.ts";
import { VerifyingReceiver } from "../support/operator/verifying-receiver.ts";
import { until } from "../support/until.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const SNAPSHOTS = 5;
const EVENTS_EACH = 400;
const PRODUCERS = 16;

const cleanups: (() => void | Promise<unknown>)[] = [];
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "postrider-backup-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What was true when a copy was made. */
interface Copy {
  readonly store: string;
  /** Answered 2xx by then. */
  readonly acknowledged: ReadonlySet<string>;
  /** Arrived by then. */
  readonly arrived: ReadonlySet<string>;
}

async function receiver(): Promise<{ receiver: VerifyingReceiver; manifests: string }> {
  const one = new VerifyingReceiver(SECRET);
  const port = await one.start();
  cleanups.push(() => one.stop());
  const manifests = join(directory, `manifests-${port}`);
  mkdirSync(manifests);
  writeFileSync(
    join(manifests, "all.yaml"),
    shopManifests({ name: "billing", port, secret: SECRET, retryMs: 200, policy: ["maxInFlight: 8"] }),
  );
  return { receiver: one, manifests };
}

async function started(manifests: string, store: string): Promise<OperatorProcess> {
  const operator = await OperatorProcess.start({ manifests, store: `sqlite:${store}` });
  cleanups.push(() => operator.signal("SIGKILL"));
  return operator;
}

/** Posts until it is told to stop. */
async function produce(url: string, acknowledged: Set<string>, goesOn: () => boolean): Promise<void> {
  const producer = async (): Promise<void> => {
    while (goesOn()) {
      const body = JSON.stringify({ type: "order.paid", data: { filler: "x".repeat(300) } });
      const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
      if (answer.status === 202) acknowledged.add(((await answer.json()) as { id: string }).id);
      else await answer.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: PRODUCERS }, producer));
}

/** Every thread stands still: what a snapshot of the volume sees is one moment, in the middle of whatever was being written. */
async function frozen(pid: number, look: () => void): Promise<void> {
  process.kill(pid, "SIGSTOP");
  try {
    const isStopped = (): boolean => /^\d+ \(.*\) T/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
    await until(isStopped);
    look();
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

/** Opens a copy with a receiver of its own: whatever had been answered 2xx has arrived before or arrives now, and every signature is good. */
async function restored({ store, acknowledged, arrived }: Copy): Promise<{ sent: number; missing: number }> {
  const db = new DatabaseSync(join(store, "postrider.db"));
  expect(db.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
  db.close();
  const { receiver: other, manifests } = await receiver();
  const operator = await started(manifests, store);
  const missing = (): string[] => [...acknowledged].filter((id) => !arrived.has(id) && !other.arrivals.has(id));
  await other.until(() => missing().length === 0, 30_000);
  const { items } = (await (await fetch(`${operator.ready.api}/v1/namespaces/shop/deliveries?limit=1`)).json()) as { items: unknown[] };
  expect(items).toHaveLength(1);
  expect(other.refused + other.changedBodies).toBe(0);
  expect(await operator.signal("SIGTERM")).toBe(0);
  return { sent: other.arrivals.size, missing: missing().length };
}

describe("a copy of the store", () => {
  it(`taken as a snapshot of the volume ${SNAPSHOTS} times under load opens and lacks nothing that was answered 2xx`, async () => {
    const { receiver: first, manifests } = await receiver();
    const store = join(directory, "store");
    const operator = await started(manifests, store);
    const acknowledged = new Set<string>();
    const copies: Copy[] = [];
    const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
    const producers = produce(url, acknowledged, () => copies.length < SNAPSHOTS);
    for (let taken = 1; taken <= SNAPSHOTS; taken++) {
      await until(() => acknowledged.size >= taken * EVENTS_EACH);
      await frozen(operator.ready.pid, () => {
        const copy = join(directory, `copy-${taken}`);
        cpSync(store, copy, { recursive: true });
        copies.push({ store: copy, acknowledged: new Set(acknowledged), arrived: new Set(first.arrivals.keys()) });
      });
    }
    await producers;
    await operator.signal("SIGKILL");
    const told: string[] = [];
    for (const copy of copies) {
      expect(copy.acknowledged.size).toBeGreaterThanOrEqual(EVENTS_EACH);
      const { sent, missing } = await restored(copy);
      expect(missing).toBe(0);
      told.push(`${copy.acknowledged.size} answered, ${copy.arrived.size} arrived before, ${sent} sent after`);
    }
    process.stdout.write(`${told.join("\n")}\n`);
  }, 180_000);

  it("made while Postrider is stopped opens as well, and sends again what was delivered since, with the same id and body", async () => {
    const { receiver: first, manifests } = await receiver();
    const file = join(manifests, "all.yaml");
    const running = readFileSync(file, "utf8");
    const store = join(directory, "store");
    // Everything is still owed when the copy is made.
    writeFileSync(file, running.replace(/^spec:\n( +)events:/m, "spec:\n$1suspend: true\n$1events:"));
    let operator = await started(manifests, store);
    const acknowledged = new Set<string>();
    await produce(`${operator.ready.ingest}/v1/namespaces/shop/events`, acknowledged, () => acknowledged.size < EVENTS_EACH);
    expect(await operator.signal("SIGTERM")).toBe(0);
    expect(first.arrivals.size).toBe(0);
    const copy = join(directory, "copy");
    cpSync(store, copy, { recursive: true });
    writeFileSync(file, running);
    const arrived = (times: number): boolean => [...acknowledged].every((id) => first.arrivals.get(id) === times);
    operator = await started(manifests, store);
    await first.until(() => arrived(1), 30_000);
    expect(await operator.signal("SIGTERM")).toBe(0);
    // The volume is lost; the copy takes its place, in front of the same receiver.
    operator = await started(manifests, copy);
    await first.until(() => arrived(2), 30_000);
    expect(first.refused + first.changedBodies).toBe(0);
  }, 120_000);
});
