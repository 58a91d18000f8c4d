import { expect, test } from "vitest";
import { withinMs } from "../../../src/core/expression/watchdog.ts";

test("work that has had its processor time is cut off, in the middle of a loop", () => {
  const cut = { ok: false, late: true, message: "the expression ran longer than 40 ms" };
  expect(
    withinMs(40, () => {
      for (;;);
    }),
  ).toEqual(cut);
}, 60_000);

test("work that only waited for the machine is done once more, with more time", () => {
  let runs = 0;
  const waiting = new Int32Array(new SharedArrayBuffer(4));
  const result = withinMs(200, () => {
    runs += 1;
    // Waits without taking processor time, the first time for longer than the limit; V8 looks at its watchdog when the loop goes round.
    for (let i = 0; i < (runs === 1 ? 100 : 1); i++) Atomics.wait(waiting, 0, 0, 20);
    return "done";
  });
  expect([result, runs]).toEqual([{ ok: true, value: "done" }, 2]);
});

test("what is thrown is a value, and too deep a nesting is called so", () => {
  const deep = (): number => 1 + deep();
  expect(
    withinMs(1_000, () => {
      throw new Error("no");
    }),
  ).toEqual({ ok: false, message: "no" });
  expect(withinMs(1_000, deep)).toEqual({ ok: false, message: "the expression is nested too deeply" });
});
