import { expect, test } from "vitest";
import { deadLetterQueue } from "../../../src/core/dead-letter.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { outcome, routeOf, World, type Receiver } from "../../support/sim/world.ts";

const OK: Receiver = () => ({ afterMs: 1, outcome: outcome("success") });
const NEVER: Receiver = () => ({ afterMs: 1, outcome: outcome("client_error", { statusCode: 400 }) });

async function delivered(world: World): Promise<number> {
  const event = await world.post();
  await world.clock.advance(100);
  const [record] = await world.store.deliveriesOf(event?.id ?? "");
  expect(record?.state).toBe("delivered");
  return record?.id ?? 0;
}

test("a delivery is sent again while its subscription is there", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a")]);
  const id = await delivered(world);
  expect(await world.engine.resend(id)).toBe("resent");
  await world.clock.advance(1_000);
  expect(await world.store.readDelivery(id)).toMatchObject({ state: "delivered", attempts: 2 });
});

test("and is left as it ended once nobody would ever take it", async () => {
  const world = new World({ receiver: OK });
  await world.start([routeOf("a")]);
  const id = await delivered(world);
  world.route([]);
  await world.clock.advance(100);
  expect(await world.engine.resend(id)).toBe("subscription_gone");
  expect(await world.store.readDelivery(id)).toMatchObject({ state: "delivered", attempts: 1 });
});

/** The route with, or without, an endpoint for dead letters. */
function forwarding(on: boolean): Route {
  const route = routeOf("a");
  const endpoint = { address: { kind: "url", url: "https://graves.test/" }, headers: [], auth: undefined } as const;
  const { spec, target } = route.subscription;
  if (!on || target === undefined) return route;
  const withLetters = { ...target, deadLetter: { url: "https://graves.test/", headers: [], authorization: undefined, keys: [] } };
  return { ...route, subscription: { ...route.subscription, spec: { ...spec, deadLetter: endpoint }, target: withLetters } };
}

test("dead letters asked for again, while one is still on its way, find an open lane", async () => {
  // The dead letter's own receiver takes its time; everything else fails for good.
  const receiver: Receiver = (input) =>
    input.route.subscription.uid === deadLetterQueue("a") ? { afterMs: 10_000, outcome: outcome("success") } : NEVER(input, 0);
  const world = new World({ receiver });
  await world.start([forwarding(true)]);
  await world.post();
  await world.clock.advance(1_000);
  const letters = (): number => world.network.sent.filter(({ uid }) => uid === deadLetterQueue("a")).length;
  expect(letters()).toBe(1);
  world.route([forwarding(false)]);
  await world.clock.advance(1_000);
  world.route([forwarding(true)]);
  await world.clock.advance(1_000);
  await world.post();
  await world.clock.advance(30_000);
  expect(letters()).toBe(2);
});
