import fc from "fast-check";
import { expect, test } from "vitest";
import { FairQueue } from "../../../src/core/fairness/fair-queue.ts";
import { fairMarks, type FairLane, type WorkKind } from "../../../src/core/fairness/fair-share.ts";
import type { SlotHold } from "../../../src/core/fairness/slot-hold.ts";

const KINDS = ["fresh", "retry"] as const;

interface TestLane extends FairLane {
  readonly name: string;
  capNow: number;
}

let made = 0;

function lane(namespace: string, capNow = 1e6): TestLane {
  return { name: `${namespace}/${++made}`, namespace, capNow, fair: fairMarks() };
}

function part(size: number, share: number): number {
  return Math.max(1, Math.floor(size / share));
}

const LONG_MS = 2_000;

/** Most slots that may be kept for others. */
function keptMax(size: number): number {
  return Math.max(part(size, 4), Math.min(Math.floor(size / 2), 64));
}

/** Slots that must be free before one more goes to somebody who holds `held` of `size`, of its own seats and beside those of others. */
function mustBeFree(held: number, size: number, seats: { readonly each: number; readonly empty: number }): number {
  if (held === 0) return 1;
  if (held < seats.each) return 1 + part(size, 16);
  const kept = Math.min(part(size, 16) + seats.empty, keptMax(size));
  return 1 + (held < part(size, 16) ? kept : Math.max(kept, part(size, 4)));
}

interface Flight {
  readonly lane: TestLane;
  readonly hold: SlotHold<TestLane>;
  readonly startedAtMs: number;
  readonly isTrial: boolean;
}

/** What has been seen of a subscription's answers. */
interface Seen {
  meanMs: number;
  slow: boolean;
}

/** The rule above `FairQueue`, counted anew each time from who holds what, and for how long. */
class Model {
  readonly queue: FairQueue<TestLane>;
  readonly slots: number;
  readonly lanes: TestLane[];
  readonly flights: Flight[] = [];
  readonly known = new Set<TestLane>();
  readonly wants: Record<WorkKind, Set<TestLane>> = { fresh: new Set(), retry: new Set() };
  readonly failing = new Set<TestLane>();
  readonly held = new Set<string>();
  readonly seen = new Map<TestLane, Seen>();
  nowMs = 0;
  /** When the queue was last told the time. */
  toldMs = 0;

  constructor(slots: number, lanes: TestLane[]) {
    this.queue = new FairQueue(slots);
    this.slots = slots;
    this.lanes = lanes;
  }

  isLong({ startedAtMs }: Flight): boolean {
    return this.toldMs - startedAtMs >= LONG_MS;
  }

  /** The queue is told the time. */
  tell(): void {
    this.toldMs = this.nowMs;
    // Whoever has not answered by then is as good as answered: slowly.
    for (const flight of this.flights) if (this.isLong(flight) && !this.seen.has(flight.lane)) this.answered(flight.lane, LONG_MS);
  }

  answered(one: TestLane, tookMs: number): void {
    const before = this.seen.get(one);
    const meanMs = before === undefined ? tookMs : before.meanMs + (tookMs - before.meanMs) / 8;
    this.seen.set(one, { meanMs, slow: meanMs >= (before?.slow === true ? 1_000 : LONG_MS) });
  }

  /** Failing, slow (or not known yet), or neither. */
  standing(one: TestLane): "well" | "failing" | "slow" {
    if (this.failing.has(one)) return "failing";
    const seen = this.seen.get(one);
    const mine = this.flights.filter((flight) => flight.lane === one);
    const long = mine.filter((flight) => this.isLong(flight)).length;
    return seen === undefined || seen.slow || long * 2 > mine.length ? "slow" : "well";
  }

