import fc from "fast-check";
import { expect, test } from "vitest";
import { Breaker, type BreakerPolicy } from "../../../src/core/breaker.ts";

/** What the breaker is meant to be, written down as plainly as possible: attempts know the phase they began in, phases are never used twice. */
type Phase =
  | { readonly is: "closed"; failures: number; readonly sinceMs: number; readonly ramp: boolean; readonly startedIn: Map<number, number> }
  | { readonly is: "open"; untilMs: number }
  | { readonly is: "half-open"; readonly needed: number; succeeded: number; readonly underWay: Set<Attempt> };

interface Attempt {
  readonly token: number;
  readonly phase: Phase;
}

class Model {
  readonly breaker = new Breaker();
  policy: BreakerPolicy = { consecutiveFailures: 3, openForMs: 1_000, halfOpenProbes: 3 };
  nowMs = 1_000_000;
  phase: Phase = closed(this.nowMs, false);
  /** Successes while closed: more than the receiver can have shown within 20 s. */
  taken = 0;
  readonly underWay: Attempt[] = [];
  readonly ended: Attempt[] = [];

  /** Asks the breaker when it is ready and holds it to the model. */
  ready(): boolean {
    const { policy, nowMs } = this;
    const readyAtMs = this.breaker.readyAtMs(nowMs, policy);
    if (this.phase.is === "open") {
      this.phase.untilMs = Math.min(this.phase.untilMs, nowMs + policy.openForMs);
      if (nowMs < this.phase.untilMs) {
        expect(readyAtMs).toBe(this.phase.untilMs);
        return false;
      }
      this.phase = { is: "half-open", needed: Math.max(1, policy.halfOpenProbes), succeeded: 0, underWay: new Set() };
    }
    if (this.phase.is === "half-open") {
      const free = this.phase.underWay.size + this.phase.succeeded < this.phase.needed;
      expect(readyAtMs).toBe(free ? nowMs : Number.POSITIVE_INFINITY);
      // Nothing under way, nothing allowed: that would be for ever.
      if (this.phase.underWay.size === 0) expect(free).toBe(true);
      return free;
    }
    // Closed: the ramp holds back for one window at most.
    expect(readyAtMs).toBeLessThanOrEqual(this.phase.ramp ? nowMs + 10_000 : nowMs);
    return readyAtMs <= nowMs;
  }

  start(): void {
    if (!this.ready()) return;
    const { phase } = this;
    const attempt: Attempt = { token: this.breaker.started(this.nowMs), phase };
    expect(attempt.token > 0).toBe(phase.is === "half-open");
    this.underWay.push(attempt);
    if (phase.is === "half-open") {
      phase.underWay.add(attempt);
      expect(phase.underWay.size).toBeLessThanOrEqual(phase.needed);
    }
    if (phase.is === "closed" && phase.ramp) {
      const window = Math.floor((this.nowMs - phase.sinceMs) / 10_000);
      const started = (phase.startedIn.get(window) ?? 0) + 1;
      phase.startedIn.set(window, started);
      expect(started).toBeLessThanOrEqual(Math.max(20, Math.floor(this.taken / 8)) * 2 ** window);
    }
  }

  end(n: number, how: "ok" | "fail" | "abandon"): void {
    const [attempt] = this.underWay.splice(n % Math.max(1, this.underWay.length), 1);
    if (attempt === undefined) return;
    this.ended.push(attempt);
    this.#tell(attempt, how, true);
  }

  /** The same attempt ends once more: it must not count twice where numbers matter, which is among probes. */
  again(n: number, how: "ok" | "fail" | "abandon"): void {
    const probes = this.ended.filter((attempt) => attempt.token > 0);
    const attempt = probes[n % Math.max(1, probes.length)];
    if (attempt !== undefined) this.#tell(attempt, how, false);
  }

  reset(): void {
    this.breaker.reset();
    this.phase = closed(this.nowMs, false);
  }

