import { describe, expect, test } from "vitest";
import { StoreError } from "../../src/store/store.ts";
import { countOf } from "../support/full-run.ts";
import { seededRandom } from "../support/sim/seeded-random.ts";
import { World, outcome, routeOf, type Receiver } from "../support/sim/world.ts";
import { latencyOf } from "../support/sim/latent-store.ts";

const SEEDS = (process.env["POSTRIDER_SIM_SEEDS"] ?? "1,2,3,4,5,6,7,8").split(",").map(Number);
const KEYS = 25;
const EVENTS_PER_KEY = countOf(50, 500);
const LIVES = 4;

interface Life {
  readonly world: World;
  /** Event ids of each key in the order in which they were accepted. */
  readonly accepted: Map<string, string[]>;
  /** Sends of an event whose predecessor had not ended. */
  readonly overtaken: string[];
  readonly sentMax: Map<string, number>;
}

/** Lives of one store: receivers that fail, a store that fails, kills; every event has a key. */
async function simulate(seed: number): Promise<Life> {
  const random = seededRandom(seed);
  const accepted = new Map<string, string[]>();
  const place = new Map<string, { key: string; at: number }>();
  const overtaken: string[] = [];
  const sentMax = new Map<string, number>();
  const checks: Promise<unknown>[] = [];
  let healed = false;
  let faulty = false;
  const receiver: Receiver = () => {
    const afterMs = 1 + random.below(40);
    if (healed || random.next() < 0.6) return { afterMs, outcome: outcome("success") };
    const kind = random.below(10);
    if (kind === 0) return { afterMs: 9_999, outcome: outcome("success") };
    if (kind === 1) return { afterMs, outcome: outcome("client_error", { statusCode: 400 }) };
    if (kind === 2) return { afterMs, outcome: outcome("client_error", { statusCode: 429, retryAfterMs: 300 }) };
    return { afterMs, outcome: outcome(kind < 6 ? "server_error" : "connect_error") };
  };
  const retry = { maxAttempts: 3, delays: { kind: "backoff", growth: "Exponential", initialMs: 100, maxMs: 2_000 } as const };
  const circuitBreaker = { consecutiveFailures: 30, openForMs: 500, halfOpenProbes: 1 };
  const route = routeOf("s", { orderingKey: "subject", policy: { maxInFlight: 16, timeoutMs: 1_000, retry, circuitBreaker } });
  let previous: World | undefined;
  for (let life = 0; life < LIVES; life++) {
    const world: World = new World({
      latency: latencyOf(seed * 10 + life),
      receiver,
      seed: seed * 10 + life,
      ...(previous === undefined
        ? { fault: () => (faulty && random.next() < 0.3 ? new StoreError("unavailable", "simulated") : undefined) }
        : { store: previous.store, clock: previous.clock }),
    });
    world.network.onSend = ({ event }) => {
      const { key, at } = place.get(event.id) ?? { key: "", at: 0 };
      sentMax.set(key, Math.max(sentMax.get(key) ?? 0, at));
      const before = accepted.get(key)?.[at - 1];
      if (before === undefined) return;
      checks.push(
        world.store.deliveriesOf(before).then(([record]) => {
          if (record?.state !== "delivered" && record?.state !== "failed") overtaken.push(`${key} ${at} ${record?.state ?? ""}`);
        }),
      );
    };
    await world.start([route]);
    for (let n = (KEYS * EVENTS_PER_KEY) / LIVES; n > 0; n--) {
      // Some keys are far busier than others: the busiest alone fills windows.
      const key = `k${Math.floor(KEYS * random.next() ** 3)}`;
      faulty = random.next() < 0.05;
      const event = await world.post("ns", undefined, key);
      if (event !== undefined) {
        const ids = accepted.get(key) ?? [];
        place.set(event.id, { key, at: ids.push(event.id) - 1 });
        accepted.set(key, ids);
      }
      if (random.next() < 0.25) await world.clock.advance(random.below(40));
    }
    faulty = false;
    previous = world;
    if (life < LIVES - 1) world.kill();
  }
  const last = previous!;
  healed = true;
  await last.clock.advance(1_800_000);
  await Promise.all(checks);
  return { world: last, accepted, overtaken, sentMax };
}

