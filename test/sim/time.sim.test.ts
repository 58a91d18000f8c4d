import { describe, expect, test } from "vitest";
import { WallClockWatch } from "../../src/app/wall-clock-watch.ts";
import { clockText } from "../../src/core/clock-frame.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { CLOCK_KEY } from "../../src/store/store.ts";
import { dueIndexStore } from "../support/sim/due-index-store.ts";
import { latencyOf } from "../support/sim/latent-store.ts";
import { makeForget, whatIsWrong } from "../support/sim/oracle.ts";
import { seededRandom } from "../support/sim/seeded-random.ts";
import { eventOf, outcome, routeOf, World, type PolicyChange, type Receiver } from "../support/sim/world.ts";
import { ManualClock } from "../support/time/manual-clock.ts";
import { silentLog } from "../support/silent-log.ts";

const HOUR_MS = 3_600_000;
const YEAR_MS = 8_766 * HOUR_MS;
const OK: Receiver = () => ({ afterMs: 5, outcome: outcome("success") });
const constant = (ms: number) => ({ kind: "backoff", growth: "Constant", initialMs: ms, maxMs: ms }) as const;

async function forgotten(world: World): Promise<number> {
  return Number(/^postrider_forgotten_rows_total (\d+)$/m.exec(await world.metrics.expose())?.[1]);
}

/** A process that has ended, and the next on the same store. */
function nextLife(world: World, options: { readonly receiver: Receiver; readonly readMs?: number; readonly awayMs?: number }): World {
  const { receiver, readMs = 5, awayMs = 0 } = options;
  return new World({ receiver, store: world.store, clock: world.clock, seed: 2, awayMs, latency: { ...latencyOf(2), readMs } });
}