  #tell(attempt: Attempt, how: "ok" | "fail" | "abandon", counts: boolean): void {
    const { phase, policy, nowMs } = this;
    const ofNow = counts && attempt.phase === phase;
    if (phase.is === "half-open") phase.underWay.delete(attempt);
    if (how === "abandon") return this.breaker.abandoned(attempt.token);
    let closes = false;
    let opens = false;
    if (ofNow && how === "ok") {
      if (phase.is === "closed") {
        phase.failures = 0;
        this.taken += 1;
      }
      if (phase.is === "half-open") closes = ++phase.succeeded === phase.needed;
    } else if (ofNow) opens = phase.is === "half-open" || (phase.is === "closed" && ++phase.failures >= policy.consecutiveFailures);
    if (closes) this.phase = closed(nowMs, true);
    if (opens) this.phase = { is: "open", untilMs: nowMs + policy.openForMs };
    const { breaker } = this;
    if (how === "ok") expect(breaker.succeeded(attempt.token, nowMs)).toBe(closes);
    else expect(breaker.failed(attempt.token, nowMs, policy)).toBe(opens);
  }
}

function closed(sinceMs: number, ramp: boolean): Phase {
  return { is: "closed", failures: 0, sinceMs, ramp, startedIn: new Map() };
}

type Command = (model: Model) => void;
const how = fc.constantFrom<"ok" | "fail" | "abandon">("ok", "fail", "fail", "ok", "abandon");
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 18, arbitrary: fc.constant<Command>((model) => model.start()) },
  {
    weight: 18,
    arbitrary: fc.tuple(fc.nat(1_000), how).map(
      ([n, end]): Command =>
        (model) =>
          model.end(n, end),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.nat(1_000), how).map(
      ([n, end]): Command =>
        (model) =>
          model.again(n, end),
    ),
  },
  {
    weight: 9,
    arbitrary: fc.constantFrom(1, 40, 500, 1_000, 10_000, 60_000).map(
      (ms): Command =>
        (model) =>
          void (model.nowMs += ms),
    ),
  },
  {
    weight: 3,
    // More than the ramp's first window, so that a receiver which has just recovered meets its limit.
    arbitrary: fc.constantFrom<"ok" | "abandon">("ok", "abandon").map((end): Command => (model) => {
      for (let n = 0; n < 45; n++) model.start();
      while (model.underWay.length > 0) model.end(0, end);
    }),
  },
  { weight: 1, arbitrary: fc.constant<Command>((model) => model.reset()) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        consecutiveFailures: fc.integer({ min: 1, max: 4 }),
        openForMs: fc.constantFrom(0, 300, 1_000, 60_000),
        halfOpenProbes: fc.integer({ min: 1, max: 4 }),
      })
      .map(
        (policy): Command =>
          (model) =>
            void (model.policy = policy),
      ),
  },
);

test("in any order of starts, ends, late and repeated ends, time, resets and policies the breaker is its model", () => {
  const seen = { opened: 0, reopened: 0, closedAgain: 0, late: 0, rampHeld: 0 };
  fc.assert(
    fc.property(fc.array(command, { minLength: 20, maxLength: 160, size: "max" }), (commands) => {
      const model = new Model();
      for (const act of commands) {
        const before = model.phase;
        act(model);
        const openBefore = before.is !== "closed";
        if (before.is === "closed" && model.phase.is === "open") seen.opened += 1;
        if (before.is === "half-open" && model.phase.is === "open") seen.reopened += 1;
        if (openBefore && model.phase.is === "closed" && model.phase.ramp) seen.closedAgain += 1;
        if (model.underWay.some((attempt) => attempt.phase !== model.phase && attempt.token > 0)) seen.late += 1;
        expect(model.breaker.isOpen).toBe(model.phase.is !== "closed");
        if (!model.ready() && model.phase.is === "closed") seen.rampHeld += 1;
      }
      // Whatever has happened: once nothing is under way and the time is over, one may start.
      while (model.underWay.length > 0) model.end(0, "abandon");
      model.nowMs += Math.max(model.policy.openForMs, 10_000);
      expect(model.ready()).toBe(true);
    }),
    { numRuns: 300 },
  );
  // A property that never came where it hurts shows nothing.
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(50);
});

