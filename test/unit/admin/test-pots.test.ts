import { expect, it } from "vitest";
import { TestPots, TESTS_OF_NAMESPACE_MAX } from "../../../src/admin/test-pots.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

it("a namespace has two places, whatever others hold; one that is left can be had again", async () => {
  const clock = new ManualClock();
  const pots = new TestPots(clock);
  const left: (() => void)[] = [];
  for (let n = 0; n < 60; n++) {
    const asked = Array.from({ length: 8 }, (_, i) => pots.enter({ namespace: `n${n}`, uid: `${n}/${i}` }));
    expect(asked.map((one) => (one.ok ? "in" : one.problem.code))).toEqual(["in", "in", ...Array<string>(6).fill("tests_busy")]);
    left.push(...asked.flatMap((one) => (one.ok ? [one.leave] : [])));
  }
  expect(left).toHaveLength(60 * TESTS_OF_NAMESPACE_MAX);
  left[0]!();
  await clock.advance(1_000);
  const [again, none] = [pots.enter({ namespace: "n0", uid: "0/0" }), pots.enter({ namespace: "n0", uid: "0/0" })];
  expect([again.ok, none]).toMatchObject([true, { ok: false, problem: { code: "tests_busy", retryAfterSeconds: 5 } }]);
});

/** How many tests get through in so many ms, one after the other every ms. */
async function rate(uids: number, forMs: number): Promise<number> {
  const clock = new ManualClock();
  const pots = new TestPots(clock);
  let through = 0;
  for (let ms = 0; ms < forMs; ms++) {
    const entered = pots.enter({ namespace: "a", uid: `${ms % uids}` });
    if (entered.ok) {
      through += 1;
      entered.leave();
    } else expect(entered.problem).toMatchObject({ code: "tests_too_fast" });
    await clock.advance(1);
  }
  return through;
}

it("one subscription takes one a second after the first five, a namespace five a second after the first twenty", async () => {
  expect(await rate(1, 3_000)).toBe(5 + 2);
  expect(await rate(100, 3_000)).toBe(20 + 14);
});

it("says after how long the next one may be tried", () => {
  const pots = new TestPots(new ManualClock());
  for (let n = 0; n < 5; n++) {
    const entered = pots.enter({ namespace: "a", uid: "1" });
    if (entered.ok) entered.leave();
  }
  expect(pots.enter({ namespace: "a", uid: "1" })).toMatchObject({ ok: false, problem: { code: "tests_too_fast", retryAfterSeconds: 1 } });
  expect(pots.enter({ namespace: "a", uid: "2" }).ok).toBe(true);
});
