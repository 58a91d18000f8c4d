import { expect, test } from "vitest";
import type { Outcome } from "../../../src/core/outcome.ts";
import type { Route } from "../../../src/core/route-table.ts";
import type { PermissionAsker } from "../../../src/delivery/attempter.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { StoreError } from "../../../src/store/store.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";
import { outcome, routeOf, World, type Receiver } from "../../support/sim/world.ts";

const OK: Receiver = () => ({ afterMs: 1, outcome: outcome("success") });
const HOUR_MS = 3_600_000;
const allowed = (rate?: string): Outcome =>
  outcome("success", {
    responseHeaders: [["webhook-allowed-origin", "*"], ...(rate === undefined ? [] : [["webhook-allowed-rate", rate] as const])],
  });
const refused = outcome("client_error", { statusCode: 403, message: "HTTP 403 Forbidden" });
const away = outcome("connect_error", { message: "connection refused" });

/** A receiver that answers handshakes as `says`; who was asked, and when. */
function asking(
  clock: ManualClock,
  says: Outcome,
): PermissionAsker & { says: Outcome; asked: { url: string | undefined; atMs: number }[] } {
  const asked: { url: string | undefined; atMs: number }[] = [];
  const asker = {
    says,
    asked,
    origin: "postrider",
    askPermission: ({ target }: { target: { url: string } | undefined }): Promise<Outcome> => {
      asked.push({ url: target?.url, atMs: clock.nowMs() });
      return Promise.resolve(asker.says);
    },
  };
  return asker;
}

async function started(says: Outcome, store = new MemoryStore(), clock = new ManualClock()) {
  const asker = asking(clock, says);
  const world = new World({ receiver: OK, asker, clock, store });
  await world.start([routeOf("a", { handshake: true })]);
  return { world, asker, clock, store };
}

test("nothing is sent before the receiver allows it, then all that waited", async () => {
  const { world, asker, clock } = await started(refused);
  expect(asker.asked).toHaveLength(1);
  await world.post();
  await world.post();
  await clock.advance(4_000);
  expect(world.network.sent).toEqual([]);
  expect(world.engine.health("a")).toMatchObject({
    pending: 2,
    endpoint: { healthy: false, reason: "HandshakePending", message: expect.stringContaining("HTTP 403 Forbidden") },
  });
  asker.says = allowed();
  await clock.advance(2_000);
  expect(asker.asked).toHaveLength(2);
  expect(world.network.sent).toHaveLength(2);
  expect(world.engine.health("a")).toMatchObject({ pending: 0, endpoint: { healthy: true } });
  await world.post();
  await settle();
  expect(world.network.sent).toHaveLength(3);
});

test("a receiver is asked before anything is owed to it, and others are not", async () => {
  const { world, asker } = await started(allowed());
  expect(asker.asked).toHaveLength(1);
  world.route([routeOf("a", { handshake: true }), routeOf("b")]);
  await world.clock.advance(100);
  await world.post();
  await world.clock.advance(100);
  expect(asker.asked).toHaveLength(1);
  expect(world.network.sent.map(({ uid }) => uid).toSorted()).toEqual(["a", "b"]);
});

test("it is asked again after 5 s, doubled each time up to an hour", async () => {
  const { asker, clock } = await started(refused);
  await clock.advance(24 * HOUR_MS);
  const gaps = asker.asked.slice(1).map(({ atMs }, i) => atMs - (asker.asked[i]?.atMs ?? 0));
  for (const [i, gap] of gaps.entries()) {
    const expected = Math.min(5_000 * 2 ** i, HOUR_MS);
    expect(gap).toBeGreaterThanOrEqual(expected * 0.9 - 1);
    expect(gap).toBeLessThanOrEqual(expected + 1);
  }
  expect(gaps.length).toBeGreaterThan(25);
});

test("Retry-After of the answer is waited for", async () => {
  const { asker, clock } = await started(outcome("server_error", { statusCode: 503, retryAfterMs: 60_000 }));
  await clock.advance(53_000);
  expect(asker.asked).toHaveLength(1);
  await clock.advance(8_000);
  expect(asker.asked).toHaveLength(2);
});

test("the rate it allows is obeyed beside the policy's", async () => {
  const { world, clock } = await started(allowed("60"));
  for (let i = 0; i < 50; i++) await world.post();
  await clock.advance(10_000);
  expect(world.network.sent.length).toBeGreaterThanOrEqual(10);
  expect(world.network.sent.length).toBeLessThanOrEqual(12);
  await clock.advance(60_000);
  expect(world.network.sent).toHaveLength(50);
});

test("another endpoint is asked for itself; the old permission does not count", async () => {
  const { world, asker, clock } = await started(allowed());
  asker.says = refused;
  world.route([routeOf("a", { handshake: true, url: "https://moved.test/" })]);
  await clock.advance(100);
  expect(asker.asked.map(({ url }) => url)).toEqual(["https://a.test/", "https://moved.test/"]);
  await world.post();
  await clock.advance(1_000);
  expect(world.network.sent).toEqual([]);
  world.route([routeOf("a", { url: "https://moved.test/" })]);
  await clock.advance(100);
  expect(world.network.sent).toHaveLength(1);
  expect(world.engine.health("a")?.endpoint.reason).not.toBe("HandshakePending");
});

