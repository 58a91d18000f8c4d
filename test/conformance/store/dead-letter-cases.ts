import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { deadLetterQueue } from "../../../src/core/dead-letter.ts";
import { accept, attempt, claimOne, completion, DAY_MS, delivery, event, HOUR_MS, item, pendingOf, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

const LETTERS = deadLetterQueue("sub-a");

/** A delivery that fails makes its dead letter in the same transaction. */
export function deadLetterCases(engine: Engine): void {
  describe("dead letters", () => {
    let harness: Harness;
    const store = () => harness.store();
    beforeEach(async () => {
      harness = await engine.make(START_MS, HOUR_MS);
    });
    afterEach(() => harness.dispose());

    const letters = async () => store().due(LETTERS, START_MS + DAY_MS, 100);
    const fail = async (id: number, fields: Parameters<typeof completion>[1] = {}) => {
      await claimOne(store(), id);
      const next = { state: "failed", reason: "AttemptsExhausted" } as const;
      const done = attempt(id, { outcome: "server_error", statusCode: 503, message: "busy" });
      return store().complete([completion(id, { attempt: done, next, nowMs: START_MS + 5, ...fields })]);
    };

    it("puts one on the same event into a queue of its own, and says what failed", async () => {
      await store().setForwarding("sub-a", true);
      const stored = event();
      const [id = 0] = await accept(store(), [item({ event: stored })]);
      expect(await fail(id)).toEqual([true]);
      const [letter] = await letters();
      expect(letter).toMatchObject({
        eventId: stored.id,
        subscription: LETTERS,
        namespace: "shop",
        attempt: 0,
        acceptedAtMs: START_MS + 5,
      });
      expect(letter?.deadLetter).toEqual({
        deliveryId: id,
        reason: "AttemptsExhausted",
        attempts: 1,
        statusCode: 503,
        message: "busy",
        acceptedAtMs: START_MS,
        endedAtMs: START_MS + 5,
      });
      const claimed = await claimOne(store(), letter?.id ?? 0, { withEvent: true });
      expect(claimed?.event?.id).toBe(stored.id);
      expect(await store().readDelivery(id)).toMatchObject({ state: "failed", reason: "AttemptsExhausted" });
      expect(await pendingOf(store(), LETTERS)).toBe(1);
    });

    it("survives a kill, as does the wish for it", async () => {
      await store().setForwarding("sub-a", true);
      const [first = 0, second = 0] = await accept(store(), [item({ deliveries: [delivery(), delivery()] })]);
      await fail(first);
      await harness.reopen(START_MS);
      await fail(second);
      expect((await letters()).map((letter) => letter.deadLetter?.deliveryId)).toEqual([first, second]);
      expect((await store().queues()).find((queue) => queue.subscription === "sub-a")?.forwards).toBe(true);
      expect((await store().queues()).find((queue) => queue.subscription === LETTERS)?.forwards).toBe(false);
    });

    it("makes one of what failed without an attempt at its end, with the status of the last", async () => {
      await store().setForwarding("sub-a", true);
      const [id = 0] = await accept(store(), [item()]);
      await fail(id, { next: { state: "ready", dueAtMs: START_MS } });
      const aged = { attempt: undefined, next: { state: "failed", reason: "AgeExceeded" } } as const;
      await store().complete([completion(id, aged)]);
      expect((await letters())[0]?.deadLetter).toMatchObject({ reason: "AgeExceeded", attempts: 1, statusCode: 503, message: "busy" });
    });

    it("makes one of what is quarantined at the start", async () => {
      await store().setForwarding("sub-a", true);
      const [id = 0] = await accept(store(), [item()]);
      for (let crash = 0; crash < 3; crash++) {
        await claimOne(store(), id, { lone: true });
        await harness.reopen(START_MS);
      }
      expect((await letters())[0]?.deadLetter).toMatchObject({ deliveryId: id, reason: "Quarantined", attempts: 3 });
    });

    it("makes none unless asked, of what was delivered or thrown away, of late results, and of dead letters themselves", async () => {
      const [before = 0] = await accept(store(), [item()]);
      await fail(before);
      await store().setForwarding("sub-a", true);
      const [good = 0, thrown = 0, failing = 0] = await accept(store(), [item({ deliveries: [delivery(), delivery(), delivery()] })]);
      await claimOne(store(), good);
      await store().complete([completion(good)]);
      await store().complete([completion(thrown, { attempt: undefined, next: { state: "discarded", reason: "Discarded" } })]);
      expect(await letters()).toEqual([]);
      await fail(failing);
      await fail(failing);
      const [letter] = await letters();
      expect(letter?.deadLetter?.deliveryId).toBe(failing);
      await fail(letter?.id ?? 0);
      expect(await letters()).toEqual([]);
      expect(await store().due(deadLetterQueue(LETTERS), START_MS + DAY_MS, 10)).toEqual([]);
      await store().setForwarding("sub-a", false);
      const [after = 0] = await accept(store(), [item()]);
      await fail(after);
      expect(await letters()).toEqual([]);
    });

    it("keeps them out of an event's results and refuses to resend one", async () => {
      await store().setForwarding("sub-a", true);
      const stored = event();
      const [id = 0] = await accept(store(), [item({ event: stored })]);
      await fail(id);
      const letter = (await letters())[0]?.id ?? 0;
      await claimOne(store(), letter);
      await store().complete([completion(letter, { next: { state: "failed", reason: "NotRetryable" } })]);
      expect((await store().deliveriesOf(stored.id)).map((record) => record.id)).toEqual([id]);
      expect(await store().resend(letter, START_MS)).toBe("not_found");
      expect(await store().resend(id, START_MS)).toBe("resent");
    });
  });
}