  /** Which share would give it one more slot; undefined = none. */
  door(one: TestLane): "well" | "failing" | "slow" | "trial" | undefined {
    const { slots, flights } = this;
    const own = part(slots, 2);
    const count = (which: (flight: Flight) => boolean) => flights.filter(which).length;
    const mine = count((flight) => flight.lane === one);
    const ofUs = ({ lane: { namespace } }: Flight): boolean => namespace === one.namespace;
    const ours = count(ofUs);
    const namespaces = [...new Set([...this.known].map(({ namespace }) => namespace))];
    const each = Math.max(1, Math.min(part(slots, 16), Math.floor((keptMax(slots) - part(slots, 16)) / Math.max(1, namespaces.length))));
    const holds = (namespace: string): number => count((flight) => flight.lane.namespace === namespace);
    const empty = namespaces.reduce((sum, namespace) => sum + Math.max(0, each - holds(namespace)), 0);
    if (mine >= one.capNow || ours >= own || slots - flights.length < mustBeFree(ours, slots, { each, empty })) return undefined;
    const siblings = [...this.known].filter((other) => other.namespace === one.namespace);
    const idleSiblings = siblings.filter((other) => count((flight) => flight.lane === other) === 0).length;
    if (siblings.length > 1 && own - ours < mustBeFree(mine, own, { each: 1, empty: idleSiblings })) return undefined;
    const standing = this.standing(one);
    if (standing === "well") return "well";
    const held = (which: string) => count((flight) => this.standing(flight.lane) === which);
    const size = Math.max(1, Math.floor((slots * (standing === "failing" ? 30 : 37.5)) / 100));
    const oursOfIt = count((flight) => ofUs(flight) && this.standing(flight.lane) === standing);
    const free = size - held(standing) >= (oursOfIt === 0 ? 1 : 1 + part(size, 16));
    if (free && mine < part(size, standing === "failing" ? 8 : 4) && oursOfIt < part(size, 2)) return standing;
    if (standing === "failing" || this.seen.has(one) || mine > 0) return undefined;
    if (count((flight) => ofUs(flight) && flight.isTrial && !this.isLong(flight)) >= part(slots, 64)) return undefined;
    const oursPoor = count((flight) => ofUs(flight) && this.standing(flight.lane) !== "well");
    if (oursPoor >= own - Math.floor(own / 8)) return undefined;
    const below = ours === 0 ? slots - Math.floor(slots / 16) : part(slots, 2);
    return held("failing") + held("slow") < below ? "trial" : undefined;
  }

  isAble(one: TestLane): boolean {
    return this.door(one) !== undefined;
  }

  able(kind: WorkKind): TestLane[] {
    return [...this.wants[kind]].filter((one) => this.isAble(one) && !(kind === "retry" && this.held.has(one.namespace)));
  }

  /** What the queue says of itself, against what is true. */
  check(): void {
    const fresh = this.able("fresh").length > 0;
    const retry = this.able("retry").length > 0;
    const { queue } = this;
    expect([queue.freshWaits, queue.retriesWait, queue.hasWaiting]).toEqual([fresh, retry, fresh || retry]);
    expect(queue.inFlight).toBe(this.flights.length);
    const held = (which: string) => this.flights.filter((flight) => this.standing(flight.lane) === which).length;
    expect([queue.failingInFlight, queue.slowInFlight]).toEqual([held("failing"), held("slow")]);
  }

  take(retries: boolean | ((namespace: string) => boolean)): boolean {
    this.tell();
    const able = { fresh: this.able("fresh"), retry: retries === false ? [] : this.able("retry") };
    const doors = new Map([...able.fresh, ...able.retry].map((one) => [one, this.door(one)]));
    const refused = new Set<string>();
    const ask = (namespace: string): boolean => {
      expect(this.held.has(namespace) || refused.has(namespace)).toBe(false);
      const may = typeof retries === "function" && retries(namespace);
      if (!may) refused.add(namespace);
      return may;
    };
    const turn = this.queue.take(this.nowMs, typeof retries === "function" ? ask : retries);
    for (const namespace of refused) this.held.add(namespace);
    const left = able.retry.filter((one) => !refused.has(one.namespace));
    if (turn === undefined) expect([...able.fresh, ...left].map((one) => one.name)).toEqual([]);
    else {
      expect((turn.kind === "fresh" ? able.fresh : left).map((one) => one.name)).toContain(turn.lane.name);
      this.#fly(turn.hold, doors.get(turn.lane));
    }
    return turn !== undefined;
  }

  takeNow(one: TestLane): void {
    this.tell();
    this.known.add(one);
    const door = this.door(one);
    const hold = this.queue.takeNow(one, this.nowMs);
    expect(hold !== undefined).toBe(door !== undefined);
    if (hold !== undefined) this.#fly(hold, door);
  }

