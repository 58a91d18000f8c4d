import { expect, it } from "vitest";
import { LongWork, TURN_MS, type Pieces } from "../../../src/lib/long-work.ts";
import { settle } from "../../support/time/manual-clock.ts";

/** Each piece takes 1 ms of a clock that only work moves; a turn of the event loop is one call of `turn`. */
class WorkClock {
  nowMs = 0;
  readonly turns: (() => void)[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  afterPoll(fn: () => void): void {
    this.turns.push(fn);
  }

  /** How long the next turn takes, ms. */
  async turn(): Promise<number> {
    const beforeMs = this.nowMs;
    for (const fn of this.turns.splice(0)) fn();
    await settle();
    return this.nowMs - beforeMs;
  }
}

function* counting(clock: WorkClock, pieces: number, told: string[], name: string): Pieces<string> {
  for (let i = 0; i < pieces; i++) {
    clock.nowMs += 1;
    yield undefined;
  }
  told.push(name);
  return name;
}

it("answers short work at once", () => {
  const work = new LongWork(new WorkClock());
  expect(work.run("a", counting(new WorkClock(), 3, [], "short"))).toBe("short");
});

it("shares one slice of each turn among all, by turns, so that many who want much take no longer turns than one", async () => {
  const clock = new WorkClock();
  const told: string[] = [];
  const work = new LongWork(clock);
  const jobs = [
    ...Array.from({ length: 50 }, (_, i) => work.run("greedy", counting(clock, 100, told, `greedy ${i}`))),
    work.run("modest", counting(clock, 15, told, "modest")),
  ];
  let longest = 0;
  let turns = 0;
  while (clock.turns.length > 0) {
    longest = Math.max(longest, await clock.turn());
    turns += 1;
    // Two turns of its own, each behind one of the greedy's.
    if (turns === 4) expect(told).toEqual(["modest"]);
  }
  expect(longest).toBeLessThanOrEqual(TURN_MS);
  expect(await Promise.all(jobs.map(async (job) => job))).toHaveLength(51);
});

it("does long pieces one a turn, by turns among those who have some", async () => {
  const clock = new WorkClock();
  const work = new LongWork(clock);
  const told: string[] = [];
  const long = (who: string): Promise<void> =>
    work.later(who, () => {
      clock.nowMs += 40;
      told.push(who);
    });
  const jobs = [long("a"), long("a"), long("a"), long("b")];
  const turns: number[] = [];
  while (clock.turns.length > 0) turns.push(await clock.turn());
  await Promise.all(jobs);
  expect(turns).toEqual([40, 40, 40, 40]);
  expect(told).toEqual(["a", "b", "a", "a"]);
  const thrown = expect(
    work.later("a", () => {
      throw new Error("boom");
    }),
  ).rejects.toThrow("boom");
  while (clock.turns.length > 0) await clock.turn();
  await thrown;
});

it("rejects with what the work throws, and goes on with others", async () => {
  const clock = new WorkClock();
  const work = new LongWork(clock);
  function* failing(): Pieces<never> {
    for (let i = 0; i < 3; i++) {
      clock.nowMs += 1;
      yield undefined;
    }
    throw new Error("boom");
  }
  const failed = expect(work.run("a", failing())).rejects.toThrow("boom");
  const other = work.run("a", counting(clock, 5, [], "other"));
  while (clock.turns.length > 0) await clock.turn();
  await failed;
  expect(await other).toBe("other");
});

it("begins no more at once in a turn than its slice, however many ask: the rest waits, and is done", async () => {
  const clock = new WorkClock();
  const told: string[] = [];
  const work = new LongWork(clock);
  const jobs = Array.from({ length: 100 }, (_, i) => work.run(`who ${i}`, counting(clock, 1, told, `${i}`)));
  expect(clock.nowMs).toBe(TURN_MS);
  let longest = 0;
  while (clock.turns.length > 0) longest = Math.max(longest, await clock.turn());
  expect(longest).toBeLessThanOrEqual(TURN_MS);
  expect(told).toHaveLength(100);
  expect(await Promise.all(jobs.map(async (job) => job))).toHaveLength(100);
});
