import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resultStatus } from "../../../src/core/result.ts";
import { RESULT_BYTES_MAX, RESULT_ROWS_MAX, type DeliveryId, type StoredResult } from "../../../src/store/store.ts";
import { accept, attempt, claimOne, completion, DAY_MS, delivery, dropAll, event, HOUR_MS, item, NAMESPACE, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const FAILED = { state: "failed", reason: "AttemptsExhausted" } as const;

export function resultCases(engine: Engine): void {
  describe("results", () => {
    let harness: Harness;
    const store = () => harness.store();
    const known = async (id: string, nowMs = START_MS): Promise<StoredResult> => {
      const found = await store().result(NAMESPACE, id, nowMs);
      if (found === undefined) throw new Error("unknown");
      return found;
    };
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    /** An event with one claimed delivery for each subscription. */
    async function accepted(subscriptions: readonly string[], overrides: Parameters<typeof item>[0] = {}) {
      const stored = event();
      const deliveries = subscriptions.map((subscription) => delivery({ as: "claimed", subscription }));
      const ids = await accept(store(), [item({ event: stored, deliveries, ...overrides })]);
      return { id: stored.id, ids };
    }
    const done = (id: DeliveryId, overrides: Parameters<typeof completion>[1] = {}) => store().complete([completion(id, overrides)]);

    it("count what is owed and how the rest ended, over a restart", async () => {
      const { id, ids } = await accepted(["sub-a", "sub-b", "sub-c"]);
      expect(await known(id)).toMatchObject({ matched: 3, owed: 3, delivered: 0, failed: 0, discarded: 0 });
      await done(ids[0] ?? 0);
      await done(ids[1] ?? 0, { next: FAILED, attempt: attempt(ids[1] ?? 0, { statusCode: 500, outcome: "server_error" }) });
      await harness.reopen(START_MS);
      const found = await known(id);
      expect(found).toMatchObject({ matched: 3, owed: 1, delivered: 1, failed: 1, discarded: 0 });
      expect(found.deliveries).toMatchObject([
        { id: ids[0], subscription: "sub-a", state: "delivered", attempts: 1, lastAttempt: { statusCode: 200 } },
        { id: ids[1], subscription: "sub-b", state: "failed", reason: "AttemptsExhausted", lastAttempt: { statusCode: 500 } },
        { id: ids[2], subscription: "sub-c", state: expect.stringMatching(/ready|claimed/), lastAttempt: undefined },
      ]);
    });

    it("tell what the receiver said to the last attempt", async () => {
      const { id, ids } = await accepted(["sub-a"]);
      const [only = 0] = ids;
      const first = attempt(only, { statusCode: 503, responseBody: Buffer.from("first") });
      await done(only, { attempt: first, next: { state: "ready", dueAtMs: START_MS } });
      await claimOne(store(), only);
      const second = attempt(only, { attempt: 2, responseHeaders: [["x-a", "1"]], responseBody: Buffer.from("second") });
      await done(only, { attempt: second });
      const [told] = (await known(id)).deliveries;
      expect(told?.lastAttempt?.responseHeaders).toEqual([["x-a", "1"]]);
      expect(Buffer.from(told?.lastAttempt?.responseBody ?? []).toString()).toBe("second");
      expect(told?.answerLeftOut).toBe(false);
    });

    it("are nobody's who asks in another namespace, nor of ids that never were", async () => {
      const { id } = await accepted(["sub-a"]);
      expect(await store().result("elsewhere", id, START_MS)).toBeUndefined();
      expect(await store().result(NAMESPACE, event().id, START_MS)).toBeUndefined();
      expect(await store().result(NAMESPACE, "no'; --", START_MS)).toBeUndefined();
      expect(await store().result(NAMESPACE, "", START_MS)).toBeUndefined();
    });

    it("leave other events and dead letters out", async () => {
      await store().setForwarding("sub-a", true);
      const { id, ids } = await accepted(["sub-a"]);
      await accepted(["sub-a"]);
      await done(ids[0] ?? 0, { next: FAILED });
      expect(await known(id)).toMatchObject({ matched: 1, owed: 0, failed: 1, deliveries: [{ id: ids[0] }] });
    });

    it("end with their exact retention, although nothing has been written or dropped since", async () => {
      const { id, ids } = await accepted(["sub-a"]);
      await done(ids[0] ?? 0, { historyRetentionMs: HOUR_MS });
      expect(resultStatus(await known(id, START_MS + HOUR_MS - 1), START_MS + HOUR_MS - 1)).toBe("ok");
      expect(resultStatus(await known(id, START_MS + HOUR_MS), START_MS + HOUR_MS)).toBe("gone");
    });

    it("end sooner for what was sent and answered, where bodies are kept for less long", async () => {
      const { id, ids } = await accepted(["sub-a"]);
      const [only = 0] = ids;
      const bodies = { requestBody: Buffer.from("sent"), responseBody: Buffer.from("said"), payloadKey: "p" };
      const kept = { historyRetentionMs: HOUR_MS, bodiesRetentionMs: HOUR_MS / 2 };
      await done(only, { ...kept, attempt: attempt(only, { ...bodies, responseHeaders: [["x-a", "1"]] }) });
      const atMs = START_MS + HOUR_MS / 2;
      const said = async (nowMs: number) => (await known(id, nowMs)).deliveries[0]?.lastAttempt?.responseBody;
      expect(Buffer.from((await said(atMs - 1)) ?? []).toString()).toBe("said");
      expect((await store().attemptsOf(only))[0]).toMatchObject({ payloadKey: "p" });
      expect(await said(atMs)).toBeUndefined();
      await harness.reopen(atMs);
      const [told] = await store().attemptsOf(only);
      expect(told).toMatchObject({ statusCode: 200, responseHeaders: [["x-a", "1"]] });
      expect([told?.requestBody, told?.responseBody, told?.payloadKey]).toEqual([undefined, undefined, undefined]);
      expect(resultStatus(await known(id, atMs), atMs)).toBe("ok");
    });

    it("are open again while a delivery is sent once more", async () => {
      const { id, ids } = await accepted(["sub-a"]);
      await done(ids[0] ?? 0, { next: FAILED });
      expect(await store().resend(ids[0] ?? 0, START_MS)).toBe("resent");
      expect(await known(id)).toMatchObject({ owed: 1, failed: 0 });
    });

    it("of an event that nobody wanted are kept as long as history", async () => {
      const stored = event();
      await accept(store(), [item({ event: stored, deliveries: [], historyRetentionMs: 3 * DAY_MS })]);
      expect(await known(stored.id)).toMatchObject({ matched: 0, owed: 0, deliveries: [], keptUntilMs: START_MS + 3 * DAY_MS });
    });

    it("do not need the event's body", async () => {
      const { id, ids } = await accepted(["sub-a", "sub-b"], { bodyRetentionMs: HOUR_MS });
      for (const each of ids) await done(each, { historyRetentionMs: 7 * DAY_MS });
      await dropAll(store(), START_MS + 3 * DAY_MS);
      expect(await store().readEvent(NAMESPACE, id)).toBeUndefined();
      expect(await known(id)).toMatchObject({ matched: 2, delivered: 2, deliveries: [{}, {}] });
    });

    it("leave a tombstone of 30 days, over a restart, and then nothing", async () => {
      const { id, ids } = await accepted(["sub-a"], { historyRetentionMs: 3 * DAY_MS, maxAgeMs: 4 * DAY_MS });
      const endedAtMs = START_MS + 4 * DAY_MS;
      await done(ids[0] ?? 0, { nowMs: endedAtMs, historyRetentionMs: 3 * DAY_MS });
      const cleanedUpMs = endedAtMs + 3 * DAY_MS;
      for (const nowMs of [cleanedUpMs, cleanedUpMs + 2 * DAY_MS, cleanedUpMs + 30 * DAY_MS - 1]) {
        await dropAll(store(), nowMs);
        await harness.reopen(nowMs);
        const found = await known(id);
        expect(found).toMatchObject({ matched: 1, owed: 0, delivered: 0 });
        expect(resultStatus(found, nowMs)).toBe("gone");
        expect(await store().result("elsewhere", id, START_MS)).toBeUndefined();
      }
      await dropAll(store(), cleanedUpMs + 33 * DAY_MS);
      expect(await store().result(NAMESPACE, id, START_MS)).toBeUndefined();
    });

    it("outlive their own tombstone's day while a delivery is owed", async () => {
      const { id, ids } = await accepted(["sub-a"], { historyRetentionMs: HOUR_MS });
      const lateMs = START_MS + 60 * DAY_MS;
      await dropAll(store(), lateMs);
      expect(await known(id)).toMatchObject({ matched: 1, owed: 1 });
      await done(ids[0] ?? 0, { nowMs: lateMs, historyRetentionMs: HOUR_MS });
      await dropAll(store(), lateMs + 29 * DAY_MS);
      expect(resultStatus(await known(id), lateMs + 29 * DAY_MS)).toBe("gone");
    });

    it("list a bounded number of deliveries and count them all", async () => {
      const count = RESULT_ROWS_MAX + 5;
      const { id } = await accepted(Array.from({ length: count }, (_, i) => `sub-${i}`));
      const found = await known(id);
      expect(found).toMatchObject({ matched: count, owed: count });
      expect(found.deliveries).toHaveLength(RESULT_ROWS_MAX);
    });

    it("hold a bounded number of the answers' bytes, and say which are left out", async () => {
      const { id, ids } = await accepted(["sub-a", "sub-b", "sub-c"]);
      for (const each of ids) await done(each, { attempt: attempt(each, { responseBody: Buffer.alloc(RESULT_BYTES_MAX * 0.4) }) });
      const { deliveries } = await known(id);
      expect(deliveries.map(({ answerLeftOut }) => answerLeftOut)).toEqual([false, false, true]);
      expect(deliveries[2]).toMatchObject({
        state: "delivered",
        lastAttempt: { statusCode: 200, responseHeaders: [], responseBody: undefined },
      });
    });
  });
}
