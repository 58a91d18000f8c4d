import { expect, test } from "vitest";
import { WeighedStore } from "../../../src/lib/weighed-store.ts";

test("whoever holds most lets go first, of what was not used for longest", () => {
  const store = new WeighedStore<string>(100);
  const small = store.hold("small", 10, "small");
  const large = Array.from({ length: 9 }, (_none, i) => store.hold(`large ${i}`, 10, "large"));
  large[0]!.used("large");
  const more = Array.from({ length: 3 }, (_none, i) => store.hold(`more ${i}`, 10, "large"));
  expect(store.bytes).toBe(100);
  expect(small.value).toBe("small");
  expect(large.map(({ value }) => value !== undefined)).toEqual([true, false, false, false, true, true, true, true, true]);
  expect(more.every(({ value }) => value !== undefined)).toBe(true);
});

test("what nobody has used yet belongs to nobody, and to whoever uses it first", () => {
  const store = new WeighedStore<number>(50);
  const unused = [1, 2, 3, 4, 5].map((value) => store.hold(value, 10));
  unused[0]!.used("shop");
  const mine = store.hold(6, 10, "shop");
  expect(unused.map(({ value }) => value)).toEqual([1, undefined, 3, 4, 5]);
  unused[0]!.used("other");
  for (let i = 0; i < 4; i++) store.hold(i, 10, "other").used("other");
  expect(store.bytes).toBe(50);
  expect([unused[0]!.value, mine.value]).toEqual([1, 6]);
});

test("a thing heavier than all the room is held alone, and the next takes its place", () => {
  const store = new WeighedStore<string>(10);
  const giant = store.hold("giant", 100, "a");
  expect(giant.value).toBe("giant");
  const next = store.hold("next", 5, "b");
  expect([giant.value, next.value, store.bytes]).toEqual([undefined, "next", 5]);
});
