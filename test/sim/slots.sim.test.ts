import { expect, test } from "vitest";
import { fullRun } from "../support/full-run.ts";
import { quantile, runSlots, type Sender } from "../support/sim/slot-world.ts";

const HANGS_MS = 55_000;
const QUICK_MS = 5;
const RUN_MS = 180_000;
const BAR_MS = 250;

/** Eight subscriptions of each of so many namespaces that always want to send. */
function crowd(namespaces: number, sender: (n: number, i: number) => Partial<Sender> & Pick<Sender, "takesMs">): Sender[] {
  return Array.from({ length: namespaces * 8 }, (_, at) => ({
    namespace: `hostile${at % namespaces}`,
    ...sender(at % namespaces, Math.floor(at / namespaces)),
  }));
}

const KINDS: Record<string, (namespaces: number) => Sender[]> = {
  "hang from the first attempt on": (count) => crowd(count, () => ({ takesMs: () => HANGS_MS })),
  "come one after the other": (count) => crowd(count, (n) => ({ fromMs: n * 1_500, takesMs: () => HANGS_MS })),
  "hang with all that they may": (count) => crowd(count, () => ({ cap: 1_024, takesMs: () => HANGS_MS })),
  "were quick and hang all at once": (count) => crowd(count, () => ({ takesMs: (_, nowMs) => (nowMs < 2_000 ? 200 : HANGS_MS) })),
  "hang, are quick for a while, and hang again": (count) => crowd(count, () => ({ takesMs: (n) => (n % 80 < 60 ? 20 : HANGS_MS) })),
  "hang once in twenty": (count) => crowd(count, (_, i) => ({ takesMs: (n) => ((n + i) % 20 === 19 ? HANGS_MS : 20) })),
  "answer together just before they count as long": (count) =>
    crowd(count, () => ({ takesMs: (_, nowMs) => 1_999 - (Math.floor(nowMs) % 1_999 || 0) || 1_999 })),
  "are deleted and made anew": (count) =>
    Array.from({ length: 40 }, (_, turn) =>
      crowd(count, () => ({ fromMs: turn * 3_000, untilMs: turn * 3_000 + 2_900, takesMs: () => HANGS_MS })),
    ).flat(),
};

/** Hostile namespaces at once: the whole run tries what lies between too. */
const COUNTS = fullRun ? [2, 8, 16, 32] : [2, 32];

const CASES = Object.keys(KINDS).flatMap((kind) => [64, 2_048].flatMap((slots) => COUNTS.map((count) => [count, kind, slots] as const)));

test.each(CASES)("%i namespaces that %s leave healthy ones their slots, of %i", { timeout: 60_000 }, (count, kind, slots) => {
  const steady = { namespace: "steady", everyMs: 47, takesMs: () => QUICK_MS };
  const fresh = { namespace: "fresh", fromMs: 61_003, everyMs: 47, takesMs: () => QUICK_MS };
  // Wants three slots all the time.
  const busy = { namespace: "busy", everyMs: 1.7, takesMs: () => QUICK_MS };
  const hostile = KINDS[kind]!(count);
  const { served } = runSlots(slots, [steady, fresh, busy, ...hostile], RUN_MS);
  for (const [i, name] of ["steady", "fresh"].entries()) {
    const { waitsMs } = served[i]!;
    expect(waitsMs.length, name).toBeGreaterThan(2_000);
    expect(quantile(waitsMs, 0.99), `p99 of ${name}`).toBeLessThanOrEqual(BAR_MS);
    expect(waitsMs[0], `first of ${name}`).toBeLessThanOrEqual(BAR_MS);
  }
  // Of many slots it has as many seats as it needs.
  if (slots === 2_048) expect(quantile(served[2]!.waitsMs, 0.99), "p99 of busy").toBeLessThanOrEqual(BAR_MS);
  // A slot of its own all the time, whatever the others do.
  expect(served[2]!.begun).toBeGreaterThan((RUN_MS / QUICK_MS) * 0.9);
});

