import { expect, test } from "vitest";
import { outcome, routeOf, World } from "../../support/sim/world.ts";

const BACKOFF = { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 } as const;
const HOUR = 3_600_000;
const MESSAGE = "paused through the API: the receiver is being moved; ends with resume";

/** A world whose receiver answers `status`, with one subscription. */
async function scene(change: Parameters<typeof routeOf>[1] = {}) {
  const receiver = { status: 200 };
  const answer = () => {
    const { status } = receiver;
    return { afterMs: 5, outcome: status === 200 ? outcome("success") : outcome("client_error", { statusCode: status }) };
  };
  const world = new World({ receiver: answer });
  await world.start([routeOf("a", change)]);
  return { world, receiver, answer };
}

test("what somebody has paused waits, and goes when it is resumed", async () => {
  const { world } = await scene();
  expect(await world.engine.pause("a", MESSAGE)).toBe(true);
  await world.post();
  await world.clock.advance(HOUR);
  expect(world.network.sent).toEqual([]);
  expect(world.engine.heldBack("a")).toEqual({ reason: "Paused", untilMs: undefined });
  expect(world.engine.health("a")?.suspension).toMatchObject({ reason: "Paused", message: MESSAGE });
  await world.engine.resume("a");
  await world.clock.advance(1_000);
  expect(world.network.sent).toHaveLength(1);
  expect(world.engine.health("a")?.suspension).toBeUndefined();
  expect(await world.store.listState("suspension")).toEqual([]);
});

test("an attempt under way ends as it would have, and a retry of it waits", async () => {
  const { world, receiver } = await scene({ policy: { retry: { delays: BACKOFF, maxAttempts: 5 } } });
  receiver.status = 429;
  await world.post();
  await world.clock.advance(1);
  await world.engine.pause("a", MESSAGE);
  await world.clock.advance(HOUR);
  expect(world.network.sent).toHaveLength(1);
  expect(world.engine.pending("a")).toBe(1);
});

test("a pause outlives a restart and a kill, with its message and its time", async () => {
  const { world, answer } = await scene();
  await world.engine.pause("a", MESSAGE);
  const sinceMs = world.engine.health("a")?.suspension?.sinceMs;
  await world.post();
  world.kill();
  await world.clock.advance(HOUR);
  const again = new World({ receiver: answer, store: world.store, clock: world.clock });
  await again.start([routeOf("a")]);
  await again.clock.advance(HOUR);
  expect(again.network.sent).toEqual([]);
  expect(again.engine.health("a")?.suspension).toEqual({ reason: "Paused", message: MESSAGE, sinceMs });
  await again.engine.resume("a");
  await again.clock.advance(1_000);
  expect(again.network.sent).toHaveLength(1);
});

test("neither another endpoint nor a test that succeeds ends a pause; an automatic suspension beside it ends by them", async () => {
  const { world, receiver } = await scene({ url: "https://old.test/" });
  receiver.status = 410;
  await world.post();
  await world.clock.advance(1_000);
  receiver.status = 200;
  await world.engine.pause("a", MESSAGE);
  await world.post();
  await world.engine.recover("a");
  world.route([routeOf("a", { url: "https://new.test/" })]);
  await world.clock.advance(HOUR);
  expect(world.engine.health("a")?.suspension?.reason).toBe("Paused");
  expect(world.network.sent).toHaveLength(1);
  expect((await world.store.queues()).find(({ subscription }) => subscription === "a")?.pauses).not.toHaveProperty("EndpointGone");
});

test("pausing once more replaces the message and keeps the time since when", async () => {
  const { world } = await scene();
  await world.engine.pause("a", MESSAGE);
  const sinceMs = world.engine.health("a")?.suspension?.sinceMs;
  await world.clock.advance(HOUR);
  await world.engine.pause("a", "another");
  expect(world.engine.health("a")?.suspension).toEqual({ reason: "Paused", message: "another", sinceMs });
});

test("what reaches its maxAge while it is paused fails with the pause as its reason, untried", async () => {
  const { world } = await scene({ policy: { retry: { maxAgeMs: HOUR } } });
  await world.engine.pause("a", MESSAGE);
  const event = await world.post();
  await world.clock.advance(HOUR + 300_000);
  expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state: "failed", reason: "Paused", attempts: 0 }]);
  expect(world.network.sent).toEqual([]);
});

test("a subscription that does not exist is not paused, and one that is deleted leaves nothing of its pause", async () => {
  const { world } = await scene();
  expect(await world.engine.pause("gone", MESSAGE)).toBe(false);
  await world.engine.pause("a", MESSAGE);
  world.route([]);
  await world.clock.advance(1_000);
  await world.engine.end("a", "discard");
  await world.clock.advance(60_000);
  expect(await world.store.listState("suspension")).toEqual([]);
});
