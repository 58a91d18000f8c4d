import fc from "fast-check";
import { expect, it } from "vitest";
import { Pot } from "../../../../src/lib/door/pot.ts";

/** `a1 b1 a2` come in that order; what the newcomer pushes out. */
function pushedOut(max: number, there: string, newcomer: string): string | undefined {
  const pot = new Pot<{ name: string }>(max);
  for (const name of there.split(" ").filter(Boolean)) pot.enter({ name }, name[0] ?? "");
  return pot.enter({ name: newcomer }, newcomer[0] ?? "")[0]?.name;
}

it.each<[string, number, string, string, string | undefined]>([
  ["nobody while there is room", 3, "a1 a2", "a3", undefined],
  ["the oldest", 2, "a1 a2", "a3", "a1"],
  ["the oldest of the address that holds most", 4, "b1 a1 a2 a3", "c1", "a1"],
  ["his own, where several hold as much", 4, "a1 a2 b1 b2", "b3", "b1"],
  ["not the only one of another address, however old", 3, "b1 a1 a2", "a3", "a1"],
])("a newcomer pushes out %s", (_, max, there, newcomer, expected) => {
  expect(pushedOut(max, there, newcomer)).toBe(expected);
});

it("never holds more than its size, always the newcomer, and forgets who has left", () => {
  const step = fc.record({ address: fc.constantFrom("a", "b", "c"), leave: fc.option(fc.nat(20), { nil: undefined }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 40 }), (max, steps) => {
      const pot = new Pot<{ address: string }>(max);
      const there: { address: string }[] = [];
      for (const { address, leave } of steps) {
        if (leave !== undefined && there.length > 0) {
          const [gone] = there.splice(leave % there.length, 1);
          expect(pot.leave(gone!)).toBe(true);
          expect(pot.leave(gone!)).toBe(false);
          continue;
        }
        const item = { address };
        for (const given of pot.enter(item, address)) there.splice(there.indexOf(given), 1);
        there.push(item);
        expect(pot.has(item)).toBe(true);
        expect(pot.weight).toBe(there.length);
        expect(pot.weight).toBeLessThanOrEqual(max);
      }
    }),
  );
});

it("weighs: as many give way as are needed, and one that is heavier than all of it gets in alone", () => {
  const pot = new Pot<{ name: string }>(10);
  const named = (name: string): { name: string } => ({ name });
  const [a, b, c] = [named("a"), named("b"), named("c")];
  pot.enter(a, "a", 4);
  pot.enter(b, "b", 3);
  pot.enter(c, "b", 3);
  expect(pot.enter(named("d"), "d", 5)).toEqual([b, a]);
  expect(pot.weight).toBe(8);
  expect(pot.enter(named("e"), "e", 50).map(({ name }) => name)).toEqual(["d", "c"]);
  expect(pot.weight).toBe(50);
});
