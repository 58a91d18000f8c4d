import { expect, test } from "vitest";
import { settle } from "../../support/time/manual-clock.ts";
import { StoreError } from "../../../src/store/store.ts";
import { FakeAttempter, World, outcome, routeOf, type Receiver } from "../../support/sim/world.ts";

const OK: Receiver = () => ({ afterMs: 5, outcome: outcome("success") });
const BACKOFF = { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 } as const;

test("an accepted event is claimed by its own commit, sent at once, delivered, logged", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a", { recordIdField: "data.id" })]);
  const event = await world.post();
  await settle();
  expect(world.network.sent).toMatchObject([{ uid: "a", eventId: event?.id, attempt: 1, latencyMs: 0 }]);
  await world.clock.advance(50);
  const [record] = await world.store.deliveriesOf(event?.id ?? "");
  expect(record).toMatchObject({ state: "delivered", attempts: 1 });
  expect(await world.store.attemptsOf(record?.id ?? 0)).toMatchObject([{ outcome: "success", recordId: "rec-1", attempt: 1 }]);
  expect(world.engine.health("a")).toMatchObject({
    accepted: 1,
    delivered: 1,
    pending: 0,
    endpoint: { healthy: true, reason: "Delivering" },
  });
});

test("maxInFlight holds, the rest waits in memory and then in the store, all arrive, none twice", async () => {
  const world = new World({ receiver: () => ({ afterMs: 100, outcome: outcome("success") }) });
  await world.start([routeOf("a", { policy: { maxInFlight: 4 } })]);
  for (let i = 0; i < 400; i++) await world.post();
  await world.clock.advance(20_000);
  expect(world.network.inFlightMax.get("a")).toBe(4);
  expect(world.network.sent.length).toBe(400);
  expect(new Set(world.network.sent.map((sent) => sent.eventId)).size).toBe(400);
  expect(world.engine.pending("a")).toBe(0);
  expect(world.network.sent.at(-1)?.latencyMs).toBeLessThan(11_000);
});

test("retries follow the schedule with jitter, then the delivery is dead", async () => {
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: outcome("server_error") }) });
  const delays = { kind: "schedule", delaysMs: [0, 2_000, 4_000] } as const;
  await world.start([routeOf("a", { policy: { retry: { delays, maxAttempts: 3, jitterPercent: 10 } } })]);
  const event = await world.post();
  await world.clock.advance(60_000);
  const times = world.network.sent.map((sent) => sent.latencyMs);
  expect(times.length).toBe(3);
  expect(times[1]).toBeGreaterThanOrEqual(2_000);
  expect(times[1]).toBeLessThanOrEqual(2_000 * 1.1 + 10);
  expect((times[2] ?? 0) - (times[1] ?? 0)).toBeGreaterThanOrEqual(4_000);
  expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state: "failed", reason: "AttemptsExhausted", attempts: 3 }]);
  expect(world.engine.health("a")).toMatchObject({ failed: 1, retried: 2, deadLettered: 1, pending: 0, consecutiveFailures: 3 });
});

test("schedule[0] delays the first send", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a", { policy: { retry: { delays: { kind: "schedule", delaysMs: [3_000] } } } })]);
  await world.post();
  await world.clock.advance(2_900);
  expect(world.network.sent).toEqual([]);
  await world.clock.advance(200);
  expect(world.network.sent.length).toBe(1);
});

test("Retry-After pauses the whole subscription and nobody else", async () => {
  let first = true;
  const receiver: Receiver = (input) => {
    const busy = first && input.route.subscription.uid === "a";
    if (busy) first = false;
    return { afterMs: 1, outcome: busy ? outcome("client_error", { statusCode: 429, retryAfterMs: 30_000 }) : outcome("success") };
  };
  const world = new World({ receiver });
  await world.start([routeOf("a"), routeOf("b")]);
  await world.post();
  await world.clock.advance(10);
  for (let i = 0; i < 5; i++) await world.post();
  await world.clock.advance(29_000);
  expect(world.network.sent.filter((sent) => sent.uid === "a").length).toBe(1);
  expect(world.network.sent.filter((sent) => sent.uid === "b").length).toBe(6);
  await world.clock.advance(5_000);
  expect(world.network.sent.filter((sent) => sent.uid === "a").length).toBe(7);
});