test.each([64, 2_048])(
  "subscriptions of one namespace that hang leave its healthy ones their slots, of %i",
  { timeout: 60_000 },
  (slots) => {
    const namespace = "one";
    const steady = { namespace, everyMs: 47, takesMs: () => QUICK_MS };
    const fresh = { namespace, fromMs: 61_003, everyMs: 47, takesMs: () => QUICK_MS };
    const hang = Array.from({ length: 16 }, (_, n) => ({ namespace, fromMs: n * 700, takesMs: () => HANGS_MS }));
    const { served } = runSlots(slots, [steady, fresh, ...hang], RUN_MS);
    for (const [i, name] of ["steady", "fresh"].entries()) {
      expect(quantile(served[i]!.waitsMs, 0.99), `p99 of ${name}`).toBeLessThanOrEqual(BAR_MS);
      expect(served[i]!.waitsMs[0], `first of ${name}`).toBeLessThanOrEqual(BAR_MS);
    }
  },
);

test.each([64, 2_048])("slow ones go on, each of them, beside quick ones that want every slot, of %i", { timeout: 60_000 }, (slots) => {
  const slow = Array.from({ length: 8 }, (_, n) => ({ namespace: `slow${n % 4}`, takesMs: () => 5_000 }));
  const quick = Array.from({ length: 8 }, (_, n) => ({ namespace: `quick${n}`, cap: 1_024, takesMs: () => 100 }));
  const { served } = runSlots(slots, [...slow, ...quick], 60_000);
  // Three eighths of the slots are theirs: at 5 s each of eight has had many turns in a minute.
  for (const { begun } of served.slice(0, 8)) expect(begun).toBeGreaterThanOrEqual(Math.floor(slots / 32) * 8);
});

test("slots are shared by the time they are held: who holds them twenty times as long is given a twentieth of the turns", () => {
  const [short, long] = [50, 1_000].map((ms) => ({ namespace: `takes${ms}`, cap: 1_024, takesMs: () => ms }));
  // Others keep the slots scarce.
  const others = Array.from({ length: 6 }, (_, n) => ({ namespace: `other${n}`, cap: 1_024, takesMs: () => 200 }));
  const { served } = runSlots(64, [short!, long!, ...others], 60_000);
  const time = served.map(({ begun }, i) => begun * [50, 1_000, 200][Math.min(i, 2)]!);
  for (const ms of time) expect(ms / time[2]!).toBeGreaterThan(0.8);
  for (const ms of time) expect(ms / time[2]!).toBeLessThan(1.25);
});

test("where all are quick no slot is idle that was in use before, and a namespace alone has its half", () => {
  const quick = (namespace: string): Sender => ({ namespace, cap: 1_024, takesMs: () => 50 });
  expect(runSlots(64, [quick("a")], 10_000).inFlightMax).toBe(32);
  const [a, b] = runSlots(64, [quick("a"), quick("b")], 10_000).served;
  // Three quarters of the slots, half each.
  for (const one of [a!, b!]) expect(one.begun).toBeGreaterThan((10_000 / 50) * 24 * 0.95);
  const ten = runSlots(
    64,
    Array.from({ length: 10 }, (_, n) => quick(`n${n}`)),
    10_000,
  );
  const turns = ten.served.reduce((sum, { begun }) => sum + begun, 0);
  expect(turns).toBeGreaterThan((10_000 / 50) * 48 * 0.95);
});

test("what one that is slow may hold when it is alone: of 2,048 slots 192, and 384 with others of its namespace, beside one trial of each of those", () => {
  const slow = (i: number): Sender => ({ namespace: "slow", cap: 1_024, fromMs: i, takesMs: () => 10_000 });
  expect(runSlots(2_048, [slow(0)], 60_000).inFlightMax).toBe(192);
  expect(
    runSlots(
      2_048,
      Array.from({ length: 8 }, (_, i) => slow(i)),
      60_000,
    ).inFlightMax,
  ).toBe(384 + 6);
});
