import { expect, it } from "vitest";
import { RetentionSweep, SWEEP_EVERY_MS } from "../../../src/app/retention-sweep.ts";
import { createLog } from "../../../src/observe/log.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

/** Wall time that can be set; lengths go on evenly. */
class SteppedClock extends ManualClock {
  stepMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.stepMs;
  }
}

function sweeping(drop: (nowMs: number) => Promise<{ tables: number; idempotencyKeys: number }>) {
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
    ++calls === 1 ? Promise.reject(new Error("busy")) : Promise.resolve({ tables: 1, idempotencyKeys: 2 }),
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
  const { clock, asked, abort, done } = sweeping(() => Promise.resolve({ tables: 0, idempotencyKeys: 0 }));
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
