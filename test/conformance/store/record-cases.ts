import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeliveryId, HistoryFilter } from "../../../src/store/store.ts";
import { accept, attempt, claimOne, completion, delivery, event, HOUR_MS, item, NAMESPACE, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const RECORD = "order-4711";

/** What a delivery is found by from its acceptance on, whatever becomes of it: the one that never came is the one that is looked for. */
export function recordCases(engine: Engine): void {
  describe("record ids", () => {
    let harness: Harness;
    const store = () => harness.store();
    const found = async (recordId: string, filter: Partial<HistoryFilter> = {}): Promise<DeliveryId[]> => {
      const { deliveries } = await store().history({ namespace: NAMESPACE, limit: 10, recordId, ...filter });
      for (const each of deliveries) expect(each.recordId).toBe(recordId);
      return deliveries.map(({ id }) => id);
    };
    const accepted = async (overrides: Parameters<typeof delivery>[0] = {}): Promise<DeliveryId> => {
      const [id = 0] = await accept(store(), [item({ deliveries: [delivery({ recordId: RECORD, ...overrides })] })]);
      return id;
    };
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    it.each(["claimed", "fresh", "indexed"] as const)("find a delivery that was stored %s and never tried", async (as) => {
      const id = await accepted({ as });
      expect(await found(RECORD)).toEqual([id]);
      expect(await found(RECORD.slice(0, -1))).toEqual([]);
      expect(await found("")).toEqual([]);
      expect(await found(RECORD, { state: "pending" })).toEqual([id]);
      expect(await found(RECORD, { state: "failed" })).toEqual([]);
      expect(await store().readDelivery(id)).toMatchObject({ recordId: RECORD });
    });

    it("find one that ended without an attempt, one that is behind another of its key, and its dead letter", async () => {
      await store().setForwarding("sub-a", true);
      const first = await accepted({ orderKey: "k" });
      const second = await accepted({ orderKey: "k" });
      await store().complete([
        { ...completion(first), attempt: undefined, next: { state: "failed", reason: "AgeExceeded" }, nowMs: START_MS + 1 },
      ]);
      const all = await found(RECORD);
      expect(all).toEqual(expect.arrayContaining([first, second]));
      expect(all).toHaveLength(3);
      await store().endAll({
        subscription: "sub-a",
        state: "discarded",
        reason: "Discarded",
        nowMs: START_MS + 2,
        historyRetentionMs: HOUR_MS,
        limit: 10,
      });
      expect(await found(RECORD, { state: "discarded" })).toEqual([second]);
    });

    it("are told to whoever loads the row, over a restart, a kill and a resend, and with every attempt", async () => {
      const id = await accepted();
      expect(await store().due("sub-a", START_MS, 10)).toMatchObject([{ id, recordId: RECORD }]);
      await claimOne(store(), id);
      await harness.reopen(START_MS + 5);
      expect(await found(RECORD)).toEqual([id]);
      expect(await store().attemptsOf(id)).toMatchObject([{ outcome: "unknown", recordId: RECORD }]);
      await claimOne(store(), id);
      await store().complete([completion(id, { attempt: attempt(id, { attempt: 2 }) })]);
      expect(await found(RECORD, { state: "delivered" })).toEqual([id]);
      expect(await store().attemptsOf(id)).toMatchObject([{ recordId: RECORD }, { recordId: RECORD, outcome: "success" }]);
      expect(await store().resend(id, START_MS + 9)).toBe("resent");
      expect(await found(RECORD, { state: "ready" })).toEqual([id]);
    });

    it("of a delivery stay what they were at its acceptance, and where it had none the attempts' are shown", async () => {
      const [mine, older] = [await accepted(), await accepted({ recordId: undefined })];
      for (const id of [mine, older]) {
        await claimOne(store(), id);
        await store().complete([completion(id, { attempt: attempt(id, { recordId: id === mine ? undefined : "order-9" }) })]);
      }
      expect(await found(RECORD)).toEqual([mine]);
      expect(await found("order-9")).toEqual([older]);
    });

    it("lead through many, newest first, and past what others have of the same", async () => {
      const ids: DeliveryId[] = [];
      for (let i = 0; i < 3; i++) {
        ids.unshift(await accepted());
        const theirs = {
          event: event({ namespace: "elsewhere" }),
          deliveries: [delivery({ recordId: RECORD, namespace: "elsewhere", subscription: "z" })],
        };
        await store().accept({ namespace: "elsewhere", items: [item(theirs)], nowMs: START_MS });
      }
      const pages: DeliveryId[] = [];
      for (let beforeId: DeliveryId | undefined, pagesLeft = 9; pagesLeft > 0; pagesLeft--) {
        const page = await store().history({
          namespace: NAMESPACE,
          limit: 1,
          recordId: RECORD,
          ...(beforeId === undefined ? {} : { beforeId }),
        });
        pages.push(...page.deliveries.map(({ id }) => id));
        beforeId = page.nextBeforeId;
        if (beforeId === undefined) break;
      }
      expect(pages).toEqual(ids);
    });
  });
}
