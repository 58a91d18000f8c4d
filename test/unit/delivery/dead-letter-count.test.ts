import { expect, test } from "vitest";
import { LetterCount } from "../../../src/core/letter-count.ts";
import { World, outcome, routeOf, type Receiver } from "../../support/sim/world.ts";

const DAY_MS = 86_400_000;
const NEVER: Receiver = () => ({ afterMs: 1, outcome: outcome("client_error", { statusCode: 400 }) });

async function shown(world: World): Promise<readonly string[]> {
  const lines = [...world.metrics.exposeSubscriptions()].join("").split("\n");
  const letters = lines.filter((line) => line.startsWith("postrider_dead_letters"));
  const all = (await world.metrics.expose()).split("\n").filter((line) => line.startsWith("postrider_dead_letters"));
  return [...letters, ...all].map((line) => line.replace("postrider_dead_letters", "").replace('namespace="ns",subscription=', ""));
}

test("what failed for good is shown until it is sent again, and survives a restart", async () => {
  let receiver = NEVER;
  const world = new World({ receiver: (input, nowMs) => receiver(input, nowMs) });
  await world.start([routeOf("a"), routeOf("b")]);
  expect(await shown(world)).toEqual(["_unsent 0"]);
  const toA = (route: { readonly subscription: { readonly uid: string } }): boolean => route.subscription.uid === "a";
  const first = await world.post("ns", toA);
  await world.post("ns", toA);
  await world.clock.advance(10_000);
  const expiry = expect.stringMatching(/^_oldest_expiry_timestamp_seconds\{"a"\} [\d.]+$/) as string;
  expect(await shown(world)).toEqual(['{"a"} 2', expiry, "_unsent 2"]);
  receiver = () => ({ afterMs: 1, outcome: outcome("success") });
  const [record] = await world.store.deliveriesOf(first?.id ?? "");
  expect(await world.engine.resend(record?.id ?? 0)).toBe("resent");
  expect(await shown(world)).toEqual(['{"a"} 1', expiry, "_unsent 1"]);
  await world.clock.advance(10_000);
  expect(await shown(world)).toEqual(['{"a"} 1', expiry, "_unsent 1"]);
  const [kept] = await world.store.listState("health");
  expect(JSON.parse(kept?.value ?? "{}")).toMatchObject({
    letters: { [Object.keys(JSON.parse(kept?.value ?? "{}").letters)[0] ?? ""]: [1, expect.any(Number)] },
  });
});

test("what is sent again and fails again is one, what had been delivered none, what is forwarded none", async () => {
  let receiver = NEVER;
  const world = new World({ receiver: (input, nowMs) => receiver(input, nowMs) });
  await world.start([routeOf("a"), routeOf("f", { deadLetterUrl: "https://letters.test/" })]);
  const event = await world.post("ns", ({ subscription }) => subscription.uid === "a");
  await world.clock.advance(10_000);
  const [record] = await world.store.deliveriesOf(event?.id ?? "");
  await world.engine.resend(record?.id ?? 0);
  await world.clock.advance(10_000);
  expect((await shown(world)).at(-1)).toBe("_unsent 1");
  receiver = (input) => ({
    afterMs: 1,
    outcome: input.route.subscription.uid === "f" ? outcome("client_error", { statusCode: 400 }) : outcome("success"),
  });
  const delivered = await world.post("ns", ({ subscription }) => subscription.uid === "a");
  await world.post("ns", ({ subscription }) => subscription.uid === "f");
  await world.clock.advance(10_000);
  const [other] = await world.store.deliveriesOf(delivered?.id ?? "");
  expect(other?.state).toBe("delivered");
  await world.engine.resend(other?.id ?? 0);
  await world.clock.advance(10_000);
  expect((await shown(world)).at(-1)).toBe("_unsent 1");
});

test("days that are over go, and the first expiry of those that are left is shown", () => {
  const letters = new LetterCount();
  for (const at of [1.5, 1.2, 3.1]) letters.failed(at * DAY_MS);
  expect(letters.at(0)).toEqual({ count: 3, oldestExpiryMs: 1.2 * DAY_MS });
  expect(letters.at(1.9 * DAY_MS).count).toBe(3);
  expect(letters.at(2 * DAY_MS)).toEqual({ count: 1, oldestExpiryMs: 3.1 * DAY_MS });
  letters.resent(9 * DAY_MS);
  letters.resent(3.1 * DAY_MS);
  expect(letters.at(2 * DAY_MS)).toEqual({ count: 0, oldestExpiryMs: undefined });
});

test.each([undefined, null, 7, "x", [], { x: [1, 2] }, { 5: [-1, 2] }, { 5: ["1", 2] }, { 5: 3 }])(
  "a broken snapshot is as good as none: %j",
  (kept) => {
    const letters = new LetterCount();
    letters.restore(kept);
    expect(letters.at(0).count).toBe(0);
  },
);

test("a snapshot brings back what it held", () => {
  const letters = new LetterCount();
  letters.failed(2.5 * DAY_MS);
  const later = new LetterCount();
  later.restore(JSON.parse(JSON.stringify(letters.kept)));
  expect(later.at(0)).toEqual(letters.at(0));
});
