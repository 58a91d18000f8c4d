import { expect, test } from "vitest";
import { World, outcome, routeOf, type PolicyChange, type Receiver } from "../support/sim/world.ts";
import { latencyOf } from "../support/sim/latent-store.ts";

const OK: Receiver = () => ({ afterMs: 10, outcome: outcome("success") });
const BUSY: Receiver = () => ({ afterMs: 10, outcome: outcome("server_error") });
const NO_BREAKER = { consecutiveFailures: 1e6, openForMs: 1_000, halfOpenProbes: 1 };

function retries(initialMs: number, maxAttempts: number, maxAgeMs = 1e9): NonNullable<PolicyChange["retry"]> {
  return { maxAttempts, maxAgeMs, delays: { kind: "backoff", growth: "Constant", initialMs, maxMs: initialMs } };
}

async function statesOf(world: World, ids: readonly string[]): Promise<(string | undefined)[]> {
  return Promise.all(ids.map(async (id) => (await world.store.deliveriesOf(id))[0]?.reason));
}

async function posts(world: World, count: number): Promise<string[]> {
  return (await world.posts(count)).map(({ id }) => id);
}

/** Every delivery sent at most once per attempt number, none missing. */
function expectNoneLostOrTwice(world: World, ids: readonly string[]): void {
  const sent = world.network.sent.map((one) => `${one.eventId} ${one.attempt}`);
  expect(new Set(sent).size).toBe(sent.length);
  expect(new Set(world.network.sent.map((one) => one.eventId))).toEqual(new Set(ids));
}

test("fewer attempts or a shorter age end what waits, more let it go on", async () => {
  const world = new World({ latency: latencyOf(1), receiver: BUSY });
  await world.start([routeOf("s", { policy: { circuitBreaker: NO_BREAKER, retry: retries(1_000, 3) } })]);
  const ids = await posts(world, 5);
  await world.clock.advance(1_500);
  expect(world.network.sent).toHaveLength(10);
  world.route([routeOf("s", { policy: { circuitBreaker: NO_BREAKER, retry: retries(1_000, 2) } })]);
  await world.clock.advance(5_000);
  expect(world.network.sent).toHaveLength(10);
  expect(new Set(await statesOf(world, ids))).toEqual(new Set(["AttemptsExhausted"]));

  const more = await posts(world, 1);
  await world.clock.advance(500);
  world.route([routeOf("s", { policy: { circuitBreaker: NO_BREAKER, retry: retries(1_000, 4) } })]);
  await world.clock.advance(20_000);
  expect(world.network.sent.filter((sent) => sent.eventId === more[0])).toHaveLength(4);

  const aging = await posts(world, 1);
  await world.clock.advance(500);
  world.route([routeOf("s", { policy: { circuitBreaker: NO_BREAKER, retry: retries(1_000, 4, 700) } })]);
  await world.clock.advance(20_000);
  expect(world.network.sent.filter((sent) => sent.eventId === aging[0])).toHaveLength(1);
  expect(await statesOf(world, aging)).toEqual(["AgeExceeded"]);
  expectNoneLostOrTwice(world, [...ids, ...more, ...aging]);
});

test("due times already stored stand when the schedule changes", async () => {
  const world = new World({ latency: latencyOf(1), receiver: BUSY });
  await world.start([routeOf("s", { policy: { retry: retries(60_000, 5) } })]);
  await posts(world, 1);
  await world.clock.advance(1_000);
  world.route([routeOf("s", { policy: { retry: retries(100, 5) } })]);
  await world.clock.advance(50_000);
  expect(world.network.sent).toHaveLength(1);
  await world.clock.advance(20_000);
  expect(world.network.sent).toHaveLength(5);
});

