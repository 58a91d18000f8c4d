import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventFilter } from "../../../src/store/event-page.ts";
import { HISTORY_SCAN_ROWS_MAX } from "../../../src/store/store.ts";
import { accept, claimOne, completion, DAY_MS, delivery, dropAll, event, HOUR_MS, item, NAMESPACE, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

export function eventPageCases(engine: Engine): void {
  describe("pages of events", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    /** Their CloudEvents ids, and where the next page begins. */
    async function page(
      filter: Partial<EventFilter> = {},
    ): Promise<{ readonly ids: readonly string[]; readonly next: number | undefined }> {
      const { events, nextBefore } = await store().events({ namespace: NAMESPACE, limit: 100, ...filter });
      return { ids: events.map((one) => one.event.sourceId), next: nextBefore };
    }
    const ids = async (filter: Partial<EventFilter> = {}): Promise<readonly string[]> => (await page(filter)).ids;

    async function six(): Promise<void> {
      for (let i = 0; i < 6; i++) {
        const own = event({ sourceId: `n-${i}`, type: i < 4 ? "order.created" : "order.paid", receivedAtMs: START_MS + i * HOUR_MS });
        await accept(store(), [item({ event: own, deliveries: i % 2 === 0 ? [delivery()] : [] })], START_MS + i * HOUR_MS);
      }
      await accept(store(), [item({ event: event({ namespace: "other", sourceId: "foreign" }) })]);
    }

    it("list newest first what the namespace has sent, by every filter, over a restart", async () => {
      await six();
      await harness.reopen(START_MS + 5 * HOUR_MS);
      expect(await page()).toEqual({ ids: ["n-5", "n-4", "n-3", "n-2", "n-1", "n-0"], next: undefined });
      expect(await ids({ type: "order.paid" })).toEqual(["n-5", "n-4"]);
      expect(await ids({ matched: false })).toEqual(["n-5", "n-3", "n-1"]);
      expect(await ids({ matched: true })).toEqual(["n-4", "n-2", "n-0"]);
      expect(await ids({ sourceId: "n-3" })).toEqual(["n-3"]);
      expect(await ids({ sinceMs: START_MS + 2 * HOUR_MS, untilMs: START_MS + 4 * HOUR_MS })).toEqual(["n-3", "n-2"]);
      expect(await ids({ namespace: "nowhere" })).toEqual([]);
    });

    it("continue where the page before ended, and stay right while events arrive", async () => {
      await six();
      const first = await page({ limit: 4 });
      expect(first.ids).toEqual(["n-5", "n-4", "n-3", "n-2"]);
      await accept(store(), [item({ event: event({ sourceId: "late" }) })], START_MS + 6 * HOUR_MS);
      expect(await page({ limit: 2, before: first.next ?? 0 })).toEqual({ ids: ["n-1", "n-0"], next: undefined });
    });

    it("tell how many deliveries an event was accepted with and how much data it has, and hold no data", async () => {
      const data = Buffer.from('{"n":1}');
      const stored = event({ data, dataKind: "json", dataContentType: "application/json" });
      await accept(store(), [item({ event: stored, deliveries: [delivery(), delivery({ subscription: "sub-b" })] })]);
      const { events } = await store().events({ namespace: NAMESPACE, limit: 1 });
      const { data: _data, ...rest } = stored;
      expect(events).toEqual([{ event: rest, dataBytes: data.length, deliveries: 2 }]);
    });

    it("hide what is past its retention, although a delivery is still owed", async () => {
      const [id = 0] = await accept(store(), [item({ event: event({ sourceId: "owed" }), bodyRetentionMs: DAY_MS })]);
      expect(await ids()).toEqual(["owed"]);
      await dropAll(store(), START_MS + 3 * DAY_MS);
      expect(await ids()).toEqual([]);
      expect(await store().readBody(id)).toBeDefined();
      await claimOne(store(), id);
      await store().complete([completion(id, { nowMs: START_MS + 3 * DAY_MS })]);
      expect(await ids()).toEqual([]);
    });

    it("look at a bounded number of rows each, and together leave nothing out", async () => {
      const many = 2_000;
      for (let i = 0; i * many <= HISTORY_SCAN_ROWS_MAX; i++) {
        const own = (n: number) => event({ namespace: n === 7 ? NAMESPACE : "crowd", sourceId: `${i}-${n}` });
        const items = Array.from({ length: many }, (_, n) => item({ event: own(n), deliveries: [] }));
        await accept(store(), items, START_MS + i);
      }
      const found: string[] = [];
      let before: number | undefined;
      do {
        const next = await page(before === undefined ? {} : { before });
        found.push(...next.ids);
        before = next.next;
      } while (before !== undefined);
      expect(found).toEqual(Array.from({ length: HISTORY_SCAN_ROWS_MAX / many + 1 }, (_, i) => `${HISTORY_SCAN_ROWS_MAX / many - i}-7`));
    });
  });
}
