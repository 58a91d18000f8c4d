import { expect, test } from "vitest";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { INTERRUPTED_MESSAGE } from "../../../src/store/interrupted-attempt.ts";
import { StoreError, type AcceptRequest, type AcceptResult, type NewDelivery } from "../../../src/store/store.ts";
import { outcome, routeOf, World, type Receiver, type WorldOptions } from "../../support/sim/world.ts";

/** A receiver that takes 20 ms, and two at once: what comes in faster waits for a slot of a lane that moves. */
const QUICK: Receiver = () => ({ afterMs: 20, outcome: outcome("success") });
const TWO_AT_ONCE = { maxInFlight: 2, timeoutMs: 600_000 };
const UNSENT = { attempts: 0, crashes: 0 };

/** A world that is busy: `waiting` deliveries of `a` wait for a slot, and the last two attempts have not ended. */
async function busy(waiting: number, how: Partial<WorldOptions> & { uid?: string } = {}): Promise<{ world: World; ids: string[] }> {
  const world = new World({ receiver: QUICK, ...how });
  await world.start([routeOf(how.uid ?? "a", { policy: TWO_AT_ONCE })]);
  await world.post();
  await world.clock.advance(25);
  const events = await world.posts(2 + waiting);
  return { world, ids: events.map(({ id }) => id) };
}

const statesOf = async (world: World, ids: readonly string[]) =>
  (await Promise.all(ids.map((id) => world.store.deliveriesOf(id)))).flat().map(({ state }) => state);

test("what waits for a slot of a receiver that answers is claimed with its accept: no claim of its own is written", async () => {
  const writes: string[] = [];
  const { world, ids } = await busy(6, { fault: (operation) => void writes.push(operation) });
  expect(await statesOf(world, ids)).toEqual(ids.map(() => "claimed"));
  await world.clock.advance(200);
  expect(await statesOf(world, ids)).toEqual(ids.map(() => "delivered"));
  expect(world.network.sent.map(({ attempt }) => attempt)).toEqual([1, ...ids.map(() => 1)]);
  expect(world.network.inFlightMax.get("a")).toBe(2);
  expect(writes.filter((operation) => operation === "claim")).toEqual([]);
});

test("where nothing is known of the receiver, or where it hangs, what waits is not claimed", async () => {
  const world = new World({ receiver: () => ({ afterMs: 60_000, outcome: outcome("success") }) });
  await world.start([routeOf("a", { policy: TWO_AT_ONCE })]);
  const first = await world.posts(5);
  expect(
    await statesOf(
      world,
      first.map(({ id }) => id),
    ),
  ).toEqual(["claimed", "claimed", "ready", "ready", "ready"]);
  // Two have come to their end, and the one that waits longest has waited for a minute.
  await world.clock.advance(60_010);
  const later = await world.post();
  expect(await statesOf(world, [later?.id ?? ""])).toEqual(["ready"]);
});

test("a receiver that begins to hang: what is claimed ahead stops growing, and everything arrives", async () => {
  let hangs = false;
  const receiver: Receiver = () => ({ afterMs: hangs ? 1_000 : 20, outcome: outcome("success") });
  const { world } = await busy(0, { receiver });
  hangs = true;
  await world.posts(5);
  await world.clock.advance(400);
  const late = await world.posts(5);
  expect(
    await statesOf(
      world,
      late.map(({ id }) => id),
    ),
  ).toEqual(late.map(() => "ready"));
  await world.clock.advance(20_000);
  expect(world.engine.pending("a")).toBe(0);
  expect(new Set(world.network.sent.map(({ eventId }) => eventId)).size).toBe(world.network.sent.length);
});

test("of all that may be claimed ahead one subscription holds at most half of what is free", async () => {
  const { world, ids } = await busy(20, { bounds: { aheadMax: 9 } });
  const states = await statesOf(world, ids);
  // 0 < 9/2, 1 < 8/2, 2 < 7/2: three; two more have a slot.
  expect(states.filter((state) => state === "claimed")).toHaveLength(2 + 3);
  await world.clock.advance(2_000);
  expect(await statesOf(world, ids)).toEqual(ids.map(() => "delivered"));
  // All of it is free again.
  await world.post();
  await world.clock.advance(25);
  expect(
    (
      await statesOf(
        world,
        (await world.posts(20)).map(({ id }) => id),
      )
    ).filter((state) => state === "claimed"),
  ).toHaveLength(5);
});