test("a rate limit set, loosened and lifted applies to a backlog that waits in the store", { timeout: 60_000 }, async () => {
  const world = new World({ latency: latencyOf(1), receiver: OK });
  const limited = (requests: number) => routeOf("s", { policy: { rateLimit: { requests, perMs: 1_000, burst: requests } } });
  await world.start([limited(10)]);
  const ids = await posts(world, 1_000);
  await world.clock.advance(10_000);
  const slow = world.network.sent.length;
  expect(slow).toBeGreaterThanOrEqual(100);
  expect(slow).toBeLessThanOrEqual(112);
  world.route([limited(50)]);
  await world.clock.advance(5_000);
  const faster = world.network.sent.length - slow;
  expect(faster).toBeGreaterThanOrEqual(240);
  expect(faster).toBeLessThanOrEqual(302);
  world.route([routeOf("s")]);
  await world.clock.advance(3_000);
  expect(world.network.sent).toHaveLength(1_000);
  expectNoneLostOrTwice(world, ids);
});

test("maxInFlight lowered and raised under a backlog holds from the next send", { timeout: 60_000 }, async () => {
  const world = new World({ latency: latencyOf(1), receiver: () => ({ afterMs: 100, outcome: outcome("success") }) });
  await world.start([routeOf("s", { policy: { maxInFlight: 20 } })]);
  const ids = await posts(world, 800);
  await world.clock.advance(500);
  expect(world.network.inFlight.get("s")).toBe(20);
  world.route([routeOf("s", { policy: { maxInFlight: 3 } })]);
  await world.clock.advance(400);
  expect(world.network.inFlight.get("s")).toBe(3);
  world.route([routeOf("s", { policy: { maxInFlight: 40 } })]);
  await world.clock.advance(400);
  expect(world.network.inFlight.get("s")).toBe(40);
  await world.clock.advance(10_000);
  expect(world.network.sent).toHaveLength(800);
  expectNoneLostOrTwice(world, ids);
});

test("a circuit breaker made stricter opens at the next failure; what waits behind it is not lost", async () => {
  let healthy = false;
  const world = new World({
    latency: latencyOf(1),
    receiver: () => ({ afterMs: 10, outcome: outcome(healthy ? "success" : "server_error") }),
  });
  const policy = (consecutiveFailures: number): PolicyChange => ({
    circuitBreaker: { consecutiveFailures, openForMs: 5_000, halfOpenProbes: 1 },
    retry: retries(500, 50),
  });
  await world.start([routeOf("s", { policy: policy(100) })]);
  const ids = await posts(world, 10);
  await world.clock.advance(100);
  expect(world.engine.health("s")?.endpoint.reason).not.toBe("CircuitOpen");
  world.route([routeOf("s", { policy: policy(5) })]);
  await world.clock.advance(1_000);
  const sent = world.network.sent.length;
  await world.clock.advance(3_000);
  expect(world.network.sent).toHaveLength(sent);
  healthy = true;
  await world.clock.advance(60_000);
  expect(new Set(await statesOf(world, ids))).toEqual(new Set(["Delivered"]));
});

test(
  "suspended and resumed again and again under load: nothing is lost, nothing comes twice, nothing goes out meanwhile",
  { timeout: 60_000 },
  async () => {
    const world = new World({ latency: latencyOf(1), receiver: () => ({ afterMs: 30, outcome: outcome("success") }) });
    await world.start([routeOf("s")]);
    const ids: string[] = [];
    for (let round = 0; round < 20; round++) {
      const suspend = round % 2 === 1;
      world.route([routeOf("s", { suspend })]);
      // The table is taken up after a moment; attempts under way finish.
      await world.clock.advance(100);
      const before = world.network.sent.length;
      for (let i = 0; i < 50; i++) {
        ids.push((await world.post())!.id);
        await world.clock.advance(5);
      }
      if (suspend) expect(world.network.sent.length).toBe(before);
      else expect(world.network.sent.length).toBeGreaterThan(before);
    }
    world.route([routeOf("s")]);
    await world.clock.advance(60_000);
    expect(new Set(await statesOf(world, ids))).toEqual(new Set(["Delivered"]));
    expect(world.network.sent).toHaveLength(ids.length);
    expectNoneLostOrTwice(world, ids);
  },
);
