import { describe, expect, test } from "vitest";
import { DEAD_LETTER_TYPE, deadLetterQueue } from "../../src/core/dead-letter.ts";
import type { Event } from "../../src/core/event.ts";
import { StoreError } from "../../src/store/store.ts";
import { seededRandom } from "../support/sim/seeded-random.ts";
import { World, outcome, routeOf, type PolicyChange, type Receiver } from "../support/sim/world.ts";
import { latencyOf } from "../support/sim/latent-store.ts";
import { testDeliveryNames } from "../support/delivery/test-delivery-names.ts";

const SEEDS = (process.env["POSTRIDER_SIM_SEEDS"] ?? "1,2,3,4,5,6,7,8").split(",").map(Number);
const LETTERS = deadLetterQueue("s");
const TWICE: PolicyChange = { retry: { maxAttempts: 2, delays: { kind: "backoff", growth: "Constant", initialMs: 200, maxMs: 200 } } };

function route(fields: { letters?: boolean; policy?: PolicyChange; suspend?: boolean } = {}) {
  const deadLetterUrl = fields.letters === false ? {} : { deadLetterUrl: "https://dead.test/" };
  return routeOf("s", { policy: fields.policy ?? TWICE, suspend: fields.suspend ?? false, ...deadLetterUrl });
}

/** The receiver refuses; the dead-letter endpoint answers as told. */
function refusing(letters: ReturnType<typeof outcome>): Receiver {
  return ({ route: { subscription } }) => ({
    afterMs: 5,
    outcome: subscription.uid === LETTERS ? letters : outcome("server_error", { statusCode: 503, message: "busy" }),
  });
}

function json(event: Event | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(event?.data ?? []).toString()) as Record<string, unknown>;
}

test("what failed for good is told to the endpoint, with the reason, the attempts, the last status and the event as it was", async () => {
  const world = new World({ latency: latencyOf(1), receiver: refusing(outcome("success")) });
  const told: Event[] = [];
  const urls: (string | undefined)[] = [];
  world.network.onSend = (input) => {
    if (input.route.subscription.uid !== LETTERS) return;
    told.push(input.event);
    urls.push(input.route.subscription.target?.url);
  };
  await world.start([route()]);
  const event = (await world.post("ns", undefined, "order-7"))!;
  await world.clock.advance(2_000);
  expect(urls).toEqual(["https://dead.test/"]);
  expect(told[0]).toMatchObject({ type: DEAD_LETTER_TYPE, subject: event.id, source: "/namespaces/ns/webhooksubscriptions/s" });
  expect(told[0]?.id).not.toContain(".");
  expect(told[0]?.id).toContain(`-${testDeliveryNames.nameOf("ns", 1)}-`);
  const [record] = await world.store.deliveriesOf(event.id);
  expect(json(told[0])).toMatchObject({
    namespace: "ns",
    subscription: "s",
    deliveryID: testDeliveryNames.nameOf("ns", record?.id ?? 0),
    reason: "AttemptsExhausted",
    attempts: 2,
    lastStatusCode: 503,
    lastMessage: "busy",
    event: {
      specversion: "1.0",
      id: event.sourceId,
      source: event.source,
      type: "a.b",
      subject: "order-7",
      data: { id: "rec-1" },
    },
  });
  expect(record).toMatchObject({ state: "failed", reason: "AttemptsExhausted" });
  expect(world.engine.health("s")).toMatchObject({ failed: 1, deadLettered: 1, delivered: 0, pending: 0 });
  expect(world.engine.pending("s")).toBe(0);
});

test("a dead-letter endpoint that fails is tried as often as the policy says, with the same id, and makes no dead letter", async () => {
  const world = new World({ latency: latencyOf(1), receiver: refusing(outcome("server_error")) });
  const ids: string[] = [];
  world.network.onSend = (input) => {
    if (input.route.subscription.uid === LETTERS) ids.push(input.event.id);
  };
  await world.start([route()]);
  await world.post();
  await world.clock.advance(60_000);
  expect(ids).toHaveLength(2);
  expect(new Set(ids).size).toBe(1);
  expect((await world.store.queues()).map((queue) => queue.subscription).toSorted()).toEqual(["s", LETTERS]);
  expect(world.engine.pending("s")).toBe(0);
});