const THREE: BreakerPolicy = { consecutiveFailures: 2, openForMs: 30_000, halfOpenProbes: 3 };

function halfOpened(): { breaker: Breaker; probes: [number, number, number] } {
  const breaker = new Breaker();
  for (let n = 0; n < 2; n++) breaker.failed(breaker.started(0), 0, THREE);
  const probes = Array.from({ length: 3 }, () => {
    expect(breaker.readyAtMs(30_000, THREE)).toBe(30_000);
    return breaker.started(30_000);
  });
  return { breaker, probes: probes as [number, number, number] };
}

test("a late success of three probes does not close what another has reopened", () => {
  const { breaker, probes } = halfOpened();
  expect(breaker.failed(probes[0], 30_010, THREE)).toBe(true);
  expect(breaker.failed(probes[1], 30_020, THREE)).toBe(false);
  expect(breaker.openUntilMs).toBe(60_010);
  expect(breaker.succeeded(probes[2], 30_050)).toBe(false);
  expect(breaker.readyAtMs(30_050, THREE)).toBe(60_010);
});

test("a late probe neither takes a place of the next half-open nor gives one back", () => {
  const { breaker, probes } = halfOpened();
  breaker.failed(probes[0], 30_010, THREE);
  for (let n = 0; n < 3; n++) {
    expect(breaker.readyAtMs(60_010, THREE)).toBe(60_010);
    breaker.started(60_010);
  }
  breaker.abandoned(probes[1]);
  expect(breaker.succeeded(probes[2], 60_020)).toBe(false);
  expect(breaker.readyAtMs(60_020, THREE)).toBe(Number.POSITIVE_INFINITY);
});

test("attempts that hung from before the opening do not open a circuit that has closed since", () => {
  const breaker = new Breaker();
  const hanging = Array.from({ length: 50 }, () => breaker.started(0));
  for (const attempt of hanging.splice(0, 2)) breaker.failed(attempt, 10, THREE);
  expect(breaker.isOpen).toBe(true);
  for (let n = 0; n < 3; n++) {
    breaker.readyAtMs(30_010, THREE);
    breaker.succeeded(breaker.started(30_010), 30_020);
  }
  expect(breaker.isOpen).toBe(false);
  for (const attempt of hanging) expect(breaker.failed(attempt, 30_030, THREE)).toBe(false);
  expect([breaker.isOpen, breaker.consecutiveFailures]).toEqual([false, 0]);
});

test("an attempt whose start was counted before it began belongs to the period it begins in", () => {
  const breaker = new Breaker();
  breaker.started(0);
  const early = breaker.begun;
  for (let n = 0; n < 2; n++) breaker.failed(breaker.started(0), 0, THREE);
  const late = breaker.begun;
  breaker.reset();
  expect([breaker.failed(early, 1, THREE), breaker.failed(late, 1, THREE), breaker.consecutiveFailures]).toEqual([false, false, 0]);
  breaker.failed(breaker.begun, 2, THREE);
  expect(breaker.consecutiveFailures).toBe(1);
});

test("nobody waits longer than the policy of now: shortened, or restored from a longer one", () => {
  const restored = new Breaker(20, 3_600_000);
  expect(restored.readyAtMs(1_000, THREE)).toBe(31_000);
  expect(restored.readyAtMs(5_000, { ...THREE, openForMs: 2_000 })).toBe(7_000);
  expect(restored.readyAtMs(6_000, THREE)).toBe(7_000);
  expect(restored.readyAtMs(7_000, THREE)).toBe(7_000);
});