  #fly(hold: SlotHold<TestLane>, door: string | undefined): void {
    this.flights.push({ lane: hold.lane, hold, startedAtMs: this.nowMs, isTrial: door === "trial" });
  }

  offer(one: TestLane, kind: WorkKind): void {
    this.known.add(one);
    this.wants[kind].add(one);
    this.queue.offer(one, kind);
  }

  withdraw(one: TestLane, kind: WorkKind): void {
    this.wants[kind].delete(one);
    this.queue.withdraw(one, kind);
  }

  release(n: number): void {
    if (this.flights.length === 0) return;
    this.tell();
    const flight = this.flights.splice(n % this.flights.length, 1)[0]!;
    const { lane: one, hold, startedAtMs } = flight;
    // One of five says nothing of the receiver.
    const tookMs = n % 5 === 4 ? undefined : this.nowMs - startedAtMs;
    if (tookMs !== undefined) this.answered(one, tookMs);
    this.queue.release(hold, this.nowMs, tookMs);
    this.#tidy(one.namespace);
  }

  /** A namespace without subscriptions and flights is forgotten, and with it that its retries were held back. */
  #tidy(namespace: string): void {
    if (![...this.known, ...this.flights.map((flight) => flight.lane)].some((one) => one.namespace === namespace))
      this.held.delete(namespace);
  }

  setFailing(one: TestLane, failing: boolean): void {
    if (failing) this.failing.add(one);
    else this.failing.delete(one);
    this.queue.setFailing(one, failing);
  }

  /** A cap may shrink unseen; that it has grown the owner says by offering what waits. */
  setCap(one: TestLane, cap: number): void {
    const grown = cap > one.capNow;
    one.capNow = cap;
    if (grown) for (const kind of KINDS) if (this.wants[kind].has(one)) this.queue.offer(one, kind);
  }

  /** Gone for good; a new subscription of the namespace takes its place. */
  forget(n: number): void {
    const one = this.lanes[n]!;
    this.queue.forget(one);
    this.known.delete(one);
    for (const kind of KINDS) this.wants[kind].delete(one);
    this.lanes[n] = lane(one.namespace, one.capNow);
    this.#tidy(one.namespace);
  }

  allow(namespace: string): void {
    this.held.delete(namespace);
    this.queue.allowRetries(namespace);
  }
}

const action = fc.record({
  what: fc.constantFrom(
    "offer",
    "offer",
    "offer",
    "withdraw",
    "take",
    "take",
    "take",
    "some",
    "now",
    "end",
    "end",
    "fail",
    "well",
    "cap",
    "forget",
    "allow",
    "wait",
    "wait",
  ),
  n: fc.nat(10_000),
  kind: fc.constantFrom(...KINDS),
});

function act(model: Model, { what, n, kind }: { what: string; n: number; kind: WorkKind }): void {
  const at = n % model.lanes.length;
  const one = model.lanes[at]!;
  if (what === "offer") model.offer(one, kind);
  else if (what === "withdraw") model.withdraw(one, kind);
  else if (what === "take") model.take(n % 4 > 0);
  else if (what === "some") model.take((namespace) => namespace !== one.namespace);
  else if (what === "now") model.takeNow(one);
  else if (what === "end") model.release(n);
  else if (what === "fail" || what === "well") model.setFailing(one, what === "fail");
  else if (what === "cap") model.setCap(one, 1 + (n % 7));
  else if (what === "forget") model.forget(at);
  else if (what === "wait") model.nowMs += [1, 40, 700, 2_500][n % 4]!;
  else model.allow(one.namespace);
}

