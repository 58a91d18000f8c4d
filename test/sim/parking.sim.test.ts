import { expect, test } from "vitest";
import type { Route } from "../../src/core/route-table.ts";
import type { DeliveryRecord } from "../../src/store/store.ts";
import { World, outcome, policyOf, routeOf, type Receiver } from "../support/sim/world.ts";
import { latencyOf } from "../support/sim/latent-store.ts";

const HOUR_MS = 3_600_000;
const MAX_AGE_MS = HOUR_MS;
const POLICY = policyOf({ retry: { maxAttempts: 5, maxAgeMs: MAX_AGE_MS } });
const BROKEN = outcome("client_error", { permanent: true, message: "payload.body failed: no such key" });

/** The route whose body is made by this expression. */
function made(body: string, fields: Parameters<typeof routeOf>[1] & { readonly draining?: boolean } = {}): Route {
  const { draining = false, ...rest } = fields;
  const route = routeOf("s", { ...rest, policy: POLICY });
  const spec = { ...route.subscription.spec, payload: { ...route.subscription.spec.payload, body } };
  return { ...route, draining, subscription: { ...route.subscription, spec } };
}

/** Only the expression `good` makes a body. */
const RECEIVER: Receiver = ({ route }) => ({
  afterMs: 5,
  outcome: route.subscription.spec.payload.body === "good" ? outcome("success") : BROKEN,
});

async function started(route: Route): Promise<World> {
  const world = new World({ latency: latencyOf(1), receiver: RECEIVER });
  await world.start([route]);
  return world;
}

async function recordOf(world: World, eventId: string | undefined): Promise<DeliveryRecord | undefined> {
  return (await world.store.deliveriesOf(eventId ?? ""))[0];
}

async function posted(world: World): Promise<string | undefined> {
  const event = await world.post(undefined, undefined, "subject");
  await world.clock.advance(1_000);
  return event?.id;
}

test("what cannot be made into a body waits, is not tried by the clock, and goes out with the next spec", async () => {
  const world = await started(made("bad"));
  const id = await posted(world);
  await world.clock.advance(MAX_AGE_MS / 2);
  expect(world.network.sent).toHaveLength(1);
  expect(await recordOf(world, id)).toMatchObject({ state: "ready", reason: "PayloadInvalid", dueAtMs: undefined, attempts: 1 });
  expect((await world.store.attemptsOf((await recordOf(world, id))?.id ?? 0))[0]?.message).toBe(BROKEN.message);
  const health = world.engine.health("s");
  expect(health).toMatchObject({ pending: 1, failed: 0, consecutiveFailures: 0 });
  expect(health?.recentFailures).toMatchObject([{ eventId: id, attempt: 1, message: BROKEN.message }]);
  // The same spec again, as after every resync, is no other spec.
  world.route([made("bad")]);
  await world.clock.advance(1_000);
  expect(world.network.sent).toHaveLength(1);
  world.route([made("good")]);
  await world.clock.advance(1_000);
  expect(await recordOf(world, id)).toMatchObject({ state: "delivered", attempts: 2 });
  expect(world.engine.health("s")).toMatchObject({ pending: 0, delivered: 1 });
});

test("a spec that cannot make it either lets it wait on", async () => {
  const world = await started(made("bad"));
  const id = await posted(world);
  world.route([made("worse")]);
  await world.clock.advance(10_000);
  expect(await recordOf(world, id)).toMatchObject({ state: "ready", attempts: 2 });
  world.route([made("good")]);
  await world.clock.advance(1_000);
  expect(await recordOf(world, id)).toMatchObject({ state: "delivered", attempts: 3 });
});

test("a spec that comes while the attempt is under way is not missed", async () => {
  let answerAfterMs = 200;
  const world = new World({ latency: latencyOf(1), receiver: (input, nowMs) => ({ ...RECEIVER(input, nowMs), afterMs: answerAfterMs }) });
  await world.start([made("bad")]);
  const event = await world.post();
  await world.clock.advance(10);
  world.route([made("good")]);
  await world.clock.advance(100);
  answerAfterMs = 5;
  expect(world.network.sent).toHaveLength(1);
  await world.clock.advance(1_000);
  expect(await recordOf(world, event?.id)).toMatchObject({ state: "delivered", attempts: 2 });
});

test.each([
  ["another spec", "good", { state: "delivered", attempts: 2 }],
  ["the same spec", "bad", { state: "ready", reason: "PayloadInvalid", attempts: 1 }],
])("over a restart with %s", async (_name, body, expected) => {
  const before = await started(made("bad"));
  const id = await posted(before);
  before.kill();
  const after = new World({ latency: latencyOf(1), receiver: RECEIVER, store: before.store, clock: before.clock, seed: 2 });
  await after.start([made(body)]);
  await after.clock.advance(5_000);
  expect(await recordOf(after, id)).toMatchObject(expected);
});

test("its age ends it, and so does the last attempt", async () => {
  const world = await started(made("bad"));
  const id = await posted(world);
  await world.clock.advance(MAX_AGE_MS + 2_000);
  expect(await recordOf(world, id)).toMatchObject({ state: "failed", reason: "AgeExceeded", attempts: 1 });
  const spent = await posted(world);
  for (let edit = 0; edit < 6; edit++) {
    world.route([made(`bad ${edit}`)]);
    await world.clock.advance(10_000);
  }
  expect(await recordOf(world, spent)).toMatchObject({ state: "failed", reason: "PayloadInvalid", attempts: 5 });
});

test("who is deleted with Drain does not wait for it, whether it comes before or after", async () => {
  const world = await started(made("bad"));
  const waiting = await posted(world);
  world.route([made("bad", { draining: true })]);
  await world.clock.advance(10_000);
  expect(await recordOf(world, waiting)).toMatchObject({ state: "failed", reason: "PayloadInvalid", attempts: 2 });
  expect(world.engine.pending("s")).toBe(0);
});

test("others of its key do not wait for it: it ends, and the key goes on", async () => {
  const world = await started(made("bad", { orderingKey: "subject" }));
  const id = await posted(world);
  expect(await recordOf(world, id)).toMatchObject({ state: "failed", reason: "PayloadInvalid", attempts: 1 });
});

test("sent again by hand it has one attempt", async () => {
  const world = await started(made("bad", { orderingKey: "subject" }));
  const id = await posted(world);
  const { id: delivery = 0 } = (await recordOf(world, id)) ?? {};
  expect(await world.clock.until(world.engine.resend(delivery))).toBe("resent");
  await world.clock.advance(1_000);
  expect(await recordOf(world, id)).toMatchObject({ state: "failed", reason: "PayloadInvalid", attempts: 2 });
  world.route([made("good", { orderingKey: "subject" })]);
  expect(await world.clock.until(world.engine.resend(delivery))).toBe("resent");
  await world.clock.advance(1_000);
  expect(await recordOf(world, id)).toMatchObject({ state: "delivered", attempts: 3 });
});

test("thousands that wait are all woken", async () => {
  const world = await started(made("bad"));
  const ids: (string | undefined)[] = [];
  for (let i = 0; i < 2_300; i++) ids.push((await world.post())?.id);
  await world.clock.advance(60_000);
  expect(world.engine.health("s")?.pending).toBe(ids.length);
  world.route([made("good")]);
  await world.clock.advance(600_000);
  for (const id of ids) expect((await recordOf(world, id))?.state).toBe("delivered");
});
