import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  HISTORY_SCAN_ROWS_MAX,
  isOfState,
  isOfStatus,
  wantedStates,
  WINDOW_ROWS_MAX,
  type AttemptRecord,
  type DeliveryFilter,
  type DeliveryId,
  type DeliveryRecord,
  type DeliverySummary,
  type HistoryFilter,
  type HistoryPage,
} from "../store.ts";
import { HOT_COLUMNS, OUTCOME_COLUMNS, toOutcome, type Outcome } from "./delivery-table.ts";
import { toHot, type Hot } from "./generated/rows.ts";
import { prepareRows, type RowStatement } from "./row-statement.ts";
import { scanFloor } from "./scan-floor.ts";
import { ATTEMPT_PLACES, dayTableName, dayTables } from "./schema.ts";

type Row = Record<string, unknown>;

/** How rows become records; names of queues are the reader's to know. */
export interface RecordMaker {
  hot(row: Hot): DeliveryRecord;
  ended(outcome: Outcome): DeliveryRecord;
  /** All of one event. */
  ofEvent(eventId: string, nowMs: number): readonly DeliveryRecord[];
}

/** What was found, and down to which id nothing was left out (undefined = to the end). */
interface Found {
  readonly records: readonly DeliveryRecord[];
  readonly downTo: DeliveryId | undefined;
}

/** Attempts that expire on one day, and between which places they lie. */
interface Attempts {
  readonly table: string;
  readonly lowest: number;
  readonly highest: number;
}

/** Deliveries of one record id that a page looks up: others' namespaces may hold any number of the same id. */
export const RECORD_LOOKUPS_MAX = 1_000;

/** Above every id, and a number still with the places of its attempts. */
const HIGHEST_ID = Math.floor(Number.MAX_SAFE_INTEGER / ATTEMPT_PLACES);

const GLANCE = "attempt, started, duration, outcome, status, url, message, record_id";

/** Answers pages of history. Every question looks at a bounded number of rows, whatever it filters by. */
export class HistoryReader {
  readonly #db: DatabaseSync;
  readonly #make: RecordMaker;
  /** Of one page: a row is looked up in as many tables as there are days, and preparing costs far more than asking. */
  readonly #statements = new Map<string, StatementSync>();
  readonly #rowStatements = new Map<string, RowStatement>();

  constructor(db: DatabaseSync, make: RecordMaker) {
    this.#db = db;
    this.#make = make;
  }

  page(filter: HistoryFilter, nowMs: number): HistoryPage {
    try {
      return this.#page(filter, nowMs);
    } finally {
      // A statement that outlives its page would stand in the way of the day's being dropped.
      this.#statements.clear();
      this.#rowStatements.clear();
    }
  }

  #page(filter: HistoryFilter, nowMs: number): HistoryPage {
    const limit = Math.min(filter.limit, WINDOW_ROWS_MAX);
    // Which status the last attempt got is known only once it has been looked up: more rows are looked at than are wanted.
    const looked = filter.statusCode === undefined ? limit : WINDOW_ROWS_MAX;
    const { records, downTo } = this.#found(filter, looked, nowMs);
    const known = records.filter(({ id }) => downTo === undefined || id >= downTo).toSorted((a, b) => b.id - a.id);
    const tables = dayTables(this.#db, "attempt").map((day) => this.#attemptsOn(dayTableName("attempt", day)));
    const deliveries: DeliverySummary[] = [];
    for (const [i, record] of known.entries()) {
      if (i === looked || deliveries.length === limit) return { deliveries, nextBeforeId: known[i - 1]?.id };
      const summary = this.#summary(record, tables, nowMs);
      if (isOfStatus(summary, filter.statusCode)) deliveries.push(summary);
    }
    return { deliveries, nextBeforeId: downTo };
  }

