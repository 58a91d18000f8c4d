import { expect, it } from "vitest";
import { KeptMap } from "../../../src/lib/kept-map.ts";
import { settle } from "../../support/time/manual-clock.ts";

const KEPT_MS = 1_000;

/** What is kept outlives the maps that write it. */
function made(kept = new Map<string, string>(), leftMax = 100) {
  const failures: unknown[] = [];
  const writes: string[] = [];
  let broken = false;
  const guard = (): Promise<void> => (broken ? Promise.reject(new Error("down")) : Promise.resolve());
  const map = new KeptMap<string>({
    keep: {
      load: () => Promise.resolve(Array.from(kept, ([key, value]) => ({ key, value }))),
      put: async (entries) => {
        await guard();
        for (const { key, value } of entries) {
          writes.push(key);
          kept.set(key, value);
        }
      },
      remove: async (key) => {
        await guard();
        kept.delete(key);
      },
    },
    keptMs: KEPT_MS,
    leftMax,
    equal: (known, now) => known === now,
    failed: (error) => failures.push(error),
  });
  return { map, kept, failures, writes, breaks: (is: boolean) => (broken = is) };
}

it("remembers what has left for its time, counted over restarts, and what is back for as long as it stays", async () => {
  const first = made();
  first.map.note([
    ["a", "A"],
    ["b", "B"],
    ["c", "C"],
  ]);
  first.map.note([["a", "A"]]);
  await first.map.tidy(100);

  const second = made(first.kept);
  await second.map.load();
  second.map.note([["a", "A"]]);
  await second.map.tidy(600);
  expect([second.map.get("a"), second.map.get("b"), second.map.get("c")]).toEqual(["A", "B", "C"]);
  second.map.note([
    ["a", "A"],
    ["b", "B"],
  ]);
  second.map.note([["a", "A"]]);
  await second.map.tidy(100 + KEPT_MS);
  expect([second.map.get("a"), second.map.get("b"), second.map.get("c")]).toEqual(["A", "B", undefined]);
  expect([...second.kept.keys()]).toEqual(["a", "b"]);
  await second.map.tidy(100 + 2 * KEPT_MS);
  expect(second.map.size).toBe(1);
  expect([...second.kept.entries()]).toEqual([["a", '"A"']]);
});

it("forgets nothing before it has been told once what is in use", async () => {
  const { map, kept } = made(new Map([["a", '{"value":"A","leftAtMs":1}']]));
  await map.load();
  await map.tidy(KEPT_MS * 10);
  expect(map.get("a")).toBe("A");
  expect(kept.size).toBe(1);
});

it("remembers a bounded number of those that have left: the first to leave goes first", async () => {
  const { map, kept } = made(new Map(), 2);
  const all = ["a", "b", "c", "d", "e"].map((key) => [key, key] as const);
  for (let gone = 0; gone <= 4; gone++) {
    map.note(all.slice(gone));
    await map.tidy(gone);
  }
  expect([...kept.keys()].toSorted()).toEqual(["c", "d", "e"]);
  expect(map.size).toBe(3);
});

it("writes only what changes, and again what could not be written", async () => {
  const { map, kept, failures, writes, breaks } = made();
  breaks(true);
  map.note([["a", "A"]]);
  await settle();
  expect(failures).toHaveLength(1);
  breaks(false);
  map.note([["a", "A"]]);
  map.note([["a", "A"]]);
  await settle();
  expect(writes).toEqual(["a"]);
  breaks(true);
  map.note([]);
  await map.tidy(5);
  breaks(false);
  await map.tidy(6);
  await map.tidy(7);
  expect(writes).toEqual(["a", "a"]);
  expect(kept.get("a")).toBe('{"value":"A","leftAtMs":5}');
});

it("keeps nothing for ever because a clock was ahead once", async () => {
  const { map, kept } = made(new Map([["a", `{"value":"A","leftAtMs":${10 ** 12}}`]]));
  await map.load();
  map.note([]);
  await map.tidy(0);
  await map.tidy(KEPT_MS);
  expect(kept.size).toBe(0);
});
