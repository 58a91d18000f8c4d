import { describe, expect, test } from "vitest";
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

describe("a process that stood still", () => {
  /** An entry that is taken out by an answer, or expires. */
  function waiting(clock: ManualClock, wheel: TimerWheel, limitMs: number, givenBackMs?: number) {
    const startMs = clock.monotonicMs();
    const seen: { end?: string; atMs?: number; late?: boolean } = {};
    const end = (how: string) => {
      if (seen.end === undefined) Object.assign(seen, { end: how, atMs: clock.monotonicMs() - startMs });
    };
    const slot = wheel.add(limitMs, {
      expire: ({ late }) => {
        end("expired");
        seen.late = late;
      },
      ...(givenBackMs === undefined ? {} : { givenBackMs: () => givenBackMs }),
    });
    const answer = (): void => {
      wheel.cancel(slot);
      end("answered");
    };
    return { seen, slot, answer };
  }

  test.each([
    [500, 200],
    [3_000, 2_000],
    [17_000, 15_000],
    [60_000, 2_000],
  ])("for %d ms takes an answer that came in time, whatever its deadline of %d ms says", async (stallMs, limitMs) => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const entries = Array.from({ length: 40 }, () => waiting(clock, wheel, limitMs));
    await clock.advance(100);
    for (const { answer } of entries) clock.arrive(50, answer);
    await clock.stall(stallMs);
    expect(entries.map(({ seen }) => seen.end)).toEqual(entries.map(() => "answered"));
  });

  test("expires what had no answer after the sockets were read, once, and calls it late", async () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const { seen, slot } = waiting(clock, wheel, 2_000);
    await clock.advance(10);
    await clock.stall(3_000);
    expect(seen).toMatchObject({ end: "expired", late: true });
    expect(wheel.stoodSince(slot)).toBeGreaterThan(2_500);
  });

  test("gives the time that was lost back to those who need it: a deadline does not run while nobody does", async () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const connecting = waiting(clock, wheel, 5_000, Number.POSITIVE_INFINITY);
    const sent = waiting(clock, wheel, 5_000, 2_000);
    await clock.advance(1_000);
    await clock.stall(60_000);
    expect([connecting.seen.end, sent.seen.end]).toEqual([undefined, undefined]);
    await clock.advance(20_000);
    expect(sent.seen).toMatchObject({ end: "expired", late: true });
    expect(sent.seen.atMs).toBeGreaterThanOrEqual(63_000);
    expect(sent.seen.atMs).toBeLessThanOrEqual(63_000 + 2 * WHEEL_TICK_MS);
    // One second of five had gone; the beat by which the freeze is seen may be 0.2 s old.
    expect(connecting.seen.atMs).toBeGreaterThan(64_700);
    expect(connecting.seen.atMs).toBeLessThanOrEqual(65_000 + 2 * WHEEL_TICK_MS);
  });

  test("in the middle of a deadline gives that time back as well, and each freeze only once", async () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const { seen } = waiting(clock, wheel, 5_000, Number.POSITIVE_INFINITY);
    for (let i = 0; i < 3; i++) {
      await clock.advance(500);
      await clock.stall(1_000);
    }
    await clock.advance(20_000);
    expect(seen.end).toBe("expired");
    expect(seen.atMs).toBeGreaterThan(7_300);
    expect(seen.atMs).toBeLessThanOrEqual(8_000 + 2 * WHEEL_TICK_MS);
  });

  test("a busy loop is no freeze: nothing is given back for turns that are late by less than a quarter of a second", async () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const { seen, slot } = waiting(clock, wheel, 2_000, Number.POSITIVE_INFINITY);
    for (let i = 0; i < 8; i++) await clock.stall(240);
    await clock.advance(1_000);
    expect(seen).toMatchObject({ end: "expired", late: false });
    expect(seen.atMs).toBeLessThanOrEqual(2_000 + 2 * WHEEL_TICK_MS);
    expect(wheel.stoodSince(slot)).toBe(0);
  });

  test("cleared between the turn and the judgement, nothing expires", async () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const { seen } = waiting(clock, wheel, 2_000);
    clock.arrive(10, () => wheel.clear());
    await clock.stall(3_000);
    await clock.advance(10_000);
    expect(seen.end).toBeUndefined();
    expect(clock.timers).toBe(0);
  });
});
