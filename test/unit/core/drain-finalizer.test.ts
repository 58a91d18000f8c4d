import { expect, it } from "vitest";
import { drainFinalizersAfter, drainingClasses, isHeldFor } from "../../../src/core/drain-finalizer.ts";

const [OLD, NEW, SHARED, THEIRS] = ["drain.postrider.dev/old", "drain.postrider.dev/new", "postrider.dev/drain", "their.dev/one"];

it.each([
  [[], true, [NEW]],
  [[NEW], true, [NEW]],
  [[THEIRS, OLD], true, [THEIRS, OLD, NEW]],
  [[SHARED, THEIRS], true, [THEIRS, NEW]],
  [[], false, []],
  [[NEW, THEIRS], false, [THEIRS]],
  [[OLD, NEW], false, [OLD]],
  [[SHARED], false, []],
  [[OLD], false, [OLD]],
  [[NEW, SHARED], false, [SHARED]],
] as const)("of %j, held for new: %j, makes %j", (before, isHeld, after) => {
  expect(drainFinalizersAfter(before, "new", isHeld)).toEqual(after);
});

it("gives the same list back where nothing is to be done", () => {
  const before = [THEIRS, NEW];
  expect(drainFinalizersAfter(before, "new", true)).toBe(before);
  expect(drainFinalizersAfter(before, "old", false)).toBe(before);
});

it("says for whom a subscription is held", () => {
  expect([[NEW], [SHARED], [OLD], []].map((finalizers) => isHeldFor(finalizers, "new"))).toEqual([true, true, false, false]);
  expect(drainingClasses([OLD, NEW, SHARED, THEIRS], "new")).toEqual(["old"]);
  expect(drainingClasses(undefined, "new")).toEqual([]);
});