test.each([
  [429, 1],
  [502, 1],
  [503, 1],
  [504, 1],
  [500, 8],
])("eight answers of %i leave room for %i at once; each success makes room for one more", async (statusCode, left) => {
  let answered = 0;
  const receiver: Receiver = () =>
    answered++ < 8 ? { afterMs: 1, outcome: outcome("server_error", { statusCode }) } : { afterMs: 1_000, outcome: outcome("success") };
  const world = new World({ receiver });
  const delays = { kind: "backoff", growth: "Constant", initialMs: 3_600_000, maxMs: 3_600_000 } as const;
  await world.start([routeOf("a", { policy: { maxInFlight: 8, retry: { delays } } })]);
  for (let i = 0; i < 8; i++) await world.post();
  await world.clock.advance(100);
  expect(world.network.sent.length).toBe(8);
  for (let i = 0; i < 30; i++) await world.post();
  await world.clock.advance(500);
  expect(world.network.inFlight.get("a")).toBe(left);
  await world.clock.advance(1_000);
  expect(world.network.inFlight.get("a")).toBe(Math.min(8, left + 1));
});

test("410: that delivery fails, the others wait, a new endpoint lets them go, also after a restart", async () => {
  const receiver: Receiver = (input) => ({
    afterMs: 1,
    outcome:
      input.route.subscription.target?.url.includes("old") === true ? outcome("client_error", { statusCode: 410 }) : outcome("success"),
  });
  const world = new World({ receiver });
  await world.start([routeOf("a", { url: "https://old.test/" })]);
  const gone = await world.post();
  await world.clock.advance(10);
  const waits = await world.post();
  await world.clock.advance(60_000);
  expect(await world.store.deliveriesOf(gone?.id ?? "")).toMatchObject([{ state: "failed", reason: "EndpointGone" }]);
  expect(await world.store.deliveriesOf(waits?.id ?? "")).toMatchObject([{ state: "ready", attempts: 0 }]);
  expect(world.engine.health("a")?.suspension?.reason).toBe("EndpointGone");
  await Promise.all([world.stop(), world.clock.advance(1_000)]);

  const again = new World({ receiver, store: world.store, clock: world.clock });
  await again.start([routeOf("a", { url: "https://old.test/" })]);
  await again.clock.advance(60_000);
  expect(again.network.sent).toEqual([]);
  expect(again.engine.health("a")?.suspension?.reason).toBe("EndpointGone");
  again.route([routeOf("a", { url: "https://new.test/" })]);
  await again.clock.advance(1_000);
  expect(again.network.sent.length).toBe(1);
  expect(again.engine.health("a")?.suspension).toBeUndefined();
  expect(await again.store.listState("suspension")).toEqual([]);
});

test("resume lifts an automatic suspension", async () => {
  let status = 410;
  const world = new World({
    receiver: () => ({ afterMs: 1, outcome: status === 200 ? outcome("success") : outcome("client_error", { statusCode: status }) }),
  });
  await world.start([routeOf("a")]);
  await world.post();
  await world.clock.advance(10);
  await world.post();
  await world.clock.advance(1_000);
  status = 200;
  await world.engine.resume("a");
  await world.clock.advance(1_000);
  expect(world.engine.health("a")).toMatchObject({ delivered: 1, failed: 1, pending: 0, suspension: undefined });
});

test("a long continuous failure suspends", async () => {
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: outcome("connect_error") }) });
  await world.start([routeOf("a", { policy: { autoSuspendAfterMs: 10_000, retry: { delays: BACKOFF, maxAttempts: 100 } } })]);
  await world.post();
  await world.clock.advance(60_000);
  expect(world.engine.health("a")?.suspension?.reason).toBe("AutoSuspended");
  expect(world.network.sent.length).toBeLessThan(13);
});