test("whoever may send by the rule is given a slot, nobody else is, and what the queue says of itself is true", () => {
  const slots = fc.constantFrom(1, 2, 3, 4, 5, 7, 10, 16, 33, 64, 100);
  fc.assert(
    fc.property(
      slots,
      fc.integer({ min: 1, max: 4 }),
      fc.array(action, { minLength: 20, maxLength: 150, size: "max" }),
      (count, namespaces, actions) => {
        const lanes = Array.from({ length: 9 }, (_, n) => lane(`ns${n % namespaces}`, n % 2 === 0 ? 1e6 : 3));
        const model = new Model(count, lanes);
        for (const one of actions) {
          act(model, one);
          model.check();
        }
        // Whatever has happened: what wants to be sent is sent, and whoever is gone leaves nothing behind.
        for (const namespace of model.held) model.allow(namespace);
        for (let guard = 0; model.wants.fresh.size + model.wants.retry.size > 0; guard++) {
          expect(guard).toBeLessThan(500);
          while (model.flights.length > 0) model.release(0);
          expect(model.take(true)).toBe(true);
          const sent = model.flights[0]!.lane;
          for (const kind of KINDS) model.withdraw(sent, kind);
        }
        while (model.flights.length > 0) model.release(0);
        for (const [n] of model.lanes.entries()) model.forget(n);
        expect(model.queue.namespaces).toBe(0);
      },
    ),
    { numRuns: 600 },
  );
});

/** By how much the counts of two drift apart at most over any stretch. */
function drift(turns: readonly string[], a: string, b: string): number {
  let [ahead, most, least] = [0, 0, 0];
  for (const name of turns) {
    ahead += name === a ? 1 : name === b ? -1 : 0;
    most = Math.max(most, ahead);
    least = Math.min(least, ahead);
  }
  return most - least;
}

