import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accept, attempt, claimOne, completion, DAY_MS, delivery, dropAll, event, HOUR_MS, item, NAMESPACE, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

export function historyCases(engine: Engine): void {
  describe("queues, state and history", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    it("keeps pauses per reason without touching rows, over a restart", async () => {
      const [id = 0] = await accept(store(), [item()]);
      await store().setPause("sub-a", "CircuitOpen", START_MS + 10);
      await store().setPause("sub-a", "RetryAfter", START_MS + 99);
      await store().setPause("sub-a", "CircuitOpen", START_MS + 20);
      await store().setPause("sub-new", "BySpec", Number.MAX_SAFE_INTEGER);
      await harness.reopen(START_MS);
      const pauses = Object.fromEntries((await store().queues()).map((queue) => [queue.subscription, queue.pauses]));
      expect(pauses).toEqual({
        "sub-a": { CircuitOpen: START_MS + 20, RetryAfter: START_MS + 99 },
        "sub-new": { BySpec: Number.MAX_SAFE_INTEGER },
      });
      expect((await store().due("sub-a", START_MS, 10)).map((row) => row.id)).toEqual([id]);
      await store().setPause("sub-a", "RetryAfter", null);
      await store().setPause("sub-a", "RetryAfter", null);
      expect((await store().queues()).find((queue) => queue.subscription === "sub-a")?.pauses).toEqual({ CircuitOpen: START_MS + 20 });
    });

    it("counts what happened to each queue, over a restart", async () => {
      const ids = await accept(store(), [item({ deliveries: Array.from({ length: 5 }, () => delivery({ as: "claimed" })) })], START_MS + 3);
      const [a = 0, b = 0, c = 0] = ids;
      const retry = { state: "ready", dueAtMs: START_MS } as const;
      await store().complete([
        completion(a),
        completion(b, { next: { state: "failed", reason: "NotRetryable" } }),
        completion(c, { next: retry }),
      ]);
      await harness.reopen(START_MS + 4);
      const [queue] = await store().queues();
      expect(queue).toMatchObject({ subscription: "sub-a", namespace: NAMESPACE, epoch: 1, pending: 3, oldestAcceptedAtMs: START_MS + 3 });
      expect(queue?.counters).toEqual({ sinceMs: START_MS + 3, accepted: 5, delivered: 1, retried: 1, failed: 1, discarded: 0 });
    });

    it("forgets a queue only when nothing is left in it", async () => {
      const [id = 0] = await accept(store(), [item({ deliveries: [delivery({ as: "claimed" })] })]);
      await store().forgetQueue("sub-a");
      expect(await store().queues()).toHaveLength(1);
      await store().complete([completion(id)]);
      await store().forgetQueue("sub-a");
      await store().forgetQueue("never-was");
      expect(await store().queues()).toEqual([]);
      expect(await store().readDelivery(id)).toMatchObject({ subscription: "sub-a", state: "delivered" });
      await accept(store(), [item()], START_MS + 50);
      expect((await store().queues())[0]?.counters).toMatchObject({ sinceMs: START_MS + 50, accepted: 1, delivered: 0 });
    });

    it("keeps small state, by kind and key, over a restart", async () => {
      await store().putState([
        { kind: "route", key: "b", value: '{"n":1}' },
        { kind: "route", key: "a", value: "1" },
        { kind: "health", key: "a", value: "2" },
      ]);
      await store().putState([{ kind: "route", key: "b", value: '{"n":2}' }]);
      await store().deleteState("health", "a");
      await store().deleteState("health", "never");
      await harness.reopen(START_MS);
      expect((await store().listState("route")).map(({ key, value }) => ({ key, value }))).toEqual([
        { key: "a", value: "1" },
        { key: "b", value: '{"n":2}' },
      ]);
      expect(await store().listState("health")).toEqual([]);
    });

    it("lists newest first, in pages, by every filter", async () => {
      const times = [0, 1, 2, 3, 4, 5].map((hour) => START_MS + hour * HOUR_MS);
      const ids: number[] = [];
      for (const [i, nowMs] of times.entries()) {
        const deliveries = [delivery({ as: "claimed", subscription: i % 2 === 0 ? "sub-a" : "sub-b" })];
        ids.push(...(await accept(store(), [item({ event: event({ type: i < 4 ? "order.created" : "order.paid" }), deliveries })], nowMs)));
      }
      await accept(store(), [item({ deliveries: [delivery({ namespace: "other", subscription: "sub-o" })] })]);
      await store().complete([completion(ids[0] ?? 0), completion(ids[3] ?? 0, { next: { state: "failed", reason: "NotRetryable" } })]);
      await store().complete([completion(ids[5] ?? 0, { next: { state: "ready", dueAtMs: START_MS } })]);
      const list = async (filter: object): Promise<number[]> =>
        (await store().listDeliveries({ namespace: NAMESPACE, limit: 100, ...filter })).map((record) => ids.indexOf(record.id));
      expect(await list({})).toEqual([5, 4, 3, 2, 1, 0]);
      expect(await list({ limit: 2 })).toEqual([5, 4]);
      expect(await list({ limit: 2, beforeId: ids[4] })).toEqual([3, 2]);
      expect(await list({ limit: 9, beforeId: ids[1] })).toEqual([0]);
      expect(await list({ subscriptions: ["sub-b"] })).toEqual([5, 3, 1]);
      expect(await list({ state: "ready" })).toEqual([5]);
      expect(await list({ state: "claimed" })).toEqual([4, 2, 1]);
      expect(await list({ state: "delivered" })).toEqual([0]);
      expect(await list({ state: "failed" })).toEqual([3]);
      expect(await list({ type: "order.paid" })).toEqual([5, 4]);
      expect(await list({ sinceMs: times[2], untilMs: times[4] })).toEqual([3, 2]);
      expect(await list({ namespace: "nowhere" })).toEqual([]);
    });

    it("hides what is past its retention as time goes on, although nothing is written", async () => {
      const stored = event();
      const [id = 0] = await accept(store(), [
        item({ event: stored, deliveries: [delivery({ as: "claimed" })], bodyRetentionMs: HOUR_MS }),
      ]);
      await store().complete([completion(id, { historyRetentionMs: 2 * HOUR_MS })]);
      store().advanceTo(START_MS + HOUR_MS);
      expect([await store().readEvent(NAMESPACE, stored.id), await store().readBody(id)]).toEqual([undefined, undefined]);
      expect(await store().attemptsOf(id)).toHaveLength(1);
      store().advanceTo(START_MS + 2 * HOUR_MS);
      // Time that goes back brings nothing back.
      store().advanceTo(START_MS);
      expect([await store().attemptsOf(id), await store().readDelivery(id)]).toEqual([[], undefined]);
      expect((await store().history({ namespace: NAMESPACE, limit: 10 })).deliveries).toEqual([]);
    });

    it("hides what is past its retention and drops it a day later at most", async () => {
      const stored = event();
      const [id = 0] = await accept(store(), [item({ event: stored, deliveries: [delivery({ as: "claimed" })], bodyRetentionMs: DAY_MS })]);
      await store().complete([completion(id, { historyRetentionMs: 3 * DAY_MS })]);
      await dropAll(store(), START_MS + DAY_MS - 1);
      expect(await store().readEvent(NAMESPACE, stored.id)).toBeDefined();
      expect(await store().readBody(id)).toBeDefined();
      await dropAll(store(), START_MS + DAY_MS);
      expect(await store().readEvent(NAMESPACE, stored.id)).toBeUndefined();
      expect(await store().readBody(id)).toBeUndefined();
      expect(await store().resend(id, START_MS + DAY_MS)).toBe("body_gone");
      expect(await store().attemptsOf(id)).toHaveLength(1);
      await dropAll(store(), START_MS + 2.5 * DAY_MS);
      expect(await store().deliveriesOf(stored.id)).toMatchObject([{ id, state: "delivered" }]);
      await dropAll(store(), START_MS + 3 * DAY_MS);
      expect(await store().readDelivery(id)).toBeUndefined();
      expect(await store().attemptsOf(id)).toEqual([]);
      expect(await store().listDeliveries({ namespace: NAMESPACE, limit: 10 })).toEqual([]);
      expect(await store().resend(id, START_MS + 3 * DAY_MS)).toBe("not_found");
    });

    it("drops keys, bodies and history, and says so once", async () => {
      const [id = 0] = await accept(store(), [item({ idempotencyKey: "k", deliveries: [delivery({ as: "claimed" })] })]);
      await store().complete([completion(id)]);
      const first = await dropAll(store(), START_MS + 10 * DAY_MS);
      expect(first.tables).toBeGreaterThan(0);
      expect(first.idempotencyKeys).toBe(1);
      expect(await dropAll(store(), START_MS + 10 * DAY_MS)).toEqual({ tables: 0, idempotencyKeys: 0 });
    });

    it("keeps a body that is still owed, until it is not", async () => {
      const stored = event();
      const [id = 0] = await accept(store(), [item({ event: stored, bodyRetentionMs: HOUR_MS })]);
      await dropAll(store(), START_MS + 5 * DAY_MS);
      await harness.reopen(START_MS + 5 * DAY_MS);
      await dropAll(store(), START_MS + 6 * DAY_MS);
      expect(await claimOne(store(), id, { withEvent: true })).toMatchObject({ event: { id: stored.id } });
      expect([...((await store().readBody(id))?.data ?? [])]).toEqual([...stored.data]);
      await store().complete([completion(id, { nowMs: START_MS + 6 * DAY_MS })]);
      await dropAll(store(), START_MS + 6 * DAY_MS);
      expect(await store().readBody(id)).toBeUndefined();
      expect(await store().readDelivery(id)).toMatchObject({ state: "delivered" });
    });

    it("goes on after a day was dropped", async () => {
      await accept(store(), [item()]);
      await dropAll(store(), START_MS + 40 * DAY_MS);
      const later = START_MS + 40 * DAY_MS;
      const [id = 0] = await accept(store(), [item({ idempotencyKey: "k", deliveries: [delivery({ as: "claimed" })] })], later);
      expect(await store().complete([completion(id, { nowMs: later, attempt: attempt(id) })])).toEqual([true]);
      expect(await store().attemptsOf(id)).toHaveLength(1);
    });

    it("tells its size and that it takes writes", async () => {
      const health = await store().health();
      expect(health.writable).toBe(true);
      expect(health.freeBytes).toBeGreaterThan(health.freeBytesMin);
      expect(health.logBytes).toBeLessThanOrEqual(health.sizeBytes);
    });

    it("knows of no write that waits once all are answered", async () => {
      await accept(store(), [item()]);
      expect((await store().health()).oldestWriteMs).toBe(0);
    });
  });
}