test("suspended and blocked deliveries wait, at the end of their age they fail with the pause as reason, untried", async () => {
  const world = new World({ receiver: OK });
  const policy = { retry: { maxAgeMs: 3_600_000 } };
  await world.start([routeOf("a", { suspend: true, policy }), routeOf("b", { blocked: true, policy })]);
  const event = await world.post();
  await world.clock.advance(3_500_000);
  expect(world.engine.pending("a") + world.engine.pending("b")).toBe(2);
  await world.clock.advance(300_000);
  const records = await world.store.deliveriesOf(event?.id ?? "");
  expect(new Set(records.map((record) => record.reason))).toEqual(new Set(["BySpec", "RefsUnresolved"]));
  expect(world.network.sent).toEqual([]);
  expect(world.engine.pending("a") + world.engine.pending("b")).toBe(0);
});

test("a mended reference lets what waited go", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a", { blocked: true })]);
  await world.post();
  await world.clock.advance(60_000);
  world.route([routeOf("a")]);
  await world.clock.advance(1_000);
  expect(world.network.sent.length).toBe(1);
});

test("the breaker opens, burns nothing, probes once, and lets a recovered receiver come back slowly", async () => {
  let isUp = false;
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: outcome(isUp ? "success" : "connect_error") }) });
  const circuitBreaker = { consecutiveFailures: 5, openForMs: 30_000, halfOpenProbes: 1 };
  await world.start([routeOf("a", { policy: { circuitBreaker, maxInFlight: 1, retry: { delays: BACKOFF, maxAttempts: 100 } } })]);
  for (let i = 0; i < 40; i++) await world.post();
  await world.clock.advance(20_000);
  expect(world.network.sent.length).toBe(5);
  expect(world.engine.health("a")?.endpoint.reason).toBe("CircuitOpen");
  const openedAtMs = world.clock.nowMs();
  await world.clock.advance(30_000);
  expect(world.network.sent.length).toBe(6);
  isUp = true;
  await world.clock.advance(120_000);
  const after = world.network.sent.filter((sent) => sent.atMs > openedAtMs + 30_000).map((sent) => sent.atMs);
  const begin = after[0] ?? 0;
  const windows = [0, 0, 0, 0, 0, 0];
  for (const atMs of after) windows[Math.floor((atMs - begin) / 10_000)]! += 1;
  for (let i = 1; i < windows.length; i++) expect(windows[i]).toBeLessThanOrEqual(Math.max(2, (windows[i - 1] ?? 0) * 2));
  await world.clock.advance(60_000);
  expect(world.engine.pending("a")).toBe(0);
});

test("the rate limit holds for first sends", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a", { policy: { rateLimit: { requests: 10, perMs: 1_000, burst: 10 } } })]);
  for (let i = 0; i < 60; i++) await world.post();
  await world.clock.advance(2_050);
  expect(world.network.sent.length).toBeGreaterThanOrEqual(29);
  expect(world.network.sent.length).toBeLessThanOrEqual(32);
});

test("a crash: what was claimed is tried again in a group, the rest as before, nothing is lost", async () => {
  const world = new World({ receiver: () => ({ afterMs: 60_000, outcome: outcome("success") }) });
  await world.start([routeOf("a", { policy: { maxInFlight: 4, timeoutMs: 120_000 } })]);
  for (let i = 0; i < 10; i++) await world.post();
  await world.clock.advance(1_000);
  expect(world.network.sent.length).toBe(4);
  world.kill();
  const next = new World({ receiver: OK, store: world.store, clock: world.clock });
  await next.start([routeOf("a", { policy: { maxInFlight: 4 } })]);
  await next.clock.advance(5_000);
  expect(new Set(next.network.sent.map((sent) => sent.eventId)).size).toBe(10);
  expect(next.network.sent.filter((sent) => sent.attempt === 2).length).toBe(4);
  expect(next.engine.pending("a")).toBe(0);
});

