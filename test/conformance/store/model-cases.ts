import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accept, attempt, delivery, HOUR_MS, item, START_MS } from "./fixture.ts";
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
  log: string[];
}

interface Model {
  rows: Row[];
  keys: Map<string, string>;
}

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
    const due = await store.due(subscription, START_MS + HOUR_MS, 1_000);
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
    model.rows.toReversed().map((row) => [row.id, row.state, row.attempts]),
  );
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

type Accepting = { as: "claimed" | "fresh" | "indexed"; dueMs: number; orderKey: string | undefined };

function acceptCommand(subscriptions: readonly string[], { as, dueMs, orderKey }: Accepting): Command {
  return command(`accept ${subscriptions.join("+")} ${as} ${dueMs} ${orderKey ?? ""}`, async (model, harness) => {
    const dueAtMs = START_MS + dueMs;
    const ids = await accept(harness.store(), [
      item({ deliveries: subscriptions.map((subscription) => delivery({ subscription, as, dueAtMs, orderKey })) }),
    ]);
    for (const [i, id] of ids.entries()) {
      const claimed = as === "claimed" && orderKey === undefined;
      const counts = { attempts: claimed ? 1 : 0, crashes: 0, loneCrashes: 0, lone: false, log: [] };
      model.rows.push({
        id,
        subscription: subscriptions[i] ?? "",
        orderKey,
        resent: false,
        state: claimed ? "claimed" : "ready",
        indexed: as === "indexed" || orderKey !== undefined,
        dueAtMs,
        ...counts,
      });
    }
  });
}

function keyedCommand(key: string, content: number): Command {
  return command(`keyed ${key} ${content}`, async (model, harness) => {
    const one = item({ idempotencyKey: key, contentHash: new Uint8Array(32).fill(content), deliveries: [] });
    const result = await harness.store().accept({ namespace: "shop", nowMs: START_MS, items: [one] });
    const known = model.keys.get(key);
    if (known === undefined) {
      expect(result).toMatchObject({ ok: true, items: [{ duplicate: false }] });
      model.keys.set(key, `${content} ${one.event.id}`);
    } else if (known.startsWith(`${content} `)) {
      expect(result).toMatchObject({ ok: true, items: [{ duplicate: true, eventId: known.split(" ")[1] }] });
    } else {
      expect(result).toEqual({ ok: false, conflict: { index: 0, eventId: known.split(" ")[1] } });
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

function completeCommand(at: number, epoch: number, end: "delivered" | "failed" | number): Command {
  return command(`complete ${at} epoch ${epoch} ${end}`, async (model, harness) => {
    const row = pick(model, at);
    const id = row?.id ?? 0;
    const next =
      typeof end === "number"
        ? ({ state: "ready", dueAtMs: START_MS + end } as const)
        : ({ state: end, reason: end === "delivered" ? "Delivered" : "AttemptsExhausted" } as const);
    const done = attempt(id, { attempt: row?.attempts ?? 0, outcome: "server_error" });
    const [held] = await harness.store().complete([{ id, epoch, attempt: done, next, nowMs: START_MS, historyRetentionMs: HOUR_MS }]);
    expect(held).toBe(row?.state === "claimed" && epoch === 1);
    if (row === undefined || held !== true) return;
    row.log.push("server_error");
    if (typeof end === "number") Object.assign(row, { state: "ready", indexed: true, dueAtMs: START_MS + end, crashes: 0, loneCrashes: 0 });
    else row.state = end;
    expect((await harness.store().attemptsOf(id)).map((each) => each.outcome)).toEqual(row.log);
  });
}

function resendCommand(at: number): Command {
  return command(`resend ${at}`, async (model, harness) => {
    const row = pick(model, at);
    const ended = row?.state === "delivered" || row?.state === "failed";
    const expected = row === undefined ? "not_found" : ended ? "resent" : "not_ended";
    expect(await harness.store().resend(row?.id ?? 0, START_MS)).toBe(expected);
    if (row !== undefined && ended) Object.assign(row, { state: "ready", indexed: true, dueAtMs: START_MS, resent: true });
  });
}

function endAllCommand(subscription: string, limit: number): Command {
  return command(`endAll ${subscription} ${limit}`, async (model, harness) => {
    const request = {
      subscription,
      state: "failed",
      reason: "SubscriptionDeleted",
      nowMs: START_MS,
      historyRetentionMs: HOUR_MS,
      limit,
    } as const;
    const count = await harness.store().endAll(request);
    const ready = model.rows.filter((row) => row.subscription === subscription && row.state === "ready");
    expect(count).toBe(Math.min(limit, ready.length));
    // Which ones go first is the engine's affair: ask it.
    for (const row of ready) if ((await harness.store().readDelivery(row.id))?.state === "failed") row.state = "failed";
    expect(ready.filter((row) => row.state === "failed")).toHaveLength(count);
  });
}

const reopenCommand = command("reopen", async (model, harness) => {
  const claimed = model.rows.filter((row) => row.state === "claimed");
  const report = await harness.reopen(START_MS);
  expect(report.interrupted).toBe(claimed.length);
  for (const row of claimed) {
    row.log.push("unknown");
    row.crashes += 1;
    if (row.lone) row.loneCrashes += 1;
    if (row.loneCrashes >= 3) row.state = "failed";
    else Object.assign(row, { state: "ready", indexed: true, dueAtMs: START_MS });
    expect((await harness.store().attemptsOf(row.id)).map((each) => each.outcome)).toEqual(row.log);
  }
  expect(report.pending).toBe(model.rows.filter((row) => row.state === "ready").length);
});

const subscription = fc.constantFrom(...SUBSCRIPTIONS);
const epoch = fc.constantFrom(1, 1, 1, 1, 0);
const at = fc.nat(40);
const orderKey = fc.constantFrom(undefined, "k1", "k1", "k2");
const COMMANDS = [
  fc
    .tuple(fc.uniqueArray(subscription, { minLength: 1 }), fc.constantFrom("claimed", "fresh", "indexed"), fc.nat(5), orderKey)
    .map((a) => acceptCommand(a[0], { as: a[1], dueMs: a[2], orderKey: a[3] })),
  fc.tuple(fc.constantFrom("k1", "k2"), fc.nat(1)).map((a) => keyedCommand(a[0], a[1])),
  fc.tuple(at, epoch, fc.boolean()).map((a) => claimCommand(a[0], a[1], a[2])),
  fc
    .tuple(at, epoch, fc.oneof(fc.constantFrom("delivered" as const, "failed" as const), fc.nat(9)))
    .map((a) => completeCommand(a[0], a[1], a[2])),
  at.map(resendCommand),
  fc.tuple(subscription, fc.integer({ min: 1, max: 4 })).map((a) => endAllCommand(a[0], a[1])),
  fc.constant(reopenCommand),
];

export function modelCases(engine: Engine): void {
  describe("against a naive model", () => {
    it("does the same, command by command, restarts included", { timeout: 60_000 }, async () => {
      const property = fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 40, size: "max" }), async (commands) => {
        const harness = await engine.make(START_MS, HOUR_MS);
        try {
          await fc.asyncModelRun(() => ({ model: { rows: [], keys: new Map() }, real: { harness } }), commands);
        } finally {
          await harness.dispose();
        }
      });
      await fc.assert(property, { numRuns: engine.name === "memory" ? 150 : 12 });
    });
  });
}
