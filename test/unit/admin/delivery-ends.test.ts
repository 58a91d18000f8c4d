import { expect, it } from "vitest";
import { DeliveryEnds, readResendWait, RESENDS_WAITING_MAX } from "../../../src/admin/delivery-ends.ts";
import type { DeliveryRecord } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const OPEN = AbortSignal.any([]);

/** A delivery that ends at `endsAtMs` of the clock, and how often it was looked at. */
function scene(endsAtMs: number) {
  const clock = new ManualClock(0);
  const startMs = clock.monotonicMs();
  const looks: number[] = [];
  const readDelivery = async (): Promise<DeliveryRecord> => {
    const passedMs = clock.monotonicMs() - startMs;
    looks.push(passedMs);
    return { state: passedMs >= endsAtMs ? "delivered" : "claimed" } as DeliveryRecord;
  };
  return { clock, looks, ends: new DeliveryEnds({ readDelivery }, clock) };
}

it("waits until the delivery has ended, looking less and less often", async () => {
  const { clock, looks, ends } = scene(1_300);
  const waited = ends.of(1, { waitMs: 10_000, signal: OPEN });
  await clock.advance(5_000);
  expect(await waited).toBe(true);
  expect(looks).toEqual([50, 150, 350, 750, 1_250, 1_750]);
});

it("gives up after the wait, and looks once more at its very end", async () => {
  const { clock, looks, ends } = scene(60_000);
  const waited = ends.of(1, { waitMs: 400, signal: OPEN });
  await clock.advance(500);
  expect(await waited).toBe(false);
  expect(looks.at(-1)).toBe(400);
});

it("ends when its caller leaves", async () => {
  const { clock, looks, ends } = scene(60_000);
  const left = new AbortController();
  const waited = ends.of(1, { waitMs: 50_000, signal: left.signal });
  await clock.advance(60);
  left.abort();
  await clock.advance(0);
  expect(await waited).toBe(false);
  expect(looks.length).toBeLessThanOrEqual(2);
});

it("lets no more than so many wait, and the next again once one has left", async () => {
  const { clock, ends } = scene(1_000);
  const all = Array.from({ length: RESENDS_WAITING_MAX }, () => ends.of(1, { waitMs: 5_000, signal: OPEN }));
  expect(await ends.of(1, { waitMs: 5_000, signal: OPEN })).toBe(false);
  await clock.advance(2_000);
  expect(new Set(await Promise.all(all))).toEqual(new Set([true]));
  const next = ends.of(1, { waitMs: 5_000, signal: OPEN });
  await clock.advance(100);
  expect(await next).toBe(true);
});

it.each([
  ["", { ok: true, ms: 0 }],
  ["wait=10s", { ok: true, ms: 10_000 }],
  ["wait=55s", { ok: true, ms: 55_000 }],
  ["wait=56s", { ok: false, problem: { code: "parameter_invalid", detail: "wait must be a duration such as 10s, at most 55s." } }],
  ["wait=soon", { ok: false }],
  ["wait=0s", { ok: false }],
  ["waits=1s", { ok: false }],
])("reads %j", (query, expected) => {
  expect(readResendWait(new URLSearchParams(query))).toMatchObject(expected);
});
