import fc from "fast-check";
import { expect, test } from "vitest";
import { FairQueue } from "../../../src/core/fairness/fair-queue.ts";
import { fairMarks, type FairLane, type WorkKind } from "../../../src/core/fairness/fair-share.ts";
import type { SlotHold } from "../../../src/core/fairness/slot-hold.ts";

interface TestLane extends FairLane {
  readonly name: string;
  capNow: number;
  readonly work: Record<WorkKind, number>;
  served: number;
}

function lane(name: string, namespace: string, fields: { cap?: number; fresh?: number; retry?: number } = {}): TestLane {
  const work = { fresh: fields.fresh ?? 0, retry: fields.retry ?? 0 };
  return { name, namespace, capNow: fields.cap ?? 8, fair: fairMarks(), work, served: 0 };
}

/** Their receivers have answered at once so far. */
function known(queue: FairQueue<TestLane>, lanes: readonly TestLane[]): void {
  for (const one of lanes) queue.release(queue.takeNow(one, 0)!, 0, 0);
}

function offerAll(queue: FairQueue<TestLane>, lanes: readonly TestLane[]): void {
  for (const one of lanes) {
    for (const kind of ["fresh", "retry"] as const) if (one.work[kind] > 0) queue.offer(one, kind);
  }
}

function serve(queue: FairQueue<TestLane>, retryAllowed = true): { lane: TestLane; kind: WorkKind; hold: SlotHold<TestLane> } | undefined {
  const turn = queue.take(0, retryAllowed);
  if (turn === undefined) return undefined;
  turn.lane.work[turn.kind] -= 1;
  turn.lane.served += 1;
  if (turn.lane.work[turn.kind] === 0) queue.withdraw(turn.lane, turn.kind);
  return turn;
}

function jain(values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  return sum ** 2 / (values.length * values.reduce((a, b) => a + b * b, 0));
}

test("saturated equals share alike: Jain's index >= 0.95 over namespaces and over subscriptions within one", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 3, maxLength: 10 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 4, max: 64 }), fc.integer({ min: 1, max: 1e6 }), (counts, slots, seed) => {
      const queue = new FairQueue<TestLane>(slots);
      const groups = counts.map((count, n) =>
        Array.from({ length: count }, (_, i) => lane(`${n}/${i}`, `ns${n}`, { cap: 64, fresh: 1e6 })),
      );
      offerAll(queue, groups.flat());
      const open: SlotHold<TestLane>[] = [];
      let state = seed;
      for (let step = 0; step < 6_000; step++) {
        const turn = serve(queue);
        if (turn !== undefined) {
          open.push(turn.hold);
          continue;
        }
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
        const [ended] = open.splice(state % open.length, 1);
        if (ended !== undefined) queue.release(ended, 0, 0);
      }
      expect(jain(groups.map((group) => group.reduce((sum, one) => sum + one.served, 0)))).toBeGreaterThanOrEqual(0.95);
      for (const group of groups) expect(jain(group.map((one) => one.served + 1))).toBeGreaterThanOrEqual(0.95);
    }),
    { numRuns: 25 },
  );
});

interface Model {
  readonly queue: FairQueue<TestLane>;
  readonly lanes: TestLane[];
  readonly open: SlotHold<TestLane>[];
  readonly slots: number;
}

const step = fc.record({ do: fc.constantFrom("take", "end", "offer", "fail", "well", "cap", "now", "take", "end"), n: fc.nat(1_000) });

function apply(model: Model, action: { do: string; n: number }): void {
  const { queue, lanes, open } = model;
  const one = lanes[action.n % lanes.length]!;
  if (action.do === "take") {
    const turn = serve(queue, action.n % 3 > 0);
    if (turn === undefined) return;
    if (action.n % 3 === 0) expect(turn.kind).toBe("fresh");
    open.push(turn.hold);
  } else if (action.do === "end") {
    const [ended] = open.splice(action.n % Math.max(1, open.length), 1);
    if (ended !== undefined) queue.release(ended, 0, 0);
  } else if (action.do === "offer") {
    const kind = action.n % 2 === 0 ? "fresh" : "retry";
    one.work[kind] += 1;
    queue.offer(one, kind);
  } else if (action.do === "fail") queue.setFailing(one, true);
  else if (action.do === "well") queue.setFailing(one, false);
  else if (action.do === "cap") one.capNow = 1 + (action.n % 6);
  else {
    const hold = queue.takeNow(one, 0);
    if (hold !== undefined) open.push(hold);
  }
}

