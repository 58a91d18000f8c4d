import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Completion, NewDelivery } from "../../../src/store/store.ts";
import { accept, attempt, DAY_MS, delivery, dropAll, HOUR_MS, item, START_MS } from "./fixture.ts";
import type { Engine, Harness } from "./harness.ts";

/** What a naive reader of the seam would write down: nothing but the states. */
interface Row {
  readonly id: number;
  readonly subscription: string;
  readonly orderKey: string | undefined;
  /** Sent again by hand: outside the order. */
  resent: boolean;
  state: "ready" | "claimed" | "delivered" | "failed";
  indexed: boolean;
  dueAtMs: number;
  attempts: number;
  crashes: number;
  loneCrashes: number;
  lone: boolean;
  log: { readonly outcome: string; readonly expiresAtMs: number }[];
  /** Of an ended one: when it is forgotten. */
  expiresAtMs: number;
  /** When the event's body may go, once nothing is owed of it. */
  readonly bodyUntilMs: number;
}

interface Model {
  /** Only ever goes on. */
  nowMs: number;
  rows: Row[];
  keys: Map<string, { readonly content: number; readonly eventId: string; readonly expiresAtMs: number }>;
}

/** As the fixture's items say. */
const [BODY_MS, HISTORY_MS] = [DAY_MS, 3 * DAY_MS];

type Real = { harness: Harness };
type Command = fc.AsyncCommand<Model, Real>;

const SUBSCRIPTIONS = ["sub-a", "sub-b", "sub-c"];

function command(name: string, run: (model: Model, harness: Harness) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real.harness);
      await compare(model, real.harness);
    },
    toString: () => name,
  };
}

