import { expect, it } from "vitest";
import { WriteBehind, type WriteBehindOptions } from "../../../src/lib/write-behind.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

type Written = readonly (readonly [string, number])[];

/** What reaches the store, write by write; a write stays open until `finish` or `fail` is called. */
function behind(options: Partial<WriteBehindOptions<number>> = {}) {
  const clock = new ManualClock();
  const writes: Written[] = [];
  const open: { finish: () => void; fail: () => void }[] = [];
  const failures: number[] = [];
  const book = new WriteBehind<number>({
    clock,
    write: (entries) => {
      writes.push(entries);
      return new Promise((resolve, reject) => open.push({ finish: resolve, fail: () => reject(new Error("disk full")) }));
    },
    failed: (_error, entries) => failures.push(entries) > 0,
    ...options,
  });
  const end = async (how: "finish" | "fail"): Promise<void> => {
    open.shift()?.[how]();
    await settle();
  };
  return { clock, book, writes, failures, end };
}

it("writes of each key what was noted last, one write at a time", async () => {
  const { book, writes, end } = behind();
  book.note("a", 1);
  book.note("a", 2);
  book.note("b", 3);
  const done = book.flush();
  book.note("a", 4);
  void book.flush();
  await settle();
  expect(writes).toEqual([
    [
      ["a", 2],
      ["b", 3],
    ],
  ]);
  await end("finish");
  expect(writes[1]).toEqual([["a", 4]]);
  await end("finish");
  await done;
  expect(writes).toHaveLength(2);
});

it("writes again after the delay until it is taken; what was noted meanwhile is newer", async () => {
  const { book, writes, failures, end, clock } = behind({ retryMs: 1_000 });
  book.note("a", 1);
  book.note("b", 1);
  const done = book.flush();
  book.note("a", 2);
  await end("fail");
  // Whoever asks meanwhile waits like everybody else.
  const other = book.flush();
  await clock.advance(999);
  expect(writes).toHaveLength(1);
  await clock.advance(1);
  expect(new Map(writes[1])).toEqual(new Map(Object.entries({ a: 2, b: 1 })));
  await end("finish");
  await Promise.all([done, other]);
  expect([writes.length, failures]).toEqual([2, [2]]);
});

it("without a delay a failed write waits for the next flush", async () => {
  const { book, writes, end, clock } = behind();
  book.note("a", 1);
  const first = book.flush();
  await end("fail");
  await first;
  await clock.advance(60_000);
  expect(writes).toHaveLength(1);
  const second = book.flush();
  await end("finish");
  await second;
  expect(writes).toEqual([[["a", 1]], [["a", 1]]]);
});

it("forgets what nobody will ever take", async () => {
  const { book, writes, end } = behind({ retryMs: 1_000, failed: () => false });
  book.note("a", 1);
  const done = book.flush();
  await end("fail");
  await done;
  await book.flush();
  expect(writes).toHaveLength(1);
});

it("bounds one write, and leaves out what was dropped", async () => {
  const { book, writes, end } = behind({ batchMax: 2 });
  for (const key of ["a", "b", "c", "d"]) book.note(key, 1);
  book.drop("b");
  const done = book.flush();
  await end("finish");
  await end("finish");
  await done;
  expect(writes.map((entries) => entries.map(([key]) => key))).toEqual([["a", "c"], ["d"]]);
});