  #found(filter: HistoryFilter, limit: number, nowMs: number): Found {
    if (filter.eventId !== undefined) return this.#byEvent(filter.eventId, filter, nowMs);
    return filter.recordId === undefined ? this.#byFilter(filter, limit, nowMs) : this.#byRecord(filter, limit, nowMs);
  }

  /** An event has few deliveries, and knows them. A record id beside it is judged by the attempts. */
  #byEvent(eventId: string, filter: HistoryFilter, nowMs: number): Found {
    const { beforeId = Number.MAX_SAFE_INTEGER } = filter;
    const records = this.#make.ofEvent(eventId, nowMs).filter((record) => record.id < beforeId && fits(record, filter));
    if (filter.recordId === undefined) return { records, downTo: undefined };
    const tables = dayTables(this.#db, "attempt").map((day) => this.#attemptsOn(dayTableName("attempt", day)));
    const isRecord = (record: DeliveryRecord): boolean => this.#summary(record, tables, nowMs).recordId === filter.recordId;
    return { records: records.filter(isRecord), downTo: undefined };
  }

  /** A row more than the limit is read of each table, so that the last page knows that it is the last. */
  #byFilter(filter: DeliveryFilter, limit: number, nowMs: number): Found {
    const { where, values } = conditions(filter);
    const records: DeliveryRecord[] = [];
    const hot = hotState(filter);
    const ended = endedState(filter);
    const days = ended === undefined ? [] : dayTables(this.#db, "outcome");
    const tables = days.map((day) => dayTableName("outcome", day));
    const downTo = scanFloor(this.#db, { tables: hot === undefined ? tables : ["delivery", ...tables], column: "id" }, filter.beforeId);
    const floor = downTo ?? 0;
    if (hot !== undefined) {
      const sql = `SELECT ${HOT_COLUMNS} FROM delivery WHERE ${where}${hot} AND id >= ? ORDER BY id DESC LIMIT ?`;
      const rows = prepareRows(this.#db, sql).all(...values, floor, limit + 1);
      records.push(...rows.map((row) => this.#make.hot(toHot(row))));
    }
    if (ended === undefined) return { records, downTo };
    for (const day of days) {
      const table = dayTableName("outcome", day);
      const sql = `SELECT ${OUTCOME_COLUMNS} FROM ${table} WHERE ${where}${ended} AND id >= ? AND expires > ? ORDER BY id DESC LIMIT ?`;
      const rows = prepareRows(this.#db, sql).all(...values, floor, nowMs, limit + 1);
      records.push(...rows.map((row) => this.#make.ended(toOutcome(row, day))));
    }
    return { records, downTo };
  }

  /** The indexes of record ids say no namespace: what others have of the same id is looked at and left out. */
  #byRecord(filter: HistoryFilter, limit: number, nowMs: number): Found {
    const found = this.#idsOfRecord(filter);
    let { downTo } = found;
    const newest = [...found.ids].toSorted((a, b) => b - a);
    const days = dayTables(this.#db, "outcome").toReversed();
    const records: DeliveryRecord[] = [];
    // Each is looked up in as many tables as there are days.
    const lookups = Math.min(RECORD_LOOKUPS_MAX, Math.max(1, Math.floor(HISTORY_SCAN_ROWS_MAX / (days.length + 1))));
    if (newest.length > lookups) downTo = Math.max(downTo ?? 0, newest[lookups - 1] ?? 0);
    for (const id of newest.slice(0, lookups)) {
      if (records.length > limit) break;
      const record = this.#byId(id, days, nowMs);
      if (record !== undefined && fits(record, filter)) records.push(record);
    }
    return { records, downTo };
  }

  /** From the rows of deliveries; of those that an older version accepted, from their attempts. */
  #idsOfRecord({ recordId = "", beforeId = HIGHEST_ID }: HistoryFilter): { readonly ids: Set<DeliveryId>; downTo: DeliveryId | undefined } {
    const ids = new Set<DeliveryId>();
    let downTo: DeliveryId | undefined;
    const deliveries = ["delivery", ...dayTables(this.#db, "outcome").map((day) => dayTableName("outcome", day))];
    const attempts = dayTables(this.#db, "attempt").map((day) => dayTableName("attempt", day));
    for (const [tables, column, places] of [
      [deliveries, "id", 1],
      [attempts, "place", ATTEMPT_PLACES],
    ] as const) {
      for (const table of tables) {
        const sql = `SELECT ${column} AS at FROM ${table} WHERE record_id = ? AND ${column} < ? ORDER BY ${column} DESC LIMIT ?`;
        const rows = this.#db.prepare(sql).all(recordId, beforeId * places, WINDOW_ROWS_MAX);
        const found = rows.map((row) => Math.floor(Number(row["at"]) / places));
        for (const id of found) ids.add(id);
        if (found.length === WINDOW_ROWS_MAX) downTo = Math.max(downTo ?? 0, found.at(-1) ?? 0);
      }
    }
    return { ids, downTo };
  }

  #byId(id: DeliveryId, days: readonly number[], nowMs: number): DeliveryRecord | undefined {
    const row = this.#rows(`SELECT ${HOT_COLUMNS} FROM delivery WHERE id = ?`).get(id);
    if (row !== undefined) return this.#make.hot(toHot(row));
    for (const day of days) {
      const ended = this.#rows(`SELECT ${OUTCOME_COLUMNS} FROM ${dayTableName("outcome", day)} WHERE id = ?`).get(id);
      if (ended === undefined) continue;
      const outcome = toOutcome(ended, day);
      return outcome.expiresAtMs > nowMs ? this.#make.ended(outcome) : undefined;
    }
    return undefined;
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }

  #rows(sql: string): RowStatement {
    const known = this.#rowStatements.get(sql) ?? prepareRows(this.#db, sql);
    this.#rowStatements.set(sql, known);
    return known;
  }

  /** A day holds the attempts of few deliveries beside all the others': its ends tell which are not among them. */
  #attemptsOn(table: string): Attempts {
    const end = (which: "min" | "max"): number =>
      Number(this.#db.prepare(`SELECT ${which}(place) AS place FROM ${table}`).get()?.["place"] ?? -1);
    return { table, lowest: end("min"), highest: end("max") };
  }

  #summary(record: DeliveryRecord, tables: readonly Attempts[], nowMs: number): DeliverySummary {
    const [low, high] = [record.id * ATTEMPT_PLACES, (record.id + 1) * ATTEMPT_PLACES - 1];
    let first: Row | undefined;
    let last: Row | undefined;
    for (const { table, lowest: from, highest: to } of tables) {
      if (high < from || low > to) continue;
      const one = (order: string): Row | undefined =>
        this.#prepare(
          `SELECT ${GLANCE}, place FROM ${table} WHERE place BETWEEN ? AND ? AND expires > ? ORDER BY place ${order} LIMIT 1`,
        ).get(low, high, nowMs);
      const [lowest, highest] = [one("ASC"), one("DESC")];
      if (lowest !== undefined && (first === undefined || Number(lowest["place"]) < Number(first["place"]))) first = lowest;
      if (highest !== undefined && (last === undefined || Number(highest["place"]) > Number(last["place"]))) last = highest;
    }
    const recordId = record.recordId ?? last?.["record_id"] ?? first?.["record_id"];
    return {
      ...record,
      recordId: typeof recordId === "string" ? recordId : undefined,
      firstAttemptAtMs: first === undefined ? undefined : Number(first["started"]),
      lastAttempt: last === undefined ? undefined : glance(last),
    };
  }
}

function glance(row: Row): NonNullable<DeliverySummary["lastAttempt"]> {
  return {
    attempt: Number(row["attempt"]),
    startedAtMs: Number(row["started"]),
    durationMs: Number(row["duration"]),
    outcome: String(row["outcome"]) as AttemptRecord["outcome"],
    statusCode: row["status"] === null ? undefined : Number(row["status"]),
    url: String(row["url"]),
    message: String(row["message"]),
  };
}

function fits(record: DeliveryRecord, filter: DeliveryFilter): boolean {
  return (
    record.namespace === filter.namespace &&
    (filter.subscriptions?.includes(record.subscription) ?? true) &&
    isOfState(record.state, filter.state) &&
    (filter.type === undefined || record.eventType === filter.type) &&
    (filter.sinceMs === undefined || record.acceptedAtMs >= filter.sinceMs) &&
    (filter.untilMs === undefined || record.acceptedAtMs < filter.untilMs)
  );
}

/** What a filter says of the state of rows that have not ended, as more of the WHERE; undefined = it wants none of them. */
export function hotState({ state }: DeliveryFilter): string | undefined {
  if (state === undefined) return "";
  const wanted = wantedStates(state);
  if (wanted.has("ready")) return wanted.has("claimed") ? "" : " AND state <> 1";
  return wanted.has("claimed") ? " AND state = 1" : undefined;
}

/** The same of rows that have ended. */
export function endedState({ state }: DeliveryFilter): string | undefined {
  if (state === undefined) return "";
  const wanted = wantedStates(state);
  const ended = (["delivered", "failed", "discarded"] as const).filter((one) => wanted.has(one));
  return ended.length === 0 ? undefined : ` AND state IN (${ended.map((one) => `'${one}'`).join(", ")})`;
}

/** The WHERE of a filter on rows of deliveries, and its values. */
export function conditions(filter: DeliveryFilter): { readonly where: string; readonly values: (string | number)[] } {
  const parts = ["queue IN (SELECT queue FROM subscription_queue WHERE namespace = ?)"];
  const values: (string | number)[] = [filter.namespace];
  const add = (sql: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    parts.push(sql);
    values.push(value);
  };
  if (filter.subscriptions !== undefined) {
    const places = filter.subscriptions.map(() => "?").join(", ");
    parts.push(`queue IN (SELECT queue FROM subscription_queue WHERE subscription IN (${places}))`);
    values.push(...filter.subscriptions);
  }
  add("type = ?", filter.type);
  add("accepted >= ?", filter.sinceMs);
  add("accepted < ?", filter.untilMs);
  add("id < ?", filter.beforeId);
  return { where: parts.join(" AND "), values };
}
