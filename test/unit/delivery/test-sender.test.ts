import { expect, it } from "vitest";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { AttemptInput } from "../../../src/delivery/attempter.ts";
import { TestSender } from "../../../src/delivery/test-sender.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { aRoute } from "../../support/delivery/attempt-input.ts";
import { outcome, routeOf, World } from "../../support/sim/world.ts";

const ORDER = { namespace: "shop", uid: "uid-1", type: undefined, data: undefined };

it("a test without a subscription or without its references sends nothing and says why", async () => {
  const unused = (): never => {
    throw new Error("must not be reached");
  };
  const route = aRoute({ url: "https://a.test/" });
  const subscription = {
    ...route.subscription,
    target: undefined,
    blocked: { reason: "SecretNotFound", message: "Secret s is not there" },
  };
  const sender = (table: RouteTable): TestSender =>
    new TestSender({ clock: new ManualClock(), attempter: { attempt: unused }, table: () => table, resume: unused });
  expect(await sender(RouteTable.empty).send(ORDER)).toMatchObject({ kind: "blocked" });
  const blocked = RouteTable.build([{ ...route, subscription }]);
  expect(await sender(blocked).send(ORDER)).toEqual({ kind: "blocked", message: "Secret s is not there" });
});

it("a test that fails leaves a suspension, one that succeeds ends it, and neither is counted or kept", async () => {
  let answer = outcome("client_error", { statusCode: 410 });
  const world = new World({ receiver: () => ({ afterMs: 1, outcome: answer }) });
  const route = routeOf("a");
  await world.start([route]);
  await world.post();
  await world.clock.advance(1_000);
  const suspended = (): unknown => world.engine.health("a")?.suspension?.reason;
  expect(suspended()).toBe("EndpointGone");
  const before = world.engine.health("a")?.failed;
  const tests = new TestSender({
    clock: world.clock,
    attempter: { attempt: async ({ event }: AttemptInput) => ({ ...DONE, outcome: answer, event }) },
    table: () => RouteTable.build([route]),
    resume: (uid) => world.engine.resume(uid),
  });
  const order = { ...ORDER, namespace: route.subscription.namespace, uid: "a" };
  expect(await tests.send(order)).toMatchObject({ kind: "tested", outcome: { statusCode: 410 } });
  expect(suspended()).toBe("EndpointGone");
  answer = outcome("success");
  expect(await tests.send(order)).toMatchObject({ kind: "tested", outcome: { class: "success" } });
  expect(suspended()).toBeUndefined();
  expect(world.engine.health("a")?.failed).toEqual(before);
});

const DONE = { url: "https://a.test/", startedAtMs: 0, requestHeaders: [], requestBody: undefined };
