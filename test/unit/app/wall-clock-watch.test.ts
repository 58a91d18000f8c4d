import { pino } from "pino";
import { expect, it } from "vitest";
import { STEP_HARMLESS_MS, STEP_HELD_MS, WallClockWatch } from "../../../src/app/wall-clock-watch.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function scene() {
  const clock = new ManualClock();
  let driftMs = 0;
  let adopted = 0;
  const watched = {
    nowMs: () => clock.nowMs(),
    trueMs: () => clock.trueMs(),
    shownMs: (ms: number) => clock.shownMs(ms),
    monotonicMs: () => clock.monotonicMs(),
    afterPoll: (fn: () => void) => clock.afterPoll(fn),
    after: (ms: number, fn: () => void) => clock.after(ms, fn),
    wallDriftMs: () => driftMs,
    adoptWallClock: () => {
      adopted += driftMs;
      driftMs = 0;
    },
  };
  const abort = new AbortController();
  const done = new WallClockWatch(watched, pino({ level: "silent" })).run(abort.signal);
  return {
    clock,
    step: (ms: number) => (driftMs += ms),
    adopted: () => adopted,
    stop: async () => {
      abort.abort();
      await done;
    },
  };
}

it.each([50, -3_000, STEP_HARMLESS_MS, -STEP_HARMLESS_MS])("takes a step of %d ms over at the next look", async (ms) => {
  const world = scene();
  await world.clock.advance(1);
  world.step(ms);
  await world.clock.advance(10_000);
  expect(world.adopted()).toBe(ms);
  await world.stop();
});

it.each([3_600_000, -3_600_000])("takes a step of %d ms over only when it has held", async (ms) => {
  const world = scene();
  world.step(ms);
  await world.clock.advance(STEP_HELD_MS - 20_000);
  expect(world.adopted()).toBe(0);
  await world.clock.advance(40_000);
  expect(world.adopted()).toBe(ms);
  await world.stop();
});

it("forgets a step that is taken back, and counts anew when it changes", async () => {
  const world = scene();
  world.step(3_600_000);
  await world.clock.advance(STEP_HELD_MS - 20_000);
  world.step(3_600_000);
  await world.clock.advance(STEP_HELD_MS - 20_000);
  expect(world.adopted()).toBe(0);
  world.step(-7_200_000);
  await world.clock.advance(STEP_HELD_MS * 2);
  expect(world.adopted()).toBe(0);
  await world.stop();
});
