import { describe, expect, it } from "vitest";
import { DRAIN_MAX_MS, Departures } from "../../../src/controller/subscription/departures.ts";
import type { Departure } from "../../../src/controller/subscription/departures.ts";
import { FakeDeliveries, QUIET } from "../../support/controller/fake-deliveries.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

class Bench {
  readonly clock = new ManualClock();
  readonly deliveries = new FakeDeliveries();
  readonly departures = new Departures(this.clock, silentLog, this.deliveries);
  readonly finished: string[] = [];
  failures = 0;

  constructor() {
    this.departures.start();
    this.deliveries.pendings.set("u1", 3);
  }

  begin(change: Partial<Departure> = {}): void {
    this.departures.begin({
      uid: "u1",
      namespace: "shop",
      name: "orders",
      how: "drain",
      sinceMs: this.clock.nowMs(),
      hopeless: undefined,
      finish: () => {
        if (this.failures-- > 0) return Promise.reject(new Error("409"));
        this.finished.push("u1");
        return Promise.resolve();
      },
      ...change,
    });
  }

  /** Timers and the queue's turns of the event loop. */
  async pass(ms: number): Promise<void> {
    for (let turn = 0; turn < 10; turn++) {
      await this.clock.advance(ms / 10);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

describe("a deleted subscription", () => {
  it("waits while deliveries are pending and ends once they have", async () => {
    const bench = new Bench();
    bench.begin();
    await bench.pass(60_000);
    expect(bench.finished).toEqual([]);
    bench.deliveries.pendings.set("u1", 0);
    bench.departures.poke("u1");
    await bench.pass(10);
    expect(bench.finished).toEqual(["u1"]);
  });

  it("ends after five minutes from its deletion, however late we came", async () => {
    const bench = new Bench();
    bench.begin({ sinceMs: bench.clock.nowMs() - DRAIN_MAX_MS + 20_000 });
    await bench.pass(10_000);
    expect(bench.deliveries.ended).toEqual([]);
    await bench.pass(20_000);
    expect(bench.deliveries.ended).toEqual([{ uid: "u1", how: "dead-letter" }]);
  });

  it("goes on with the five minutes it has, whatever time of deletion it is told when looked at again", async () => {
    const bench = new Bench();
    bench.begin();
    await bench.pass(60_000);
    bench.begin({ sinceMs: bench.clock.nowMs() - 10 * DRAIN_MAX_MS });
    bench.clock.stepWall(5 * 86_400_000);
    await bench.pass(60_000);
    expect(bench.deliveries.ended).toEqual([]);
    await bench.pass(DRAIN_MAX_MS - 110_000);
    expect(bench.deliveries.ended).toEqual([{ uid: "u1", how: "dead-letter" }]);
  });

  it.each<[string, Partial<Departure>, string]>([
    ["discard", { how: "discard" }, "discard"],
    ["nothing can be sent", { hopeless: { why: "a Secret is gone" } }, "dead-letter"],
  ])("ends at once: %s", async (_, change, how) => {
    const bench = new Bench();
    bench.begin(change);
    await bench.pass(10);
    expect(bench.deliveries.ended).toEqual([{ uid: "u1", how }]);
    expect(bench.finished).toEqual(["u1"]);
  });

  it("ends when it is suspended meanwhile", async () => {
    const bench = new Bench();
    bench.begin();
    await bench.pass(10);
    bench.deliveries.healths.set("u1", { ...QUIET, suspension: { reason: "EndpointGone", message: "410", sinceMs: 0 } });
    bench.departures.poke("u1");
    await bench.pass(10);
    expect(bench.finished).toEqual(["u1"]);
  });

  it("is let go as soon as that works", async () => {
    const bench = new Bench();
    bench.failures = 2;
    bench.begin({ how: "discard" });
    await bench.pass(10_000);
    expect(bench.finished).toEqual(["u1"]);
  });

  it("goes on when it comes back", async () => {
    const bench = new Bench();
    bench.begin();
    await bench.pass(10);
    bench.departures.cancel("u1");
    await bench.pass(2 * DRAIN_MAX_MS);
    expect(bench.deliveries.ended).toEqual([]);
  });
});

describe("while the engine is still reading what is owed", () => {
  it.each(["drain", "discard"] as const)("nothing is let go: %s", async (how) => {
    const bench = new Bench();
    bench.deliveries.ready = false;
    bench.deliveries.pendings.set("u1", 0);
    bench.begin({ how });
    await bench.pass(20_000);
    expect(bench.deliveries.ended).toEqual([]);
    expect(bench.finished).toEqual([]);
    bench.deliveries.ready = true;
    await bench.pass(5_000);
    expect(bench.finished).toEqual(["u1"]);
  });
});

it("looked at again, a deleted subscription is not given another five minutes", async () => {
  const bench = new Bench();
  bench.begin();
  await bench.pass(DRAIN_MAX_MS - 10_000);
  bench.begin();
  await bench.pass(20_000);
  expect(bench.finished).toEqual(["u1"]);
});

describe("what a deletion threw away", () => {
  it("is told once with its number, also when the object could not be let go at first", async () => {
    const bench = new Bench();
    const told: number[] = [];
    bench.failures = 2;
    bench.begin({ how: "discard", tell: ({ ended }) => void told.push(ended) });
    await bench.pass(120_000);
    expect(bench.finished).toEqual(["u1"]);
    expect(told).toEqual([3]);
  });

  it("is told with the attempts under way, which may leave more of it", async () => {
    const bench = new Bench();
    const told: (readonly [number, number])[] = [];
    bench.deliveries.underWay = 2;
    bench.begin({ how: "discard", tell: ({ ended, underWay }) => void told.push([ended, underWay]) });
    await bench.pass(1_000);
    expect(told).toEqual([[1, 2]]);
  });

  it("is not told when there was nothing", async () => {
    const bench = new Bench();
    bench.deliveries.pendings.set("u1", 0);
    const told: number[] = [];
    bench.begin({ how: "discard", tell: ({ ended }) => void told.push(ended) });
    await bench.pass(1_000);
    expect(bench.finished).toEqual(["u1"]);
    expect(told).toEqual([]);
  });
});