describe("a start", () => {
  /** Reads of the store take up to 300 ms each; the controller has looked before they are over. */
  test.each([0, 20, 60, 150, 400, 900])("whose routes come %i ms after the engine began to read delivers", async (afterMs) => {
    const first = new World({ receiver: OK, latency: latencyOf(1) });
    await first.start([routeOf("s", { blocked: true }), routeOf("held", { suspend: true })]);
    for (let i = 0; i < 3; i++) await first.post();
    // What earlier versions stored of the spec.
    await first.store.setPause("s", "RefsUnresolved", Number.MAX_SAFE_INTEGER);
    await first.store.setPause("held", "BySpec", Number.MAX_SAFE_INTEGER);
    first.kill();
    const second = nextLife(first, { receiver: OK, readMs: 300 });
    await second.store.open({ owner: "o", nowMs: second.clock.trueMs(), idempotencyTtlMs: 1_000 });
    second.route([routeOf("s", { blocked: true })]);
    second.run();
    await second.clock.advance(afterMs);
    second.route([routeOf("s"), routeOf("held")]);
    await second.clock.advance(15_000);
    expect(second.engine.ready).toBe(true);
    expect(second.network.sent).toHaveLength(6);
    expect((await second.store.queues()).map(({ pauses }) => pauses)).toEqual([{}, {}]);
    expect(await whatIsWrong(second)).toEqual([]);
  });

  test("after a kill in the first moments of a start delivers, over and over", async () => {
    let world = new World({ receiver: OK, latency: latencyOf(1) });
    const blocked = [routeOf("s", { blocked: true })];
    await world.start(blocked);
    await world.post();
    for (let life = 0; life < 20; life++) {
      world.kill();
      world = nextLife(world, { receiver: OK, readMs: 100 });
      await world.store.open({ owner: "o", nowMs: world.clock.trueMs(), idempotencyTtlMs: 1_000 });
      world.route(blocked);
      world.run();
      await world.clock.advance(40 + life * 17);
      if (life < 19) continue;
      world.route([routeOf("s")]);
      await world.clock.advance(10_000);
    }
    expect(world.network.sent).toHaveLength(1);
  });

  test.each([1, 3])("of a delivery with %i attempts that was killed before the socket sends it", async (maxAttempts) => {
    let world = new World({ receiver: () => ({ afterMs: 1e6, outcome: outcome("success") }) });
    const route = routeOf("s", { policy: { timeoutMs: 1e7, retry: { maxAttempts, delays: constant(1_000) } } });
    await world.start([route]);
    const event = await world.post();
    for (let life = 0; life < 2; life++) {
      world.kill();
      world = nextLife(world, { receiver: () => ({ afterMs: 1e6, outcome: outcome("success") }) });
      await world.start([route]);
      await world.clock.advance(1_000);
    }
    world.kill();
    const last = nextLife(world, { receiver: () => ({ afterMs: 5, outcome: outcome("server_error") }) });
    await last.start([route]);
    await last.clock.advance(60_000);
    // As many attempts that came to an end as there may be, whatever was cut off before.
    expect(last.network.sent).toHaveLength(maxAttempts);
    expect(await last.store.deliveriesOf(event?.id ?? "")).toMatchObject([
      { state: "failed", reason: "AttemptsExhausted", attempts: maxAttempts + 3 },
    ]);
  });

  test("after a kill with 60 in flight to a receiver of 1 s: another namespace within 2 s, all within 8 s", async () => {
    const receiver: Receiver = (input) => ({ afterMs: input.route.subscription.uid === "slow" ? 1_000 : 5, outcome: outcome("success") });
    const policy = { maxInFlight: 64 };
    const routes = [routeOf("slow", { namespace: "a", policy }), routeOf("quick", { namespace: "b", policy })];
    const world = new World({ receiver });
    await world.start(routes);
    for (let i = 0; i < 60; i++) await world.post("a");
    await world.post("b");
    world.kill();
    const next = nextLife(world, { receiver });
    await next.start(routes);
    const deliveredOf = async (uid: string) =>
      (await next.store.queues()).find(({ subscription }) => subscription === uid)?.counters.delivered;
    await next.clock.advance(2_000);
    expect(await deliveredOf("quick")).toBe(1);
    await next.clock.advance(6_000);
    expect(await deliveredOf("slow")).toBe(60);
  });

  test("after a kill with 200 in flight to receivers that hang: another namespace's within 2 s", async () => {
    const receiver: Receiver = (input) => ({
      afterMs: input.route.subscription.uid.startsWith("hung") ? 1e9 : 5,
      outcome: outcome("success"),
    });
    const hung = Array.from({ length: 4 }, (_, i) =>
      routeOf(`hung${i}`, { namespace: `h${i % 2}`, policy: { maxInFlight: 50, timeoutMs: 300_000 } }),
    );
    const routes = [...hung, routeOf("quick", { namespace: "b" })];
    const world = new World({ receiver });
    await world.start(routes);
    for (let i = 0; i < 50; i++) for (const namespace of ["h0", "h1"]) await world.post(namespace);
    await world.post("b");
    world.kill();
    const next = nextLife(world, { receiver });
    await next.start(routes);
    await next.clock.advance(2_000);
    expect((await next.store.queues()).find(({ subscription }) => subscription === "quick")?.counters.delivered).toBe(1);
  });
});

describe("a loop that stands still", () => {
  test.each([500, 3_000, 17_000])(
    "for %i ms finds 40 answers in its sockets: all are delivered once, the next event leaves at once",
    async (ms) => {
      const world = new World({ receiver: () => ({ afterMs: 300, outcome: outcome("success") }), latency: latencyOf(9) });
      const circuitBreaker = { consecutiveFailures: 5, openForMs: 600_000, halfOpenProbes: 1 };
      await world.start([routeOf("s", { policy: { maxInFlight: 64, timeoutMs: 400, circuitBreaker } })]);
      await world.posts(40);
      await world.clock.advance(20);
      expect(world.network.inFlight.get("s")).toBe(40);
      await world.clock.stall(ms);
      await world.clock.advance(100);
      await world.post();
      await world.clock.advance(1_000);
      expect(world.network.sent).toHaveLength(41);
      expect((await world.store.queues())[0]).toMatchObject({ pending: 0, counters: { delivered: 41, retried: 0 } });
    },
  );
});