describe.each(SEEDS)("seed %i", (seed) => {
  test(
    `order per key: ${KEYS} keys x ${EVENTS_PER_KEY} events, errors, kills: no event goes out before its predecessor has ended`,
    {
      timeout: 600_000,
    },
    async () => {
      const { world, accepted, overtaken, sentMax } = await simulate(seed);
      expect(overtaken).toEqual([]);
      const ids = [...accepted.values()].flat();
      expect(ids.length).toBeGreaterThan(KEYS * EVENTS_PER_KEY * 0.9);
      const states = await Promise.all(ids.map(async (id) => (await world.store.deliveriesOf(id))[0]?.state));
      expect(new Set(states)).toEqual(new Set(["delivered", "failed"]));
      for (const [key, list] of accepted) expect([key, sentMax.get(key)]).toEqual([key, list.length - 1]);
    },
  );
});

test("a slow key holds back nobody but itself, however long its line", { timeout: 60_000 }, async () => {
  const receiver: Receiver = ({ event }) => ({ afterMs: event.subject === "slow" ? 5_000 : 10, outcome: outcome("success") });
  const world = new World({ latency: latencyOf(1), receiver });
  await world.start([routeOf("s", { orderingKey: "subject", policy: { maxInFlight: 4 } })]);
  await world.posts(1_000, "ns", () => "slow");
  const late: number[] = [];
  for (let i = 0; i < 100; i++) {
    await world.post("ns", undefined, `quick-${i}`);
    await world.clock.advance(20);
  }
  for (const sent of world.network.sent.slice(1)) if (sent.latencyMs > 100) late.push(sent.latencyMs);
  expect(world.network.sent.length).toBeGreaterThanOrEqual(101);
  expect(late).toEqual([]);
});

test("events without a value for the key keep no order", async () => {
  const world = new World({ latency: latencyOf(1), receiver: () => ({ afterMs: 1_000, outcome: outcome("success") }) });
  await world.start([routeOf("s", { orderingKey: "subject", policy: { maxInFlight: 8 } })]);
  await world.posts(5);
  await world.clock.advance(10);
  expect(world.network.total).toBe(5);
});

test("a suspended or paused queue keeps its order, and what is too old ends in it", { timeout: 60_000 }, async () => {
  const maxAgeMs = 60_000;
  const route = (suspend: boolean) => routeOf("s", { orderingKey: "subject", suspend, policy: { maxInFlight: 8, retry: { maxAgeMs } } });
  const world = new World({ latency: latencyOf(1), receiver: () => ({ afterMs: 5, outcome: outcome("success") }) });
  await world.start([route(true)]);
  const old: string[] = [];
  for (let i = 0; i < 300; i++) old.push((await world.post("ns", undefined, "k"))!.id);
  await world.clock.advance(maxAgeMs + 30_000);
  const young = [(await world.post("ns", undefined, "k"))!.id, (await world.post("ns", undefined, "k"))!.id];
  await world.clock.advance(5_000);
  expect(world.network.sent).toEqual([]);
  const reasons = await Promise.all(old.map(async (id) => (await world.store.deliveriesOf(id))[0]?.reason));
  expect(new Set(reasons)).toEqual(new Set(["BySpec"]));
  world.route([route(false)]);
  await world.clock.advance(1_000);
  expect(world.network.sent.map((sent) => sent.eventId)).toEqual(young);
});

test("retries that the budget holds back hide no first sends", { timeout: 60_000 }, async () => {
  const receiver: Receiver = ({ event }) => ({
    afterMs: 5,
    outcome: outcome(event.subject?.startsWith("bad") === true ? "server_error" : "success"),
  });
  const world = new World({ latency: latencyOf(1), receiver });
  const retry = { maxAttempts: 100, delays: { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 } as const };
  const circuitBreaker = { consecutiveFailures: 1e6, openForMs: 1_000, halfOpenProbes: 1 };
  await world.start([routeOf("s", { orderingKey: "subject", policy: { maxInFlight: 64, retry, circuitBreaker } })]);
  await world.posts(400, "ns", (i) => `bad-${i}`);
  await world.clock.advance(30_000);
  const retried = world.network.sent.length;
  await world.posts(50, "ns", (i) => `good-${i}`);
  await world.clock.advance(2_000);
  const firsts = world.network.sent.slice(retried).filter((sent) => sent.attempt === 1);
  expect(firsts).toHaveLength(50);
  // The budget does hold: four hundred retries a second would be due.
  expect(world.network.sent.length - retried - 50).toBeLessThanOrEqual(50 * 0.2 + 10 * 2 + 1);
});
