import { describe, expect, it } from "vitest";
import type { ReportedObject, ResultSink, WriteResult } from "../../../src/controller/objects.ts";
import { COUNTERS_EVERY_MS, StatusReporter, TRANSITION_DEBOUNCE_MS } from "../../../src/controller/status-reporter.ts";
import type { DueStatus } from "../../../src/controller/status-reporter.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

/** Objects whose status is a number that the test sets; every write is noted with its time. */
class Bench {
  readonly clock = new ManualClock();
  readonly wanted = new Map<string, number>();
  readonly there = new Map<string, object>();
  readonly writes: { readonly key: string; readonly atMs: number; readonly value: number }[] = [];
  readonly reporter: StatusReporter<string>;
  answer: WriteResult = { kind: "done" };
  readonly #startMs = this.clock.nowMs();

  constructor() {
    const sink = {
      writeStatus: (object: ReportedObject, status: object) => {
        const { value } = status as { value: number };
        this.writes.push({ key: object.metadata.name, atMs: this.clock.nowMs() - this.#startMs, value });
        return Promise.resolve(this.answer);
      },
    } as unknown as ResultSink;
    const source = {
      compose: (key: string): DueStatus | undefined => {
        const value = this.wanted.get(key);
        const object = { kind: "DeliveryPolicy", metadata: { name: key } } as ReportedObject;
        return value === undefined ? undefined : { object, current: this.there.get(key), status: { value } };
      },
      written: (key: string, status: object) => void this.there.set(key, status),
    };
    this.reporter = new StatusReporter({ clock: this.clock, log: silentLog, sink, source });
    this.reporter.start();
  }

  set(key: string, value: number, lane: "transition" | "counters"): void {
    this.wanted.set(key, value);
    this.reporter.report(key, lane);
  }
}

describe("status writes", () => {
  it("wait for a transition to settle and then write what holds", async () => {
    const bench = new Bench();
    bench.set("a", 1, "transition");
    await bench.clock.advance(500);
    bench.set("a", 2, "transition");
    await bench.clock.advance(5_000);
    expect(bench.writes).toEqual([{ key: "a", atMs: TRANSITION_DEBOUNCE_MS, value: 2 }]);
  });

  it("write nothing that is right already", async () => {
    const bench = new Bench();
    bench.there.set("a", { value: 1 });
    bench.set("a", 1, "transition");
    await bench.clock.advance(5_000);
    expect(bench.writes).toEqual([]);
  });

  it("write counters of one object every 30 s at most, and a transition in between at once", async () => {
    const bench = new Bench();
    for (let second = 0; second < 100; second++) {
      bench.set("a", second, "counters");
      await bench.clock.advance(1_000);
    }
    const times = bench.writes.map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThanOrEqual(3);
    times.slice(1).forEach((atMs, index) => expect(atMs - (times[index] ?? 0)).toBeGreaterThanOrEqual(COUNTERS_EVERY_MS));
    const before = bench.writes.length;
    bench.set("a", 1_000, "transition");
    await bench.clock.advance(TRANSITION_DEBOUNCE_MS);
    expect(bench.writes).toHaveLength(before + 1);
  });

  it("write 10,000 transitions within 4 min at no more than 50 a second after the burst", async () => {
    const bench = new Bench();
    for (let index = 0; index < 10_000; index++) bench.set(`s${index}`, 1, "transition");
    await bench.clock.advance(240_000);
    expect(bench.writes).toHaveLength(10_000);
    const first = bench.writes[0]?.atMs ?? 0;
    for (const [index, { atMs }] of bench.writes.entries()) expect(index + 1).toBeLessThanOrEqual(100 + ((atMs - first) / 1_000) * 50 + 1);
  });

  it("keep counters from holding up transitions", async () => {
    const bench = new Bench();
    for (let index = 0; index < 500; index++) bench.set(`c${index}`, 1, "counters");
    bench.set("t", 1, "transition");
    await bench.clock.advance(2_000);
    expect(bench.writes.map(({ key }) => key)).toContain("t");
    expect(bench.writes.length).toBeLessThanOrEqual(5 + 2 * 5 + 1);
  });

  it("try again after a conflict and a refusal, not before Retry-After, and leave what is gone", async () => {
    const bench = new Bench();
    bench.answer = { kind: "failed", message: "429", retryAfterMs: 20_000 };
    bench.set("a", 1, "transition");
    await bench.clock.advance(15_000);
    expect(bench.writes).toHaveLength(1);
    bench.answer = { kind: "conflict" };
    await bench.clock.advance(7_000);
    expect(bench.writes).toHaveLength(2);
    bench.answer = { kind: "gone" };
    await bench.clock.advance(600_000);
    expect(bench.writes).toHaveLength(3);
  });
});