test("two namespaces that always want to send, and two subscriptions of one, stay within one turn of each other over any stretch", () => {
  const noise = fc.record({ what: fc.constantFrom("take", "take", "take", "end", "offer", "withdraw", "fail", "well"), n: fc.nat(10_000) });
  fc.assert(
    fc.property(fc.array(noise, { minLength: 100, maxLength: 600, size: "max" }), fc.constantFrom(...KINDS), (noises, kind) => {
      const queue = new FairQueue<TestLane>(10_000);
      const a = [lane("a"), lane("a"), lane("a")];
      const b = [lane("b")];
      const others = Array.from({ length: 12 }, (_, n) => lane(`o${n % 5}`));
      for (const one of [...a, ...b]) queue.offer(one, kind);
      const turns: TestLane[] = [];
      const open: SlotHold<TestLane>[] = [];
      for (const { what, n } of noises) {
        const other = others[n % others.length]!;
        if (what === "offer") queue.offer(other, kind);
        else if (what === "withdraw") queue.withdraw(other, kind);
        else if (what === "end") open.splice(n % Math.max(1, open.length), 1).forEach((hold) => queue.release(hold, 0, 0));
        else if (what !== "take") queue.setFailing(n % 2 === 0 ? a[n % 3]! : other, what === "fail");
        else {
          const turn = queue.take(0, true)!;
          turns.push(turn.lane);
          open.push(turn.hold);
        }
      }
      const namespaces = turns.map((one) => one.namespace);
      const names = turns.map((one) => one.name);
      expect(drift(namespaces, "a", "b")).toBeLessThanOrEqual(1);
      for (const [first, second] of [
        [0, 1],
        [1, 2],
        [0, 2],
      ] as const) {
        expect(drift(names, a[first]!.name, a[second]!.name)).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 150 },
  );
});

/** Its receiver has answered at once so far. */
function quick(one: TestLane): TestLane {
  const queue = new FairQueue<TestLane>(1);
  queue.release(queue.takeNow(one, 0)!, 0, 0);
  queue.forget(one);
  return one;
}

/** Takes for this lane alone until it is given nothing more. */
function fill(queue: FairQueue<TestLane>, one: TestLane, nowMs = 0): number {
  queue.offer(one, "fresh");
  while (queue.take(nowMs, true) !== undefined);
  queue.withdraw(one, "fresh");
  return one.fair.inFlight;
}

test.each([
  // Slots, and what the first, second, third and fourth namespace get that hang one after the other.
  [1, [1, 0, 0, 0]],
  [2, [1, 1, 0, 0]],
  [3, [1, 1, 1, 0]],
  [4, [2, 1, 1, 0]],
  [5, [2, 2, 1, 0]],
  [8, [4, 2, 1, 1]],
  [16, [8, 4, 1, 1]],
  [64, [32, 16, 4, 4]],
  [2_048, [1_024, 512, 128, 128]],
])("of %d slots four namespaces that hang one after the other hold %j", (slots, held) => {
  const queue = new FairQueue<TestLane>(slots);
  expect(["a", "b", "c", "d"].map((namespace) => fill(queue, quick(lane(namespace))))).toEqual(held);
});

test.each([
  [5, [1, 1, 0]],
  [16, [5, 1, 1]],
  [2_048, [768, 64, 64]],
])("of %d slots three subscriptions of one namespace that hang one after the other hold %j", (slots, held) => {
  const queue = new FairQueue<TestLane>(slots);
  const lanes = [lane("a"), lane("a"), lane("a")];
  for (const one of lanes) quick(one);
  // All are known before the first begins to hang.
  for (const one of lanes) queue.offer(one, "retry");
  for (const one of lanes) queue.withdraw(one, "retry");
  expect(lanes.map((one) => fill(queue, one))).toEqual(held);
});

test("a namespace, or a subscription, that comes when every slot is held has its first one with the next release", () => {
  const queue = new FairQueue<TestLane>(64);
  const many = Array.from({ length: 64 }, (_, n) => lane(`n${n}`, 1));
  for (const one of many) quick(one);
  for (const one of many) queue.offer(one, "fresh");
  const holds: SlotHold<TestLane>[] = [];
  for (let turn = queue.take(0, true); turn !== undefined; turn = queue.take(0, true)) holds.push(turn.hold);
  expect(queue.inFlight).toBe(64);
  const comer = lane("new");
  queue.offer(comer, "fresh");
  const first = holds[0]!;
  first.lane.capNow = 8;
  queue.release(first, 0, 0);
  expect(queue.take(0, true)?.lane.name).toBe(comer.name);

  const alone = new FairQueue<TestLane>(64);
  const hog = quick(lane("a"));
  alone.offer(hog, "fresh");
  const held = Array.from({ length: 32 }, () => alone.take(0, true)!.hold);
  const second = lane("a");
  alone.offer(second, "fresh");
  expect(alone.take(0, true)).toBeUndefined();
  alone.release(held[0]!, 0, 0);
  expect(alone.take(0, true)?.lane.name).toBe(second.name);
});

test("failing ones leave each other room: an eighth for one, half for one namespace, the last for those without", () => {
  const queue = new FairQueue<TestLane>(2_048);
  const failing = (namespace: string): TestLane => {
    const one = lane(namespace);
    queue.setFailing(one, true);
    return one;
  };
  expect(Array.from({ length: 6 }, () => fill(queue, failing("a")))).toEqual([76, 76, 76, 76, 3, 0]);
  expect(Array.from({ length: 5 }, () => fill(queue, failing("b")))).toEqual([76, 76, 76, 41, 0]);
  expect([fill(queue, failing("c")), fill(queue, failing("d"))]).toEqual([1, 1]);
  expect(queue.failingInFlight).toBe(578);
});

test("one that is healthy again does not wait among the failing ones", () => {
  const queue = new FairQueue<TestLane>(10);
  const holders = ["a", "b", "c"].map((namespace) => lane(namespace, 8));
  for (const one of holders) {
    queue.setFailing(one, true);
    fill(queue, one);
  }
  expect(queue.failingInFlight).toBe(3);
  const well = lane("x", 8);
  quick(well);
  queue.setFailing(well, true);
  queue.offer(well, "fresh");
  expect([queue.hasWaiting, queue.take(0, true)]).toEqual([false, undefined]);
  queue.setFailing(well, false);
  expect(queue.take(0, true)?.lane.name).toBe(well.name);
});

test("deliveries sent out of turn leave the retries their one of five", () => {
  const queue = new FairQueue<TestLane>(5);
  const [busy, waiting] = [lane("a", 1), lane("b", 1)];
  queue.offer(waiting, "retry");
  let overtakes = 0;
  for (let hold = queue.takeNow(busy, 0, true); hold !== undefined; hold = queue.takeNow(busy, 0, true)) {
    queue.release(hold, 0, 0);
    overtakes += 1;
  }
  expect([overtakes, queue.take(0, true)?.lane.name]).toEqual([4, waiting.name]);
});
