import {
  ATTEMPT_ROW_BYTES,
  DELIVERY_ROW_BYTES,
  EVENT_ROW_BYTES,
  OUTCOME_ROW_BYTES,
  pagedBytesSql,
  RESULT_ROW_BYTES,
} from "../../core/stored-bytes.ts";

/** The day of rows that go one by one: deliveries that are owed, and bodies kept for them. */
export const NO_DAY = 0;

/** What `eventBytes` counts before it thinks of pages, over the columns of an event's table. */
export const EVENT_ROW_SQL = `(${EVENT_ROW_BYTES} + ${sum("data", "namespace", "source_id", "source", "type", "subject", "time", "content_type", "extensions")})`;
/** The same of `attemptBytes`. */
export const ATTEMPT_ROW_SQL = `(${ATTEMPT_ROW_BYTES} + ${sum("message", "url", "record_id", "record_id", "request_headers", "request_body", "response_headers", "response_body", "payload")})`;
const DELIVERY_ROW_SQL = `(${DELIVERY_ROW_BYTES} + ${sum("type", "order_key", "order_key", "note")})`;
const OUTCOME_ROW_SQL = `(${OUTCOME_ROW_BYTES} + ${sum("type", "order_key")})`;

function sum(...columns: readonly string[]): string {
  return columns.map((column) => `ifnull(octet_length(${column}), 0)`).join(" + ");
}

export interface DayTableName {
  readonly day: number;
  readonly name: string;
}

/** Counts what a store holds that was filled before anybody counted; idempotency keys name no namespace and go within a day or two. */
export function countedAnew(tablesOf: (kind: "event" | "outcome" | "attempt" | "result") => readonly DayTableName[]): string {
  const put = (day: number, from: string): string =>
    `INSERT INTO namespace_bytes (day, namespace, bytes) SELECT ${day}, namespace, total FROM (${from}) WHERE true
     ON CONFLICT (day, namespace) DO UPDATE SET bytes = bytes + excluded.bytes;`;
  const days = (kind: Parameters<typeof tablesOf>[0], from: (table: string) => string): string[] =>
    tablesOf(kind).map(({ day, name }) => put(day, from(name)));
  const byNamespace = (bytes: string, table: string): string =>
    `SELECT namespace, sum(${pagedBytesSql("row")}) AS total FROM (SELECT namespace, ${bytes} AS row FROM ${table}) GROUP BY namespace`;
  const byQueue = (bytes: string, table: string, queue: string): string =>
    `SELECT namespace, sum(total) AS total FROM (SELECT queue, sum(${pagedBytesSql("row")}) AS total FROM (SELECT ${queue} AS queue, ${bytes} AS row FROM ${table}) GROUP BY queue)
     JOIN subscription_queue USING (queue) GROUP BY namespace`;
  // An attempt's place begins with its delivery's number, which leads to a queue whether it is owed still or not.
  const owners = ["delivery", ...tablesOf("outcome").map(({ name }) => name)];
  const queueOf = `coalesce(${owners.map((table) => `(SELECT queue FROM ${table} WHERE id = place / 256)`).join(", ")}, 0)`;
  return [
    "CREATE TABLE namespace_bytes (day INTEGER NOT NULL, namespace TEXT NOT NULL, bytes INTEGER NOT NULL, owed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (day, namespace)) WITHOUT ROWID;",
    put(NO_DAY, byNamespace(EVENT_ROW_SQL, "event_kept")),
    put(NO_DAY, byQueue(DELIVERY_ROW_SQL, "delivery", "queue")),
    `INSERT INTO namespace_bytes (day, namespace, bytes, owed)
     SELECT ${NO_DAY}, namespace, 0, count(*) FROM delivery JOIN subscription_queue USING (queue) GROUP BY namespace
     ON CONFLICT (day, namespace) DO UPDATE SET owed = owed + excluded.owed;`,
    ...days("event", (table) => byNamespace(EVENT_ROW_SQL, table)),
    ...days("outcome", (table) => byQueue(OUTCOME_ROW_SQL, table, "queue")),
    ...days("attempt", (table) => byQueue(ATTEMPT_ROW_SQL, table, queueOf)),
    ...days("result", (table) => byNamespace(`${RESULT_ROW_BYTES}`, table)),
  ].join("\n");
}
