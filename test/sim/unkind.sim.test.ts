import { describe, expect, test } from "vitest";
import { WallClockWatch } from "../../src/app/wall-clock-watch.ts";
import { clockText } from "../../src/core/clock-frame.ts";
import type { Route } from "../../src/core/route-table.ts";
import type { EngineBounds } from "../../src/delivery/queue/bounds.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { CLOCK_KEY, StoreError } from "../../src/store/store.ts";
import { latencyOf } from "../support/sim/latent-store.ts";
import { whatIsWrong } from "../support/sim/oracle.ts";
import { seededRandom } from "../support/sim/seeded-random.ts";
import { World, outcome, routeOf, type PolicyChange, type Receiver } from "../support/sim/world.ts";
import { ManualClock } from "../support/time/manual-clock.ts";
import { silentLog } from "../support/silent-log.ts";

const SEEDS = (process.env["POSTRIDER_SIM_SEEDS"] ?? "1,2,3,4,5,6,7,8,9,10,11,12").split(",").map(Number);
const STEPS = Number(process.env["POSTRIDER_SIM_STEPS"] ?? "60");
const LIVES = 3;
const MAX_ATTEMPTS = 5;
const MAX_AGE_MS = 3 * 3_600_000;
/** Everything is healthy: what is owed is sent within this. An open circuit, a Retry-After and the ramp behind it are in it. */
const HEALED_MS = 240_000;

/** Small, so that all of them are reached. */
const SMALL: Partial<EngineBounds> = {
  freshMax: 10,
  freshPerLaneMin: 2,
  aheadMax: 5,
  paceAt: 3,
  loadsMax: 1,
  rowsMax: 20,
  rowsPerNamespaceMax: 12,
  rowsFloor: 2,
  windowMax: 5,
  claimsMax: 3,
  backlogMax: 40,
  suspectGroups: [3, 2, 1],
  sweptLanesMax: 2,
};

const HOUR_MS = 3_600_000;
const STEPS_OF_THE_CLOCK = [
  5_000,
  -5_000,
  6 * 60_000,
  -6 * 60_000,
  HOUR_MS,
  -HOUR_MS,
  5 * 24 * HOUR_MS,
  -5 * 24 * HOUR_MS,
  87_600 * HOUR_MS,
  -87_600 * HOUR_MS,
];

