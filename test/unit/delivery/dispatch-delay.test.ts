import { expect, test } from "vitest";
import { World, outcome, routeOf, type Receiver } from "../../support/sim/world.ts";

const OK: Receiver = () => ({ afterMs: 5, outcome: outcome("success") });
const after =
  (ms: number): Receiver =>
  () => ({ afterMs: ms, outcome: outcome("success") });

/** How many attempts of a kind began, and how many of them later than a second after they could have. */
async function delays(world: World, kind: string, receiver: string): Promise<{ count: number; late: number }> {
  const text = await world.metrics.expose();
  const value = (name: string, more: string): number =>
    Number(
      new RegExp(`^postrider_dispatch_delay_seconds_${name}\\{${more}kind="${kind}",receiver="${receiver}"\\} (\\d+)$`, "m").exec(
        text,
      )?.[1],
    );
  const count = value("count", "");
  return { count, late: count - value("bucket", 'le="1.0",') };
}

test("what is sent at once is not late, however long its receiver takes", async () => {
  const world = new World({ receiver: after(900) });
  await world.start([routeOf("a")]);
  for (let i = 0; i < 3; i++) await world.post();
  await world.clock.advance(5_000);
  expect(await delays(world, "first", "well")).toEqual({ count: 3, late: 0 });
});

test("what waits for its receiver, its rate or its maxInFlight is not late by us", async () => {
  const world = new World({ receiver: after(900) });
  const rateLimit = { requests: 1, perMs: 3_000, burst: 1 };
  await world.start([routeOf("narrow", { policy: { maxInFlight: 1 } }), routeOf("rated", { policy: { rateLimit } })]);
  for (let i = 0; i < 8; i++) await world.post();
  await world.clock.advance(60_000);
  expect(world.engine.pending("narrow") + world.engine.pending("rated")).toBe(0);
  expect(await delays(world, "first", "well")).toEqual({ count: 16, late: 0 });
});

test("what waits for the end of a suspension is not late by us", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a", { suspend: true })]);
  await world.post();
  await world.clock.advance(60_000);
  expect(await delays(world, "first", "well")).toEqual({ count: 0, late: 0 });
  world.route([routeOf("a")]);
  await world.clock.advance(10_000);
  expect(await delays(world, "first", "well")).toEqual({ count: 1, late: 0 });
});

test("what waits for a pause that the receiver asked for is not late by us", async () => {
  let answers = 0;
  const world = new World({
    receiver: () => ({
      afterMs: 5,
      outcome: answers++ === 0 ? outcome("client_error", { statusCode: 429, retryAfterMs: 30_000 }) : outcome("success"),
    }),
  });
  await world.start([routeOf("a")]);
  await world.post();
  await world.clock.advance(1_000);
  await world.post();
  await world.clock.advance(120_000);
  expect(world.engine.pending("a")).toBe(0);
  const [first, retry] = [await delays(world, "first", "well"), await delays(world, "retry", "well")];
  expect([first, retry]).toEqual([
    { count: 2, late: 0 },
    { count: 1, late: 0 },
  ]);
});

test("what waits because our slots are all taken is late by us", async () => {
  const world = new World({ receiver: after(4_000), slotsMax: 2 });
  await world.start([routeOf("a")]);
  for (let i = 0; i < 6; i++) await world.post();
  await world.clock.advance(1_500);
  expect(await world.metrics.expose()).toMatch(/^postrider_oldest_due_age_seconds 1\.\d+$/m);
  await world.clock.advance(60_000);
  expect(world.engine.pending("a")).toBe(0);
  const [well, slow] = [await delays(world, "first", "well"), await delays(world, "first", "slow")];
  expect(well.late + slow.late).toBeGreaterThan(2);
  expect(await world.metrics.expose()).toMatch(/^postrider_oldest_due_age_seconds 0$/m);
});

test("what waits because the store is slow is late by us", async () => {
  const world = new World({ receiver: OK, latency: { random: () => 0.9, readMs: 1, writeMs: 2_000 } });
  await world.start([routeOf("a")]);
  await world.post();
  await world.clock.advance(10_000);
  expect(await delays(world, "first", "well")).toEqual({ count: 1, late: 1 });
});

test("a receiver that fails has a series of its own", async () => {
  const world = new World({ receiver: () => ({ afterMs: 5, outcome: outcome("server_error") }) });
  const retry = { delays: { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 } as const, jitterPercent: 0 };
  await world.start([routeOf("a", { policy: { retry } })]);
  await world.post();
  await world.clock.advance(10_000);
  expect((await delays(world, "retry", "failing")).count).toBeGreaterThan(4);
  expect((await delays(world, "retry", "well")).count).toBe(2);
});
