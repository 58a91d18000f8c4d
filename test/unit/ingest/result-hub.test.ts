import { describe, expect, it } from "vitest";
import { type Known, type PollEnd, ResultHub, type Waiter } from "../../../src/ingest/results/result-hub.ts";
import { RESULT_BYTES_MAX, type ResultDelivery, type StoredResult } from "../../../src/store/store.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

const WAIT_MS = 30_000;

/** A store whose answers come when the test says so, each as of the moment in which it was asked. */
class HeldStore {
  readonly owed = new Map<string, number>();
  readonly held: { readonly id: string; release(): void }[] = [];
  /** Ids answered only when released. */
  readonly holds = new Set<string>();
  reads = 0;
  /** Of each ended delivery's answer. */
  answerBytes = 0;

  result(_namespace: string, id: string): Promise<Known> {
    this.reads += 1;
    const owed = this.owed.get(id);
    const seen: Known = owed === undefined ? undefined : resultOwing(owed, this.answerBytes);
    if (!this.holds.has(id)) return Promise.resolve(seen);
    return new Promise((resolve) => this.held.push({ id, release: () => resolve(seen) }));
  }

  release(): void {
    for (const one of this.held.splice(0)) one.release();
  }
}

function resultOwing(owed: number, answerBytes: number): StoredResult {
  const lastAttempt = { statusCode: 200, responseHeaders: [], responseBody: new Uint8Array(answerBytes) };
  const deliveries = answerBytes === 0 ? [] : [{ state: "delivered", lastAttempt, answerLeftOut: false } as unknown as ResultDelivery];
  return { matched: 1, owed, delivered: 1 - owed, failed: 0, discarded: 0, keptUntilMs: Number.MAX_SAFE_INTEGER, deliveries };
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
  const hub = new ResultHub({ store, clock, log: silentLog, onCount: (open) => counts.push(open) });
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

  it("of a batch are told no more of answers than one result may hold, and what was left out", async () => {
    const { clock, store, hub } = setUp();
    const [ear, next] = [new Ear(), new Ear()];
    const ids = Array.from({ length: 100 }, (_, i) => `e${i}`);
    for (const id of ids) store.owed.set(id, 0);
    store.answerBytes = 65_536;
    const awaited = ids.map((id) => ({ id, owed: undefined }));
    hub.wait(ear, awaited, WAIT_MS);
    await clock.advance(100);
    // An event that is named over and over is told as often, and counts as often.
    hub.wait(
      next,
      ids.map(() => ({ id: "e0", owed: undefined })),
      WAIT_MS,
    );
    await clock.advance(100);
    for (const [end] of [ear.heard, next.heard]) {
      if (end?.kind !== "ended") throw new Error("not ended");
      const rows = end.known.flatMap((known) => known?.deliveries ?? []);
      expect(rows).toHaveLength(100);
      expect(rows.reduce((sum, row) => sum + (row.lastAttempt?.responseBody?.length ?? 0), 0)).toBe(RESULT_BYTES_MAX);
      expect(rows.filter(({ answerLeftOut }) => answerLeftOut)).toHaveLength(84);
      expect(rows.every(({ lastAttempt }) => lastAttempt?.statusCode === 200)).toBe(true);
    }
  });

  it("give the room of their answers back", async () => {
    const { clock, store, hub } = setUp();
    store.answerBytes = 65_536;
    for (let i = 0; i < 16; i++) store.owed.set(`e${i}`, 0);
    store.owed.set("late", 1);
    const awaited = [...Array.from({ length: 16 }, (_, i) => `e${i}`), "late"].map((id) => ({ id, owed: undefined }));
    const answersOf = ([end]: PollEnd[]): number =>
      end?.kind === "ended" ? end.known.filter((known) => known?.deliveries.some(({ answerLeftOut }) => !answerLeftOut)).length : -1;
    // Sixteen batches fill the room that all have together; a seventeenth finds none, and when they have left one finds it again.
    const places = Array.from({ length: 16 }, () => hub.wait(new Ear(), awaited, WAIT_MS));
    await clock.advance(100);
    const [without, within] = [new Ear(), new Ear()];
    hub.wait(without, awaited.slice(0, 2), WAIT_MS);
    await clock.advance(100);
    for (const place of places) place?.cancel();
    hub.wait(within, awaited.slice(0, 2), WAIT_MS);
    await clock.advance(100);
    expect([answersOf(without.heard), answersOf(within.heard)]).toEqual([0, 2]);
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
    expect(hub.full("shop")).toBe("5000 requests are already waiting for results of namespace shop");
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
