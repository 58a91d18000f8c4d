import { describe, expect, test } from "vitest";
import { interleaved, tryOrder } from "../../../src/core/egress/address-order.ts";
import { ReachBook } from "../../../src/attempt/connect/reach-book.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

describe("the families by turns", () => {
  test.each([
    [[], []],
    [["4a"], ["4a"]],
    [
      ["4a", "4b", "4c"],
      ["4a", "4b", "4c"],
    ],
    [
      ["4a", "4b", "6:a", "6:b"],
      ["4a", "6:a", "4b", "6:b"],
    ],
    [
      ["6:a", "4a", "4b", "4c"],
      ["6:a", "4a", "4b", "4c"],
    ],
    [
      ["4a", "6:a", "6:b", "6:c"],
      ["4a", "6:a", "6:b", "6:c"],
    ],
  ])("%j: %j", (given, expected) => expect(interleaved(given)).toEqual(expected));
});

describe("in which order addresses are tried", () => {
  const order = (given: readonly string[], failed: Record<string, number>, worked?: string): readonly string[] =>
    tryOrder(given, { worked, failedAtMs: new Map(Object.entries(failed)) });
  test.each([
    ["nothing failed: the name server's, whatever worked", ["a", "b", "c"], {}, "c", ["a", "b", "c"]],
    ["one failed: it comes last", ["a", "b", "c"], { a: 5 }, undefined, ["b", "c", "a"]],
    ["the one that worked comes first", ["a", "b", "c"], { a: 5 }, "c", ["c", "b", "a"]],
    ["all failed: the longest ago first", ["a", "b", "c"], { a: 7, b: 5, c: 6 }, undefined, ["b", "c", "a"]],
    ["what failed is not among them any more", ["b", "c"], { a: 5 }, "c", ["b", "c"]],
    ["families by turns among those that did not fail", ["a", "b", "6:a", "6:b"], { a: 1 }, undefined, ["6:a", "b", "6:b", "a"]],
  ] as const)("%s", (_name, given, failed, worked, expected) => expect(order(given, failed, worked)).toEqual(expected));
});

describe("what is remembered of places", () => {
  test("an address that failed is tried as the others again after ten minutes", async () => {
    const clock = new ManualClock();
    const book = new ReachBook(clock);
    book.failed("x", "a");
    expect(book.order("x", ["a", "b"])).toEqual(["b", "a"]);
    expect(book.order("y", ["a", "b"])).toEqual(["a", "b"]);
    await clock.advance(9 * 60_000);
    expect(book.order("x", ["a", "b"])).toEqual(["b", "a"]);
    await clock.advance(2 * 60_000);
    expect(book.order("x", ["a", "b"])).toEqual(["a", "b"]);
  });

  test("an address that is reached has not failed; one that fails has not worked", () => {
    const book = new ReachBook(new ManualClock());
    book.failed("x", "a");
    book.worked("x", "b");
    expect(book.order("x", ["a", "c", "b"])).toEqual(["b", "c", "a"]);
    book.failed("x", "c");
    book.worked("x", "a");
    expect(book.order("x", ["c", "b", "a"])).toEqual(["a", "b", "c"]);
    book.failed("x", "a");
    expect(book.order("x", ["c", "b", "a"])).toEqual(["b", "c", "a"]);
  });

  test("of any number of places and addresses a bounded number is remembered, the latest", () => {
    const book = new ReachBook(new ManualClock());
    for (let i = 0; i < 5_000; i++) book.failed(`place ${i}`, "a");
    expect(book.order("place 0", ["a", "b"])).toEqual(["a", "b"]);
    expect(book.order("place 4999", ["a", "b"])).toEqual(["b", "a"]);
    for (let i = 0; i < 100; i++) book.failed("many", `a${i}`);
    expect(book.order("many", ["a0", "b"])).toEqual(["a0", "b"]);
    expect(book.order("many", ["a99", "b"])).toEqual(["b", "a99"]);
  });
});