test("a crash: what was claimed ahead is reported as unknown, retried, and arrives; no socket was opened for it", async () => {
  const { world, ids } = await busy(6);
  const sent = new Set(world.network.sent.map(({ eventId }) => eventId));
  expect(ids.filter((id) => !sent.has(id))).toHaveLength(6);
  world.kill();
  const next = new World({ receiver: QUICK, store: world.store, clock: world.clock });
  await next.start([routeOf("a", { policy: TWO_AT_ONCE })]);
  await next.clock.advance(1_000);
  for (const id of ids) {
    const [record] = await next.store.deliveriesOf(id);
    expect(record).toMatchObject({ state: "delivered", attempts: 2, crashes: 1 });
    expect(await next.store.attemptsOf(record?.id ?? 0)).toMatchObject([
      { attempt: 1, outcome: "unknown", message: INTERRUPTED_MESSAGE },
      { attempt: 2, outcome: "success" },
    ]);
  }
  expect(next.engine.pending("a")).toBe(0);
});

test("a delivery with one attempt that was claimed ahead at a crash is sent all the same", async () => {
  const policy = { ...TWO_AT_ONCE, retry: { maxAttempts: 1 } };
  const world = new World({ receiver: QUICK });
  await world.start([routeOf("a", { policy })]);
  await world.post();
  await world.clock.advance(25);
  const events = await world.posts(6);
  world.kill();
  const next = new World({ receiver: QUICK, store: world.store, clock: world.clock });
  await next.start([routeOf("a", { policy })]);
  await next.clock.advance(1_000);
  expect(new Set(next.network.sent.map(({ eventId }) => eventId))).toEqual(new Set(events.map(({ id }) => id)));
});

test("crash after crash: none that was claimed ahead in company is quarantined", async () => {
  let { world, ids } = await busy(6);
  for (let life = 0; life < 6; life++) {
    world.kill();
    const hangs: Receiver = () => ({ afterMs: 1e6, outcome: outcome("success") });
    world = new World({ receiver: life === 5 ? QUICK : hangs, store: world.store, clock: world.clock });
    await world.start([routeOf("a", { policy: TWO_AT_ONCE })]);
    await world.clock.advance(2_000);
  }
  expect(await statesOf(world, ids)).toEqual(ids.map(() => "delivered"));
});

test("a pause takes the claims back: no attempt, no crash, due in the store, nothing in memory", async () => {
  let isBusy = false;
  const told = outcome("client_error", { statusCode: 429, retryAfterMs: 60_000 });
  const { world, ids } = await busy(6, { receiver: () => ({ afterMs: 20, outcome: isBusy ? told : outcome("success") }) });
  isBusy = true;
  await world.clock.advance(45);
  const lane = world.engine.lanes.get("a");
  expect([lane?.backlog.freshCount, lane?.backlog.freshReserved, lane?.backlog.freshClaimed]).toEqual([0, 0, 0]);
  const records = (await Promise.all(ids.slice(2).map((id) => world.store.deliveriesOf(id)))).flat();
  expect(records).toMatchObject(records.map(() => ({ state: "ready" })));
  expect(records.filter(({ attempts }) => attempts > 0).length).toBeLessThanOrEqual(2);
  isBusy = false;
  await world.clock.advance(120_000);
  expect(await statesOf(world, ids)).toEqual(ids.map(() => "delivered"));
});

test("a drain takes the claims back before it is over, also of what is committed meanwhile", async () => {
  const { world, ids } = await busy(6);
  let isIdle = false;
  const offered = world.offer();
  void world.engine.drain(25_000).then(() => (isIdle = true));
  const late = await offered;
  await world.clock.advance(1_000);
  expect(isIdle).toBe(true);
  const unsent = [...ids.slice(2), late?.id ?? ""];
  for (const id of unsent) expect(await world.store.deliveriesOf(id)).toMatchObject([{ state: "ready", ...UNSENT }]);
  expect(world.network.sent).toHaveLength(3);
  const next = new World({ receiver: QUICK, store: world.store, clock: world.clock });
  await next.start([routeOf("a", { policy: TWO_AT_ONCE })]);
  await next.clock.advance(1_000);
  expect(next.network.sent.map(({ attempt }) => attempt)).toEqual(unsent.map(() => 1));
});

