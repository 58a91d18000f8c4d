import { expect, it } from "vitest";
import { RetentionSweep, SWEEP_EVERY_MS } from "../../../src/app/retention-sweep.ts";
import { createLog } from "../../../src/observe/log.ts";
import type { Dropped } from "../../../src/store/store.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

/** Wall time that can be set; lengths go on evenly. */
class SteppedClock extends ManualClock {
  stepMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.stepMs;
  }
}

function sweeping(drop: (nowMs: number) => Promise<Dropped>) {
  const clock = new SteppedClock();
  const asked: number[] = [];
  const store = {
    dropExpired: (nowMs: number) => {
      asked.push(nowMs);
      return drop(nowMs);
    },
  };
  const abort = new AbortController();
  const done = new RetentionSweep(store, clock, createLog("silent")).run(abort.signal);
  return { clock, asked, abort, done };
}

it("drops what is over every hour, not at once, and goes on after a failure", async () => {
  let calls = 0;
  const { clock, asked, abort, done } = sweeping(() =>
    ++calls === 1 ? Promise.reject(new Error("busy")) : Promise.resolve({ tables: 1, idempotencyKeys: 2, more: false }),
  );
  const startMs = clock.nowMs();
  await clock.advance(SWEEP_EVERY_MS - 1);
  expect(asked).toEqual([]);
  await clock.advance(1 + 2 * SWEEP_EVERY_MS);
  expect(asked.map((ms) => (ms - startMs) / SWEEP_EVERY_MS)).toEqual([1, 2, 3]);
  abort.abort();
  await done;
});

it("drops nothing until a step of the clock has held for an hour", async () => {
  const { clock, asked, abort, done } = sweeping(() => Promise.resolve({ tables: 0, idempotencyKeys: 0, more: false }));
  await clock.advance(SWEEP_EVERY_MS / 2);
  clock.stepMs = 10 * 365 * 86_400_000;
  await clock.advance(SWEEP_EVERY_MS);
  await settle();
  expect(asked).toEqual([]);
  await clock.advance(SWEEP_EVERY_MS);
  expect(asked).toHaveLength(1);
  abort.abort();
  await done;
});

it("goes on piece by piece, with room for others between two, and stops between two when the process does", async () => {
  let left = 5;
  const { clock, asked, abort, done } = sweeping(() => Promise.resolve({ tables: 1, idempotencyKeys: 0, more: --left > 0 }));
  await clock.advance(SWEEP_EVERY_MS);
  expect(asked).toHaveLength(1);
  await clock.advance(1_000);
  expect(asked).toHaveLength(5);
  // All pieces mean the same moment: what was not over when it began is left for the next hour.
  expect(new Set(asked).size).toBe(1);

  left = Number.POSITIVE_INFINITY;
  await clock.advance(SWEEP_EVERY_MS);
  const before = asked.length;
  expect(before).toBeGreaterThan(5);
  abort.abort();
  await done;
  expect(asked.length - before).toBeLessThanOrEqual(1);
});

it("has others tidy up, each of them though another fails", async () => {
  const clock = new SteppedClock();
  const told: string[] = [];
  const others = ["one", "two"].map((name) => ({
    tidy: (nowMs: number) => {
      told.push(`${name} ${nowMs === clock.nowMs()}`);
      return name === "one" ? Promise.reject(new Error("down")) : Promise.resolve();
    },
  }));
  const store = { dropExpired: () => Promise.reject(new Error("down")) };
  const abort = new AbortController();
  const done = new RetentionSweep(store, clock, createLog("silent"), others).run(abort.signal);
  await clock.advance(SWEEP_EVERY_MS);
  expect(told).toEqual(["one true", "two true"]);
  abort.abort();
  await done;
});
