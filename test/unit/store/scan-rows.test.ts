import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { Reader } from "../../../src/store/sqlite/reader.ts";
import { dayTableName, dayTableSql, migrate } from "../../../src/store/sqlite/schema.ts";
import { HISTORY_SCAN_ROWS_MAX } from "../../../src/store/store.ts";
import { seededRandom } from "../../support/sim/seeded-random.ts";

const DAYS = 30;
const ROWS = 60_000;
/** A page may look at a block of rows of each table beyond its bound. */
const SLACK_ROWS = 512 * (DAYS + 1);

/** Ended deliveries over many days of expiry, mixed as retention classes mix them; every `rare`-th is of the type that is asked for. */
function filled(dayOf: (id: number) => number, rare: number): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  migrate(db, "memory");
  db.exec("INSERT INTO subscription_queue VALUES (1, 'sub', 'shop', 0, 1, NULL, '{}', 0, 0, 0, 0, 0, 0, 0, 0)");
  const inserts = Array.from({ length: DAYS }, (_, day) => {
    db.exec(dayTableSql("outcome", day) + dayTableSql("attempt", day));
    return db.prepare(`INSERT INTO ${dayTableName("outcome", day)} (id, queue, state, reason, attempts, crashes, lone_crashes, accepted, ended,
      expires, event, event_day, event_id, type, history_ms) VALUES (?, 1, 'delivered', 'Delivered', 1, 0, 0, 5, 9, 99999, 0, 0, x'00', ?, 1000)`);
  });
  db.exec("BEGIN");
  for (let id = 1; id <= ROWS; id++) inserts[dayOf(id)]?.run(id, id % rare === 0 ? "wanted" : "other");
  db.exec("COMMIT");
  return db;
}

const random = seededRandom(3);
test.each([
  ["one day after the other", (id: number) => Math.floor(((id - 1) * DAYS) / ROWS)],
  ["days that mix", () => random.below(DAYS)],
  ["nearly all on one day", (id: number) => (id % 1_000 === 0 ? random.below(DAYS) : 7)],
])("a page looks at a bounded number of rows of all days together and skips none: %s", (_name, dayOf) => {
  const db = filled(dayOf, 997);
  const reader = new Reader(db);
  const seen: number[] = [];
  let pages = 0;
  for (let before = Number.MAX_SAFE_INTEGER, more = true; more; pages++) {
    const page = reader.history({ namespace: "shop", limit: 50, type: "wanted", beforeId: before }, 10);
    seen.push(...page.deliveries.map(({ id }) => id));
    const next = page.nextBeforeId;
    expect((Math.min(before, ROWS + 1) - (next ?? 1)) / HISTORY_SCAN_ROWS_MAX).toBeLessThanOrEqual(1 + SLACK_ROWS / HISTORY_SCAN_ROWS_MAX);
    expect(next ?? 0).toBeLessThan(before);
    more = next !== undefined;
    before = next ?? 0;
  }
  expect(seen).toEqual(Array.from({ length: Math.floor(ROWS / 997) }, (_, i) => (Math.floor(ROWS / 997) - i) * 997));
  // Each page comes as far as its rows allow.
  expect(pages).toBeLessThanOrEqual(Math.ceil(ROWS / HISTORY_SCAN_ROWS_MAX) + 2);
});
