import { packEventId } from "../../../src/store/sqlite/event-id.ts";
import { openDatabase } from "../../../src/store/sqlite/database.ts";
import { DAY_MS, dayTableName, dayTableSql, expiryDay } from "../../../src/store/sqlite/schema.ts";
import { uuidv7 } from "../../../src/lib/random.ts";

const QUEUE = 1;

/** Fills a store that is closed with ended deliveries of `namespace`, each with its attempt: a few seconds for a million. */
export function fillHistory(
  directory: string,
  { namespace, rows, nowMs }: { readonly namespace: string; readonly rows: number; readonly nowMs: number },
): void {
  const db = openDatabase(directory);
  const day = expiryDay(nowMs, 3 * DAY_MS);
  for (const kind of ["outcome", "attempt"] as const) db.exec(dayTableSql(kind, day));
  const end =
    db.prepare(`INSERT INTO ${dayTableName("outcome", day)} (id, queue, state, reason, attempts, crashes, lone_crashes, accepted, ended,
    expires, event, event_day, event_id, type, history_ms) VALUES (?, ${QUEUE}, 'delivered', 'Delivered', 1, 0, 0, ?, ?, ?, ?, ?, ?, 'order.created', ?)`);
  const fire =
    db.prepare(`INSERT INTO ${dayTableName("attempt", day)} (place, attempt, started, duration, outcome, status, connection, tls, message,
    url, request_headers, response_headers, expires) VALUES (?, 1, ?, 12.5, 'success', 200, 'ok', 'ok', '', 'https://receiver.example/hook', '[]', '[]', ?)`);
  db.exec("BEGIN");
  db.prepare("INSERT INTO subscription_queue VALUES (?, 'filled', ?, 0, 1, NULL, '{}', 0, ?, ?, ?, 0, 0, 0, 0)").run(
    QUEUE,
    namespace,
    nowMs,
    rows,
    rows,
  );
  const id = packEventId(uuidv7(nowMs));
  const expires = nowMs + 3 * DAY_MS;
  for (let row = 1; row <= rows; row++) {
    end.run(row, nowMs, nowMs, expires, row, day, id, 3 * DAY_MS);
    fire.run(row * 256 + 1, nowMs, expires);
    if (row % 50_000 === 0) db.exec("COMMIT; PRAGMA wal_checkpoint(PASSIVE); BEGIN");
  }
  db.exec("COMMIT");
  db.close();
}
