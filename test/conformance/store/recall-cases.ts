import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { clockText } from "../../../src/core/clock-frame.ts";
import { CLOCK_KEY, type Store } from "../../../src/store/store.ts";
import { accept, attempt, claimOne, completion, DAY_MS, delivery, HOUR_MS, item, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const RETRY = { state: "ready", dueAtMs: START_MS + 10 } as const;

/** What memory asks the store to compare itself with, and what a process that ended leaves behind. */
export function recallCases(engine: Engine): void {
  let harness: Harness;
  beforeEach(async () => {
    harness = await engine.make(START_MS, HOUR_MS);
  });
  afterEach(() => harness.dispose());

  describe("what memory may have forgotten", () => {
    it("shows claimed rows by id until their attempt has ended", async () => {
      const store = harness.store();
      const ids = await accept(store, [item({ deliveries: [delivery({ as: "claimed" }), delivery(), delivery({ as: "fresh" })] })]);
      const [first, second, third] = ids as [number, number, number];
      await claimOne(store, second);
      expect((await store.claimed(0, 10)).map(({ id, attempt: number }) => [id, number])).toEqual([
        [first, 1],
        [second, 1],
      ]);
      expect((await store.claimed(first, 10)).map(({ id }) => id)).toEqual([second]);
      expect((await store.claimed(0, 1)).map(({ id }) => id)).toEqual([first]);
      await store.complete([completion(first), completion(second, { next: RETRY })]);
      expect(await store.claimed(0, 10)).toEqual([]);
      expect((await store.fresh(0, 10)).map(({ id }) => id)).toEqual([third]);
    });

    it("puts fresh rows into the due index at the time they have, and nothing else", async () => {
      const store = harness.store();
      const [fresh, claimed, ended] = (await accept(store, [
        item({ deliveries: [delivery({ as: "fresh", dueAtMs: START_MS + 5 }), delivery({ as: "claimed" }), delivery({ as: "claimed" })] }),
      ])) as [number, number, number];
      await store.complete([completion(ended)]);
      await store.index([fresh, claimed, ended, 999_999]);
      await store.index([fresh]);
      expect(await store.due("sub-a", START_MS + HOUR_MS, 10)).toMatchObject([{ id: fresh, dueAtMs: START_MS + 5, attempt: 0 }]);
      expect(await store.fresh(0, 10)).toEqual([]);
      expect((await store.claimed(0, 10)).map(({ id }) => id)).toEqual([claimed]);
      expect(await claimOne(store, fresh, { withEvent: true })).toMatchObject({ attempt: 1, event: { type: "order.created" } });
    });
  });

  describe("an attempt that the end of a process cut off", () => {
    it("is counted, over later attempts too, so that it uses up none", async () => {
      const [id] = (await accept(harness.store(), [item({ deliveries: [delivery({ as: "claimed" })] })])) as [number];
      await harness.reopen(START_MS + 1);
      expect(await dueOf(harness.store())).toMatchObject([{ id, attempt: 1, cutOff: 1, crashes: 1 }]);
      await claimOne(harness.store(), id);
      await harness.store().complete([completion(id, { attempt: attempt(id, { attempt: 2, outcome: "timeout" }), next: RETRY })]);
      expect(await dueOf(harness.store())).toMatchObject([{ id, attempt: 2, cutOff: 1, crashes: 0 }]);
      await claimOne(harness.store(), id);
      await harness.reopen(START_MS + 2);
      expect(await dueOf(harness.store())).toMatchObject([{ id, attempt: 3, cutOff: 2, crashes: 1 }]);
    });
  });

  describe("engine time over restarts", () => {
    const keep = (nowMs: number, offsetMs = 0) =>
      harness.store().putState([{ kind: "meta", key: CLOCK_KEY, value: clockText({ nowMs, offsetMs }) }]);

    it.each([
      ["goes on where the wall says, when that is ahead", START_MS + HOUR_MS, { nowMs: START_MS + HOUR_MS, offsetMs: 0, awayMs: HOUR_MS }],
      ["stands where it was, when the wall was put back", START_MS - HOUR_MS, { nowMs: START_MS, offsetMs: -HOUR_MS, awayMs: 0 }],
      [
        "follows a wall ten years ahead no further than anything lives",
        START_MS + 3_650 * DAY_MS,
        { nowMs: START_MS + 31 * DAY_MS, offsetMs: 3_619 * DAY_MS, awayMs: 31 * DAY_MS },
      ],
    ])("%s", async (_name, wallMs, clock) => {
      const [id] = (await accept(harness.store(), [item({ deliveries: [delivery({ as: "claimed" })] })])) as [number];
      await keep(START_MS);
      expect((await harness.reopen(wallMs)).clock).toEqual(clock);
      // What was under way is due at once on the scale that everything else is on.
      expect(await harness.store().due("sub-a", clock.nowMs, 10)).toMatchObject([{ id, dueAtMs: clock.nowMs }]);
    });

    it("shows again what a clock days ahead had hidden, once it is put back", async () => {
      const stored = item();
      const [id] = (await accept(harness.store(), [stored])) as [number];
      await claimOne(harness.store(), id);
      await harness.store().complete([completion(id)]);
      await keep(START_MS);
      await harness.reopen(START_MS + 10 * DAY_MS);
      expect(await harness.store().deliveriesOf(stored.event.id)).toEqual([]);
      await keep(START_MS + 10 * DAY_MS);
      await harness.reopen(START_MS + HOUR_MS);
      expect(await harness.store().deliveriesOf(stored.event.id)).toMatchObject([{ id, state: "delivered" }]);
      // The same while it runs.
      harness.store().setClock({ offsetMs: 0 });
      expect(await harness.store().deliveriesOf(stored.event.id)).toEqual([]);
      harness.store().setClock({ offsetMs: -10 * DAY_MS });
      expect(await harness.store().deliveriesOf(stored.event.id)).toHaveLength(1);
    });

    it("keeps what was taken over of the wall", async () => {
      await keep(START_MS, 7 * HOUR_MS);
      expect((await harness.reopen(START_MS + 7 * HOUR_MS + 5)).clock).toEqual({ nowMs: START_MS + 5, offsetMs: 7 * HOUR_MS, awayMs: 5 });
    });
  });

  function dueOf(store: Store) {
    return store.due("sub-a", START_MS + HOUR_MS, 10);
  }
}
