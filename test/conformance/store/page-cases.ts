import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeliveryId, HistoryFilter, HistoryPage } from "../../../src/store/store.ts";
import { accept, attempt, completion, delivery, event, HOUR_MS, item, NAMESPACE, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const ONE_EVENT = "01a225fa-f62f-7000-84b1-dddeb8db1e54";

export function pageCases(engine: Engine): void {
  describe("pages of history", () => {
    let harness: Harness;
    const store = () => harness.store();
    const page = (filter: Partial<HistoryFilter> = {}): Promise<HistoryPage> =>
      store().history({ namespace: NAMESPACE, limit: 10, ...filter });
    const idsOf = ({ deliveries }: HistoryPage): DeliveryId[] => deliveries.map(({ id }) => id);
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    /** `count` deliveries whose first attempt has been claimed. */
    const claimed = (count: number, subscription = "sub-a"): Promise<number[]> =>
      accept(store(), [item({ deliveries: Array.from({ length: count }, () => delivery({ as: "claimed", subscription })) })]);

    it("lead through everything, newest first, ended or not, and say which one is the last", async () => {
      const ids = await claimed(7);
      await store().complete([completion(ids[1] ?? 0), completion(ids[5] ?? 0)]);
      const seen: DeliveryId[] = [];
      let beforeId: DeliveryId | undefined;
      for (let pages = 0; pages < 10; pages++) {
        const found = await page({ limit: 3, ...(beforeId === undefined ? {} : { beforeId }) });
        seen.push(...idsOf(found));
        beforeId = found.nextBeforeId;
        if (beforeId === undefined) break;
      }
      expect(seen).toEqual(ids.toReversed());
      expect((await page({ limit: 7 })).nextBeforeId).toBeUndefined();
    });

    it("tell apart what waits, what is under way and what has ended, and together what has not ended", async () => {
      const [waits = 0, flies = 0, ended = 0] = await claimed(3);
      await store().complete([completion(waits, { next: { state: "ready", dueAtMs: START_MS } }), completion(ended)]);
      for (const [state, ids] of [
        ["pending", [flies, waits]],
        ["ready", [waits]],
        ["claimed", [flies]],
        ["delivered", [ended]],
        ["failed", []],
      ] as const) {
        expect(idsOf(await page({ state })), state).toEqual(ids);
        const listed = await store().listDeliveries({ namespace: NAMESPACE, limit: 10, state });
        expect(
          listed.map(({ id }) => id),
          state,
        ).toEqual(ids);
      }
    });

    it("tell of each delivery its record, its first and its last attempt", async () => {
      const [id = 0, untried = 0] = await claimed(2);
      const first = attempt(id, { attempt: 1, startedAtMs: START_MS + 5, statusCode: 500, outcome: "server_error", recordId: "rec-7" });
      await store().complete([completion(id, { attempt: first, next: { state: "ready", dueAtMs: START_MS } })]);
      await store().claim([{ id, epoch: 1, lone: false, withEvent: false }]);
      const second = attempt(id, {
        attempt: 2,
        startedAtMs: START_MS + 9,
        statusCode: 200,
        outcome: "success",
        recordId: "rec-7",
        url: "https://b/",
      });
      await store().complete([completion(id, { attempt: second })]);
      const { deliveries } = await page();
      expect(deliveries.find((row) => row.id === untried)).toMatchObject({
        recordId: undefined,
        firstAttemptAtMs: undefined,
        lastAttempt: undefined,
      });
      expect(deliveries.find((row) => row.id === id)).toMatchObject({
        state: "delivered",
        attempts: 2,
        recordId: "rec-7",
        firstAttemptAtMs: START_MS + 5,
        lastAttempt: { attempt: 2, startedAtMs: START_MS + 9, statusCode: 200, outcome: "success", url: "https://b/" },
      });
    });

    it("find deliveries by record, and nobody else's of the same record", async () => {
      const [mine = 0, other = 0] = await claimed(2);
      const foreign = event({ namespace: "elsewhere" });
      const theirs = { event: foreign, deliveries: [delivery({ as: "claimed", subscription: "sub-z", namespace: "elsewhere" })] };
      const result = await store().accept({ namespace: "elsewhere", items: [item(theirs)], nowMs: START_MS });
      const [not = 0] = result.ok ? (result.items[0]?.deliveryIds ?? []) : [];
      for (const id of [mine, not]) await store().complete([completion(id, { attempt: attempt(id, { recordId: "rec-1" }) })]);
      await store().complete([completion(other, { attempt: attempt(other, { recordId: "rec-2" }) })]);
      expect(idsOf(await page({ recordId: "rec-1" }))).toEqual([mine]);
      expect(idsOf(await page({ recordId: "rec-1", subscriptions: ["sub-b"] }))).toEqual([]);
      expect(idsOf(await store().history({ namespace: "elsewhere", limit: 5, recordId: "rec-1" }))).toEqual([not]);
    });

    it.each([
      [{ subscriptions: ["sub-b"] }, [3]],
      [{ subscriptions: ["sub-b", "sub-a"] }, [3, 2, 1, 0]],
      [{ subscriptions: ["sub-b", "sub-unknown"], state: "claimed" as const }, [3]],
      [{ subscriptions: ["sub-unknown"] }, []],
      [{ subscriptions: [] }, []],
      [{ state: "delivered" as const }, [2]],
      [{ state: "failed" as const }, []],
      [{ state: "claimed" as const }, [3, 1, 0]],
      [{ type: "order.created" }, [3, 2, 1, 0]],
      [{ type: "order.other" }, []],
      [{ untilMs: START_MS }, []],
      [{ sinceMs: START_MS }, [3, 2, 1, 0]],
    ])("filter by %j", async (filter, expected) => {
      const ids = [...(await claimed(3)), ...(await claimed(1, "sub-b"))];
      await store().complete([completion(ids[2] ?? 0)]);
      expect(idsOf(await page(filter))).toEqual(expected.map((i) => ids[i]));
    });

    it.each<[Partial<HistoryFilter>, readonly number[]]>([
      [{ state: ["delivered", "failed"] }, [3, 2]],
      [{ state: ["pending", "failed"] }, [3, 1, 0]],
      [{ state: ["claimed", "discarded"] }, [1, 0]],
      [{ statusCode: { from: 500, to: 599 } }, [3]],
      [{ statusCode: { from: 200, to: 200 } }, [2]],
      [{ statusCode: { from: 200, to: 599 }, limit: 1 }, [3]],
      [{ eventId: ONE_EVENT }, [3]],
      [{ eventId: ONE_EVENT, state: "delivered" }, []],
      [{ eventId: ONE_EVENT, namespace: "elsewhere" }, []],
      [{ eventId: ONE_EVENT, recordId: "other" }, []],
      [{ eventId: "01a225fa-f62f-7000-84b1-000000000000" }, []],
    ])("filter by states, status and event: %j", async (filter, expected) => {
      const ids = await claimed(3);
      const deliveries = [delivery({ as: "claimed" })];
      ids.push(...(await accept(store(), [item({ event: event({ id: ONE_EVENT }), deliveries })])));
      await store().complete([
        completion(ids[2] ?? 0),
        completion(ids[3] ?? 0, {
          attempt: attempt(ids[3] ?? 0, { statusCode: 503, outcome: "server_error" }),
          next: { state: "failed", reason: "AttemptsExhausted" },
        }),
      ]);
      const found = await page(filter);
      expect(idsOf(found)).toEqual(expected.map((i) => ids[i]));
      if (filter.limit === 1) expect(idsOf(await page({ ...filter, beforeId: found.nextBeforeId ?? 0 }))).toEqual([ids[2]]);
    });

    it("keep how a body was made, over a restart", async () => {
      const [id = 0] = await claimed(1);
      await store().complete([completion(id, { attempt: attempt(id, { payloadKey: "p-1" }) })]);
      await store().putState([{ kind: "payload", key: "p-1", value: "{}" }]);
      await harness.reopen(START_MS);
      expect(await store().attemptsOf(id)).toMatchObject([{ payloadKey: "p-1" }]);
      expect(await store().listState("payload")).toEqual([{ key: "p-1", value: "{}" }]);
    });
  });
}