describe("the wall clock", () => {
  const STEPS = [
    ["+6 min", 6 * 60_000],
    ["-6 min", -6 * 60_000],
    ["+1 h", HOUR_MS],
    ["-1 h", -HOUR_MS],
    ["+5 d", 120 * HOUR_MS],
    ["-5 d", -120 * HOUR_MS],
    ["+10 y", 10 * YEAR_MS],
    ["-10 y", -10 * YEAR_MS],
  ] as const;

  /** A receiver that is down when the clock steps and up a moment later; retries after 5 s, 60 s and 20 min, and an open circuit. */
  function scene() {
    const state = { down: true };
    const receiver: Receiver = () => ({ afterMs: 5, outcome: outcome(state.down ? "server_error" : "success") });
    const closed = { consecutiveFailures: 1_000, openForMs: 30_000, halfOpenProbes: 1 };
    const policyOf = (ms: number): PolicyChange => ({
      circuitBreaker: closed,
      retry: { maxAttempts: 50, delays: constant(ms), jitterPercent: 0 },
    });
    const delaysMs = [5_000, 60_000, 1_200_000];
    const routes = delaysMs.map((ms) => routeOf(`after${ms}`, { policy: policyOf(ms) }));
    const circuit = { consecutiveFailures: 3, openForMs: 30_000, halfOpenProbes: 1 };
    routes.push(routeOf("circuit", { policy: { ...policyOf(1_000), circuitBreaker: circuit } }));
    return { state, receiver, routes, delaysMs };
  }

  test.each(STEPS)(
    "stepped by %s while it runs: what was due is sent when it should be, nothing fails, no circuit stays open",
    async (_name, stepMs) => {
      const { state, receiver, routes, delaysMs } = scene();
      const world = new World({ receiver, latency: latencyOf(3) });
      const watch = new WallClockWatch(world.clock, silentLog);
      const abort = new AbortController();
      void watch.run(abort.signal);
      await world.start(routes);
      for (let i = 0; i < 5; i++) await world.post();
      await world.clock.advance(1_000);
      const failedMs = world.clock.monotonicMs();
      state.down = false;
      world.clock.stepWall(stepMs);
      // Taken over after ten minutes; the last retries come after twenty.
      for (let i = 0; i < 130; i++) await world.clock.advance(10_000);
      expect(world.clock.shownMs(world.clock.nowMs())).toBe(world.clock.trueMs());
      for (const { subscription, counters, pending } of await world.store.queues()) {
        expect([subscription, counters.delivered, counters.failed, pending]).toEqual([subscription, 5, 0, 0]);
      }
      const lateMs = (uid: string, delayMs: number) =>
        world.network.sent.filter((sent) => sent.uid === uid && sent.attempt > 1).map((sent) => sent.monotonicMs - failedMs - delayMs);
      for (const ms of delaysMs) for (const late of lateMs(`after${ms}`, ms)) expect(late).toBeLessThan(60_000);
      for (const late of lateMs("circuit", 30_000)) expect(late).toBeLessThan(60_000);
      expect(await forgotten(world)).toBe(0);
      abort.abort();
    },
  );

  test.each(STEPS)(
    "stepped by %s while nobody runs: all that was due is sent within a minute, nothing fails without an attempt",
    async (_name, stepMs) => {
      const { state, receiver, routes } = scene();
      const world = new World({ receiver, latency: latencyOf(4) });
      await world.start(routes);
      for (let i = 0; i < 5; i++) await world.post();
      await world.clock.advance(1_000);
      const { clock, store } = world;
      await store.putState([{ kind: "meta", key: CLOCK_KEY, value: clockText({ nowMs: clock.nowMs(), offsetMs: clock.shownMs(0) }) }]);
      world.kill();
      clock.stepWall(stepMs);
      state.down = false;
      await clock.advance(25 * 60_000);
      const report = await store.open({ owner: "o", nowMs: clock.trueMs(), idempotencyTtlMs: 1_000 });
      const next = nextLife(world, { receiver, awayMs: report.clock.awayMs });
      await next.start(routes);
      // Put back, the clock says nothing of how long nobody ran: what waits goes on waiting from where it stood, 20 minutes at most.
      await clock.advance(stepMs < -25 * 60_000 ? 1_260_000 : 60_000);
      for (const { subscription, counters, pending } of await store.queues()) {
        expect([subscription, counters.delivered, counters.failed, pending]).toEqual([subscription, 5, 0, 0]);
      }
    },
  );

  test("put ten years ahead while nobody runs suspends nobody for failing in years that nobody lived through", async () => {
    const receiver: Receiver = () => ({ afterMs: 5, outcome: outcome("server_error") });
    const routes = [routeOf("s", { policy: { retry: { maxAttempts: 50, delays: constant(60_000) } } })];
    const world = new World({ receiver });
    await world.start(routes);
    await world.post();
    await world.clock.advance(10_000);
    const { clock, store } = world;
    await store.putState([{ kind: "meta", key: CLOCK_KEY, value: clockText({ nowMs: clock.nowMs(), offsetMs: 0 }) }]);
    world.kill();
    clock.stepWall(10 * YEAR_MS);
    const report = await store.open({ owner: "o", nowMs: clock.trueMs(), idempotencyTtlMs: 1_000 });
    const next = nextLife(world, { receiver, awayMs: report.clock.awayMs });
    await next.start(routes);
    await clock.advance(300_000);
    expect(next.network.sent.length).toBeGreaterThan(0);
    expect(next.engine.health("s")?.suspension).toBeUndefined();
  });

  test("an age that was over before the start is given one more attempt; one that a pause holds back is given an hour", async () => {
    const receiver: Receiver = () => ({ afterMs: 5, outcome: outcome("server_error") });
    const policy: PolicyChange = { retry: { maxAttempts: 50, maxAgeMs: HOUR_MS, delays: constant(600_000) } };
    const world = new World({ receiver });
    await world.start([routeOf("s", { policy }), routeOf("held", { policy })]);
    await world.post();
    await world.clock.advance(10_000);
    world.kill();
    await world.clock.advance(5 * HOUR_MS);
    const next = nextLife(world, { receiver: OK, awayMs: 5 * HOUR_MS });
    await next.start([routeOf("s", { policy }), routeOf("held", { policy, blocked: true })]);
    await next.clock.advance(50 * 60_000);
    const queues = new Map((await next.store.queues()).map((queue) => [queue.subscription, queue]));
    expect(queues.get("s")).toMatchObject({ pending: 0, counters: { delivered: 1 } });
    expect(queues.get("held")).toMatchObject({ pending: 1, counters: { failed: 0 } });
    await next.clock.advance(15 * 60_000);
    expect((await next.store.listDeliveries({ namespace: "ns", subscriptions: ["held"], limit: 1 }))[0]).toMatchObject({
      state: "failed",
      reason: "RefsUnresolved",
    });
  });
});

