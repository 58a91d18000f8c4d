import { expect, it } from "vitest";
import { RecentMap } from "../../../src/lib/recent-map.ts";

it("beyond its bound the entry goes that was set the longest ago", () => {
  const map = new RecentMap<string, number>(2);
  map.set("a", 1).set("b", 2).set("a", 3);
  expect(map.get("b")).toBe(2);
  map.set("c", 4);
  expect([...map]).toEqual([
    ["a", 3],
    ["c", 4],
  ]);
});

it("an entry whose key is undefined goes like any other", () => {
  const map = new RecentMap<string | undefined, number>(1);
  map.set(undefined, 1).set("a", 2);
  expect([...map.keys()]).toEqual(["a"]);
});
