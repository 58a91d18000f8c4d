import { expect, test } from "vitest";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { World, outcome, routeOf, type Receiver } from "../../support/sim/world.ts";
import { settle } from "../../support/time/manual-clock.ts";

const HANGING: Receiver = () => ({ afterMs: 5_000, outcome: outcome("server_error") });

function leaving(route: Route): Route {
  return { ...route, draining: true };
}

test.each([
  ["dead-letter", "failed", "SubscriptionDeleted"],
  ["discard", "discarded", "Discarded"],
] as const)("an attempt under way when its subscription ends, and fails, is ended too: %s", async (how, state, reason) => {
  const world = new World({ receiver: HANGING });
  await world.start([routeOf("a")]);
  const event = await world.post();
  await settle();
  expect(world.network.sent.length).toBe(1);
  world.route([leaving(routeOf("a"))]);
  expect(await world.engine.end("a", how)).toBe(0);
  world.route([]);
  await world.clock.advance(10_000);
  expect(await world.store.deliveriesOf(event?.id ?? "")).toMatchObject([{ state, reason, attempts: 1 }]);
  expect(world.engine.pending("a")).toBe(0);
  expect(await world.store.queues()).toEqual([]);
  expect(world.network.sent.length).toBe(1);
});

test("a subscription that is back while its last attempt is under way delivers what comes in", async () => {
  let isUp = false;
  const world = new World({ receiver: (input, nowMs) => (isUp ? { afterMs: 5, outcome: outcome("success") } : HANGING(input, nowMs)) });
  await world.start([routeOf("a")]);
  await world.post();
  await settle();
  world.route([leaving(routeOf("a"))]);
  await world.engine.end("a", "discard");
  world.route([]);
  await world.clock.advance(100);
  isUp = true;
  world.route([routeOf("a")]);
  await world.clock.advance(100);
  const later = await world.post();
  await world.clock.advance(60_000);
  expect(await world.store.deliveriesOf(later?.id ?? "")).toMatchObject([{ state: "delivered" }]);
  expect(world.engine.pending("a")).toBe(0);
});

test("what is owed to nobody any more is told after a restart, its dead letters under their subscription", async () => {
  const store = new MemoryStore();
  const first = new World({ receiver: HANGING, store });
  await first.start([routeOf("a"), routeOf("b")]);
  await first.post("ns", (route) => route.subscription.uid === "a");
  await settle();
  first.kill();
  const second = new World({ receiver: HANGING, store, clock: first.clock });
  expect([...second.engine.owing()]).toEqual([]);
  await second.start([routeOf("b")]);
  expect([...second.engine.owing()]).toEqual(["a"]);
  expect(await second.engine.end("a", "dead-letter")).toBe(1);
  expect([...second.engine.owing()]).toEqual([]);
});

test("nothing is left of a deleted subscription: no series, no suspension, no permission, whether an attempt was under way or not", async () => {
  const asker = {
    origin: "postrider",
    askPermission: () => Promise.resolve(outcome("success", { responseHeaders: [["webhook-allowed-origin", "*"]] })),
  };
  const gone: Receiver = () => ({ afterMs: 2_000, outcome: outcome("client_error", { statusCode: 410 }) });
  const world = new World({ receiver: gone, asker });
  const [silent, asked, busy] = [routeOf("silent"), routeOf("asked", { handshake: true }), routeOf("busy")];
  const series = async (): Promise<string[]> =>
    [...world.metrics.exposeSubscriptions()]
      .join("")
      .split("\n")
      .filter((line) => line.includes("subscription="));
  for (const { subscription } of [silent, asked, busy]) world.metrics.showSubscription(subscription, false);
  await world.start([silent, asked, busy]);
  await world.post("ns", ({ subscription }) => subscription !== silent.subscription);
  await world.clock.advance(3_000);
  await world.post("ns", ({ subscription }) => subscription === busy.subscription);
  await world.engine.resume("busy");
  await settle();
  expect((await world.store.listState("suspension")).map(({ key }) => key)).toEqual(["asked"]);
  world.route([silent, asked, busy].map(leaving));
  for (const uid of ["silent", "asked", "busy"]) await world.engine.end(uid, "discard");
  await world.clock.advance(100);
  world.route([]);
  await world.clock.advance(10_000);
  expect(await series()).toEqual([]);
  expect(await world.store.queues()).toEqual([]);
  for (const kind of ["suspension", "handshake", "health"] as const) expect(await world.store.listState(kind)).toEqual([]);
});