test("a permission is renewed within a day; without an answer it stands until its end, a refusal ends it at once", async () => {
  const { world, asker, clock } = await started(allowed());
  await clock.advance(17 * HOUR_MS);
  expect(asker.asked).toHaveLength(1);
  asker.says = away;
  await clock.advance(6 * HOUR_MS);
  expect(asker.asked.length).toBeGreaterThan(2);
  await world.post();
  await clock.advance(100);
  expect(world.network.sent).toHaveLength(1);
  await clock.advance(1.2 * HOUR_MS);
  await world.post();
  await clock.advance(100);
  expect(world.network.sent).toHaveLength(1);
  expect(world.engine.health("a")?.endpoint).toMatchObject({ healthy: false, message: expect.stringContaining("could not be asked") });
  asker.says = allowed();
  await clock.advance(1.1 * HOUR_MS);
  expect(world.network.sent).toHaveLength(2);
  asker.says = refused;
  await clock.advance(21 * HOUR_MS);
  await world.post();
  await clock.advance(100);
  expect(world.network.sent).toHaveLength(2);
});

test("a restart keeps a permission and asks nobody", async () => {
  const { world, clock, store } = await started(allowed("60"));
  world.kill();
  const next = await started(refused, store, clock);
  expect(next.asker.asked).toEqual([]);
  await next.world.post();
  await clock.advance(100);
  expect(next.world.network.sent).toHaveLength(1);
});

test("a permission that the store did not take is written again", async () => {
  let isFull = true;
  const store = new MemoryStore({
    fault: (operation) => (operation === "putState" && isFull ? new StoreError("unavailable", "full") : undefined),
  });
  const { world, clock } = await started(allowed(), store);
  await clock.advance(5_000);
  isFull = false;
  await clock.advance(2_000);
  world.kill();
  const next = await started(refused, store, clock);
  expect(next.asker.asked).toEqual([]);
});

test("a restart without permission asks again, and what waits waits on", async () => {
  const { world, clock, store } = await started(refused);
  await world.post();
  await clock.advance(10);
  world.kill();
  const next = await started(refused, store, clock);
  await clock.advance(1_000);
  expect(next.asker.asked).toHaveLength(1);
  expect(next.world.network.sent).toEqual([]);
  next.asker.says = allowed();
  await clock.advance(10_000);
  expect(next.world.network.sent).toHaveLength(1);
});

test("what waits longer than maxAge fails with the handshake as its reason", async () => {
  const clock = new ManualClock();
  const world = new World({ receiver: OK, asker: asking(clock, refused), clock });
  await world.start([routeOf("a", { handshake: true, policy: { retry: { maxAgeMs: 60_000 } } })]);
  const event = await world.post();
  await clock.advance(120_000);
  expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state: "failed", reason: "HandshakePending", attempts: 0 }]);
});

test("of many receivers a bounded number is asked at once", async () => {
  const clock = new ManualClock();
  const waiting: ((answer: Outcome) => void)[] = [];
  const asker: PermissionAsker = { origin: "postrider", askPermission: () => new Promise((resolve) => waiting.push(resolve)) };
  const world = new World({ receiver: OK, asker, clock });
  await world.start(Array.from({ length: 200 }, (_, i) => routeOf(`s${i}`, { handshake: true })));
  expect(waiting).toHaveLength(64);
  for (let answered = 0; answered < 200; answered++) {
    waiting[answered]?.(allowed());
    await settle();
  }
  expect(waiting).toHaveLength(200);
});

test("who is replaced or deleted while it waits for its turn is not asked in its old place", async () => {
  const clock = new ManualClock();
  const asked: string[] = [];
  const waiting: ((answer: Outcome) => void)[] = [];
  const askPermission = ({ target }: { target?: { url: string } | undefined }): Promise<Outcome> => {
    asked.push(target?.url ?? "");
    return new Promise((resolve) => waiting.push(resolve));
  };
  const world = new World({ receiver: OK, asker: { origin: "postrider", askPermission }, clock });
  const first = Array.from({ length: 64 }, (_, i) => routeOf(`s${i}`, { handshake: true }));
  const placed = (host: string): Route => routeOf("late", { handshake: true, url: `https://${host}.test/` });
  await world.start([...first, placed("one"), routeOf("gone", { handshake: true })]);
  for (const host of ["two", "three"]) {
    world.route([...first, placed(host)]);
    await clock.advance(100);
  }
  expect(waiting).toHaveLength(64);
  for (const answer of waiting.slice()) answer(allowed());
  await settle();
  expect(asked.slice(64)).toEqual(["https://three.test/"]);
});

test("what was kept of a subscription that was deleted while nobody was running is let go of", async () => {
  const store = new MemoryStore();
  await store.open({ owner: "o", nowMs: 0, idempotencyTtlMs: 1_000 });
  const leave = JSON.stringify({ place: "x", untilMs: Number.MAX_SAFE_INTEGER });
  const kinds = ["health", "suspension", "handshake"] as const;
  await store.putState(
    kinds.flatMap((kind) => ["gone", "gone#deadletter"].map((key) => ({ kind, key, value: kind === "handshake" ? leave : "{}" }))),
  );
  const { world, clock } = await started(allowed(), store);
  await world.post();
  await clock.advance(10_000);
  await world.engine.tidy();
  const kept = await Promise.all(kinds.map((kind) => store.listState(kind)));
  expect(kept.map((entries) => entries.map(({ key }) => key))).toEqual([["a"], [], ["a"]]);
});
