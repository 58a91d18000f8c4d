import { expect, test } from "vitest";
import { TimerWheel, WHEEL_TICK_MS } from "../../../src/lib/timer-wheel.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

function entry(clock: ManualClock, fired: number[]): { expire(): void } {
  const start = clock.monotonicMs();
  return { expire: () => fired.push(clock.monotonicMs() - start) };
}

test("entries expire at their time or a tick later, never before, whatever the order they came in", async () => {
  const clock = new ManualClock(1_000_003);
  const wheel = new TimerWheel(clock);
  const delays = [0, 1, 19, 20, 21, 500, 100, 15_000, 99];
  const fired = new Map<number, number>();
  for (const delay of delays) wheel.add(delay, { expire: () => fired.set(delay, clock.monotonicMs() - 1_000_003) });
  await clock.advance(20_000);
  for (const delay of delays) {
    expect(fired.get(delay)).toBeGreaterThanOrEqual(delay);
    expect(fired.get(delay)).toBeLessThanOrEqual(delay + WHEEL_TICK_MS);
  }
});

test("a cancelled entry never expires, and an empty wheel sets no timer", async () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const fired: number[] = [];
  const one = entry(clock, fired);
  wheel.cancel(wheel.add(100, one));
  await clock.advance(1_000);
  expect(fired).toEqual([]);
  expect(clock.nextAtMs()).toBeUndefined();
});

test("an entry that throws does not stop the others of later ticks", async () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const fired: number[] = [];
  wheel.add(10, {
    expire: () => {
      throw new Error("broken");
    },
  });
  wheel.add(200, entry(clock, fired));
  await expect(clock.advance(100)).rejects.toThrow("broken");
  await clock.advance(500);
  expect(fired).toHaveLength(1);
});
