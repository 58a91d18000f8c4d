import { expect, it } from "vitest";
import { ExpiringMap } from "../../../src/lib/expiring-map.ts";

it("ends each entry at its own time", () => {
  const map = new ExpiringMap<string>(10);
  map.set("a", "1", 100);
  map.set("b", "2", 200);
  expect(map.get("a", 99)).toBe("1");
  expect(map.get("a", 100)).toBeUndefined();
  expect(map.get("b", 100)).toBe("2");
  expect(map.size).toBe(1);
});

it("holds no more than its bound, and gives up what was written longest ago", () => {
  const map = new ExpiringMap<number>(3);
  for (const [index, key] of ["a", "b", "c"].entries()) map.set(key, index, 1_000);
  map.set("a", 9, 1_000);
  map.set("d", 4, 1_000);
  expect(map.size).toBe(3);
  expect(["a", "b", "c", "d"].map((key) => map.get(key, 0))).toEqual([9, undefined, 2, 4]);
});
