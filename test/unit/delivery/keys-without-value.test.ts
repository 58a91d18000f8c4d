import { expect, test } from "vitest";
import { outcome, routeOf, World, type Receiver } from "../../support/sim/world.ts";

const OK: Receiver = () => ({ afterMs: 5, outcome: outcome("success") });

test("keys that no event has a value for are counted, until one has, or until the path is another", async () => {
  const world = new World({ receiver: OK });
  await world.start([
    routeOf("a", { orderingKey: "data.oder", recordIdField: "event.data.recordd" }),
    routeOf("b", { recordIdField: "data.id" }),
  ]);
  const keys = (uid: string) => world.engine.health(uid)?.keysWithoutValue;
  for (let i = 0; i < 3; i++) await world.post();
  await world.clock.advance(50);
  expect(keys("a")).toMatchObject([
    { field: "ordering.key", path: "data.oder", events: 3 },
    { field: "history.recordIDField", path: "event.data.recordd", events: 3 },
  ]);
  expect(keys("b")).toEqual([]);
  world.route([routeOf("a", { orderingKey: "data.id", recordIdField: "event.data.recordd" })]);
  await world.clock.advance(50);
  await world.post();
  await world.clock.advance(50);
  expect(keys("a")).toMatchObject([{ field: "history.recordIDField", events: 4 }]);
});
