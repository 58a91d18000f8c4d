import fc from "fast-check";
import { expect, test } from "vitest";
import { WakeHeap, type Wakeable } from "../../../src/delivery/queue/wake-heap.ts";

interface Sleeper extends Wakeable {
  readonly name: number;
}

function sleepers(count: number): Sleeper[] {
  return Array.from({ length: count }, (_, name) => ({ name, wakeAtMs: Number.POSITIVE_INFINITY, heapAt: -1 }));
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant("set" as const), n: fc.nat(30), atMs: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("remove" as const), n: fc.nat(30), atMs: fc.constant(0) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("take" as const), n: fc.constant(0), atMs: fc.nat(60) }) },
);

test("set, moved, removed and taken in any order: the earliest is next, each is there once, nobody is lost", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 300, size: "max" }), (steps) => {
      const heap = new WakeHeap<Sleeper>();
      const all = sleepers(31);
      const times = new Map<Sleeper, number>();
      for (const { what, n, atMs } of steps) {
        const one = all[n]!;
        if (what === "set") {
          heap.set(one, atMs);
          times.set(one, atMs);
        } else if (what === "remove") {
          heap.set(one, Number.POSITIVE_INFINITY);
          times.delete(one);
        } else {
          const earliestMs = Math.min(Number.POSITIVE_INFINITY, ...times.values());
          const taken = heap.takeDue(atMs);
          expect(taken === undefined ? undefined : times.get(taken)).toBe(earliestMs <= atMs ? earliestMs : undefined);
          if (taken !== undefined) times.delete(taken);
        }
        expect(heap.nextAtMs).toBe(Math.min(Number.POSITIVE_INFINITY, ...times.values()));
        const wrong = all.filter((other) => other.wakeAtMs !== (times.get(other) ?? Infinity) || other.heapAt >= 0 !== times.has(other));
        expect(wrong).toEqual([]);
      }
      const left: number[] = [];
      for (let one = heap.takeDue(1e9); one !== undefined; one = heap.takeDue(1e9)) left.push(times.get(one)!);
      expect(left).toEqual([...times.values()].toSorted((a, b) => a - b));
      expect(heap.nextAtMs).toBe(Number.POSITIVE_INFINITY);
    }),
    { numRuns: 150 },
  );
});

test("10,000 entries that move again and again cost no stale ones", () => {
  const heap = new WakeHeap<Sleeper>();
  const all = sleepers(10_000);
  for (let round = 0; round < 10; round++) for (const one of all) heap.set(one, (one.name * 7_919 + round * 31) % 100_003);
  let [count, beforeMs] = [0, 0];
  for (let one = heap.takeDue(1e9); one !== undefined; one = heap.takeDue(1e9)) {
    const atMs = (one.name * 7_919 + 9 * 31) % 100_003;
    expect(atMs).toBeGreaterThanOrEqual(beforeMs);
    beforeMs = atMs;
    count += 1;
  }
  expect(count).toBe(10_000);
});
