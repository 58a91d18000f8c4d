import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { RECORD_LOOKUPS_MAX } from "../../../src/store/sqlite/history-reader.ts";
import { Reader } from "../../../src/store/sqlite/reader.ts";
import { dayTableName, dayTableSql, migrate } from "../../../src/store/sqlite/schema.ts";

const DAYS = [20_000, 20_001, 20_002];
/** Below a window of attempts, so that only the bound over all days can stop a page. */
const FOREIGN_PER_DAY = 600;
const [MINE, OTHERS] = [1, 2];

/** A record id that another namespace used 1,800 times after we used it once. */
function crowded(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  migrate(db, "memory");
  for (const [queue, namespace] of [
    [MINE, "shop"],
    [OTHERS, "crowd"],
  ]) {
    db.prepare("INSERT INTO subscription_queue VALUES (?, ?, ?, 0, 1, NULL, '{}', 0, 0, 0, 0, 0, 0, 0, 0)").run(
      queue ?? 0,
      `sub-${queue}`,
      namespace ?? "",
    );
  }
  let id = 1;
  for (const day of DAYS) {
    db.exec(dayTableSql("outcome", day) + dayTableSql("attempt", day));
    const end =
      db.prepare(`INSERT INTO ${dayTableName("outcome", day)} (id, queue, state, reason, attempts, crashes, lone_crashes, accepted, ended,
      expires, event, event_day, event_id, type, history_ms) VALUES (?, ?, 'delivered', 'Delivered', 1, 0, 0, 5, 9, 99999, 0, ?, x'00', 't', 1000)`);
    const fire =
      db.prepare(`INSERT INTO ${dayTableName("attempt", day)} (place, attempt, started, duration, outcome, connection, tls, message, url,
      record_id, request_headers, response_headers, expires) VALUES (?, 1, 5, 1, 'success', 'ok', 'none', '', 'https://x/', 'r', '[]', '[]', 99999)`);
    for (let i = 0; i < FOREIGN_PER_DAY; i++, id++) {
      end.run(id, id === 1 ? MINE : OTHERS, day);
      fire.run(id * 256 + 1);
    }
  }
  return db;
}

test("what others have of a record id is looked at in steps, and nothing behind it is lost", () => {
  const reader = new Reader(crowded());
  const pages: number[][] = [];
  let beforeId: number | undefined;
  do {
    const filter = { namespace: "shop", limit: 50, recordId: "r", ...(beforeId === undefined ? {} : { beforeId }) };
    const page = reader.history(filter, 10);
    pages.push(page.deliveries.map(({ id }) => id));
    beforeId = page.nextBeforeId;
  } while (beforeId !== undefined && pages.length < 10);
  expect(DAYS.length * FOREIGN_PER_DAY).toBeGreaterThan(RECORD_LOOKUPS_MAX);
  expect(pages).toEqual([[], [1]]);
});