async function compare(model: Model, harness: Harness): Promise<void> {
  const store = harness.store();
  for (const subscription of SUBSCRIPTIONS) {
    const expected = model.rows
      .filter((row) => row.subscription === subscription && row.state === "ready" && row.indexed && !isBehind(model, row))
      .toSorted((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id);
    const due = await store.due(subscription, model.nowMs + HOUR_MS, 1_000);
    expect(due.map((row) => [row.id, row.dueAtMs, row.attempt, row.crashes])).toEqual(
      expected.map((row) => [row.id, row.dueAtMs, row.attempts, row.crashes]),
    );
  }
  const fresh = model.rows.filter((row) => row.state === "ready" && !row.indexed);
  expect((await store.fresh(0, 1_000)).map((row) => row.id)).toEqual(fresh.map((row) => row.id));
  const pending = Object.fromEntries((await store.queues()).map((queue) => [queue.subscription, queue.pending]));
  for (const subscription of SUBSCRIPTIONS) {
    const owed = model.rows.filter((row) => row.subscription === subscription && (row.state === "ready" || row.state === "claimed"));
    expect(pending[subscription] ?? 0).toBe(owed.length);
  }
  const listed = await store.listDeliveries({ namespace: "shop", limit: 1_000 });
  expect(listed.map((record) => [record.id, record.state, record.attempts])).toEqual(
    known(model)
      .toReversed()
      .map((row) => [row.id, row.state, row.attempts]),
  );
}

/** What has ended is known until its retention is over. */
function known(model: Model): Row[] {
  return model.rows.filter((row) => row.state === "ready" || row.state === "claimed" || row.expiresAtMs > model.nowMs);
}

function outcomesOf(model: Model, row: Row): string[] {
  return known(model).includes(row) ? row.log.filter(({ expiresAtMs }) => expiresAtMs > model.nowMs).map(({ outcome }) => outcome) : [];
}

function isBehind(model: Model, row: Row): boolean {
  const owed = (other: Row): boolean => other.state === "ready" || other.state === "claimed";
  const same = (other: Row): boolean => other.subscription === row.subscription && other.orderKey === row.orderKey && !other.resent;
  return row.orderKey !== undefined && !row.resent && model.rows.some((other) => other.id < row.id && owed(other) && same(other));
}

/** Picks a row by a number that shrinks well. */
function pick(model: Model, at: number): Row | undefined {
  return model.rows[at % Math.max(1, model.rows.length)];
}

type Accepting = { as: NewDelivery["as"]; dueMs: number; orderKey: string | undefined };

function toRow(model: Model, id: number, subscription: string, { as, dueMs, orderKey }: Accepting): Row {
  const claimed = (as === "claimed" || as === "ahead") && orderKey === undefined;
  const { nowMs } = model;
  return {
    id,
    subscription,
    orderKey,
    resent: false,
    state: claimed ? "claimed" : "ready",
    indexed: as === "indexed" || orderKey !== undefined,
    dueAtMs: nowMs + dueMs,
    attempts: claimed ? 1 : 0,
    crashes: 0,
    loneCrashes: 0,
    lone: false,
    log: [],
    expiresAtMs: 0,
    bodyUntilMs: nowMs + BODY_MS,
  };
}

function acceptCommand(subscriptions: readonly string[], how: Accepting): Command {
  const { as, dueMs, orderKey } = how;
  return command(`accept ${subscriptions.join("+")} ${as} ${dueMs} ${orderKey ?? ""}`, async (model, harness) => {
    const dueAtMs = model.nowMs + dueMs;
    const one = item({ deliveries: subscriptions.map((subscription) => delivery({ subscription, as, dueAtMs, orderKey })) });
    const ids = await accept(harness.store(), [one], model.nowMs);
    for (const [i, id] of ids.entries()) model.rows.push(toRow(model, id, subscriptions[i] ?? "", how));
  });
}

function keyedCommand(key: string, content: number): Command {
  return command(`keyed ${key} ${content}`, async (model, harness) => {
    const one = item({ idempotencyKey: key, contentHash: new Uint8Array(32).fill(content), deliveries: [] });
    const result = await harness.store().accept({ namespace: "shop", nowMs: model.nowMs, items: [one] });
    const before = model.keys.get(key);
    if (before === undefined || before.expiresAtMs <= model.nowMs) {
      expect(result).toMatchObject({ ok: true, items: [{ duplicate: false }] });
      model.keys.set(key, { content, eventId: one.event.id, expiresAtMs: model.nowMs + HOUR_MS });
    } else if (before.content === content) {
      expect(result).toMatchObject({ ok: true, items: [{ duplicate: true, eventId: before.eventId }] });
    } else {
      expect(result).toEqual({ ok: false, conflict: { index: 0, eventId: before.eventId } });
    }
  });
}

function claimCommand(at: number, epoch: number, lone: boolean): Command {
  return command(`claim ${at} epoch ${epoch}${lone ? " lone" : ""}`, async (model, harness) => {
    const row = pick(model, at);
    const [claimed] = await harness.store().claim([{ id: row?.id ?? 0, epoch, lone, withEvent: true }]);
    if (row?.state !== "ready" || epoch !== 1 || isBehind(model, row)) {
      expect(claimed).toBeUndefined();
      return;
    }
    Object.assign(row, { state: "claimed", attempts: row.attempts + 1, lone });
    expect(claimed).toMatchObject({ id: row.id, attempt: row.attempts, event: { type: "order.created" } });
  });
}

type Ending = "delivered" | "failed" | number;

function completionOf(model: Model, row: Row | undefined, epoch: number, end: Ending): Completion {
  const next: Completion["next"] =
    typeof end === "number"
      ? { state: "ready", dueAtMs: model.nowMs + end }
      : { state: end, reason: end === "delivered" ? "Delivered" : "AttemptsExhausted" };
  const id = row?.id ?? 0;
  const done = attempt(id, { attempt: row?.attempts ?? 0, outcome: "server_error" });
  return { id, epoch, attempt: done, next, nowMs: model.nowMs, historyRetentionMs: HOUR_MS };
}

function noteCompleted(model: Model, row: Row, end: Ending): void {
  row.log.push({ outcome: "server_error", expiresAtMs: model.nowMs + HOUR_MS });
  if (typeof end === "number")
    Object.assign(row, { state: "ready", indexed: true, dueAtMs: model.nowMs + end, crashes: 0, loneCrashes: 0 });
  else Object.assign(row, { state: end, expiresAtMs: model.nowMs + HOUR_MS });
}

function completeCommand(at: number, epoch: number, end: Ending): Command {
  return command(`complete ${at} epoch ${epoch} ${end}`, async (model, harness) => {
    const row = pick(model, at);
    const [held] = await harness.store().complete([completionOf(model, row, epoch, end)]);
    expect(held).toBe(row?.state === "claimed" && epoch === 1);
    if (row === undefined || held !== true) return;
    noteCompleted(model, row, end);
    expect((await harness.store().attemptsOf(row.id)).map((each) => each.outcome)).toEqual(outcomesOf(model, row));
  });
}

function resendCommand(at: number): Command {
  return command(`resend ${at}`, async (model, harness) => {
    const row = pick(model, at);
    const expected = resendAnswer(model, row);
    expect(await harness.store().resend(row?.id ?? 0, model.nowMs)).toBe(expected);
    if (row !== undefined && expected === "resent") noteResent(model, row);
  });
}

function resendAnswer(model: Model, row: Row | undefined): "resent" | "not_found" | "not_ended" | "body_gone" {
  if (row === undefined || !known(model).includes(row)) return "not_found";
  if (row.state === "ready" || row.state === "claimed") return "not_ended";
  return row.bodyUntilMs > model.nowMs ? "resent" : "body_gone";
}

function noteResent(model: Model, row: Row): void {
  Object.assign(row, { state: "ready", indexed: true, dueAtMs: model.nowMs, resent: true });
}

/** The commit's answer is lost: what was asked is asked again, and nothing is there twice. */
function unknownAcceptCommand(key: string, subscription: string, how: Accepting): Command {
  return command(`accept, answer lost, again: ${key} ${subscription} ${how.as} ${how.orderKey ?? ""}`, async (model, harness) => {
    const { as, dueMs, orderKey } = how;
    const one = item({
      idempotencyKey: `lost ${key} ${model.rows.length}`,
      deliveries: [delivery({ subscription, as, dueAtMs: model.nowMs + dueMs, orderKey })],
    });
    const request = { namespace: "shop", nowMs: model.nowMs, items: [one] };
    const lost = await harness.store().accept(request);
    const again = await harness
      .store()
      .accept({ ...request, items: [{ ...one, event: { ...one.event, id: `${one.event.id.slice(0, -4)}ffff` } }] });
    expect(again).toMatchObject({ ok: true, items: [{ duplicate: true, eventId: one.event.id, matched: 1 }] });
    const id = lost.ok ? lost.items[0]?.deliveryIds[0] : undefined;
    model.rows.push(toRow(model, id ?? 0, subscription, how));
  });
}

function unknownClaimCommand(at: number): Command {
  return command(`claim, answer lost, again: ${at}`, async (model, harness) => {
    const row = pick(model, at);
    if (row?.state !== "ready" || isBehind(model, row)) return;
    const claim = { id: row.id, epoch: 1, lone: false, withEvent: false };
    await harness.store().claim([claim]);
    // It is claimed once: the caller finds it at the next start, not by asking.
    expect(await harness.store().claim([claim])).toEqual([undefined]);
    Object.assign(row, { state: "claimed", attempts: row.attempts + 1, lone: false });
  });
}

function unknownCompleteCommand(at: number, end: Ending): Command {
  return command(`complete, answer lost, again: ${at} ${end}`, async (model, harness) => {
    const row = pick(model, at);
    if (row?.state !== "claimed") return;
    const completion = completionOf(model, row, 1, end);
    expect(await harness.store().complete([completion])).toEqual([true]);
    expect(await harness.store().complete([completion])).toEqual([false]);
    noteCompleted(model, row, end);
    expect((await harness.store().attemptsOf(row.id)).map((each) => each.outcome)).toEqual(outcomesOf(model, row));
  });
}

/** Callers who do not wait for each other, each with a delivery of its own; of two who want one, exactly one gets it. */
function togetherCommand(first: number, count: number, end: Ending): Command {
  return command(`together ${first} ${count} ${end}`, async (model, harness) => {
    const store = harness.store();
    const unordered = model.rows.filter((row) => row.orderKey === undefined);
    const rows = [...new Set(Array.from({ length: count }, (_, i) => unordered[(first + i) % Math.max(1, unordered.length)]))];
    const { nowMs } = model;
    const work = rows.map(async (row) => {
      if (row?.state === "ready") {
        const claim = { id: row.id, epoch: 1, lone: false, withEvent: true };
        const both = await Promise.all([store.claim([claim]), store.claim([claim])]);
        expect(both.flat().filter((each) => each !== undefined)).toHaveLength(1);
        Object.assign(row, { state: "claimed", attempts: row.attempts + 1, lone: false });
      } else if (row?.state === "claimed") {
        const completion = completionOf(model, row, 1, end);
        const both = await Promise.all([store.complete([completion]), store.complete([completion])]);
        expect(both.flat()).toEqual([true, false]);
        noteCompleted(model, row, end);
      } else if (row !== undefined) {
        const expected = resendAnswer(model, row);
        const both = await Promise.all([store.resend(row.id, nowMs), store.resend(row.id, nowMs)]);
        expect(both).toEqual([expected, expected === "resent" ? "not_ended" : expected]);
        if (expected === "resent") noteResent(model, row);
      }
    });
    const how: Accepting = { as: "fresh", dueMs: 0, orderKey: undefined };
    const accepts = SUBSCRIPTIONS.map(async (subscription) => {
      const ids = await accept(store, [item({ deliveries: [delivery({ subscription, as: "fresh", dueAtMs: nowMs })] })], nowMs);
      return ids.map((id) => toRow(model, id, subscription, how));
    });
    const [made] = await Promise.all([Promise.all(accepts), Promise.all(work), store.dropExpired(nowMs)]);
    model.rows.push(...made.flat());
    model.rows.sort((a, b) => a.id - b.id);
  });
}

const dropCommand = command("drop what is over", async (model, harness) => {
  await dropAll(harness.store(), model.nowMs);
});

function laterCommand(hours: number): Command {
  return command(`${hours} h later`, async (model, harness) => {
    model.nowMs += hours * HOUR_MS;
    harness.store().advanceTo(model.nowMs);
  });
}

function endAllCommand(subscription: string, limit: number): Command {
  return command(`endAll ${subscription} ${limit}`, async (model, harness) => {
    const request = {
      subscription,
      state: "failed",
      reason: "SubscriptionDeleted",
      nowMs: model.nowMs,
      historyRetentionMs: HOUR_MS,
      limit,
    } as const;
    const count = await harness.store().endAll(request);
    const ready = model.rows.filter((row) => row.subscription === subscription && row.state === "ready");
    expect(count).toBe(Math.min(limit, ready.length));
    // Which ones go first is the engine's affair: ask it.
    for (const row of ready) {
      if ((await harness.store().readDelivery(row.id))?.state === "failed")
        Object.assign(row, { state: "failed", expiresAtMs: model.nowMs + HOUR_MS });
    }
    expect(ready.filter((row) => row.state === "failed")).toHaveLength(count);
  });
}

const reopenCommand = command("reopen", async (model, harness) => {
  const claimed = model.rows.filter((row) => row.state === "claimed");
  const report = await harness.reopen(model.nowMs);
  expect(report.interrupted).toBe(claimed.length);
  for (const row of claimed) {
    row.log.push({ outcome: "unknown", expiresAtMs: model.nowMs + HISTORY_MS });
    row.crashes += 1;
    if (row.lone) row.loneCrashes += 1;
    if (row.loneCrashes >= 3) Object.assign(row, { state: "failed", expiresAtMs: model.nowMs + HISTORY_MS });
    else Object.assign(row, { state: "ready", indexed: true, dueAtMs: model.nowMs });
    expect((await harness.store().attemptsOf(row.id)).map((each) => each.outcome)).toEqual(outcomesOf(model, row));
  }
  expect(report.pending).toBe(model.rows.filter((row) => row.state === "ready").length);
});

const subscription = fc.constantFrom(...SUBSCRIPTIONS);
const epoch = fc.constantFrom(1, 1, 1, 1, 0);
const at = fc.nat(40);
const orderKey = fc.constantFrom(undefined, "k1", "k1", "k2");
const accepting = fc.record({
  as: fc.constantFrom("claimed" as const, "ahead" as const, "fresh" as const, "indexed" as const),
  dueMs: fc.nat(5),
  orderKey,
});
const ending = fc.oneof(fc.constantFrom("delivered" as const, "failed" as const), fc.nat(9));
const COMMANDS = [
  fc.tuple(fc.uniqueArray(subscription, { minLength: 1 }), accepting).map((a) => acceptCommand(a[0], a[1])),
  fc.tuple(fc.constantFrom("k1", "k2"), subscription, accepting).map((a) => unknownAcceptCommand(a[0], a[1], a[2])),
  at.map(unknownClaimCommand),
  fc.tuple(at, ending).map((a) => unknownCompleteCommand(a[0], a[1])),
  fc.tuple(at, fc.integer({ min: 2, max: 6 }), ending).map((a) => togetherCommand(a[0], a[1], a[2])),
  fc.constantFrom(0, 1, 5, 30).map(laterCommand),
  fc.constant(dropCommand),
  fc.tuple(fc.constantFrom("k1", "k2"), fc.nat(1)).map((a) => keyedCommand(a[0], a[1])),
  fc.tuple(at, epoch, fc.boolean()).map((a) => claimCommand(a[0], a[1], a[2])),
  fc.tuple(at, epoch, ending).map((a) => completeCommand(a[0], a[1], a[2])),
  at.map(resendCommand),
  fc.tuple(subscription, fc.integer({ min: 1, max: 4 })).map((a) => endAllCommand(a[0], a[1])),
  fc.constant(reopenCommand),
];

export function modelCases(engine: Engine): void {
  describe("against a naive model", () => {
    it("does the same, command by command, restarts included", { timeout: 240_000 }, async () => {
      const property = fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 40, size: "max" }), async (commands) => {
        const harness = await engine.make(START_MS, HOUR_MS);
        try {
          await fc.asyncModelRun(() => ({ model: { nowMs: START_MS, rows: [], keys: new Map() }, real: { harness } }), commands);
        } finally {
          await harness.dispose();
        }
      });
      await fc.assert(property, { numRuns: engine.name === "memory" ? 150 : 12 });
    });
  });
}
