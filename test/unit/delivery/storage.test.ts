import { expect, test } from "vitest";
import type { DeliveryRecord } from "../../../src/store/store.ts";
import { World, outcome, routeOf, type Receiver } from "../../support/sim/world.ts";

const KIB = 1_024;
const EVENTS = 40;
const MINUTE_MS = 60_000;
/** Answers long, and never yes. */
const WORDY: Receiver = () => ({
  afterMs: 5,
  outcome: outcome("server_error", { responseBody: Buffer.alloc(60 * KIB, "x"), responseHeaders: [["x-a", "y".repeat(2 * KIB)]] }),
});
const POLICY = {
  retry: { maxAttempts: 10, delays: { kind: "schedule", delaysMs: [0, 60_000] } },
  autoSuspendAfterMs: 1e12,
  circuitBreaker: { consecutiveFailures: 1_000, openForMs: 1_000, halfOpenProbes: 1 },
  maxInFlight: 64,
} as const;

async function run(storageBytes: number | undefined): Promise<{ readonly world: World; readonly records: readonly DeliveryRecord[] }> {
  const world = new World({ receiver: WORDY, ...(storageBytes === undefined ? {} : { storageBytes }) });
  await world.start([routeOf("a", { policy: POLICY })]);
  await world.posts(EVENTS);
  for (let minutes = 0; minutes < 360; minutes += 1) await world.clock.advance(MINUTE_MS);
  return { world, records: await world.store.listDeliveries({ namespace: "ns", limit: 1_000 }) };
}

test("answers are kept as long as the namespace holds no more than it may", async () => {
  const { world, records } = await run(undefined);
  expect(world.store.usage().of("ns")).toBeGreaterThan(EVENTS * 10 * 60 * KIB);
  const attempts = await world.store.attemptsOf(records[0]?.id ?? 0);
  expect(attempts).toHaveLength(10);
  expect(attempts.at(-1)?.responseBody?.length).toBe(60 * KIB);
});

test("beyond it deliveries go on to their end, and what they write cannot fill the volume: no bodies, then no records of tries that are made again", async () => {
  const limit = 512 * KIB;
  const { world, records } = await run(limit);
  expect(records).toHaveLength(EVENTS);
  for (const { id, state, attempts } of records) {
    expect({ state, attempts }).toEqual({ state: "failed", attempts: 10 });
    const last = (await world.store.attemptsOf(id)).at(-1);
    expect(last).toMatchObject({ attempt: 10, statusCode: 500, responseBody: undefined, responseHeaders: [] });
    expect(last?.message).toContain("limits.storage");
  }
  // One round of answers was under way when it became full.
  expect(world.store.usage().of("ns")).toBeLessThan(limit * 1.25 + EVENTS * 64 * KIB * 0.25 + EVENTS * KIB);
});