/** One store, several lives, and everything that can go wrong does. */
class Unkind {
  readonly clock = new ManualClock();
  readonly store: MemoryStore;
  readonly accepted = new Set<string>();
  readonly problems: string[] = [];
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #seed: number;
  readonly #moods: number[];
  #faulty = false;
  #unknown = 0;
  #doubtUntilMs = 0;
  #wasUnknown = false;
  #tells = true;
  #healed = false;
  #life = 0;
  #routes: Route[];
  #world: World | undefined;
  #watch: WallClockWatch | undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
    const fault = (): StoreError | undefined =>
      this.#faulty && this.#random.next() < 0.3 ? new StoreError("unavailable", "simulated") : undefined;
    this.store = new MemoryStore({ fault });
    this.#moods = Array.from({ length: 9 }, () => this.#random.next());
    this.#routes = this.#moods.map((_, i) => this.#route(i));
  }

  get world(): World {
    if (this.#world === undefined) throw new Error("no life has begun");
    return this.#world;
  }

  async run(): Promise<void> {
    for (this.#life = 0; this.#life < LIVES; this.#life++) {
      await this.#begin();
      for (let step = 0; step < STEPS; step++) await this.#step();
      if (this.#life === LIVES - 1) break;
      this.world.kill();
      // Down for a while, and the clock may be put right meanwhile.
      await this.clock.advance(this.#random.below(3) === 0 ? this.#random.below(20 * 60_000) : this.#random.below(2_000));
      if (this.#random.next() < 0.5) this.clock.stepWall(this.#pick(STEPS_OF_THE_CLOCK));
    }
    await this.#heal();
  }

  /** Kinds are listed late, in any order, while the engine still reads what it owes. */
  async #begin(): Promise<void> {
    const { clock, store } = this;
    const report = await store.open({ owner: `o${this.#life}`, nowMs: clock.trueMs(), idempotencyTtlMs: 1_000 });
    clock.begin(report.clock);
    // In half of the lives every commit says whether it happened: then all numbers must be exact.
    this.#tells = this.#random.next() < 0.5;
    this.#unknown = 0;
    this.#wasUnknown = false;
    const seed = this.#seed * 100 + this.#life;
    this.#world = new World({
      receiver: this.#receiver,
      seed,
      slotsMax: this.#pick([1, 2, 5, 12]),
      store,
      clock,
      bounds: SMALL,
      latency: latencyOf(seed, () => this.#unknown),
      // Busy every other second: what is accepted waits a moment, or does not.
      load: { isBusy: () => clock.monotonicMs() % 2_000 < 1_000 },
      awayMs: report.clock.awayMs,
    });
    this.#watch = new WallClockWatch(clock, silentLog);
    const { world } = this;
    // Stored routes are known at once and wait for their references.
    const stored = this.#routes.map((route) => ({ ...route, subscription: { ...route.subscription, target: undefined } }));
    if (this.#random.next() < 0.8) world.route(stored);
    world.run();
    await clock.advance(this.#random.below(40));
    for (let known = this.#random.below(this.#routes.length); known < this.#routes.length; known += 1 + this.#random.below(4)) {
      if (this.#random.next() < 0.5) world.route([...this.#routes.slice(0, known), ...stored.slice(known)]);
      await clock.advance(this.#random.below(60));
    }
    world.route(this.#routes);
    await clock.advance(this.#random.below(200));
    for (let i = 0; !world.engine.ready; i++) {
      if (i > 1_000) throw new Error("the engine does not get up");
      await clock.advance(10);
    }
  }

  async #step(): Promise<void> {
    const { clock, world } = this;
    const random = this.#random;
    this.#faulty = random.next() < 0.05;
    this.#unknown = random.next() < 0.1 && !this.#tells ? 0.2 : 0;
    this.#noteDoubt();
    for (let n = random.below(5); n > 0; n--) {
      void world.offer(`ns${random.below(3)}`, undefined, `k${random.below(4)}`).then((event) => {
        if (event !== undefined) this.accepted.add(event.id);
      });
    }
    const chance = random.below(40);
    if (chance === 0) clock.stepWall(this.#pick(STEPS_OF_THE_CLOCK));
    if (chance === 1) await clock.stall(this.#pick([300, 3_000, 17_000]));
    if (chance === 2) this.#edit();
    if (chance === 3) await clock.advance(11 * 60_000);
    if (chance <= 6) this.#moods[random.below(this.#moods.length)] = random.next();
    await clock.advance(random.below(500));
    this.#watch?.look();
    this.#keepClock();
    this.#noteDoubt();
    if (random.below(4) !== 0) return;
    this.#faulty = false;
    this.#unknown = 0;
    await clock.advance(1_000);
    await this.#judge("a quiet second");
  }

  /** Looks of the sweep come every 5 s after such a commit, and one may fail too. */
  #noteDoubt(): void {
    this.#wasUnknown ||= this.#unknown > 0;
    if (this.#unknown > 0) this.#doubtUntilMs = this.clock.monotonicMs() + 40_000;
  }

  /** A spec changes: suspended, its references lost, another policy, or back. */
  #edit(): void {
    const i = this.#random.below(this.#routes.length);
    const change = this.#random.below(4);
    const route = this.#route(i);
    const { subscription } = route;
    const spec = { ...subscription.spec, suspend: change === 0 };
    this.#routes[i] = { ...route, subscription: { ...subscription, spec, target: change === 1 ? undefined : subscription.target } };
    this.world.route(this.#routes);
  }

  async #heal(): Promise<void> {
    this.#faulty = false;
    this.#unknown = 0;
    this.#healed = true;
    this.#routes = this.#routes.map((_, i) => this.#route(i));
    this.world.route(this.#routes);
    for (const { subscription } of this.#routes) await this.clock.until(this.world.engine.resume(subscription.uid));
    for (let leftMs = HEALED_MS; leftMs > 0; leftMs -= 5_000) {
      await this.clock.advance(5_000);
      if (leftMs % 50_000 === 0) await this.#judge("while it heals");
    }
    await this.#judge("at the end");
  }

  async #judge(when: string): Promise<void> {
    // After a commit that did not say whether it happened, memory and store are compared within some seconds.
    const doubtful = this.clock.monotonicMs() < this.#doubtUntilMs;
    for (const text of doubtful ? [] : await whatIsWrong(this.world, !this.#wasUnknown))
      this.problems.push(`life ${this.#life}, ${when}: ${text}`);
    const text = await this.world.metrics.expose();
    const found = Number(/^postrider_forgotten_rows_total (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
    if (found !== 0) this.problems.push(`life ${this.#life}, ${when}: ${found} rows had been forgotten`);
  }

  #keepClock(): void {
    const { clock } = this;
    const value = clockText({ nowMs: clock.nowMs(), offsetMs: clock.shownMs(0) });
    void this.world.behind.putState([{ kind: "meta", key: CLOCK_KEY, value }]).catch(() => undefined);
  }

  #route(i: number): Route {
    const random = this.#random;
    const policy: PolicyChange = {
      maxInFlight: 1 + random.below(4),
      timeoutMs: 2_000,
      // Longer than the clock is ever put ahead while nobody runs.
      retention: { historyMs: 1e12, bodiesMs: 1e12, responseBytes: 4_096 },
      circuitBreaker: { consecutiveFailures: 3 + random.below(3), openForMs: 5_000, halfOpenProbes: 1 + random.below(3) },
      retry: {
        maxAttempts: MAX_ATTEMPTS,
        maxAgeMs: MAX_AGE_MS,
        retryAfterMaxMs: 30_000,
        delays: { kind: "backoff", growth: "Exponential", initialMs: 500, maxMs: 60_000 },
      },
    };
    return routeOf(`s${i}`, { namespace: `ns${i % 3}`, policy, ...(i < 3 ? { orderingKey: "subject" } : {}) });
  }

  readonly #receiver: Receiver = (input) => {
    const random = this.#random;
    const mood = this.#moods[Number(input.route.subscription.uid.slice(1))] ?? 0;
    if (this.#healed || random.next() > mood * 0.8) return { afterMs: 1 + random.below(100), outcome: outcome("success") };
    const kind = random.below(5);
    if (kind === 0) return { afterMs: 1e9, outcome: outcome("success") };
    if (kind === 1) return { afterMs: 5, outcome: outcome("client_error", { statusCode: 429, retryAfterMs: random.below(60_000) }) };
    if (kind === 2) return { afterMs: 1_900, outcome: outcome("success") };
    return { afterMs: random.below(50), outcome: outcome(kind === 3 ? "server_error" : "connect_error") };
  };

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)] as T;
  }
}

/** Why a delivery may have failed without a single attempt. */
const WITHOUT_ATTEMPT: ReadonlySet<string | undefined> = new Set([
  "BySpec",
  "RefsUnresolved",
  "CircuitOpen",
  "RetryAfter",
  "AutoSuspended",
  "EndpointGone",
  "Quarantined",
]);

describe.each(SEEDS)("seed %i", (seed) => {
  test(
    "nothing stalls, nothing is forgotten, nothing ends untried, whatever store, clock, loop and manifests do",
    { timeout: 120_000 },
    async () => {
      const unkind = new Unkind(seed);
      await unkind.run();
      expect(unkind.problems).toEqual([]);
      expect(unkind.accepted.size).toBeGreaterThan(50);
      for (const id of unkind.accepted) {
        const records = await unkind.store.deliveriesOf(id);
        expect(records).toHaveLength(3);
        for (const record of records) {
          expect(["delivered", "failed"], JSON.stringify(record)).toContain(record.state);
          const made = (await unkind.store.attemptsOf(record.id)).filter((attempt) => attempt.outcome !== "unknown").length;
          expect(made, JSON.stringify(record)).toBeLessThanOrEqual(MAX_ATTEMPTS);
          if (made === 0) expect(WITHOUT_ATTEMPT, JSON.stringify(record)).toContain(record.reason);
          if (record.reason === "AttemptsExhausted") expect(made, JSON.stringify(record)).toBe(MAX_ATTEMPTS);
        }
      }
    },
  );
});
