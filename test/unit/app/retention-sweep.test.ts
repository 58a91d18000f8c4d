import { expect, it } from "vitest";
import { FIRST_SWEEP_MS, RetentionSweep, SWEEP_EVERY_MS } from "../../../src/app/retention-sweep.ts";
import type { Dropped } from "../../../src/store/store.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

function sweeping(drop: (nowMs: number) => Promise<Dropped>, awayMs?: number) {
  const clock = new ManualClock();
  const asked: number[] = [];
  const store = {
    dropExpired: (nowMs: number) => {
      asked.push(nowMs);
      return drop(nowMs);
    },
  };
  const abort = new AbortController();
  const done = new RetentionSweep(store, clock, silentLog, awayMs === undefined ? {} : { awayMs }).run(abort.signal);
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
  clock.stepWall(10 * 365 * 86_400_000);
  clock.adoptWallClock();
  await clock.advance(SWEEP_EVERY_MS);
  await settle();
  expect(asked).toEqual([]);
  await clock.advance(SWEEP_EVERY_MS);
  expect(asked).toHaveLength(1);
  abort.abort();
  await done;
});

it("drops soon after a start that followed another process closely, so that one that starts again and again drops too", async () => {
  const { clock, asked, abort, done } = sweeping(() => Promise.resolve({ tables: 0, idempotencyKeys: 0, more: false }), SWEEP_EVERY_MS);
  await clock.advance(FIRST_SWEEP_MS - 1);
  expect(asked).toEqual([]);
  await clock.advance(1);
  expect(asked).toHaveLength(1);
  await clock.advance(SWEEP_EVERY_MS);
  expect(asked).toHaveLength(2);
  abort.abort();
  await done;
});

it.each([SWEEP_EVERY_MS + 1, 10 * 365 * 86_400_000, -SWEEP_EVERY_MS - 1])(
  "drops nothing for an hour after a start %i ms after the last process: it may be the clock that is wrong",
  async (awayMs) => {
    const { clock, asked, abort, done } = sweeping(() => Promise.resolve({ tables: 0, idempotencyKeys: 0, more: false }), awayMs);
    await clock.advance(SWEEP_EVERY_MS - 1);
    expect(asked).toEqual([]);
    await clock.advance(1);
    expect(asked).toHaveLength(1);
    abort.abort();
    await done;
  },
);

it("drops nothing soon after a start when the clock steps meanwhile", async () => {
  const { clock, asked, abort, done } = sweeping(() => Promise.resolve({ tables: 0, idempotencyKeys: 0, more: false }), 0);
  clock.stepWall(10 * 365 * 86_400_000);
  clock.adoptWallClock();
  await clock.advance(FIRST_SWEEP_MS);
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
  const clock = new ManualClock();
  const told: string[] = [];
  const others = ["one", "two"].map((name) => ({
    tidy: (nowMs: number) => {
      told.push(`${name} ${nowMs === clock.nowMs()}`);
      return name === "one" ? Promise.reject(new Error("down")) : Promise.resolve();
    },
  }));
  const store = { dropExpired: () => Promise.reject(new Error("down")) };
  const abort = new AbortController();
  const done = new RetentionSweep(store, clock, silentLog, { others }).run(abort.signal);
  await clock.advance(SWEEP_EVERY_MS);
  expect(told).toEqual(["one true", "two true"]);
  abort.abort();
  await done;
});
