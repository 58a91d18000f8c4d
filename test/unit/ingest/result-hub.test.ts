import { describe, expect, it } from "vitest";
import { type Known, type PollEnd, ResultHub, type Waiter } from "../../../src/ingest/result-hub.ts";
import { createLog } from "../../../src/observe/log.ts";
import type { StoredResult } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const WAIT_MS = 30_000;

/** A store whose answers come when the test says so, each as of the moment in which it was asked. */
class HeldStore {
  readonly owed = new Map<string, number>();
  readonly held: { readonly id: string; release(): void }[] = [];
  /** Ids answered only when released. */
  readonly holds = new Set<string>();
  reads = 0;

  result(_namespace: string, id: string): Promise<Known> {
    this.reads += 1;
    const owed = this.owed.get(id);
    const seen: Known = owed === undefined ? undefined : resultOwing(owed);
    if (!this.holds.has(id)) return Promise.resolve(seen);
    return new Promise((resolve) => this.held.push({ id, release: () => resolve(seen) }));
  }

  release(): void {
    for (const one of this.held.splice(0)) one.release();
  }
}

function resultOwing(owed: number): StoredResult {
  return { matched: 1, owed, delivered: 1 - owed, failed: 0, discarded: 0, keptUntilMs: Number.MAX_SAFE_INTEGER, deliveries: [] };
}

class Ear implements Waiter {
  readonly namespace = "shop";
  readonly heard: PollEnd[] = [];

  done(end: PollEnd): void {
    this.heard.push(end);
  }
}

function setUp() {
  const clock = new ManualClock();
  const store = new HeldStore();
  const counts: number[] = [];
  const hub = new ResultHub({ store, clock, log: createLog("silent"), onCount: (open) => counts.push(open) });
  return { clock, store, hub, counts };
}

describe("those who wait for results", () => {
  it("hear of an end that names no event while their event is being read", async () => {
    const { clock, store, hub } = setUp();
    const ear = new Ear();
    store.owed.set("a", 1);
    store.holds.add("a");
    hub.wait(ear, [{ id: "a", owed: undefined }], WAIT_MS);
    // The read has begun and saw one delivery owed; that one ends now, and everything is looked at anew while the read is still under way.
    store.owed.set("a", 0);
    hub.ended(undefined);
    await clock.advance(100);
    store.holds.clear();
    store.release();
    await clock.advance(100);
    expect(ear.heard).toMatchObject([{ kind: "ended", known: [{ owed: 0 }] }]);
    expect(hub.open).toBe(0);
  });

  it("of several events hear nothing before the last has ended, however often the others are looked at", async () => {
    const { clock, store, hub } = setUp();
    const [first, batch] = [new Ear(), new Ear()];
    for (const id of ["x", "a", "b"]) store.owed.set(id, 1);
    hub.wait(first, [{ id: "x", owed: 1 }], WAIT_MS);
    hub.wait(
      batch,
      [
        { id: "a", owed: 1 },
        { id: "b", owed: 1 },
      ],
      WAIT_MS,
    );
    // All are looked at, one after the other; while the first is being read, the second one's end is heard by name.
    store.holds.add("x");
    hub.ended(undefined);
    await clock.advance(100);
    expect(store.held.map(({ id }) => id)).toEqual(["x"]);
    store.owed.set("a", 0);
    hub.ended("a");
    await clock.advance(100);
    store.holds.clear();
    store.release();
    await clock.advance(1_000);
    expect(batch.heard).toEqual([]);
    store.owed.set("b", 0);
    hub.ended("b");
    await clock.advance(100);
    expect(batch.heard).toMatchObject([{ kind: "ended", known: [{ owed: 0 }, { owed: 0 }] }]);
    expect([first.heard, hub.open]).toEqual([[], 1]);
  });

  it("may name an event twice, as a batch with a duplicate does", async () => {
    const { clock, store, hub } = setUp();
    const ear = new Ear();
    store.owed.set("a", 1);
    hub.wait(
      ear,
      [
        { id: "a", owed: 1 },
        { id: "a", owed: undefined },
      ],
      WAIT_MS,
    );
    store.owed.set("a", 0);
    hub.ended("a");
    await clock.advance(100);
    expect(ear.heard).toMatchObject([{ kind: "ended", known: [{ owed: 0 }, { owed: 0 }] }]);
    expect(hub.open).toBe(0);
  });

  it("may be 5,000 of one namespace, beside whom others still find a place", () => {
    const { store, hub } = setUp();
    store.owed.set("a", 1);
    for (let i = 0; i < 5_000; i++) {
      expect(hub.full("shop")).toBeUndefined();
      hub.wait(new Ear(), [{ id: "a", owed: 1 }], WAIT_MS);
    }
    expect(hub.full("shop")).toBe("5000 requests wait for results of namespace shop already");
    expect(hub.full("elsewhere")).toBeUndefined();
    hub.stop();
    expect(hub.open).toBe(0);
  });

  it("leave nothing behind: no timer, no place, no question", async () => {
    const { clock, store, hub, counts } = setUp();
    store.owed.set("a", 1);
    const before = clock.timers;
    const places = Array.from({ length: 50 }, () => hub.wait(new Ear(), [{ id: "a", owed: 1 }], WAIT_MS));
    for (const place of places) place?.cancel();
    for (const place of places) place?.cancel();
    expect([hub.open, counts.at(-1)]).toEqual([0, 0]);
    hub.ended("a");
    hub.ended(undefined);
    await clock.advance(2 * WAIT_MS);
    expect([store.reads, clock.timers - before]).toEqual([0, 0]);
  });
});
