import fc from "fast-check";
import { expect, test } from "vitest";
import { RetryBudget } from "../../../src/core/retry-budget.ts";

const START_MS = 1_000_000;

/** A namespace that wants retries as they come due, and makes first sends. */
interface Tenant {
  readonly name: string;
  /** Retries due for each second, and first sends. */
  readonly retriesPerSecond: number;
  readonly sendsPerSecond: number;
  due: number;
  owedSends: number;
  made: number;
  /** Longest time that a due retry waited. */
  longestMs: number;
  waitingSinceMs: number | undefined;
  askAtMs: number;
}

function tenant(name: string, retriesPerSecond: number, sendsPerSecond = 0): Tenant {
  const nothing = { due: 0, owedSends: 0, made: 0, longestMs: 0, waitingSinceMs: undefined, askAtMs: 0 };
  return { name, retriesPerSecond, sendsPerSecond, ...nothing };
}

/** How far the retries went over 10 a second and 20 % of the first sends, over the worst stretch. */
class Meter {
  #over = 0;
  #least = 0;
  worst = 0;

  note(change: number): void {
    this.#over += change;
    this.#least = Math.min(this.#least, this.#over);
    this.worst = Math.max(this.worst, this.#over - this.#least);
  }
}

/** Lets time pass; whoever has retries due asks when it was told to, the order of tenants is up to `orders`. */
function run(
  tenants: readonly Tenant[],
  seconds: number,
  orders: (step: number) => number,
): { budget: RetryBudget; over: number; made: number } {
  const budget = new RetryBudget(START_MS);
  const meter = new Meter();
  const stepMs = 10;
  for (let step = 1; step <= (seconds * 1_000) / stepMs; step++) {
    const nowMs = START_MS + step * stepMs;
    meter.note((-10 * stepMs) / 1_000);
    const first = orders(step) % tenants.length;
    for (const [n] of tenants.entries()) {
      const one = tenants[(n + first) % tenants.length]!;
      one.due += (one.retriesPerSecond * stepMs) / 1_000;
      one.owedSends += (one.sendsPerSecond * stepMs) / 1_000;
      for (; one.owedSends >= 1; one.owedSends--) {
        budget.sent(one.name, nowMs);
        meter.note(-0.2);
      }
      retry(budget, one, nowMs, meter);
    }
  }
  return { budget, over: meter.worst, made: tenants.reduce((sum, one) => sum + one.made, 0) };
}

function retry(budget: RetryBudget, one: Tenant, nowMs: number, meter: Meter): void {
  if (one.due >= 1) one.waitingSinceMs ??= nowMs;
  while (one.due >= 1 && one.askAtMs <= nowMs) {
    one.askAtMs = budget.readyAtMs(one.name, nowMs);
    expect(one.askAtMs).toBeLessThanOrEqual(nowMs + 1_000);
    if (one.askAtMs > nowMs) return;
    budget.take(one.name, nowMs);
    meter.note(1);
    one.due -= 1;
    one.made += 1;
    one.longestMs = Math.max(one.longestMs, nowMs - (one.waitingSinceMs ?? nowMs));
    one.waitingSinceMs = one.due >= 1 ? nowMs : undefined;
  }
}

const orderOf = (seed: number) => (step: number) => Math.floor(Math.abs(Math.sin(seed + step) * 1e6));

test("over any stretch there are at most 10 retries a second, 20 % of the first sends, and the 100 saved up", () => {
  const tenants = fc.array(fc.tuple(fc.constantFrom(0.5, 1, 7, 60, 3_000), fc.constantFrom(0, 1, 40, 700)), { minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(tenants, fc.nat(1_000), (wants, seed) => {
      const { over } = run(
        wants.map(([retries, sends], n) => tenant(`ns${n}`, retries, sends)),
        20,
        orderOf(seed),
      );
      expect(over).toBeLessThanOrEqual(100 + 1e-3);
    }),
    { numRuns: 60 },
  );
});

test("a namespace with one retry a second has it within 0.3 s while others want thousands, whatever the order of calls", () => {
  const storms = fc.array(fc.constantFrom(20, 500, 5_000), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(storms, fc.nat(1_000), fc.constantFrom("first", "last", "any"), (wants, seed, order) => {
      const quiet = tenant("quiet", 1);
      const others = wants.map((retries, n) => tenant(`storm${n}`, retries, n * 30));
      const tenants = [quiet, ...others];
      const { made, over } = run(tenants, 40, order === "first" ? () => 0 : order === "last" ? () => 1 : orderOf(seed));
      expect(quiet.made).toBeGreaterThanOrEqual(39);
      expect(quiet.longestMs).toBeLessThanOrEqual(300);
      // And nothing is wasted: what the quiet one leaves the others have.
      const sends = others.reduce((sum, one) => sum + one.sendsPerSecond * 40, 0);
      expect(made).toBeGreaterThanOrEqual(Math.min(0.95 * (10 * 40 + 0.2 * sends), 20 * 40));
      expect(over).toBeLessThanOrEqual(100 + 1e-3);
    }),
    { numRuns: 40 },
  );
});

test.each([
  ["the storm asks first", 1],
  ["the storm asks last", 0],
])("what a namespace earned by its own first sends nobody else uses up: %s", (_order, first) => {
  const [sender, storm] = [tenant("sender", 38, 200), tenant("storm", 5_000)];
  run([sender, storm], 60, () => first);
  // 20 % of 200 a second are 40, 38 are wanted.
  expect(sender.made).toBeGreaterThanOrEqual(0.97 * 38 * 60);
  expect(sender.longestMs).toBeLessThanOrEqual(300);
  // Half of the 10 a second at least, and what the sender leaves.
  expect(storm.made).toBeGreaterThanOrEqual(5 * 60);
});

test("many that all want thousands get equal parts", () => {
  const tenants = Array.from({ length: 8 }, (_, n) => tenant(`ns${n}`, 1_000));
  run(tenants, 120, () => 0);
  const made = tenants.map((one) => one.made);
  // The first 50 saved ones go to whoever asks first, from then on all have the same.
  expect(Math.min(...made)).toBeGreaterThanOrEqual(0.9 * (10 / 8) * 120);
  expect(made.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(1_200);
});

test("one that is alone has all of it, its first 50 at once", () => {
  const alone = tenant("alone", 1_000);
  run([alone], 60, () => 0);
  expect(alone.made).toBeGreaterThanOrEqual(50 + 0.98 * 600);
});

test("namespaces that neither send nor retry for a minute are forgotten", () => {
  const budget = new RetryBudget(START_MS);
  for (let n = 0; n < 10_000; n++) {
    budget.sent(`ns${n}`, START_MS);
    if (n % 3 === 0) budget.take(`ns${n}`, START_MS);
  }
  expect(budget.namespaces).toBe(10_000);
  budget.readyAtMs("other", START_MS + 11_000);
  budget.readyAtMs("other", START_MS + 61_000);
  expect(budget.namespaces).toBe(0);
});

test("a storm that is over leaves the others all of it again", () => {
  const budget = new RetryBudget(START_MS);
  for (let n = 0; n < 50; n++) budget.take("storm", START_MS);
  for (let n = 0; n < 50; n++) budget.take("other", START_MS);
  let nowMs = START_MS + 30_000;
  let made = 0;
  for (; nowMs < START_MS + 60_000; nowMs += 10) {
    if (budget.readyAtMs("other", nowMs) > nowMs) continue;
    budget.take("other", nowMs);
    made += 1;
  }
  expect(made).toBeGreaterThanOrEqual(0.98 * 300);
});
