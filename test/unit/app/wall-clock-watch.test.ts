import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { KEEP_EVERY_MS, STEP_HARMLESS_MS, STEP_HELD_MS, WallClockWatch } from "../../../src/app/wall-clock-watch.ts";
import { startingFrame } from "../../../src/core/clock-frame.ts";
import type { ClockFrame } from "../../../src/lib/clock.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

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
  const done = new WallClockWatch(watched, silentLog).run(abort.signal);
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

/** The watch over the clock itself, with what it says and keeps. */
function keeping() {
  const clock = new ManualClock();
  const kept: ClockFrame[] = [];
  const lines: { event: string; driftMs: number; msg: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) });
  const abort = new AbortController();
  const done = new WallClockWatch(clock, log, (frame) => kept.push(frame)).run(abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort();
    await done;
  };
  return { clock, kept, lines, stop };
}

describe("what is said", () => {
  it.each([5 * 86_400_000, -3_600_000])(
    "of a step of %d ms: at once what goes on and what follows, later that it was taken over",
    async (stepMs) => {
      const { clock, lines, stop } = keeping();
      await clock.advance(1);
      clock.stepWall(stepMs);
      await clock.advance(10_000);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ event: "clock.stepped", driftMs: stepMs });
      expect(lines[0]?.msg).toContain(`${stepMs > 0 ? "+" : ""}${stepMs / 1_000} s`);
      for (const words of ["retries keep their due times", "signatures and attempt times follow at once", "if the jump lasts for 10 min"])
        expect(lines[0]?.msg).toContain(words);
      await clock.advance(STEP_HELD_MS + 10_000);
      expect(lines[1]).toMatchObject({ event: "clock.adopted", driftMs: stepMs });
      expect(clock.shownMs(clock.nowMs())).toBe(clock.trueMs());
      await stop();
    },
  );

  it("of a slip that is taken back within ten minutes: that the clock has come back", async () => {
    const { clock, lines, stop } = keeping();
    await clock.advance(1);
    clock.stepWall(3_600_000);
    await clock.advance(20_000);
    clock.stepWall(-3_600_000);
    await clock.advance(20_000);
    expect(lines.map(({ event }) => event)).toEqual(["clock.stepped", "clock.back"]);
    await stop();
  });
});

describe("what is kept for the next start", () => {
  it("is handed out every 30 s at most, when a step is taken over, and when it stops", async () => {
    const { clock, kept, stop } = keeping();
    await clock.advance(10 * KEEP_EVERY_MS);
    expect(kept.length).toBeGreaterThanOrEqual(10);
    expect(kept.length).toBeLessThanOrEqual(11);
    const before = kept.length;
    clock.stepWall(5_000);
    await clock.advance(10_000);
    expect(kept.length).toBe(before + 1);
    await clock.advance(1_000);
    await stop();
    expect(kept.at(-1)).toEqual({ nowMs: clock.nowMs(), offsetMs: clock.trueMs() - clock.nowMs() });
  });

  it.each([5 * 86_400_000, -3_600_000])(
    "tells a step of %d ms before the stop, not yet taken over, from time in which nobody ran",
    async (stepMs) => {
      const { clock, kept, stop } = keeping();
      await clock.advance(60_000);
      clock.stepWall(stepMs);
      await clock.advance(60_000);
      await stop();
      const start = startingFrame(kept.at(-1), clock.trueMs() + 7_000);
      expect(start).toEqual({ nowMs: clock.nowMs() + 7_000, offsetMs: stepMs, awayMs: 7_000 });
    },
  );
});
