import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Doing, Guest } from "../../../../src/lib/door/guest.ts";
import { GRACE_MS, GuestBook } from "../../../../src/lib/door/guest-book.ts";

const NOW = 100_000;
const OLD = 2 * GRACE_MS;

/** `address who-what-age`, e.g. `a stranger rest 5000`. */
function guestOf(text: string): Guest {
  const [address = "", who, doing, ageMs] = text.split(" ");
  const guest = new Guest(address, NOW - Number(ageMs));
  guest.known = who === "known";
  guest.doing = doing as Doing;
  return guest;
}

function victimOf(texts: readonly string[], spared?: string, strangersMax = 100): string | undefined {
  const book = new GuestBook<Guest>(strangersMax);
  const guests = texts.map((text) => ({ text, guest: guestOf(text) }));
  // Lines are in the order of time, as a door brings them in.
  for (const { guest } of guests.toSorted((a, b) => a.guest.sinceMs - b.guest.sinceMs)) book.add(guest);
  const victim = book.victim(NOW, guests.find(({ text }) => text === spared)?.guest);
  return guests.find(({ guest }) => guest === victim)?.text;
}

describe("the place given up for another is that of", () => {
  it.each<[string, string[], string]>([
    ["the stranger who has rested longest", ["a stranger rest 3000", "a stranger rest 4000", "a known rest 70000"], "a stranger rest 4000"],
    [
      "a stranger's head that does not end, before a known one at rest",
      ["a known rest 70000", "a stranger head 2000"],
      "a stranger head 2000",
    ],
    ["a stranger at rest, before a stranger's head", ["a stranger head 9000", "a stranger rest 2000"], "a stranger rest 2000"],
    ["a stranger's slow request, before a known one at rest", ["a stranger busy 2000", "a known rest 9000"], "a stranger busy 2000"],
    ["the known one at rest, not the stranger who has just come", ["a stranger rest 10", "a known rest 0"], "a known rest 0"],
    ["the known one who has rested longest", ["a known rest 5", "a known rest 6", "a known busy 50000"], "a known rest 6"],
    ["a known one's head that does not end, before requests", ["a known head 3000", "a known busy 50000"], "a known head 3000"],
    ["who does not read, before requests", ["a known unread 2000", "a known busy 50000", "a stranger busy 1"], "a known unread 2000"],
    ["the address with most connections", ["a known rest 9000", "b known rest 1", "b known rest 2"], "b known rest 2"],
    [
      "the address with most connections, also of strangers who have just come",
      ["a stranger rest 900", "b stranger rest 800", "b stranger busy 700"],
      "b stranger rest 800",
    ],
    [
      "somebody idle elsewhere, where the address with most is all at work",
      ["a known busy 1", "a known busy 2", "a known busy 3", "b known rest 1"],
      "b known rest 1",
    ],
    ["who has just come, before a known request", ["a known busy 90000", "b stranger rest 0"], "b stranger rest 0"],
    ["the oldest request, when there is nothing else", ["a known busy 9", "a known busy 10"], "a known busy 10"],
  ])("%s", (_, guests, expected) => {
    expect(victimOf(guests)).toBe(expected);
  });

  it.each<[string, string[], string]>([
    ["the oldest of the crowd", ["a stranger rest 20", "a stranger rest 30", "a known rest 9000"], "a stranger rest 30"],
    [
      "one of the address that brings it",
      ["b stranger rest 900", "a stranger rest 10", "a stranger rest 20", "a stranger rest 5", "b known rest 9"],
      "a stranger rest 20",
    ],
    [
      "one that has been there for a while, before one whose request cannot have been read yet",
      ["a stranger rest 20", "a stranger head 150", "a known rest 9000"],
      "a stranger head 150",
    ],
    [
      "a request that has been under way for a while, before one that cannot have been read yet",
      ["a stranger rest 20", "a stranger busy 150", "a known rest 9000"],
      "a stranger busy 150",
    ],
    ["one of it whatever it does", ["a stranger head 10", "a stranger busy 20", "a known rest 9000"], "a stranger head 10"],
    [
      "somebody known at rest, once it is none any more",
      ["a stranger rest 10", "a known rest 9000", "a known busy 1"],
      "a known rest 9000",
    ],
  ])("when a crowd of strangers has just come, %s", (_, guests, expected) => {
    expect(victimOf(guests, undefined, 1)).toBe(expected);
  });

  it("nobody who is spared, whatever else there is", () => {
    expect(victimOf(["a stranger rest 5000", "a known busy 1"], "a stranger rest 5000")).toBe("a known busy 1");
    expect(victimOf(["a stranger rest 5000"], "a stranger rest 5000")).toBeUndefined();
  });
});

it("a request under way of somebody known is never given up while anybody else is there", () => {
  const one = fc.record({
    address: fc.constantFrom("a", "b", "c"),
    known: fc.boolean(),
    doing: fc.constantFrom<Doing>("rest", "head", "busy", "unread"),
    ageMs: fc.integer({ min: 0, max: OLD }),
  });
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 30 }), (all) => {
      const texts = all.map(({ address, known, doing, ageMs }) => `${address} ${known ? "known" : "stranger"} ${doing} ${ageMs}`);
      const victim = victimOf(texts) ?? "";
      if (victim.includes("known busy")) expect(texts.every((text) => text.includes("known busy"))).toBe(true);
      // A place is always to be had.
      expect(victim).not.toBe("");
    }),
  );
});

it("counts by address, and forgets who has gone, in any order of coming, turning and going", () => {
  const step = fc.record({ who: fc.nat(7), act: fc.constantFrom("come", "go", "know", "rest", "head", "busy", "unread") });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const book = new GuestBook<Guest>(3);
      const there = new Map<number, Guest>();
      steps.forEach(({ who, act }, at) => {
        const guest = there.get(who);
        if (guest === undefined) {
          if (act !== "come") return;
          const fresh = new Guest(`address-${who % 2}`, at);
          there.set(who, fresh);
          book.add(fresh);
        } else if (act === "go") {
          book.remove(guest);
          there.delete(who);
        } else if (act === "know") book.know(guest);
        else if (act !== "come") book.turn(guest, act, at);
      });
      expect(book.size).toBe(there.size);
      for (const address of ["address-0", "address-1"]) {
        expect(book.of(address)).toBe([...there.values()].filter((guest) => guest.address === address).length);
      }
      const found = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((lane) => Array.from(book.in(lane)));
      expect(new Set(found)).toEqual(new Set(there.values()));
      expect(found).toHaveLength(there.size);
    }),
  );
});
