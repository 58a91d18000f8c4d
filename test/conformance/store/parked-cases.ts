import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accept, attempt, claimOne, completion, DAY_MS, delivery, HOUR_MS, item, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const AGE_END_MS = START_MS + DAY_MS;

/** Rows that wait for another spec. */
export function parkedCases(engine: Engine): void {
  describe("rows that wait for another spec", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    const unpark = (mark: string, limit = 100) => store().unpark({ subscription: "sub-a", mark, nowMs: START_MS + 5, limit });
    const dueNow = async () => (await store().due("sub-a", START_MS + 5, 100)).map(({ id }) => id);
    const fail = async (id: number, parked?: string) => {
      const claimed = await claimOne(store(), id);
      const next = { state: "ready", dueAtMs: AGE_END_MS, ...(parked === undefined ? {} : { parked }) } as const;
      const done = attempt(id, { attempt: claimed?.attempt ?? 0, outcome: "client_error" });
      return store().complete([completion(id, { attempt: done, next })]);
    };
    const accepted = (count: number) => accept(store(), [item({ deliveries: Array.from({ length: count }, () => delivery()) })]);

    it("are woken by another mark, not by their own", async () => {
      const [first = 0, second = 0, third = 0] = await accepted(3);
      await fail(first, "one");
      await fail(second, "two");
      await fail(third);
      expect(await dueNow()).toEqual([]);
      expect((await store().parked()).toSorted((a, b) => (a.mark < b.mark ? -1 : 1))).toEqual([
        { subscription: "sub-a", mark: "one" },
        { subscription: "sub-a", mark: "two" },
      ]);
      expect(await unpark("two")).toBe(1);
      expect(await dueNow()).toEqual([first]);
      expect(await store().parked()).toEqual([{ subscription: "sub-a", mark: "two" }]);
      expect(await unpark("two")).toBe(0);
      expect(await store().unpark({ subscription: "sub-b", mark: "x", nowMs: START_MS, limit: 10 })).toBe(0);
    });

    it("say why they wait, and have no time to wait for", async () => {
      const [id = 0] = await accepted(1);
      await fail(id, "one");
      const waiting = { state: "ready", reason: "PayloadInvalid", dueAtMs: undefined, attempts: 1 };
      expect(await store().readDelivery(id)).toMatchObject(waiting);
      const [listed] = (await store().history({ namespace: "shop", limit: 5 })).deliveries;
      expect(listed).toMatchObject(waiting);
      await unpark("two");
      expect(await store().readDelivery(id)).toMatchObject({ state: "ready", reason: undefined, dueAtMs: START_MS + 5 });
    });

    it("survive a restart", async () => {
      const [id = 0] = await accepted(1);
      await fail(id, "one");
      await harness.reopen(START_MS);
      expect(await store().parked()).toEqual([{ subscription: "sub-a", mark: "one" }]);
      expect(await unpark("two")).toBe(1);
      expect(await dueNow()).toEqual([id]);
    });

    it("are woken in steps", async () => {
      const ids = await accepted(5);
      for (const id of ids) await fail(id, "one");
      expect(await unpark("two", 3)).toBe(3);
      expect(await dueNow()).toEqual(ids.slice(0, 3));
      expect(await unpark("two", 3)).toBe(2);
      expect(await dueNow()).toEqual(ids);
    });

    it("go their own way once they were tried again, or ended", async () => {
      const [again = 0, ended = 0] = await accepted(2);
      await fail(again, "one");
      await fail(again);
      await fail(ended, "one");
      await claimOne(store(), ended);
      await store().complete([completion(ended)]);
      await unpark("two");
      expect(await dueNow()).toEqual([]);
      expect(await store().readDelivery(again)).toMatchObject({ state: "ready", reason: undefined, dueAtMs: AGE_END_MS });
      expect(await store().parked()).toEqual([]);
    });

    it("end with their queue", async () => {
      const [id = 0] = await accepted(1);
      await fail(id, "one");
      const ending = { state: "discarded", reason: "Discarded", historyRetentionMs: DAY_MS } as const;
      expect(await store().endAll({ subscription: "sub-a", nowMs: START_MS, limit: 10, ...ending })).toBe(1);
      expect(await store().readDelivery(id)).toMatchObject({ state: "discarded", reason: "Discarded" });
      expect(await store().parked()).toEqual([]);
    });
  });
}
