import type { DatabaseSync } from "node:sqlite";
import type { DataKind, Extensions } from "../../core/event.ts";
import type { EventFilter, EventPage, EventSummary } from "../event-page.ts";
import { WINDOW_ROWS_MAX } from "../store.ts";
import { unpackEventId } from "./event-id.ts";
import { prepareRows, type Value } from "./row-statement.ts";
import { scanFloor } from "./scan-floor.ts";
import { dayTableName, dayTables } from "./schema.ts";

/** `length` of a blob is told by the row's head: the data is not read. */
const COLUMNS =
  "event, event_id, deliveries, namespace, source_id, source, type, subject, time, content_type, kind, extensions, received, length(data)";

interface Numbered {
  readonly number: number;
  readonly summary: EventSummary;
}

/** What a namespace has sent, newest first. A row more than the limit is read of each table, so that the last page knows that it is the last. */
export function pageOfEvents(db: DatabaseSync, filter: EventFilter, asOfMs: number): EventPage {
  const limit = Math.min(filter.limit, WINDOW_ROWS_MAX);
  const tables = ["event_kept", ...dayTables(db, "event").map((day) => dayTableName("event", day))];
  const downTo = scanFloor(db, { tables, column: "event" }, filter.before);
  const { where, values } = conditions(filter);
  const found = tables.flatMap((table) => {
    const sql = `SELECT ${COLUMNS} FROM ${table} WHERE ${where} AND event >= ? AND expires > ? ORDER BY event DESC LIMIT ?`;
    return prepareRows(db, sql)
      .all(...values, downTo ?? 0, asOfMs, limit + 1)
      .map(toNumbered);
  });
  const newest = found.toSorted((a, b) => b.number - a.number);
  const page = newest.slice(0, limit);
  return { events: page.map(({ summary }) => summary), nextBefore: newest.length > limit ? page.at(-1)?.number : downTo };
}

function conditions(filter: EventFilter): { readonly where: string; readonly values: (string | number)[] } {
  const parts = ["namespace = ?"];
  const values: (string | number)[] = [filter.namespace];
  const add = (sql: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    parts.push(sql);
    values.push(value);
  };
  add("type = ?", filter.type);
  add("source_id = ?", filter.sourceId);
  add("received >= ?", filter.sinceMs);
  add("received < ?", filter.untilMs);
  add("event < ?", filter.before);
  if (filter.matched !== undefined) parts.push(filter.matched ? "deliveries > 0" : "deliveries = 0");
  return { where: parts.join(" AND "), values };
}

function toNumbered(row: readonly Value[]): Numbered {
  const [number, id, deliveries, namespace, sourceId, source, type, subject, time, contentType, kind, extensions, received, dataBytes] =
    row;
  const text = (value: Value | undefined): string | undefined => (typeof value === "string" ? value : undefined);
  return {
    number: Number(number),
    summary: {
      event: {
        id: unpackEventId(id),
        namespace: String(namespace),
        sourceId: String(sourceId),
        source: String(source),
        type: String(type),
        subject: text(subject),
        time: text(time),
        dataContentType: text(contentType),
        dataKind: String(kind) as DataKind,
        extensions: JSON.parse(String(extensions)) as Extensions,
        receivedAtMs: Number(received),
      },
      dataBytes: Number(dataBytes),
      deliveries: Number(deliveries),
    },
  };
}