test("without the endpoint nothing is forwarded; with it, what fails from then on is", async () => {
  const once: PolicyChange = { retry: { ...TWICE.retry, maxAttempts: 1 } };
  const world = new World({ latency: latencyOf(1), receiver: refusing(outcome("success")) });
  const letters = () => world.network.sent.filter((sent) => sent.uid === LETTERS).map((sent) => sent.eventId);
  await world.start([route({ letters: false, policy: once })]);
  await world.post();
  await world.clock.advance(1_000);
  expect(world.network.sent).toHaveLength(1);
  world.route([route({ policy: once })]);
  await world.clock.advance(100);
  await world.post();
  await world.clock.advance(1_000);
  expect(letters()).toHaveLength(1);
  world.route([route({ letters: false, policy: once })]);
  await world.clock.advance(100);
  await world.post();
  await world.clock.advance(1_000);
  expect(letters()).toHaveLength(1);
});

test("letters that nobody takes any more end in the store", async () => {
  const world = new World({ latency: latencyOf(1), receiver: refusing(outcome("server_error")) });
  await world.start([route()]);
  world.network.onSend = (input) => {
    // The endpoint leaves the spec while its first letter is under way.
    if (input.route.subscription.uid === LETTERS && input.attempt === 1) world.route([route({ letters: false })]);
  };
  const event = (await world.post())!;
  await world.clock.advance(10_000);
  expect(world.network.sent.filter((sent) => sent.uid === LETTERS).length).toBeLessThanOrEqual(2);
  expect(world.engine.pending("s")).toBe(0);
  expect((await world.store.deliveriesOf(event.id))[0]?.state).toBe("failed");
});

test("no letter is left behind by a delivery that fails while the store is slow to learn that letters are wanted no more", async () => {
  const once: PolicyChange = { retry: { ...TWICE.retry, maxAttempts: 1 } };
  const world = new World({ latency: latencyOf(1), receiver: refusing(outcome("success")) });
  await world.start([route({ policy: once })]);
  await world.post();
  await world.clock.advance(1_000);
  const { store } = world;
  const setForwarding = store.setForwarding.bind(store);
  let isDown = true;
  store.setForwarding = (uid, on) => (isDown ? Promise.reject(new StoreError("unavailable", "busy")) : setForwarding(uid, on));
  world.route([route({ letters: false, policy: once })]);
  await world.clock.advance(100);
  await world.post();
  await world.clock.advance(100);
  expect(await waiting(world)).toBe(1);
  isDown = false;
  await world.clock.advance(2_000);
  expect(await waiting(world)).toBe(0);
  expect(world.engine.pending("s")).toBe(0);

  // The same again with a change of mind before the store has learned of it: now the letter is sent.
  world.route([route({ policy: once })]);
  await world.clock.advance(100);
  isDown = true;
  world.route([route({ letters: false, policy: once })]);
  await world.clock.advance(100);
  const event = await world.post();
  await world.clock.advance(100);
  world.route([route({ policy: once })]);
  isDown = false;
  await world.clock.advance(2_000);
  expect(world.network.sent.filter(({ uid, eventId }) => uid === LETTERS && eventId.startsWith(event?.id ?? "none"))).toHaveLength(1);
  expect(await waiting(world)).toBe(0);
});

/** Dead letters in the store that have neither been sent nor ended. */
async function waiting(world: World): Promise<number> {
  return (await world.store.due(LETTERS, Number.MAX_SAFE_INTEGER, 10)).length;
}