describe("a crowd", () => {
  test(
    "of 100 flaky subscriptions with 600 due retries each: an ordered subscription elsewhere waits <= 2 s",
    { timeout: 60_000 },
    async () => {
      const clock = new ManualClock();
      const random = seededRandom(3);
      const subscriptions = Array.from({ length: 100 }, (_, i) => `f${i}`);
      const store = dueIndexStore({
        namespace: "bad",
        subscriptions,
        rows: 600,
        nowMs: clock.nowMs(),
        event: (n) => eventOf("bad", clock.nowMs(), n),
      });
      const receiver: Receiver = (input) =>
        input.route.subscription.uid === "good"
          ? { afterMs: 5, outcome: outcome("success") }
          : { afterMs: 20, outcome: outcome(random.next() < 0.5 ? "server_error" : "success") };
      const policy: PolicyChange = {
        circuitBreaker: { consecutiveFailures: 1e9, openForMs: 30_000, halfOpenProbes: 1 },
        retry: { maxAttempts: 100, delays: constant(60_000) },
      };
      const world = new World({ receiver, store, clock, latency: latencyOf(5) });
      const flaky = subscriptions.map((uid) => routeOf(uid, { namespace: "bad", policy }));
      await world.start([...flaky, routeOf("good", { namespace: "good", orderingKey: "subject" })]);
      await clock.advance(5_000);
      for (let i = 0; i < 5; i++) {
        const postedMs = clock.nowMs();
        await world.post("good", undefined, `k${i}`);
        await clock.advance(2_000);
        const sent = world.network.sent.filter(({ uid }) => uid === "good");
        expect(sent).toHaveLength(i + 1);
        expect((sent.at(-1)?.atMs ?? Number.POSITIVE_INFINITY) - postedMs).toBeLessThanOrEqual(2_000);
      }
    },
  );

  test("of dead receivers gives the memory of fresh deliveries back", async () => {
    const receiver: Receiver = (input) => ({
      afterMs: 5,
      outcome: outcome(input.route.subscription.uid === "good" ? "success" : "server_error"),
    });
    const dead = Array.from({ length: 8 }, (_, i) =>
      routeOf(`dead${i}`, {
        namespace: "bad",
        policy: { circuitBreaker: { consecutiveFailures: 3, openForMs: 600_000, halfOpenProbes: 1 }, maxInFlight: 1 },
      }),
    );
    const world = new World({ receiver, latency: latencyOf(6), bounds: { freshMax: 100, freshPerLaneMin: 20 } });
    await world.start([...dead, routeOf("good", { namespace: "good" })]);
    for (let i = 0; i < 60; i++) await world.post("bad");
    await world.clock.advance(5_000);
    for (const [uid, lane] of world.engine.lanes)
      if (uid.startsWith("dead")) expect([uid, lane.backlog.freshCount, lane.backlog.freshReserved]).toEqual([uid, 0, 0]);
    expect(await whatIsWrong(world)).toEqual([]);
    await world.clock.advance(3_600_000 * 2);
    expect(await forgotten(world)).toBe(0);
  });
});

