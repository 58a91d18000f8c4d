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
