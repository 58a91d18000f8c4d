import { expect, it } from "vitest";
import type { Event } from "../../../src/core/event.ts";
import { outcome, routeOf, World, type Receiver } from "../../support/sim/world.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const BACKOFF = { kind: "backoff", growth: "Constant", initialMs: 600_000, maxMs: 600_000 } as const;

it.each([HOUR, -HOUR, 10 * YEAR, -10 * YEAR])(
  "a step of %d ms that is taken over moves every time of the status with it",
  async (stepMs) => {
    const world = new World({ receiver: () => ({ afterMs: 5, outcome: outcome("server_error") }) });
    await world.start([routeOf("a", { policy: { retry: { delays: BACKOFF } } })]);
    await world.post();
    await world.clock.advance(1_000);
    const before = world.engine.health("a");
    world.clock.stepWall(stepMs);
    expect(world.engine.health("a")).toEqual(before);
    world.clock.adoptWallClock();
    const after = world.engine.health("a");
    const moved = (ms: number | undefined): number => (ms ?? Number.NaN) + stepMs;
    expect(after).toEqual({
      ...before,
      sinceMs: moved(before?.sinceMs),
      oldestPendingAtMs: moved(before?.oldestPendingAtMs),
      nextAttemptAtMs: moved(before?.nextAttemptAtMs),
      lastFailureAtMs: moved(before?.lastFailureAtMs),
      lastAttempt: { ...before?.lastAttempt, atMs: moved(before?.lastAttempt?.atMs) },
      recentFailures: [{ ...before?.recentFailures[0], atMs: moved(before?.recentFailures[0]?.atMs) }],
    });
    expect((after?.nextAttemptAtMs ?? 0) - world.clock.trueMs()).toBeGreaterThan(590_000);
  },
);

it("the message of a suspension tells since when by the wall", async () => {
  const world = new World({ receiver: () => ({ afterMs: 5, outcome: outcome("server_error") }) });
  await world.start([routeOf("a", { policy: { autoSuspendAfterMs: HOUR, retry: { delays: BACKOFF, maxAttempts: 20 } } })]);
  world.clock.stepWall(-5 * DAY);
  world.clock.adoptWallClock();
  const sinceMs = world.clock.trueMs();
  await world.post();
  await world.clock.advance(2 * HOUR);
  const { suspension } = world.engine.health("a") ?? {};
  expect(suspension?.reason).toBe("AutoSuspended");
  expect(suspension?.message).toContain(new Date(sinceMs).toISOString().slice(0, 16));
  expect(Math.abs((suspension?.sinceMs ?? 0) - world.clock.trueMs())).toBeLessThan(2 * HOUR);
});

it("a dead letter tells the wall's times", async () => {
  const letters: Event[] = [];
  const receiver: Receiver = ({ route, event }) => {
    if (route.subscription.uid === "a") return { afterMs: 5, outcome: outcome("client_error") };
    letters.push(event);
    return { afterMs: 5, outcome: outcome(letters.length === 1 ? "server_error" : "success") };
  };
  const world = new World({ receiver });
  await world.start([routeOf("a", { deadLetterUrl: "https://graves.test/", policy: { retry: { maxAttempts: 5 } } })]);
  world.clock.stepWall(10 * YEAR);
  world.clock.adoptWallClock();
  await world.post();
  await world.clock.advance(5_000);
  world.clock.stepWall(50_000);
  world.clock.adoptWallClock();
  await world.clock.advance(600_000);
  const [letter, again] = letters;
  // The same in all attempts, whatever the clock does in between.
  expect(again).toEqual(letter);
  const told = JSON.parse(Buffer.from(letter?.data ?? []).toString()) as { acceptedTime: string; failedTime: string };
  for (const text of [told.acceptedTime, told.failedTime, letter?.time ?? ""])
    expect(Math.abs(Date.parse(text) - world.clock.trueMs())).toBeLessThan(700_000);
});

it("attempts that nobody answered because we stood still count against nobody, and are tried again", async () => {
  let stalled = true;
  const receiver: Receiver = () => ({
    afterMs: 10,
    outcome: stalled ? outcome("timeout", { stalled: true, connectionStatus: "ETIMEDOUT" }) : outcome("success"),
  });
  const world = new World({ receiver });
  const delays = { kind: "backoff", growth: "Constant", initialMs: 1_000, maxMs: 1_000 } as const;
  await world.start([routeOf("a", { policy: { maxInFlight: 64, retry: { delays } } })]);
  for (let i = 0; i < 64; i++) await world.post();
  await world.clock.advance(500);
  expect(world.network.sent).toHaveLength(64);
  expect(world.engine.health("a")).toMatchObject({ consecutiveFailures: 0, endpoint: { healthy: undefined } });
  stalled = false;
  await world.post();
  await world.clock.advance(100);
  // No open circuit, no halved cap: it goes at once.
  expect(world.network.sent).toHaveLength(65);
  await world.clock.advance(20_000);
  expect(world.engine.health("a")).toMatchObject({ delivered: 65, pending: 0, endpoint: { healthy: true } });
});
