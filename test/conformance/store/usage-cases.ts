import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isDataLeftOut } from "../../../src/core/event.ts";
import { UNMATCHED_KEPT_MS } from "../../../src/store/unmatched.ts";
import { accept, attempt, claimOne, completion, DAY_MS, delivery, dropAll, event, HOUR_MS, item, NAMESPACE, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const KIB = 1_024;
/** What a small row may come to, bytes. */
const ROW_BYTES_MAX = 1_024;
const FAILED = { state: "failed", reason: "AttemptsExhausted" } as const;

export function usageCases(engine: Engine): void {
  describe("usage", () => {
    let harness: Harness;
    const store = () => harness.store();
    const held = (namespace = NAMESPACE): number => store().usage().of(namespace);
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    /** How much more `NAMESPACE` holds after this. */
    async function grownBy(work: () => Promise<unknown>): Promise<number> {
      const before = held();
      await work();
      return held() - before;
    }
    const large = (bytes: number, overrides: Parameters<typeof event>[0] = {}) => event({ data: Buffer.alloc(bytes, "x"), ...overrides });

    it("is nothing of an empty store, nor of a namespace that never was", () => {
      expect(store().usage().totalBytes).toBe(0);
      expect([...store().usage().namespaces()]).toEqual([]);
      expect(held("nobody")).toBe(0);
    });

    it("counts an event once, however many want it, and each delivery", async () => {
      const one = await grownBy(() => accept(store(), [item({ event: large(100 * KIB) })]));
      expect(one).toBeGreaterThanOrEqual(100 * KIB);
      expect(one).toBeLessThan(100 * KIB + ROW_BYTES_MAX);
      const deliveries = Array.from({ length: 50 }, (_, i) => delivery({ subscription: `sub-${i}` }));
      const fifty = await grownBy(() => accept(store(), [item({ event: large(100 * KIB), deliveries })]));
      expect(fifty - one).toBeGreaterThanOrEqual(49 * 64);
      expect(fifty - one).toBeLessThan(49 * ROW_BYTES_MAX);
    });

    it("counts every attribute as the bytes that it is", async () => {
      const plain = await grownBy(() => accept(store(), [item({ event: event() })]));
      const extensions = { note: "é".repeat(100), other: "x".repeat(50) };
      const more = await grownBy(() =>
        accept(store(), [item({ event: event({ extensions, subject: "ü".repeat(100), sourceId: "y".repeat(58) }) })]),
      );
      expect(more - plain).toBeGreaterThanOrEqual(200 + 50 + 200 + 50);
      expect(more - plain).toBeLessThan(200 + 50 + 200 + 50 + 100);
    });

    it("is each namespace's own, and their sum", async () => {
      await accept(store(), [item({ event: large(10 * KIB) })]);
      const before = held();
      const other = item({
        event: large(20 * KIB, { namespace: "depot" }),
        deliveries: [delivery({ namespace: "depot", subscription: "sub-d" })],
      });
      await store().accept({ namespace: "depot", items: [other], nowMs: START_MS });
      expect(held()).toBe(before);
      expect(held("depot")).toBeGreaterThanOrEqual(20 * KIB);
      expect(store().usage().totalBytes).toBe(before + held("depot"));
      expect(new Set(store().usage().namespaces())).toEqual(new Set([NAMESPACE, "depot"]));
    });

    it("does not grow by what is not stored: duplicates, conflicts, late completions", async () => {
      const first = item({ idempotencyKey: "key", event: large(KIB) });
      await accept(store(), [first]);
      expect(await grownBy(() => accept(store(), [{ ...first, event: large(KIB) }]))).toBe(0);
      const conflict = { ...first, contentHash: new Uint8Array(32) };
      expect(
        await grownBy(() => store().accept({ namespace: NAMESPACE, items: [item({ event: large(KIB) }), conflict], nowMs: START_MS })),
      ).toBe(0);
      expect(
        await grownBy(() => store().complete([completion(999_999, { attempt: attempt(999_999, { responseBody: Buffer.alloc(KIB) }) })])),
      ).toBe(0);
    });

    it("counts what receivers answer, with each attempt", async () => {
      const [id = 0] = await accept(store(), [item({ deliveries: [delivery({ as: "claimed" })] })]);
      const answered = (bytes: number, at: number) =>
        attempt(id, { attempt: at, responseBody: Buffer.alloc(bytes, "x"), responseHeaders: [["x-a", "y".repeat(2 * KIB)]] });
      const retried = await grownBy(() =>
        store().complete([completion(id, { attempt: answered(8 * KIB, 1), next: { state: "ready", dueAtMs: START_MS } })]),
      );
      expect(retried).toBeGreaterThanOrEqual(10 * KIB);
      expect(retried).toBeLessThan(10 * KIB + ROW_BYTES_MAX);
      await claimOne(store(), id);
      expect(await grownBy(() => store().complete([completion(id, { attempt: answered(8 * KIB, 2) })]))).toBeGreaterThanOrEqual(9 * KIB);
    });

    it("counts a resent delivery's further attempts, however often it is resent", async () => {
      const [id = 0] = await accept(store(), [item({ deliveries: [delivery({ as: "claimed" })] })]);
      await store().complete([completion(id)]);
      for (let at = 2; at < 12; at++) {
        const body = attempt(id, { attempt: at, responseBody: Buffer.alloc(4 * KIB) });
        const grown = await grownBy(async () => {
          expect(await store().resend(id, START_MS)).toBe("resent");
          await claimOne(store(), id);
          await store().complete([completion(id, { attempt: body })]);
        });
        expect(grown).toBeGreaterThanOrEqual(4 * KIB);
      }
    });

    it("counts the deliveries that are owed: accepted, resent and dead letters, until they have ended, over a restart", async () => {
      const owed = () => [store().usage().owed(NAMESPACE), store().usage().totalOwed];
      await store().setForwarding("sub-a", true);
      const deliveries = [
        delivery({ as: "claimed" }),
        delivery({ subscription: "sub-b", orderKey: "k" }),
        delivery({ subscription: "sub-b", orderKey: "k" }),
      ];
      const ids = await accept(store(), [item({ deliveries })]);
      expect(owed()).toEqual([3, 3]);
      await store().complete([completion(ids[0] ?? 0)]);
      expect(owed()).toEqual([2, 2]);
      expect(await store().resend(ids[0] ?? 0, START_MS)).toBe("resent");
      await claimOne(store(), ids[0] ?? 0);
      expect(owed()).toEqual([3, 3]);
      await store().complete([completion(ids[0] ?? 0, { next: FAILED })]);
      expect(owed()).toEqual([3, 3]);
      await harness.reopen(START_MS);
      expect(owed()).toEqual([3, 3]);
      const end = { state: "discarded", reason: "Discarded", nowMs: START_MS, historyRetentionMs: DAY_MS, limit: 10 } as const;
      for (const { subscription } of await store().queues()) await store().endAll({ ...end, subscription });
      await harness.reopen(START_MS);
      expect(owed()).toEqual([0, 0]);
    });

    it("counts a dead letter as a row: the body is not copied", async () => {
      await store().setForwarding("sub-a", true);
      const [id = 0] = await accept(store(), [item({ event: large(50 * KIB), deliveries: [delivery({ as: "claimed" })] })]);
      const grown = await grownBy(() =>
        store().complete([completion(id, { next: FAILED, attempt: attempt(id, { outcome: "server_error", statusCode: 500 }) })]),
      );
      expect(grown).toBeGreaterThan(100);
      expect(grown).toBeLessThan(3 * ROW_BYTES_MAX);
    });

    it("is the same after a kill and a restart, but for the attempts that were cut off", async () => {
      const ids = await accept(store(), [
        item({
          event: large(30 * KIB),
          idempotencyKey: "key",
          deliveries: [delivery(), delivery({ subscription: "sub-b", orderKey: "k" })],
        }),
      ]);
      await store().claim([{ id: ids[0] ?? 0, epoch: 1, lone: false, withEvent: false }]);
      await store().complete([completion(ids[0] ?? 0)]);
      const before = held();
      await harness.reopen(START_MS);
      expect(held()).toBe(before);
      await claimOne(store(), ids[1] ?? 0);
      await harness.reopen(START_MS);
      expect(held()).toBeGreaterThan(before);
      expect(held()).toBeLessThan(before + ROW_BYTES_MAX);
    });

    it("falls to nothing when everything has been forgotten, and the namespace with it", async () => {
      const ids = await accept(store(), [
        item({ event: large(30 * KIB), idempotencyKey: "key", deliveries: [delivery({ as: "claimed" })] }),
        item({ deliveries: [] }),
      ]);
      await store().complete([completion(ids[0] ?? 0)]);
      await dropAll(store(), START_MS + 100 * DAY_MS);
      expect(held()).toBe(0);
      expect([...store().usage().namespaces()]).toEqual([]);
      await harness.reopen(START_MS + 100 * DAY_MS);
      expect(store().usage().totalBytes).toBe(0);
    });

    it("falls with the bodies, while the history stays", async () => {
      const [id = 0] = await accept(store(), [
        item({ event: large(100 * KIB), historyRetentionMs: 20 * DAY_MS, deliveries: [delivery({ as: "claimed" })] }),
      ]);
      await store().complete([completion(id, { historyRetentionMs: 20 * DAY_MS })]);
      await dropAll(store(), START_MS + 5 * DAY_MS);
      expect(held()).toBeGreaterThan(100);
      expect(held()).toBeLessThan(3 * ROW_BYTES_MAX);
    });

    it("goes on counting a body that is owed past its retention, until the delivery has ended", async () => {
      const [id = 0] = await accept(store(), [item({ event: large(100 * KIB) })]);
      await dropAll(store(), START_MS + 10 * DAY_MS);
      expect(held()).toBeGreaterThanOrEqual(100 * KIB);
      expect(held()).toBeLessThan(100 * KIB + ROW_BYTES_MAX);
      await claimOne(store(), id);
      await store().complete([completion(id, { nowMs: START_MS + 10 * DAY_MS })]);
      await dropAll(store(), START_MS + 10 * DAY_MS);
      expect(held()).toBeLessThan(3 * ROW_BYTES_MAX);
    });

    it("never goes below nothing, whatever is ended and resent across days", async () => {
      const ids = await accept(store(), [
        item({ deliveries: [delivery({ as: "claimed" })], bodyRetentionMs: 20 * DAY_MS, historyRetentionMs: DAY_MS }),
      ]);
      await store().complete([completion(ids[0] ?? 0, { historyRetentionMs: DAY_MS })]);
      expect(await store().resend(ids[0] ?? 0, START_MS + HOUR_MS)).toBe("resent");
      await dropAll(store(), START_MS + 4 * DAY_MS);
      await claimOne(store(), ids[0] ?? 0);
      await store().complete([completion(ids[0] ?? 0, { nowMs: START_MS + 4 * DAY_MS, historyRetentionMs: DAY_MS })]);
      for (let day = 5; day < 60; day += 1) {
        await dropAll(store(), START_MS + day * DAY_MS);
        expect(held()).toBeGreaterThanOrEqual(0);
      }
      expect(store().usage().totalBytes).toBeGreaterThanOrEqual(0);
      await dropAll(store(), START_MS + 200 * DAY_MS);
      expect(store().usage().totalBytes).toBe(0);
    });
  });

  describe("events that nobody wanted", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    it("keep no data: the rest can be looked at for a day, and the result says that nobody wanted them", async () => {
      const extensions = { team: "blue" };
      const lonely = event({ data: Buffer.alloc(200 * KIB, "x"), extensions, subject: "42" });
      await accept(store(), [item({ event: lonely, deliveries: [], bodyRetentionMs: 20 * DAY_MS })]);
      expect(store().usage().of(NAMESPACE)).toBeLessThan(ROW_BYTES_MAX);
      const read = await store().readEvent(NAMESPACE, lonely.id);
      expect(read).toMatchObject({ id: lonely.id, type: lonely.type, subject: "42", extensions, dataContentType: "application/json" });
      expect(read?.data.byteLength).toBe(0);
      expect(read !== undefined && isDataLeftOut(read)).toBe(true);
      store().advanceTo(START_MS + UNMATCHED_KEPT_MS);
      expect(await store().readEvent(NAMESPACE, lonely.id)).toBeUndefined();
      const later = START_MS + 2 * DAY_MS;
      expect(await store().result(NAMESPACE, lonely.id, later)).toMatchObject({ matched: 0, owed: 0, deliveries: [] });
    });

    it("that had no data lack none", async () => {
      const bare = event({ data: new Uint8Array(), dataKind: "none", dataContentType: undefined });
      await accept(store(), [item({ event: bare, deliveries: [] })]);
      const read = await store().readEvent(NAMESPACE, bare.id);
      expect(read !== undefined && isDataLeftOut(read)).toBe(false);
    });

    it("are still told apart by their content: the same key with other data is a conflict, with the same data a duplicate", async () => {
      const first = item({ idempotencyKey: "key", deliveries: [] });
      await accept(store(), [first]);
      const again = await store().accept({ namespace: NAMESPACE, items: [{ ...first, event: event() }], nowMs: START_MS });
      expect(again).toMatchObject({ ok: true, items: [{ eventId: first.event.id, duplicate: true, matched: 0 }] });
      const other = { ...first, event: event(), contentHash: new Uint8Array(32) };
      expect(await store().accept({ namespace: NAMESPACE, items: [other], nowMs: START_MS })).toMatchObject({ ok: false });
    });
  });
}
