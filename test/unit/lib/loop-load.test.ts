import { expect, test } from "vitest";
import { LoopLoad, type LoopTimes } from "../../../src/lib/loop-load.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

async function measured(shares: readonly number[]): Promise<boolean[]> {
  const clock = new ManualClock();
  let times: LoopTimes = { idle: 0, active: 0 };
  const load = new LoopLoad(clock, () => times);
  const seen: boolean[] = [];
  for (const share of shares) {
    await clock.advance(50);
    times = { idle: times.idle + 50 * (1 - share), active: times.active + 50 * share };
    seen.push(load.isBusy());
  }
  return seen;
}

test("busy from four fifths of a stretch on, and no longer once a stretch has gaps", async () => {
  expect(await measured([0.1, 0.79, 0.8, 1, 0.5, 0.9])).toEqual([false, false, true, true, false, true]);
});

test("within a stretch it says what the last one said, and measures nothing", async () => {
  const clock = new ManualClock();
  let asked = 0;
  const load = new LoopLoad(clock, () => ({ idle: 0, active: 100 * asked++ }));
  expect(load.isBusy()).toBe(false);
  await clock.advance(60);
  expect([load.isBusy(), load.isBusy(), load.isBusy()]).toEqual([true, true, true]);
  expect(asked).toBe(2);
});

test("a loop that has done nothing at all is not busy", async () => {
  const clock = new ManualClock();
  const load = new LoopLoad(clock, () => ({ idle: 0, active: 0 }));
  await clock.advance(60);
  expect(load.isBusy()).toBe(false);
});

test("the real loop: busy while it works without a gap, not after it has waited", async () => {
  const clock = new SystemClock();
  const load = new LoopLoad(clock);
  const untilMs = clock.monotonicMs() + 300;
  while (clock.monotonicMs() < untilMs) await new Promise<void>((resolve) => clock.afterPoll(resolve));
  expect(load.isBusy()).toBe(true);
  // Nothing is asked of the machine but that it gives a loop that waits more than a fifth of idle time.
  await new Promise<void>((resolve) => void setTimeout(resolve, 300));
  expect(load.isBusy()).toBe(false);
});
