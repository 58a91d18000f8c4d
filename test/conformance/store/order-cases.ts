import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accept, claimOne, completion, delivery, event, HOUR_MS, item, pendingOf, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const WINDOW = 256;

/** Of one key in one queue only the lowest unfinished delivery may go. */
export function orderCases(engine: Engine): void {
  describe("order per key", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    const keyed = async (...keys: (string | undefined)[]): Promise<number[]> =>
      accept(
        store(),
        keys.map((orderKey) => item({ event: event(), deliveries: [delivery({ orderKey })] })),
      );
    const dueIds = async (subscription = "sub-a"): Promise<number[]> =>
      (await store().due(subscription, START_MS + HOUR_MS, 1_000)).map((row) => row.id);
    const end = async (id: number, state: "delivered" | "failed" = "delivered"): Promise<void> => {
      expect(await claimOne(store(), id)).toBeDefined();
      const reason = state === "delivered" ? "Delivered" : "AttemptsExhausted";
      expect(await store().complete([completion(id, { next: { state, reason } })])).toEqual([true]);
    };

    it("lets the lowest of each key go, and the rest of a queue beside it", async () => {
      const [a1 = 0, b1 = 0, a2 = 0, free = 0, b2 = 0] = await keyed("a", "b", "a", undefined, "b");
      expect(await dueIds()).toEqual([a1, b1, free]);
      expect((await store().due("sub-a", START_MS, 1))[0]).toMatchObject({ id: a1, orderKey: "a" });
      expect(await claimOne(store(), a2)).toBeUndefined();
      await end(a1);
      expect(await dueIds()).toEqual([b1, a2, free].toSorted((x, y) => x - y));
      await end(b1);
      await end(a2);
      await end(free);
      expect(await dueIds()).toEqual([b2]);
      await end(b2);
      expect(await dueIds()).toEqual([]);
      expect(await pendingOf(store(), "sub-a")).toBe(0);
    });

    it("knows keys per queue", async () => {
      const ids = await accept(store(), [
        item({ deliveries: [delivery({ orderKey: "a" }), delivery({ subscription: "sub-b", orderKey: "a" })] }),
      ]);
      expect([await dueIds("sub-a"), await dueIds("sub-b")]).toEqual([[ids[0]], [ids[1]]]);
    });

    it("stores a keyed delivery in the index whatever it is asked for: its claim would be somebody else's turn", async () => {
      const asked = (["claimed", "fresh", "claimed"] as const).map((as) => item({ deliveries: [delivery({ as, orderKey: "a" })] }));
      const [a1 = 0, a2 = 0] = await accept(store(), asked);
      expect(await dueIds()).toEqual([a1]);
      expect(await store().fresh(0, 10)).toEqual([]);
      expect(await store().readDelivery(a1)).toMatchObject({ state: "ready", attempts: 0 });
      await end(a1);
      expect(await dueIds()).toEqual([a2]);
    });

    it("waits for a head that is claimed, or due again later", async () => {
      const [a1 = 0, a2 = 0] = await keyed("a", "a");
      await claimOne(store(), a1);
      expect(await dueIds()).toEqual([]);
      await store().complete([completion(a1, { next: { state: "ready", dueAtMs: START_MS + 60_000 } })]);
      expect(await dueIds()).toEqual([a1]);
      expect(await store().due("sub-a", START_MS, 10)).toEqual([]);
      expect(await claimOne(store(), a2)).toBeUndefined();
    });

    it("goes on after a head that failed, with or without an attempt", async () => {
      const [a1 = 0, a2 = 0, a3 = 0] = await keyed("a", "a", "a");
      await end(a1, "failed");
      expect(await dueIds()).toEqual([a2]);
      await store().complete([completion(a2, { attempt: undefined, next: { state: "failed", reason: "AgeExceeded" } })]);
      expect(await dueIds()).toEqual([a3]);
    });

    it("keeps the order through a kill: the claimed head comes back and the others still wait", async () => {
      const [a1 = 0, a2 = 0, b1 = 0] = await keyed("a", "a", "b");
      await claimOne(store(), a1);
      await harness.reopen(START_MS);
      expect(await dueIds()).toEqual([a1, b1]);
      await end(a1);
      await harness.reopen(START_MS);
      expect(await dueIds()).toEqual([a2, b1]);
    });

    it("goes on after a head that is quarantined at the start", async () => {
      const [a1 = 0, a2 = 0] = await keyed("a", "a");
      for (let crash = 0; crash < 3; crash++) {
        await claimOne(store(), a1, { lone: true });
        await harness.reopen(START_MS);
      }
      expect(await store().readDelivery(a1)).toMatchObject({ state: "failed", reason: "Quarantined" });
      expect(await dueIds()).toEqual([a2]);
    });

    it("takes a resent one out of the order: it waits for nobody and nobody waits for it", async () => {
      const [a1 = 0, a2 = 0] = await keyed("a", "a");
      await end(a1, "failed");
      expect(await store().resend(a1, START_MS)).toBe("resent");
      expect((await dueIds()).toSorted((x, y) => x - y)).toEqual([a1, a2]);
      const [a3 = 0] = await keyed("a");
      await end(a2);
      expect((await dueIds()).toSorted((x, y) => x - y)).toEqual([a1, a3]);
      await end(a1);
      expect(await dueIds()).toEqual([a3]);
    });

    it("ends waiting ones with the queue", async () => {
      const [a1 = 0] = await keyed("a", "a", "a", "b", "b");
      await claimOne(store(), a1);
      const request = {
        subscription: "sub-a",
        state: "discarded",
        reason: "Discarded",
        nowMs: START_MS,
        historyRetentionMs: HOUR_MS,
      } as const;
      let ended = 0;
      for (let step = 1; step > 0;) {
        step = await store().endAll({ ...request, limit: 2 });
        ended += step;
      }
      expect(ended).toBe(4);
      expect(await pendingOf(store(), "sub-a")).toBe(1);
    });

    it("answers what may go although far more than a window waits behind one key", async () => {
      const keys = [...Array.from({ length: WINDOW * 3 }, () => "busy"), "quiet"];
      const ids = await keyed(...keys);
      expect((await store().due("sub-a", START_MS, WINDOW)).map((row) => row.id)).toEqual([ids[0], ids.at(-1)]);
      expect(await store().nextDue(10)).toEqual([{ subscription: "sub-a", dueAtMs: START_MS }]);
    });
  });
}
