import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreError } from "../../../src/store/store.ts";
import { accept, claimOne, DAY_MS, delivery, dropAll, event, HOUR_MS, item, NAMESPACE, pendingOf, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const TTL_MS = 2 * HOUR_MS;

export function acceptCases(engine: Engine): void {
  describe("accept", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, TTL_MS);
    });
    afterEach(() => harness.dispose());

    it("stores an event byte for byte with all its attributes", async () => {
      const data = Uint8Array.from([0, 255, 10, 13, 200, 128]);
      const whole = event({
        data,
        subject: "o/1",
        time: "2026-01-01T00:00:00Z",
        extensions: { tenant: "a\u0000b", lang: "日本" },
        dataKind: "binary",
      });
      const none = event({ data: new Uint8Array(), dataContentType: undefined, dataKind: "none" });
      const [id = 0] = await accept(store(), [item({ event: whole }), item({ event: none })]);
      const read = await store().readEvent(NAMESPACE, whole.id);
      expect({ ...read, data: [...(read?.data ?? [])] }).toEqual({ ...whole, data: [...data] });
      expect((await store().readBody(id))?.id).toBe(whole.id);
      expect((await store().readEvent(NAMESPACE, none.id))?.data.byteLength).toBe(0);
      expect(await store().readEvent("other", whole.id)).toBeUndefined();
      expect(await store().readEvent(NAMESPACE, event().id)).toBeUndefined();
    });

    it("answers ids in the order of the deliveries, growing over all requests", async () => {
      const two = item({ deliveries: [delivery({ subscription: "sub-b" }), delivery({ subscription: "sub-a" })] });
      const result = await store().accept({ namespace: NAMESPACE, nowMs: START_MS, items: [two, item()] });
      if (!result.ok) throw new Error("conflict");
      expect(result.items.map(({ matched, duplicate }) => ({ matched, duplicate }))).toEqual([
        { matched: 2, duplicate: false },
        { matched: 1, duplicate: false },
      ]);
      const ids = result.items.flatMap((each) => each.deliveryIds);
      expect((await store().readDelivery(ids[0] ?? 0))?.subscription).toBe("sub-b");
      expect((await store().readDelivery(ids[1] ?? 0))?.subscription).toBe("sub-a");
      const later = await accept(store(), [item()]);
      expect([...ids, ...later]).toEqual([...ids, ...later].toSorted((a, b) => a - b));
      expect(new Set([...ids, ...later]).size).toBe(4);
    });

    it("stores an event that matched nobody", async () => {
      const lonely = event();
      expect(await accept(store(), [item({ event: lonely, deliveries: [] })])).toEqual([]);
      expect((await store().readEvent(NAMESPACE, lonely.id))?.id).toBe(lonely.id);
      expect(await store().deliveriesOf(lonely.id)).toEqual([]);
    });

    it("stores many concurrent requests, each whole", async () => {
      const events = Array.from({ length: 200 }, () => event());
      const twice = [delivery(), delivery({ subscription: "sub-b" })];
      const all = await Promise.all(events.map((each) => accept(store(), [item({ event: each, deliveries: twice })])));
      expect(new Set(all.flat()).size).toBe(400);
      expect(await pendingOf(store(), "sub-a")).toBe(200);
      expect(await pendingOf(store(), "sub-b")).toBe(200);
      const records = await store().deliveriesOf(events[77]?.id ?? "");
      expect(records.map((record) => record.id)).toEqual(all[77]);
    });

    it("answers a repeated key with the first event and stores nothing", async () => {
      const first = item({ idempotencyKey: "k1" });
      await accept(store(), [first]);
      const again = await store().accept({ namespace: NAMESPACE, nowMs: START_MS + 1, items: [item({ idempotencyKey: "k1" })] });
      expect(again).toEqual({ ok: true, items: [{ eventId: first.event.id, matched: 1, duplicate: true, deliveryIds: [] }] });
      expect(await pendingOf(store(), "sub-a")).toBe(1);
    });

    it("refuses a key with other content, names the item, and leaves no trace of the request", async () => {
      const first = item({ idempotencyKey: "k1" });
      await accept(store(), [first]);
      const fresh = item({ idempotencyKey: "k2" });
      const other = item({ idempotencyKey: "k1", event: event({ data: new TextEncoder().encode("2") }) });
      const [refused, beside] = await Promise.all([
        store().accept({ namespace: NAMESPACE, nowMs: START_MS, items: [fresh, other] }),
        accept(store(), [item({ deliveries: [delivery({ subscription: "sub-b" })] })]),
      ]);
      expect(refused).toEqual({ ok: false, conflict: { index: 1, eventId: first.event.id } });
      expect(beside).toHaveLength(1);
      expect(await pendingOf(store(), "sub-a")).toBe(1);
      expect(await store().readEvent(NAMESPACE, fresh.event.id)).toBeUndefined();
      expect((await store().accept({ namespace: NAMESPACE, nowMs: START_MS, items: [fresh] })).ok).toBe(true);
    });

    it("deduplicates and refuses inside one request too", async () => {
      const first = item({ idempotencyKey: "k1" });
      const result = await store().accept({ namespace: NAMESPACE, nowMs: START_MS, items: [first, item({ idempotencyKey: "k1" })] });
      expect(result.ok && result.items.map(({ eventId, duplicate }) => [eventId, duplicate])).toEqual([
        [first.event.id, false],
        [first.event.id, true],
      ]);
      const other = item({ idempotencyKey: "k9", event: event({ data: new TextEncoder().encode("2") }) });
      const refused = await store().accept({ namespace: NAMESPACE, nowMs: START_MS, items: [item({ idempotencyKey: "k9" }), other] });
      expect(refused).toMatchObject({ ok: false, conflict: { index: 1 } });
      expect(await pendingOf(store(), "sub-a")).toBe(1);
    });

    it("gives one event to a hundred parallel posts of one key", async () => {
      const items = Array.from({ length: 100 }, () => item({ idempotencyKey: "race" }));
      const results = await Promise.all(items.map((each) => store().accept({ namespace: NAMESPACE, nowMs: START_MS, items: [each] })));
      const accepted = results.flatMap((result) => (result.ok ? result.items : []));
      expect(accepted).toHaveLength(100);
      expect(new Set(accepted.map((each) => each.eventId)).size).toBe(1);
      expect(accepted.filter((each) => !each.duplicate)).toHaveLength(1);
    });

    it("keeps keys apart by namespace and forgets them after their time", async () => {
      await accept(store(), [item({ idempotencyKey: "k1" })]);
      const elsewhere = await store().accept({ namespace: "other", nowMs: START_MS, items: [item({ idempotencyKey: "k1" })] });
      expect(elsewhere.ok && elsewhere.items[0]?.duplicate).toBe(false);
      const just = await store().accept({ namespace: NAMESPACE, nowMs: START_MS + TTL_MS - 1, items: [item({ idempotencyKey: "k1" })] });
      expect(just.ok && just.items[0]?.duplicate).toBe(true);
      const after = await store().accept({ namespace: NAMESPACE, nowMs: START_MS + TTL_MS, items: [item({ idempotencyKey: "k1" })] });
      expect(after.ok && after.items[0]?.duplicate).toBe(false);
    });

    it("remembers keys and numbers over a restart", async () => {
      const first = item({ idempotencyKey: "k1" });
      const [id = 0] = await accept(store(), [first]);
      const report = await harness.reopen(START_MS + 1);
      expect(report).toMatchObject({ interrupted: 0, pending: 1 });
      const again = await store().accept({ namespace: NAMESPACE, nowMs: START_MS + 1, items: [item({ idempotencyKey: "k1" })] });
      expect(again).toMatchObject({ ok: true, items: [{ eventId: first.event.id, duplicate: true }] });
      const [next = 0] = await accept(store(), [item()], START_MS + 1);
      expect(next).toBeGreaterThan(id);
    });

    it("never uses a number again, even when all tables were dropped", async () => {
      const [id = 0] = await accept(store(), [item({ deliveries: [delivery({ as: "claimed" })] })]);
      await store().complete([
        { id, epoch: 1, attempt: undefined, next: { state: "failed", reason: "AgeExceeded" }, nowMs: START_MS, historyRetentionMs: 0 },
      ]);
      await dropAll(store(), START_MS + 60 * DAY_MS);
      await harness.reopen(START_MS + 60 * DAY_MS);
      expect(await store().readDelivery(id)).toBeUndefined();
      const [next = 0] = await accept(store(), [item()], START_MS + 60 * DAY_MS);
      expect(next).toBeGreaterThan(id);
    });

    it("writes the first claim with the event, unless its epoch is old", async () => {
      const both = [delivery({ as: "claimed" }), delivery({ as: "claimed", epoch: 0, subscription: "sub-b" })];
      const [mine = 0, late = 0] = await accept(store(), [item({ deliveries: both })]);
      expect(await store().readDelivery(mine)).toMatchObject({ state: "claimed", attempts: 1, dueAtMs: undefined });
      expect(await store().readDelivery(late)).toMatchObject({ state: "ready", attempts: 0 });
      expect(await claimOne(store(), mine)).toBeUndefined();
    });

    it("answers closed after close, which may be called twice", async () => {
      await store().close();
      await store().close();
      await expect(accept(store(), [item()])).rejects.toBeInstanceOf(StoreError);
      await expect(store().queues()).rejects.toMatchObject({ code: "closed" });
      await harness.reopen(START_MS);
    });
  });
}