test("caps are never exceeded by a take, counts stay true, and nobody who may send is forgotten", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 2, max: 24 }), (actions, slots) => {
      const lanes = Array.from({ length: 9 }, (_, i) => lane(`l${i}`, `ns${i % 3}`, { cap: 3 }));
      const model: Model = { queue: new FairQueue(slots), lanes, open: [], slots };
      for (const action of actions) {
        const before = new Map(lanes.map((one) => [one, one.fair.inFlight]));
        const failingBefore = model.queue.failingInFlight;
        apply(model, action);
        expect(model.queue.inFlight).toBe(model.open.length);
        expect(model.queue.inFlight).toBeLessThanOrEqual(slots);
        expect(model.queue.failingInFlight).toBe(lanes.reduce((sum, one) => sum + (one.fair.failing ? one.fair.inFlight : 0), 0));
        if (action.do !== "take" && action.do !== "now") continue;
        const grown = lanes.find((one) => one.fair.inFlight > (before.get(one) ?? 0));
        if (grown === undefined) continue;
        expect(grown.fair.inFlight).toBeLessThanOrEqual(grown.capNow);
        const inNamespace = lanes.filter((one) => one.namespace === grown.namespace).reduce((sum, one) => sum + one.fair.inFlight, 0);
        expect(inNamespace).toBeLessThanOrEqual(Math.max(1, Math.floor(slots / 2)));
        if (grown.fair.failing) expect(failingBefore).toBeLessThan(Math.max(1, Math.floor(slots * 0.3)));
      }
      // Starvation: with every slot given back again and again, all work is done.
      for (const one of lanes) one.capNow = Math.max(1, one.capNow);
      for (let guard = 0; guard < 3_000; guard++) {
        const ended = model.open.pop();
        if (ended !== undefined) model.queue.release(ended, 0, 0);
        const turn = serve(model.queue);
        if (turn !== undefined) model.open.push(turn.hold);
        else if (model.open.length === 0) break;
      }
      expect(lanes.filter((one) => one.work.fresh + one.work.retry > 0).map((one) => one.name)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test("fresh work gets 80 % while both wait, all of it while alone", () => {
  const queue = new FairQueue<TestLane>(1_000_000);
  const lanes = Array.from({ length: 10 }, (_, i) => lane(`l${i}`, `ns${i}`, { cap: 1e6, fresh: 1e6, retry: 1e6 }));
  known(queue, lanes);
  offerAll(queue, lanes);
  const kinds = Array.from({ length: 1_000 }, () => serve(queue)?.kind);
  expect(kinds.filter((kind) => kind === "fresh").length).toBe(800);
  const retriesOnly = new FairQueue<TestLane>(100);
  const one = lane("r", "ns", { cap: 50, retry: 50 });
  known(retriesOnly, [one]);
  offerAll(retriesOnly, [one]);
  expect(Array.from({ length: 50 }, () => serve(retriesOnly)?.kind).every((kind) => kind === "retry")).toBe(true);
});

test("10,000 subscriptions of which 9,999 may not send cost nothing", () => {
  const queue = new FairQueue<TestLane>(100_000);
  const lanes = Array.from({ length: 10_000 }, (_, i) => lane(`l${i}`, `ns${i % 100}`, { cap: 1, fresh: 1e6 }));
  known(queue, lanes);
  offerAll(queue, lanes);
  const one = lanes[4_711]!;
  let hold: SlotHold<TestLane> | undefined;
  for (let turn = serve(queue); turn !== undefined; turn = serve(queue)) if (turn.lane === one) hold = turn.hold;
  expect(queue.inFlight).toBe(10_000);
  const started = process.hrtime.bigint();
  for (let i = 0; i < 10_000; i++) {
    queue.release(hold!, i, i % 7);
    hold = queue.take(i, true)?.hold;
    expect(hold?.lane).toBe(one);
  }
  // Searching through 10,000 lanes each time would take minutes.
  expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(2_000);
});
