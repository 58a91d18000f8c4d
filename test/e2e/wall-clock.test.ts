import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { shopManifests } from "../support/manifests.ts";
import { VerifyingReceiver } from "../support/operator/verifying-receiver.ts";
import { SteppedWall } from "../support/time/stepped-wall.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const RETRY_MS = 3_000;

const wall = SteppedWall.build();
if (typeof wall === "string") process.stderr.write(`SKIPPED: steps of the wall clock were not tried on the binary: ${wall}\n`);

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** The wall clock of the binary and of its receiver is stepped, as NTP or an administrator does it; the monotonic clock goes on. */
describe.skipIf(typeof wall === "string")("a step of the wall clock while the operator runs", () => {
  it.each([6 * MINUTE, -6 * MINUTE])("of %d ms: signatures are right at once", async (stepMs) => {
    const { receiver, post, step } = await scene();
    const before = await post();
    await receiver.until(() => receiver.arrivals.has(before), 5_000);
    step(stepMs);
    for (let i = 0; i < 5; i++) {
      const id = await post();
      await receiver.until(() => receiver.arrivals.has(id), 2_000);
    }
    expect(receiver.refused).toBe(0);
    for (const skew of receiver.skewsSec) expect(Math.abs(skew)).toBeLessThan(2);
  });

  it.each([5 * DAY, -HOUR, 10 * YEAR, -10 * YEAR])(
    "of %d ms: what was to be tried again is tried when it was due, none ends by its age",
    async (stepMs) => {
      const { receiver, operator, post, step } = await scene();
      receiver.refuseNext = 10;
      const ids = await Promise.all(Array.from({ length: 10 }, () => post()));
      await receiver.until(() => receiver.refuseNext === 0, 5_000);
      step(stepMs);
      await receiver.until(() => ids.every((id) => receiver.arrivals.has(id)), RETRY_MS + 2_000);
      expect(receiver.changedBodies).toBe(0);
      expect(receiver.refused).toBe(0);
      const { items } = await api(operator, "deliveries?limit=100");
      expect(items.filter(({ state }) => state === "Failed")).toEqual([]);
      // The times of attempts are the machine's at that moment.
      const { items: attempts } = await api(operator, "attempts?limit=100");
      const last = attempts.filter(({ outcome }) => outcome === "Success").map(({ time }) => Date.parse(String(time)));
      expect(last).toHaveLength(10);
      for (const atMs of last) expect(Math.abs(atMs - (Date.now() + stepMs))).toBeLessThan(10_000);
      // An event without a time of its own tells the machine's time at its acceptance.
      const id = await post();
      await receiver.until(() => receiver.arrivals.has(id), 2_000);
      const { timestamp } = JSON.parse(receiver.bodies.get(id) ?? "") as { timestamp: string };
      expect(Math.abs(Date.parse(timestamp) - (Date.now() + stepMs))).toBeLessThan(5_000);
    },
  );

  it("says in its log what happens now", async () => {
    const { operator, step } = await scene();
    step(6 * MINUTE);
    // The clocks are compared every 10 s; the log is complete once the process has ended.
    await new Promise((resolve) => setTimeout(resolve, 11_000));
    expect(await operator.signal("SIGTERM")).toBe(0);
    expect(operator.stderr()).toContain("the machine's clock has jumped by +360 s: deliveries and retries keep their due times");
  });
});

describe.skipIf(typeof wall === "string")("a step of the wall clock while nobody runs", () => {
  it.each([-HOUR, 5 * DAY, -10 * YEAR, 10 * YEAR])(
    "of %d ms: retries that were due are sent, none ends by its age untried",
    async (stepMs) => {
      const { receiver, operator, post, step, again } = await scene();
      receiver.refuseNext = 10;
      const ids = await Promise.all(Array.from({ length: 10 }, () => post()));
      await receiver.until(() => receiver.refuseNext === 0, 5_000);
      expect(await operator.signal("SIGTERM")).toBe(0);
      step(stepMs);
      const next = await again();
      await receiver.until(() => ids.every((id) => receiver.arrivals.has(id)), 20_000);
      expect(receiver.refused).toBe(0);
      expect((await api(next, "deliveries?limit=100")).items.filter(({ state }) => state !== "Delivered")).toEqual([]);
    },
  );
});

async function scene() {
  if (typeof wall === "string") throw new Error(wall);
  const directory = mkdtempSync(join(tmpdir(), "postrider-wall-clock-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const receiver = new VerifyingReceiver(SECRET);
  const port = await receiver.start();
  cleanups.push(() => receiver.stop());
  const step = (ms: number): void => {
    wall.set(ms);
    receiver.clockOffsetMs = ms;
  };
  step(0);
  mkdirSync(join(directory, "manifests"));
  writeFileSync(join(directory, "manifests", "all.yaml"), manifests(port));
  let operator: OperatorProcess | undefined;
  const again = async (): Promise<OperatorProcess> => {
    const started = await OperatorProcess.start({
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
      env: wall.env,
    });
    cleanups.push(() => started.signal("SIGKILL"));
    return (operator = started);
  };
  const first = await again();
  const post = async (): Promise<string> => {
    const answer = await fetch(`${(operator ?? first).ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"type":"order.paid","data":{}}',
    });
    expect(answer.status).toBe(202);
    return ((await answer.json()) as { id: string }).id;
  };
  return { receiver, operator: first, post, step, again };
}

async function api(operator: OperatorProcess, what: string): Promise<{ items: Record<string, unknown>[] }> {
  return (await (await fetch(`${operator.ready.api}/v1/namespaces/shop/${what}`)).json()) as { items: Record<string, unknown>[] };
}

function manifests(port: number): string {
  return shopManifests({ name: "orders", port, secret: SECRET, retryMs: RETRY_MS });
}