test("a delivery that kills the process three times alone is quarantined, its neighbours arrive", async () => {
  let world = new World({ receiver: () => ({ afterMs: 1e6, outcome: outcome("success") }) });
  await world.start([routeOf("a", { policy: { timeoutMs: 1e7 } })]);
  const poison = await world.post();
  const others = [await world.post(), await world.post()];
  await world.clock.advance(100);
  world.kill();
  // In a group of 64 after the first crash, of 8 after the second, then alone: only those tries count (see suspects.ts).
  for (let life = 0; life < 6; life++) {
    // Each life ends the moment the poisoned one has been sent: the instance is dropped with its claims.
    const receiver: Receiver = (input) => ({ afterMs: input.event.id === poison?.id ? 1e6 : 5, outcome: outcome("success") });
    world = new World({ receiver, store: world.store, clock: world.clock });
    await world.start([routeOf("a", { policy: { timeoutMs: 1e7 } })]);
    await world.clock.advance(2_000);
    if (life < 5) world.kill();
  }
  expect(await world.store.deliveriesOf(poison?.id ?? "")).toMatchObject([{ state: "failed", reason: "Quarantined" }]);
  for (const other of others) expect(await world.store.deliveriesOf(other?.id ?? "")).toMatchObject([{ state: "delivered" }]);
});

test("stopping lets attempts finish; those that do not are cut off and not counted", async () => {
  const receiver: Receiver = (input) => ({ afterMs: input.route.subscription.uid === "slow" ? 1e6 : 3_000, outcome: outcome("success") });
  const world = new World({ receiver });
  await world.start([routeOf("a"), routeOf("slow", { policy: { timeoutMs: 1e6 } })]);
  const event = await world.post();
  await world.clock.advance(10);
  const stopped = Promise.all([world.stop(), world.stop()]);
  // What is accepted is durable: it is for the next process.
  expect(world.engine.accepting()).toBe(true);
  await world.clock.advance(26_000);
  await stopped;
  expect(world.engine.accepting()).toBe(false);
  const records = await world.store.deliveriesOf(event?.id ?? "");
  expect(records.find((record) => record.subscription === "a")).toMatchObject({ state: "delivered" });
  expect(records.find((record) => record.subscription === "slow")).toMatchObject({ state: "ready", attempts: 0, crashes: 0 });
});

test("draining begins nothing: no retry, nothing that waits, nothing accepted meanwhile; all of it goes out in the next process", async () => {
  const receiver: Receiver = ({ route, attempt }) => ({
    afterMs: route.subscription.uid === "slow" ? 8_000 : 50,
    outcome: outcome(route.subscription.uid === "failing" && attempt === 1 ? "server_error" : "success"),
  });
  const delays = { kind: "schedule", delaysMs: [0, 1_000] } as const;
  const routes = [routeOf("slow", { policy: { maxInFlight: 2, timeoutMs: 1e5 } }), routeOf("failing", { policy: { retry: { delays } } })];
  let world = new World({ receiver });
  await world.start(routes);
  for (let i = 0; i < 5; i++) await world.post();
  await world.clock.advance(100);
  const before = world.network.sent.length;
  expect(before).toBe(2 + 5);

  let isIdle = false;
  void world.engine.drain(25_000).then(() => (isIdle = true));
  const meanwhile = await world.post();
  expect(meanwhile).toBeDefined();
  await world.clock.advance(7_000);
  expect(isIdle).toBe(false);
  await world.clock.advance(2_000);
  expect(isIdle).toBe(true);
  await world.clock.advance(1_000);
  expect(world.network.sent.length).toBe(before);
  const stopped = world.stop();
  await world.clock.advance(10);
  await stopped;

  world = new World({ receiver, store: world.store, clock: world.clock });
  await world.start(routes);
  await world.clock.advance(60_000);
  // Three slow ones that waited, five second tries, and the two of the event that came meanwhile, one of which fails once.
  expect(world.network.sent.length).toBe(3 + 5 + 2 + 1);
  expect([world.engine.pending("slow"), world.engine.pending("failing")]).toEqual([0, 0]);
});

test("a claim that is on its way to the store when the drain begins is put back, and counts as nothing", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a")]);
  const posted = world.post();
  void world.engine.drain(25_000);
  const event = await posted;
  await world.clock.advance(1_000);
  expect(world.network.sent).toEqual([]);
  expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state: "ready", attempts: 0, crashes: 0 }]);
});

