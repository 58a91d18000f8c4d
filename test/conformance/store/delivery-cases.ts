import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { INTERRUPTED_MESSAGE } from "../../../src/store/interrupted-attempt.ts";
import type { NewDelivery } from "../../../src/store/store.ts";
import { accept, attempt, claimOne, completion, delivery, event, HOUR_MS, item, pendingOf, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

export function deliveryCases(engine: Engine): void {
  describe("deliveries", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    const one = async (as: NewDelivery["as"] = "indexed"): Promise<number> => {
      const [id = 0] = await accept(store(), [item({ deliveries: [delivery({ as })] })]);
      return id;
    };

    it("finds indexed rows by due time, oldest first, in windows", async () => {
      const dues = [500, 100, 300, 100, 900];
      const deliveries = dues.map((ms) => delivery({ dueAtMs: START_MS + ms }));
      const ids = await accept(store(), [item({ deliveries })]);
      const found = await store().due("sub-a", START_MS + 500, 3);
      expect(found.map((row) => row.id)).toEqual([ids[1], ids[3], ids[2]]);
      expect((await store().due("sub-a", START_MS + 500, 100)).map((row) => row.id)).toEqual([ids[1], ids[3], ids[2], ids[0]]);
      expect(await store().due("sub-a", START_MS + 99, 100)).toEqual([]);
      expect(await store().due("sub-b", START_MS + 500, 100)).toEqual([]);
      expect(found[0]).toMatchObject({ subscription: "sub-a", namespace: "shop", dueAtMs: START_MS + 100, attempt: 0, crashes: 0 });
    });

    it("keeps fresh rows out of the due index and answers them by id", async () => {
      const ids = await accept(store(), [item({ deliveries: Array.from({ length: 5 }, () => delivery({ as: "fresh" })) })]);
      await one("indexed");
      await one("claimed");
      expect((await store().due("sub-a", START_MS, 100)).length).toBe(1);
      expect((await store().fresh(0, 100)).map((row) => row.id)).toEqual(ids);
      expect((await store().fresh(ids[1] ?? 0, 2)).map((row) => row.id)).toEqual([ids[2], ids[3]]);
      expect((await store().fresh(0, 1))[0]?.orderKey).toBeUndefined();
    });

    it("tells when each queue is next due", async () => {
      await accept(store(), [
        item({ deliveries: [delivery({ dueAtMs: START_MS + 20 }), delivery({ dueAtMs: START_MS + 10 })] }),
        item({
          deliveries: [delivery({ subscription: "sub-b", dueAtMs: START_MS + 5 }), delivery({ subscription: "sub-c", as: "fresh" })],
        }),
      ]);
      expect(await store().nextDue(10)).toEqual([
        { subscription: "sub-b", dueAtMs: START_MS + 5 },
        { subscription: "sub-a", dueAtMs: START_MS + 10 },
      ]);
      expect(await store().nextDue(1)).toHaveLength(1);
    });

    it("brings the right event with each of several claims, whichever share one", async () => {
      const [first, second] = [event(), event()];
      const both = [delivery({ subscription: "sub-a", as: "indexed" }), delivery({ subscription: "sub-b", as: "indexed" })];
      const [a1 = 0, b1 = 0] = await accept(store(), [item({ event: first, deliveries: both })]);
      const [a2 = 0, b2 = 0] = await accept(store(), [item({ event: second, deliveries: both })]);
      const claims = [a1, a2, 9_999, b1, b2].map((id) => ({ id, epoch: 1, lone: false, withEvent: id !== a2 }));
      const claimed = await store().claim(claims);
      expect(claimed.map((each) => each?.id)).toEqual([a1, a2, undefined, b1, b2]);
      expect(claimed.map((each) => each?.event?.id)).toEqual([first.id, undefined, undefined, first.id, second.id]);
      expect(claimed[3]?.event).toEqual(first);
    });

    it("claims a ready row once, with the event when it is wanted", async () => {
      const stored = event();
      const [id = 0] = await accept(store(), [item({ event: stored, deliveries: [delivery({ as: "fresh" })] })]);
      const claimed = await claimOne(store(), id, { withEvent: true });
      expect(claimed).toMatchObject({ id, attempt: 1, event: { id: stored.id, type: "order.created" } });
      expect([...(claimed?.event?.data ?? [])]).toEqual([...stored.data]);
      expect(await claimOne(store(), id)).toBeUndefined();
      expect(await store().fresh(0, 10)).toEqual([]);
      expect(await claimOne(store(), id + 1_000)).toBeUndefined();
      const other = await one();
      expect((await claimOne(store(), other))?.event).toBeUndefined();
    });

    it("claims several in one call, each judged alone", async () => {
      const [a, b] = [await one(), await one()];
      const claims = [a, a, b, b + 99].map((id) => ({ id, epoch: 1, lone: false, withEvent: false }));
      expect((await store().claim(claims)).map((claimed) => claimed?.id)).toEqual([a, undefined, b, undefined]);
    });

    it("refuses a claim and a completion of an old epoch, changing nothing", async () => {
      const id = await one();
      expect(await claimOne(store(), id, { epoch: 0 })).toBeUndefined();
      expect(await store().readDelivery(id)).toMatchObject({ state: "ready", attempts: 0 });
      await claimOne(store(), id);
      expect(await store().complete([completion(id, { epoch: 0 })])).toEqual([false]);
      expect(await store().readDelivery(id)).toMatchObject({ state: "claimed" });
      expect(await store().attemptsOf(id)).toEqual([]);
      expect(await store().complete([completion(id)])).toEqual([true]);
    });

    it("ends a delivery once; a late completion changes nothing", async () => {
      const id = await one("claimed");
      expect(await store().complete([completion(id, { nowMs: START_MS + 7 }), completion(id)])).toEqual([true, false]);
      expect(await store().complete([completion(id), completion(id + 50)])).toEqual([false, false]);
      expect(await store().readDelivery(id)).toMatchObject({
        state: "delivered",
        reason: "Delivered",
        attempts: 1,
        endedAtMs: START_MS + 7,
      });
      expect(await store().attemptsOf(id)).toHaveLength(1);
      expect(await pendingOf(store(), "sub-a")).toBe(0);
    });

    it("puts a retry into the due index and counts it", async () => {
      const id = await one("claimed");
      const next = { state: "ready", dueAtMs: START_MS + 60 } as const;
      const failed = attempt(id, { outcome: "server_error", statusCode: 503 });
      expect(await store().complete([completion(id, { attempt: failed, next })])).toEqual([true]);
      expect(await store().readDelivery(id)).toMatchObject({ state: "ready", attempts: 1, dueAtMs: START_MS + 60 });
      expect(await store().due("sub-a", START_MS + 60, 10)).toMatchObject([{ id, attempt: 1 }]);
      expect(await claimOne(store(), id)).toMatchObject({ attempt: 2 });
      expect(await store().due("sub-a", START_MS + 60, 10)).toEqual([]);
    });

    it("does not count an uncounted try, and keeps both rows", async () => {
      const id = await one("claimed");
      const next = { state: "ready", dueAtMs: START_MS, uncounted: true } as const;
      await store().complete([completion(id, { attempt: attempt(id, { outcome: "blocked", message: "denied" }), next })]);
      expect(await store().readDelivery(id)).toMatchObject({ attempts: 0 });
      expect(await claimOne(store(), id)).toMatchObject({ attempt: 1 });
      await store().complete([completion(id)]);
      const rows = await store().attemptsOf(id);
      expect(rows.map((row) => [row.attempt, row.outcome])).toEqual([
        [1, "blocked"],
        [1, "success"],
      ]);
    });

    it("ends a ready delivery without an attempt", async () => {
      const id = await one("fresh");
      const next = { state: "failed", reason: "AgeExceeded" } as const;
      expect(await store().complete([completion(id, { attempt: undefined, next, epoch: 0 })])).toEqual([false]);
      expect(await store().complete([completion(id)])).toEqual([false]);
      expect(await store().complete([completion(id, { attempt: undefined, next })])).toEqual([true]);
      expect(await store().readDelivery(id)).toMatchObject({ state: "failed", reason: "AgeExceeded", attempts: 0 });
    });

    it("returns attempts whole", async () => {
      const id = await one("claimed");
      const full = attempt(id, {
        statusCode: undefined,
        recordId: "rec-1",
        message: "connection refused",
        requestBody: Uint8Array.from([1, 2, 0]),
        responseBody: undefined,
        requestHeaders: [
          ["a", "1"],
          ["a", "2"],
        ],
      });
      await store().complete([completion(id, { attempt: full })]);
      const [read] = await store().attemptsOf(id);
      const record = await store().readDelivery(id);
      expect({ ...read, requestBody: [...(read?.requestBody ?? [])] }).toEqual({
        ...full,
        eventId: record?.eventId,
        requestBody: [1, 2, 0],
      });
    });

    it("turns claimed rows back after an unclean end and says so", async () => {
      const [claimed, waiting] = [await one("claimed"), await one("fresh")];
      const report = await harness.reopen(START_MS + 5);
      expect(report).toMatchObject({ interrupted: 1, pending: 2 });
      expect(await store().due("sub-a", START_MS + 5, 10)).toMatchObject([{ id: claimed, attempt: 1, crashes: 1 }]);
      expect((await store().fresh(0, 10)).map((row) => row.id)).toEqual([waiting]);
      expect(await store().attemptsOf(claimed)).toMatchObject([{ attempt: 1, outcome: "unknown", message: INTERRUPTED_MESSAGE }]);
      expect(await store().complete([completion(claimed)])).toEqual([false]);
      expect(await claimOne(store(), claimed, { withEvent: true })).toMatchObject({ attempt: 2, event: { type: "order.created" } });
    });

    it("holds what was claimed ahead of its turn as claimed, and ends it like one that was sent at once", async () => {
      const [ahead, waiting] = [await one("ahead"), await one("fresh")];
      expect(await store().readDelivery(ahead)).toMatchObject({ state: "claimed", attempts: 1 });
      expect((await store().claimed(0, 10)).map((row) => row.id)).toEqual([ahead]);
      expect((await store().fresh(0, 10)).map((row) => row.id)).toEqual([waiting]);
      expect(await store().due("sub-a", START_MS, 10)).toEqual([]);
      expect(await claimOne(store(), ahead)).toBeUndefined();
      expect(await store().complete([completion(ahead), completion(ahead)])).toEqual([true, false]);
      expect(await store().readDelivery(ahead)).toMatchObject({ state: "delivered", attempts: 1 });
    });

    it("writes no claim ahead under an old epoch, or for an order key", async () => {
      const deliveries = [delivery({ as: "ahead", epoch: 0 }), delivery({ as: "ahead", orderKey: "k" })];
      const ids = await accept(store(), [item({ deliveries })]);
      expect((await store().due("sub-a", START_MS, 10)).map(({ id, attempt: made }) => [id, made])).toEqual(ids.map((id) => [id, 0]));
      expect(await harness.reopen(START_MS + 5)).toMatchObject({ interrupted: 0, pending: 2 });
    });

    it("takes back a claim that was made ahead: no attempt, due as it was", async () => {
      const id = await one("ahead");
      const next = { state: "ready", dueAtMs: START_MS, uncounted: true } as const;
      const back = completion(id, { attempt: undefined, next });
      expect(await store().complete([back])).toEqual([true]);
      expect(await store().due("sub-a", START_MS, 10)).toMatchObject([{ id, attempt: 0, crashes: 0 }]);
      expect(await harness.reopen(START_MS + 5)).toMatchObject({ interrupted: 0, pending: 1 });
      expect(await claimOne(store(), id, { withEvent: true })).toMatchObject({ attempt: 1, event: { type: "order.created" } });
    });

    it("counts no attempt of a claimed delivery that ends without one", async () => {
      const id = await one("ahead");
      const next = { state: "failed", reason: "AgeExceeded" } as const;
      expect(await store().complete([completion(id, { attempt: undefined, next })])).toEqual([true]);
      expect(await store().readDelivery(id)).toMatchObject({ state: "failed", reason: "AgeExceeded", attempts: 0 });
      expect(await store().attemptsOf(id)).toEqual([]);
    });

    it("reports each that was claimed ahead as unknown after an unclean end, three times over, and loses none", async () => {
      const ids = await accept(store(), [item({ deliveries: Array.from({ length: 5 }, () => delivery({ as: "ahead" })) })]);
      for (let crash = 1; crash <= 3; crash++) {
        expect(await harness.reopen(START_MS + crash)).toMatchObject({ interrupted: ids.length, pending: ids.length });
        const due = await store().due("sub-a", START_MS + crash, 10);
        expect(due.map(({ id, crashes, attempt: made, cutOff }) => [id, crashes, made, cutOff])).toEqual(
          ids.map((id) => [id, crash, crash, crash]),
        );
        for (const id of ids) await claimOne(store(), id);
      }
      for (const id of ids) {
        const attempts = await store().attemptsOf(id);
        expect(attempts.map(({ attempt: number, outcome }) => [number, outcome])).toEqual([1, 2, 3].map((number) => [number, "unknown"]));
      }
      expect(await store().complete(ids.map((id) => completion(id, { attempt: attempt(id, { attempt: 4 }) })))).toEqual(
        ids.map(() => true),
      );
    });

    it("quarantines after three crashes in lone tries, not in company", async () => {
      const id = await one("claimed");
      for (let crash = 1; crash <= 4; crash++) {
        await harness.reopen(START_MS + crash);
        expect(await store().readDelivery(id)).toMatchObject({ state: "ready", crashes: crash });
        await claimOne(store(), id, { lone: crash > 1 });
      }
      await harness.reopen(START_MS + 5);
      expect(await store().readDelivery(id)).toMatchObject({ state: "failed", reason: "Quarantined", crashes: 5, attempts: 5 });
      expect(await store().attemptsOf(id)).toHaveLength(5);
      expect(await pendingOf(store(), "sub-a")).toBe(0);
    });

    it("clears the suspicion of a delivery whose attempt came to an end", async () => {
      const id = await one("claimed");
      await harness.reopen(START_MS + 1);
      await claimOne(store(), id, { lone: true });
      await store().complete([completion(id, { next: { state: "ready", dueAtMs: START_MS } })]);
      expect(await store().due("sub-a", START_MS, 10)).toMatchObject([{ id, crashes: 0 }]);
    });

    it("sends an ended delivery again, on the same row, ahead of the limits", async () => {
      const id = await one("claimed");
      expect(await store().resend(id, START_MS)).toBe("not_ended");
      await store().complete([completion(id)]);
      expect(await store().resend(id, START_MS + 9)).toBe("resent");
      expect(await store().due("sub-a", START_MS + 9, 10)).toMatchObject([{ id, attempt: 1, resent: true }]);
      expect(await pendingOf(store(), "sub-a")).toBe(1);
      expect(await claimOne(store(), id, { withEvent: true })).toMatchObject({ attempt: 2, event: { type: "order.created" } });
      const next = { state: "failed", reason: "AttemptsExhausted" } as const;
      await store().complete([completion(id, { attempt: attempt(id, { attempt: 2 }), next })]);
      expect(await store().readDelivery(id)).toMatchObject({ state: "failed", attempts: 2 });
      expect(await store().attemptsOf(id)).toHaveLength(2);
      expect(await store().resend(id, START_MS + 10)).toBe("resent");
      expect(await store().resend(id + 77, START_MS)).toBe("not_found");
    });

    it("ends the rest of a queue in bounded steps and leaves claimed rows to their attempt", async () => {
      for (let i = 0; i < 4; i++) await one("indexed");
      for (let i = 0; i < 3; i++) await one("fresh");
      const flying = await one("claimed");
      const request = {
        subscription: "sub-a",
        state: "discarded",
        reason: "SubscriptionDeleted",
        nowMs: START_MS,
        historyRetentionMs: HOUR_MS,
      } as const;
      expect(await store().endAll({ ...request, limit: 5 })).toBe(5);
      expect(await store().endAll({ ...request, limit: 5 })).toBe(2);
      expect(await store().endAll({ ...request, limit: 5 })).toBe(0);
      expect(await store().endAll({ ...request, subscription: "nobody", limit: 5 })).toBe(0);
      expect(await store().readDelivery(flying)).toMatchObject({ state: "claimed" });
      expect(await pendingOf(store(), "sub-a")).toBe(1);
      const discarded = await store().listDeliveries({ namespace: "shop", state: "discarded", limit: 100 });
      expect(discarded).toHaveLength(7);
      expect(await store().resend(discarded[0]?.id ?? 0, START_MS)).toBe("not_found");
    });
  });
}