test("a suspended subscription sends no dead letters either; deleted, it waits for them, and ends them", async () => {
  const world = new World({ latency: latencyOf(1), receiver: refusing(outcome("server_error", { statusCode: 500 })) });
  const slow: PolicyChange = { retry: { maxAttempts: 3, delays: { kind: "schedule", delaysMs: [0, 100, 60_000] } } };
  await world.start([route({ policy: slow })]);
  await world.post();
  await world.clock.advance(61_000);
  const before = world.network.sent.filter((sent) => sent.uid === LETTERS).length;
  expect(before).toBeGreaterThan(0);
  world.route([route({ policy: slow, suspend: true })]);
  await world.clock.advance(120_000);
  expect(world.network.sent.filter((sent) => sent.uid === LETTERS).length).toBe(before);
  expect(world.engine.pending("s")).toBe(1);
  expect(await world.clock.until(world.engine.end("s", "dead-letter"))).toBe(1);
  expect(world.engine.pending("s")).toBe(0);
  expect(await world.store.queues()).toEqual([]);
});

describe.each(SEEDS)("seed %i", (seed) => {
  test("each failed delivery has its dead letter, over kills and a store that fails", { timeout: 60_000 }, async () => {
    const random = seededRandom(seed);
    let faulty = false;
    let healed = false;
    const told = new Map<string, number>();
    const receiver: Receiver = (input) => {
      const afterMs = 1 + random.below(50);
      const good = input.route.subscription.uid === LETTERS ? healed || random.next() < 0.5 : random.next() < 0.3;
      if (good && input.route.subscription.uid === LETTERS)
        told.set(input.event.subject ?? "", (told.get(input.event.subject ?? "") ?? 0) + 1);
      return { afterMs, outcome: outcome(good ? "success" : "server_error") };
    };
    const policy: PolicyChange = {
      circuitBreaker: { consecutiveFailures: 1e6, openForMs: 1_000, halfOpenProbes: 1 },
      retry: { maxAttempts: 30, delays: { kind: "backoff", growth: "Constant", initialMs: 100, maxMs: 100 } },
    };
    const routes = [
      routeOf("s", { deadLetterUrl: "https://dead.test/", policy: { ...policy, retry: { ...policy.retry, maxAttempts: 30 } } }),
    ];
    const accepted: string[] = [];
    let previous: World | undefined;
    for (let life = 0; life < 4; life++) {
      const world: World = new World({
        latency: latencyOf(seed * 10 + life),
        receiver: (input, nowMs) => {
          const answer = receiver(input, nowMs);
          // Most deliveries fail at once, so that there are letters.
          const isOwn = input.route.subscription.uid === "s" && answer.outcome.class !== "success";
          return isOwn ? { ...answer, outcome: outcome("client_error", { statusCode: 400 }) } : answer;
        },
        seed: seed * 10 + life,
        ...(previous === undefined
          ? { fault: () => (faulty && random.next() < 0.3 ? new StoreError("unavailable", "simulated") : undefined) }
          : { store: previous.store, clock: previous.clock }),
      });
      await world.start(routes);
      for (let step = 0; step < 50; step++) {
        faulty = random.next() < 0.1;
        const event = await world.post();
        if (event !== undefined) accepted.push(event.id);
        await world.clock.advance(random.below(60));
      }
      faulty = false;
      previous = world;
      if (life < 3) world.kill();
    }
    healed = true;
    await previous!.clock.advance(600_000);
    const failed: string[] = [];
    for (const id of accepted) {
      const [record] = await previous!.store.deliveriesOf(id);
      expect(["delivered", "failed"]).toContain(record?.state);
      if (record?.state === "failed") failed.push(id);
    }
    expect(failed.length).toBeGreaterThan(50);
    expect([...told.keys()].toSorted()).toEqual(failed.toSorted());
    expect((await previous!.store.queues()).every((queue) => queue.pending === 0)).toBe(true);
    expect(previous!.engine.pending("s")).toBe(0);
  });
});
