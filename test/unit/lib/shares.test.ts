import { expect, it } from "vitest";
import { Shares } from "../../../src/lib/shares.ts";

/** Takes one by one until no more fits. */
function fill(shares: Shares, who: string): number {
  let taken = 0;
  while (shares.take(who, 1)) taken += 1;
  return taken;
}

it("leaves half of the free room to the next one, however early and greedy the first was", () => {
  const shares = new Shares(1_000, 10);
  expect([fill(shares, "a"), fill(shares, "b"), fill(shares, "c")]).toEqual([500, 250, 125]);
});

it("always grants the floor, even in a full room, but not without end", () => {
  const shares = new Shares(100, 10);
  for (let i = 0; i < 10; i++) fill(shares, `early ${i}`);
  expect(shares.total).toBeGreaterThan(90);
  expect(fill(shares, "late")).toBe(10);
  for (let i = 0; i < 100; i++) fill(shares, `crowd ${i}`);
  expect(shares.total).toBe(200);
});

it("gives room back, and forgets who holds nothing", () => {
  const shares = new Shares(100, 10);
  expect(shares.take("a", 50)).toBe(true);
  expect(shares.take("a", 1)).toBe(false);
  shares.give("a", 50);
  expect([shares.total, shares.held("a")]).toEqual([0, 0]);
  expect(shares.take("a", 50)).toBe(true);
});