test("a store that fails for a while loses nothing and sends nothing unclaimed", async () => {
  let broken = false;
  const world = new World({
    receiver: () => ({ afterMs: 20, outcome: outcome("success") }),
    fault: (operation) => (broken && operation !== "accept" ? new StoreError("unavailable", "off") : undefined),
  });
  await world.start([routeOf("a", { policy: { maxInFlight: 2 } })]);
  for (let i = 0; i < 20; i++) await world.post();
  broken = true;
  await world.clock.advance(10_000);
  expect(world.network.sent.length).toBeLessThanOrEqual(4);
  broken = false;
  await world.clock.advance(10_000);
  expect(new Set(world.network.sent.map((sent) => sent.eventId)).size).toBe(20);
  expect(world.network.sent.length).toBe(20);
  expect(world.engine.pending("a")).toBe(0);
});

test("end gives the rest of a deleted subscription to the dead-letter store or throws it away", async () => {
  for (const [how, state, reason] of [
    ["dead-letter", "failed", "SubscriptionDeleted"],
    ["discard", "discarded", "Discarded"],
  ] as const) {
    const world = new World({ receiver: OK });
    await world.start([routeOf("a", { suspend: true })]);
    const event = await world.post();
    await world.post();
    expect(await world.engine.end("a", how)).toBe(2);
    expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state, reason }]);
    expect(world.engine.health("a")).toBeUndefined();
    expect(await world.store.queues()).toEqual([]);
  }
});

test("resend makes exactly one more attempt past the limits", async () => {
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: outcome("server_error") }) });
  await world.start([routeOf("a", { policy: { retry: { maxAttempts: 1 } } })]);
  const event = await world.post();
  await world.clock.advance(1_000);
  const [record] = await world.store.deliveriesOf(event?.id ?? "");
  expect(record).toMatchObject({ state: "failed" });
  expect(await world.engine.resend(record?.id ?? 0)).toBe("resent");
  await world.clock.advance(100_000);
  expect(world.network.sent.map((sent) => sent.attempt)).toEqual([1, 2]);
  expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state: "failed", attempts: 2 }]);
});

test("health survives a restart", async () => {
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: outcome("tls_error", { message: "certificate has expired" }) }) });
  await world.start([routeOf("a")]);
  await world.post();
  await world.clock.advance(10_000);
  const before = world.engine.health("a");
  expect(before?.endpoint).toMatchObject({ healthy: false, reason: "TLSFailure", message: "certificate has expired" });
  const next = new World({ receiver: OK, store: world.store, clock: world.clock });
  await next.start([routeOf("a")]);
  expect(next.engine.health("a")).toMatchObject({ endpoint: before?.endpoint, accepted: 1, pending: 1 });
  expect(next.engine.health("a")?.recentFailures).toEqual(before?.recentFailures);
});

test("an open circuit is shown after a restart, too", async () => {
  const circuitBreaker = { consecutiveFailures: 3, openForMs: 60_000, halfOpenProbes: 1 };
  const route = routeOf("a", { policy: { circuitBreaker, retry: { delays: BACKOFF, maxAttempts: 100 } } });
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: outcome("server_error") }) });
  await world.start([route]);
  await world.post();
  await world.clock.advance(20_000);
  expect(world.engine.health("a")?.endpoint.reason).toBe("CircuitOpen");
  const next = new World({ receiver: OK, store: world.store, clock: world.clock });
  await next.start([route]);
  expect(next.engine.health("a")?.endpoint).toMatchObject({ healthy: false, reason: "CircuitOpen" });
});

test("an unfit route table leaves rows alone", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a", { suspend: true })]);
  await world.post();
  const next = new World({ receiver: OK, store: world.store, clock: world.clock });
  await next.start([]);
  await next.clock.advance(10_000);
  expect(next.network).toBeInstanceOf(FakeAttempter);
  expect(next.network.sent).toEqual([]);
  expect(next.engine.pending("a")).toBe(1);
  next.route([routeOf("a")]);
  await next.clock.advance(1_000);
  expect(next.network.sent.length).toBe(1);
});
