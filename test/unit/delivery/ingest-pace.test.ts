import { expect, test } from "vitest";
import { latencyOf } from "../../support/sim/latent-store.ts";
import { outcome, routeOf, World, type Receiver, type WorldOptions } from "../../support/sim/world.ts";

const BUSY = { isBusy: () => true };
const isHung = (uid: string): boolean => uid === "hung";
/** Receivers answer in 10 ms, but for one that never does. */
const RECEIVER: Receiver = ({ route }) => ({ afterMs: isHung(route.subscription.uid) ? 1e9 : 10, outcome: outcome("success") });
const FOUR = { maxInFlight: 4, timeoutMs: 1e8 };

async function started(how: Partial<WorldOptions>): Promise<World> {
  const world = new World({ receiver: RECEIVER, load: BUSY, ...how });
  await world.start([routeOf("quick", { policy: FOUR }), routeOf("hung", { namespace: "other", policy: FOUR })]);
  await world.post();
  await world.clock.advance(15);
  return world;
}

/** How long a post of one event takes, ms of virtual time. */
async function postMs(world: World, namespace = "ns"): Promise<number> {
  const fromMs = world.clock.monotonicMs();
  await world.post(namespace);
  return world.clock.monotonicMs() - fromMs;
}

test("while the loop is busy a request waits until deliveries of its subscription have left memory", async () => {
  const world = await started({ bounds: { paceAt: 4 } });
  // Four have a slot, four wait: the next one comes in when the first of those has been sent.
  await world.posts(8);
  const lane = world.engine.lanes.get("quick");
  expect(lane?.backlog.freshCount).toBe(4);
  const ms = await postMs(world);
  expect(ms).toBeGreaterThan(0);
  expect(ms).toBeLessThanOrEqual(11);
  expect(lane?.backlog.freshCount).toBeLessThanOrEqual(4);
});

test("however many wait, no more are held than may be, and all arrive", async () => {
  const world = await started({ bounds: { paceAt: 4 } });
  let most = 0;
  world.network.onSend = () => (most = Math.max(most, world.engine.lanes.get("quick")?.backlog.freshCount ?? 0));
  const producers = Array.from({ length: 6 }, async () => {
    for (let n = 0; n < 20; n++) await world.post();
  });
  await world.clock.until(Promise.all(producers));
  // Six may ask at once, when there is room for one more.
  expect(most).toBeLessThanOrEqual(4 + 6);
  await world.clock.advance(1_000);
  expect(world.network.sent).toHaveLength(1 + 120);
});

test("where little may be in flight sixteen may wait, and 128 where much may be", async () => {
  for (const [maxInFlight, full] of [
    [4, 16],
    [40, 40],
    [1_000, 128],
  ] as const) {
    const world = new World({ receiver: RECEIVER, load: BUSY });
    await world.start([routeOf("quick", { policy: { maxInFlight, timeoutMs: 1e8 } })]);
    await world.post();
    await world.clock.advance(15);
    await world.posts(maxInFlight + full);
    const lane = world.engine.lanes.get("quick");
    expect(lane?.backlog.freshCount).toBe(full);
    expect(await postMs(world)).toBeGreaterThan(0);
  }
});

test("a commit that takes long holds no request back: what it has not stored yet is not counted", async () => {
  const world = await started({ bounds: { paceAt: 4 }, latency: latencyOf(3) });
  const offered = Array.from({ length: 100 }, () => world.offer());
  const lane = world.engine.lanes.get("quick");
  expect(lane?.backlog.freshReserved).toBe(96);
  await world.clock.until(Promise.all(offered));
});

test("a loop that is not busy lets everything in at once", async () => {
  const world = await started({ bounds: { paceAt: 4 }, load: { isBusy: () => false } });
  for (let n = 0; n < 50; n++) expect(await postMs(world)).toBe(0);
});

test("what waits is let in within 10 ms once the loop is no longer busy, and within 50 ms in any case", async () => {
  let busy = true;
  let afterMs = 10;
  const receiver: Receiver = () => ({ afterMs, outcome: outcome("success") });
  const world = await started({ bounds: { paceAt: 4 }, load: { isBusy: () => busy }, receiver });
  afterMs = 70;
  await world.posts(8);
  expect(await postMs(world)).toBe(50);
  const waits = postMs(world);
  busy = false;
  expect(await waits).toBeLessThanOrEqual(10);
});

test("next to 10,000 that wait for a hung receiver no request waits, neither for that receiver nor for another, however busy the loop is", async () => {
  const world = await started({});
  await world.posts(10_000, "other");
  const hung = world.engine.lanes.get("hung");
  expect(hung?.count.pending).toBe(10_000);
  expect(hung?.backlog.freshReserved).toBeGreaterThan(64);
  await world.clock.advance(1_000);
  for (let n = 0; n < 200; n++) {
    expect(await postMs(world, "other")).toBe(0);
    expect(await postMs(world)).toBe(0);
    if (n % 4 === 3) await world.clock.advance(10);
  }
});

test("a receiver that was quick and hangs: after 250 ms no request waits for it", async () => {
  let hangs = false;
  const world = await started({ receiver: () => ({ afterMs: hangs ? 1e9 : 10, outcome: outcome("success") }), bounds: { paceAt: 4 } });
  await world.posts(12);
  hangs = true;
  await world.clock.advance(270);
  for (let n = 0; n < 20; n++) expect(await postMs(world)).toBe(0);
});

test("requests that wait keep their order, and one whose subscription is deleted is let in", async () => {
  const world = await started({ bounds: { paceAt: 4 } });
  await world.posts(8);
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async (n) => {
    await world.offer();
    order.push(n);
  });
  await world.clock.advance(8);
  world.route([]);
  const ended = world.engine.end("quick", "discard");
  await world.clock.until(Promise.all(waiting));
  await world.clock.until(ended);
  await world.clock.advance(100);
  expect(order).toEqual([1, 2, 3]);
  expect(await world.store.queues()).toEqual([]);
});