test("a deleted subscription: what was claimed ahead and not sent ends without an attempt", async () => {
  const { world, ids } = await busy(6);
  const offered = world.offer();
  const ended = world.engine.end("a", "dead-letter");
  const late = await offered;
  await world.clock.advance(100);
  expect(await ended).toBeGreaterThanOrEqual(6);
  for (const id of [...ids.slice(2), late?.id ?? ""]) {
    expect(await world.store.deliveriesOf(id)).toMatchObject([{ state: "failed", reason: "SubscriptionDeleted", ...UNSENT }]);
  }
  expect(world.network.sent).toHaveLength(3);
  expect(world.engine.health("a")).toBeUndefined();
});

test("an age that is used up while a short pause holds it back: no attempt", async () => {
  let isBusy = false;
  const told = outcome("client_error", { statusCode: 429, retryAfterMs: 4_500 });
  const receiver: Receiver = () => ({ afterMs: 20, outcome: isBusy ? told : outcome("success") });
  const world = new World({ receiver });
  await world.start([routeOf("a", { policy: { ...TWO_AT_ONCE, retry: { maxAgeMs: 1_000 } } })]);
  await world.post();
  await world.clock.advance(25);
  const events = await world.posts(8);
  isBusy = true;
  await world.clock.advance(60_000);
  const records = (await Promise.all(events.slice(4).map(({ id }) => world.store.deliveriesOf(id)))).flat();
  expect(records).toMatchObject(records.map(() => ({ state: "failed", reason: "RetryAfter", ...UNSENT })));
  for (const { id } of records) expect(await world.store.attemptsOf(id)).toEqual([]);
  expect(world.engine.pending("a")).toBe(0);
});

test.each(["unavailable", "unknown"] as const)("claims that cannot be taken back (%s) are not lost", async (code) => {
  let isBroken = false;
  const fault: NonNullable<WorldOptions["fault"]> = (operation) =>
    isBroken && operation === "complete" ? new StoreError(code, "off") : undefined;
  let isBusy = false;
  const told = outcome("client_error", { statusCode: 429, retryAfterMs: 8_000 });
  const { world, ids } = await busy(6, { fault, receiver: () => ({ afterMs: 20, outcome: isBusy ? told : outcome("success") }) });
  [isBusy, isBroken] = [true, true];
  await world.clock.advance(3_000);
  [isBusy, isBroken] = [false, false];
  await world.clock.advance(180_000);
  expect(await statesOf(world, ids)).toEqual(ids.map(() => "delivered"));
  expect(world.engine.pending("a")).toBe(0);
});

test("an accept that fails gives back what it was promised", async () => {
  let isBroken = false;
  const { world } = await busy(0, {
    fault: (operation) => (isBroken && operation === "accept" ? new StoreError("unavailable", "off") : undefined),
  });
  isBroken = true;
  await world.posts(10);
  const lane = world.engine.lanes.get("a");
  expect([lane?.backlog.freshReserved, lane?.backlog.freshClaimed]).toEqual([0, 0]);
});

test("an accept of which the store did not say whether it happened: what it claimed ahead is found and sent", async () => {
  const stored: NewDelivery["as"][] = [];
  let isDoubtful = false;
  class DoubtfulStore extends MemoryStore {
    override async accept(request: AcceptRequest): Promise<AcceptResult> {
      const result = await super.accept(request);
      stored.push(...request.items.flatMap(({ deliveries }) => deliveries.map(({ as }) => as)));
      if (isDoubtful) throw new StoreError("unknown", "off");
      return result;
    }
  }
  const store = new DoubtfulStore();
  const { world } = await busy(0, { store });
  isDoubtful = true;
  await world.posts(4);
  isDoubtful = false;
  expect(stored.slice(-4)).toEqual(["ahead", "ahead", "ahead", "ahead"]);
  await world.clock.advance(60_000);
  expect(world.engine.pending("a")).toBe(0);
  expect(new Set(world.network.sent.map(({ eventId }) => eventId)).size).toBe(1 + 2 + 4);
});