describe("memory that forgets", () => {
  test("is seen by the oracle, and mended within two minutes: counted, and sent", async () => {
    const world = new World({ receiver: OK, latency: latencyOf(7) });
    const slow = { rateLimit: { requests: 1, perMs: 60_000, burst: 1 } };
    await world.start([routeOf("fresh", { policy: slow }), routeOf("due", { policy: slow, orderingKey: "subject" })]);
    for (let i = 0; i < 4; i++) await world.post("ns", undefined, `k${i}`);
    await world.clock.advance(1_000);
    for (const uid of ["fresh", "due"]) {
      const lane = world.engine.lanes.get(uid);
      if (lane === undefined) throw new Error("no lane");
      makeForget(lane);
    }
    expect((await whatIsWrong(world)).length).toBeGreaterThan(0);
    await world.clock.advance(600_000);
    expect(world.network.sent).toHaveLength(8);
    expect(await forgotten(world)).toBeGreaterThan(0);
    expect(world.engine.pending("fresh") + world.engine.pending("due")).toBe(0);
  });

  test("a commit that did not say whether it happened is looked for soon, and is no defect", async () => {
    let unknown = 1;
    const world = new World({ receiver: OK, latency: latencyOf(8, () => unknown), store: new MemoryStore() });
    await world.start([routeOf("s"), routeOf("t", { orderingKey: "subject" })]);
    for (let i = 0; i < 20; i++) await world.post("ns", undefined, `k${i}`);
    unknown = 0;
    await world.clock.advance(30_000);
    // About half of the commits had happened.
    expect(world.network.sent.length).toBeGreaterThan(10);
    expect(world.engine.pending("s") + world.engine.pending("t")).toBe(0);
    expect(await whatIsWrong(world)).toEqual([]);
    expect(await forgotten(world)).toBe(0);
  });
});
