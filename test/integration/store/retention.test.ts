import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { deadLetterQueue } from "../../../src/core/dead-letter.ts";
import { openDatabase } from "../../../src/store/sqlite/database.ts";
import { UsageTable } from "../../../src/store/sqlite/usage-table.ts";
import { Retention } from "../../../src/store/sqlite/retention.ts";
import { dayTables } from "../../../src/store/sqlite/schema.ts";
import { highestId } from "../../../src/store/sqlite/sequence.ts";
import { SqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { accept, attempt, completion, DAY_MS, delivery, event, item, NAMESPACE, START_MS } from "../../conformance/store/fixture.ts";
import { countOf } from "../../support/full-run.ts";

const OWED = countOf(6_000, 100_000);
const DONE = countOf(6_000, 100_000);
const LATER_MS = START_MS + 40 * DAY_MS;
/** A look at the clock comes after 256 rows at most, and a step ends at the tenth: copies to two tables, and deletions with their copies. */
const CHANGES_MAX = 2 * 11 * 256;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "postrider-retention-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function filled(): Promise<{ readonly owed: readonly string[] }> {
  const store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
  await store.open({ owner: "test", nowMs: START_MS, idempotencyTtlMs: DAY_MS });
  const owed: string[] = [];
  for (let begun = 0; begun < OWED + DONE; begun += 500) {
    const isOwed = begun % 1_000 === 0;
    const items = Array.from({ length: 500 }, (_, i) =>
      item({ event: event(), idempotencyKey: `${begun} ${i}`, deliveries: [delivery({ as: isOwed ? "indexed" : "claimed" })] }),
    );
    const ids = await accept(store, items);
    if (isOwed) owed.push(...items.map((each) => each.event.id));
    else await store.complete(ids.map((id) => completion(id, { attempt: attempt(id), historyRetentionMs: DAY_MS })));
  }
  await store.close();
  return { owed };
}

function clockThatTicks(): { monotonicMs: () => number } {
  let nowMs = 0;
  return { monotonicMs: () => nowMs++ };
}

/** One step in a transaction of its own; answers how many rows it touched. */
function step(db: DatabaseSync, retention: Retention, end: "COMMIT" | "ROLLBACK" = "COMMIT"): { more: boolean; changes: number } {
  const changes = (): number => Number(db.prepare("SELECT total_changes() AS n").get()?.["n"]);
  const before = changes();
  db.exec("BEGIN IMMEDIATE");
  const mark = retention.mark();
  const { more } = retention.step(LATER_MS, highestId(db));
  db.exec(end);
  if (end === "ROLLBACK") retention.undo(mark);
  else retention.settle();
  return { more, changes: changes() - before };
}

it("empties days in steps that each touch few rows, and loses nothing owed to a rollback between two", async () => {
  const { owed } = await filled();
  const db = openDatabase(directory);
  const top = highestId(db);
  const usage = new UsageTable(db);
  let retention = new Retention(db, clockThatTicks(), usage);
  let steps = 0;
  for (let more = true; more; steps += 1) {
    const end = steps < 30 && steps % 7 === 3 ? "ROLLBACK" : "COMMIT";
    // As after a crash: nothing is remembered.
    if (steps === 20) retention = new Retention(db, clockThatTicks(), usage);
    const did = step(db, retention, end);
    expect(did.changes).toBeLessThanOrEqual(CHANGES_MAX);
    more = did.more || end === "ROLLBACK";
  }
  expect(steps).toBeGreaterThan((OWED + DONE) / CHANGES_MAX);
  const left = ["event", "outcome", "attempt", "idempotency"].flatMap((kind) => dayTables(db, kind as "event"));
  expect(left).toEqual([]);
  expect(db.prepare("SELECT count(*) AS n FROM event_kept").get()?.["n"]).toBe(owed.length);
  expect(highestId(db)).toBe(top);
  db.close();

  const store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
  await store.open({ owner: "test", nowMs: LATER_MS, idempotencyTtlMs: DAY_MS });
  const [first = ""] = owed;
  for (const id of [first, owed.at(-1) ?? ""]) {
    const found = await store.result(NAMESPACE, id, LATER_MS);
    expect(found).toMatchObject({ deliveries: [{ eventId: id, state: "ready" }] });
    expect(await store.readBody(found?.deliveries[0]?.id ?? 0)).toMatchObject({ id });
  }

  // All but the first end; the first fails, and its dead letter still needs the body.
  await store.setForwarding("sub-a", true);
  const [last] = (await store.result(NAMESPACE, first, LATER_MS))?.deliveries ?? [];
  const end = { attempt: undefined, nowMs: LATER_MS } as const;
  await store.complete([completion(last?.id ?? 0, { ...end, next: { state: "failed", reason: "AttemptsExhausted" } })]);
  const rest = { subscription: "sub-a", state: "discarded", reason: "Discarded", nowMs: LATER_MS, historyRetentionMs: DAY_MS } as const;
  while ((await store.endAll({ ...rest, limit: 5_000 })) > 0);
  for (let more = true; more;) ({ more } = await store.dropExpired(LATER_MS));
  const [letter] = await store.due(deadLetterQueue("sub-a"), LATER_MS, 10);
  expect(await store.readBody(letter?.id ?? 0)).toMatchObject({ id: first });
  await store.close();
  const after = openDatabase(directory);
  expect(after.prepare("SELECT count(*) AS n FROM event_kept").get()?.["n"]).toBe(1);
  after.close();
});

it("lets go of queues of deleted subscriptions when no delivery can name them any more", async () => {
  const monthMs = 30 * DAY_MS;
  let store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
  await store.open({ owner: "test", nowMs: START_MS, idempotencyTtlMs: DAY_MS });
  const subscriptions = ["sub-a", "sub-b", "back", "last"];
  const deliveries = subscriptions.map((subscription) => delivery({ subscription, as: "claimed" }));
  const ids = await accept(store, [item({ deliveries, historyRetentionMs: monthMs })]);
  await store.complete(ids.map((id) => completion(id, { historyRetentionMs: monthMs })));
  for (const subscription of subscriptions) await store.forgetQueue(subscription);
  const sweep = async (nowMs: number): Promise<void> => {
    for (let more = true; more;) ({ more } = await store.dropExpired(nowMs));
  };
  await sweep(START_MS + monthMs - 1);
  expect(await store.readDelivery(ids[0] ?? 0)).toMatchObject({ subscription: "sub-a", namespace: NAMESPACE });
  await accept(store, [item({ deliveries: [delivery({ subscription: "back" })] })], START_MS + monthMs);
  await store.close();

  store = new SqliteStore({ directory, reserveBytes: 0, freeBytesMin: 0 });
  await store.open({ owner: "test", nowMs: START_MS + monthMs, idempotencyTtlMs: DAY_MS });
  await sweep(START_MS + monthMs + 3 * DAY_MS);
  expect((await store.queues()).map(({ subscription, pending }) => [subscription, pending])).toEqual([["back", 1]]);
  await accept(store, [item({ deliveries: [delivery({ subscription: "new" })] })], START_MS + monthMs + 3 * DAY_MS);
  await store.close();
  const db = openDatabase(directory);
  const rows = db.prepare("SELECT queue, subscription FROM subscription_queue ORDER BY queue").all();
  // The highest number has stayed: a new queue must not be taken for an old one.
  expect(rows.map(({ queue, subscription }) => [queue, subscription])).toEqual([
    [3, "back"],
    [4, "last"],
    [5, "new"],
  ]);
  db.close();
});
