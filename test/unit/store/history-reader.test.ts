import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { HOT_COLUMNS } from "../../../src/store/sqlite/delivery-table.ts";
import { Reader } from "../../../src/store/sqlite/reader.ts";
import { dayTableName, dayTableSql } from "../../../src/store/sqlite/schema.ts";

const DAY = 20_000;

test("a delivery that ends while a page is read is on it once", () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-history-"));
  const path = join(folder, "s.db");
  const writer = new DatabaseSync(path);
  writer.exec(`PRAGMA journal_mode = WAL; CREATE TABLE delivery (${HOT_COLUMNS});
    CREATE TABLE subscription_queue (queue, subscription, namespace); CREATE TABLE parked (delivery, queue, attempt, mark);
    INSERT INTO subscription_queue VALUES (1, 'uid', 'ns');
    INSERT INTO delivery VALUES (7, 1, 1, 0, 1, 0, 0, 0, 0, 1, 6, ${DAY}, 'e', 't', NULL, 5, 1000, NULL, 0, NULL);`);
  writer.exec(dayTableSql("outcome", DAY));
  const db = new DatabaseSync(path);
  const outcomes = dayTableName("outcome", DAY);
  let ended = false;
  const prepare = db.prepare.bind(db);
  db.prepare = (sql: string) => {
    if (!ended && sql.includes(`FROM ${outcomes} `)) {
      ended = true;
      writer.exec(`BEGIN; DELETE FROM delivery;
        INSERT INTO ${outcomes} (id, queue, state, reason, attempts, crashes, lone_crashes, accepted, ended, expires, event, event_day, event_id, type, history_ms)
        VALUES (7, 1, 'delivered', 'Delivered', 1, 0, 0, 5, 9, 99999, 6, ${DAY}, 'e', 't', 1000); COMMIT`);
    }
    return prepare(sql);
  };
  const page = new Reader(db).history({ namespace: "ns", limit: 10 }, 10);
  db.close();
  writer.close();
  rmSync(folder, { recursive: true });
  expect(ended).toBe(true);
  expect(page.deliveries.map(({ id, state }) => ({ id, state }))).toEqual([{ id: 7, state: "claimed" }]);
});
