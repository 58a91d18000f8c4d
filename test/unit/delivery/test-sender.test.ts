import { expect, it } from "vitest";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { AttemptInput } from "../../../src/delivery/attempter.ts";
import type { Subscription } from "../../../src/core/subscription.ts";
import { Lane } from "../../../src/delivery/queue/lane.ts";
import { TestSender } from "../../../src/delivery/test-sender.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { aRoute } from "../../support/delivery/attempt-input.ts";
import { outcome, routeOf, World } from "../../support/sim/world.ts";

const STAYS = new AbortController().signal;
const NOBODY = { laneOf: () => undefined, events: { testEnded: () => undefined } };
const ORDER = { namespace: "shop", uid: "uid-1", type: undefined, data: undefined };

it("a test without a subscription or without its references sends nothing and says why", async () => {
  const unused = (): never => {
    throw new Error("must not be reached");
  };
  const route = aRoute({ url: "https://a.test/" });
  const subscription = {
    ...route.subscription,
    target: undefined,
    blocked: { reason: "SecretNotFound" as const, message: "Secret s is not there" },
  };
  const sender = (table: RouteTable): TestSender =>
    new TestSender({ ...NOBODY, clock: new ManualClock(), attempter: { attempt: unused }, table: () => table, recover: unused });
  expect(await sender(RouteTable.empty).send(ORDER, STAYS)).toMatchObject({ kind: "blocked" });
  const blocked = RouteTable.build([{ ...route, subscription }]);
  expect(await sender(blocked).send(ORDER, STAYS)).toEqual({ kind: "blocked", message: "Secret s is not there" });
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
    ...NOBODY,
    clock: world.clock,
    attempter: { attempt: async ({ event }: AttemptInput) => ({ ...DONE, outcome: answer, event }) },
    table: () => RouteTable.build([route]),
    recover: (uid) => world.engine.recover(uid),
  });
  const order = { ...ORDER, namespace: route.subscription.namespace, uid: "a" };
  expect(await tests.send(order, STAYS)).toMatchObject({ kind: "tested", outcome: { statusCode: 410 } });
  expect(suspended()).toBe("EndpointGone");
  answer = outcome("success");
  expect(await tests.send(order, STAYS)).toMatchObject({ kind: "tested", outcome: { class: "success" } });
  expect(suspended()).toBeUndefined();
  expect(world.engine.health("a")?.failed).toEqual(before);
});

const DONE = { url: "https://a.test/", startedAtMs: 0, requestHeaders: [], requestBody: undefined };

/** Sends tests of one subscription under these ceilings; its deliveries hold so many slots. */
function underCeilings(ceilings: Subscription["ceilings"], change: Parameters<typeof routeOf>[1] = {}, inFlight = 0) {
  const clock = new ManualClock();
  const route = routeOf("a", change);
  const lane = new Lane("a", "ns", clock.nowMs());
  lane.adopt(route, clock.nowMs());
  lane.fair.inFlight = inFlight;
  const hanging: (() => void)[] = [];
  let hangs = false;
  const attempt = async (_input: AttemptInput) => {
    if (hangs) await new Promise<void>((resolve) => hanging.push(resolve));
    return { ...DONE, outcome: outcome("client_error") };
  };
  const table = RouteTable.build([{ ...route, subscription: { ...route.subscription, ...(ceilings && { ceilings }) } }]);
  const sender = new TestSender({
    ...NOBODY,
    clock,
    attempter: { attempt },
    table: () => table,
    recover: async () => undefined,
    laneOf: () => lane,
  });
  const test = async () => {
    const done = await sender.send({ ...ORDER, uid: "a" }, STAYS);
    return done.kind === "held" ? [done.what, done.retryAfterMs] : done.kind;
  };
  return { clock, lane, test, hanging, hang: () => (hangs = true) };
}

const ONE_A_SECOND = { requests: 1, perMs: 1_000, burst: 1 };

it("a rate of the cluster policy holds for deliveries and tests together; the subscription's own does not hold for tests", async () => {
  const ruled = underCeilings({ rateLimit: ONE_A_SECOND }, { policy: { rateLimit: ONE_A_SECOND } });
  expect([await ruled.test(), await ruled.test()]).toEqual(["tested", ["rate", 1_000]]);
  // The test has used up what deliveries had.
  expect(ruled.lane.openAtMs(ruled.clock.nowMs())).toBe(ruled.clock.nowMs() + 1_000);
  await ruled.clock.advance(1_000);
  ruled.lane.gate.started(ruled.clock.nowMs());
  expect(await ruled.test()).toEqual(["rate", 1_000]);
  const own = underCeilings({}, { policy: { rateLimit: ONE_A_SECOND } });
  expect([await own.test(), await own.test()]).toEqual(["tested", "tested"]);
});

it("a suspended subscription can be tested, and the ceilings hold there as well", async () => {
  const { test } = underCeilings({ rateLimit: ONE_A_SECOND }, { suspend: true, policy: { rateLimit: ONE_A_SECOND } });
  expect([await test(), await test()]).toEqual(["tested", ["rate", 1_000]]);
});

it("the cluster policy's number of requests at once counts deliveries and tests", async () => {
  expect(await underCeilings({ maxInFlight: 3 }, {}, 2).test()).toBe("tested");
  expect(await underCeilings({ maxInFlight: 3 }, {}, 3).test()).toEqual(["in flight", 5_000]);
  const { test, hang, hanging } = underCeilings({ maxInFlight: 3 }, {}, 2);
  hang();
  const first = test();
  expect(await test()).toEqual(["in flight", 5_000]);
  hanging[0]!();
  expect(await first).toBe("tested");
});
