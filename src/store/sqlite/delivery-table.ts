import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { EndReason, TerminalState } from "../../core/delivery.ts";
import { attemptBytes, deliveryBytes, outcomeBytes, pagedBytes } from "../../core/stored-bytes.ts";
import { NumberMap } from "../../lib/number-map.ts";
import type { AttemptRecord } from "../store.ts";
import { DayStatements } from "./day-statements.ts";
import {
  insertAttemptRow,
  insertHot,
  insertOutcomeRow,
  toHot,
  toOutcomeRow,
  type AttemptTold,
  type Hot,
  type OutcomeOwn,
} from "./generated/rows.ts";
import { prepareRows, type RowStatement, type Value } from "./row-statement.ts";
import { ATTEMPT_PLACES, dayTableName, dayTables, expiryDay } from "./schema.ts";
import { ATTEMPT, columnNames, DELIVERY, insertSql, OUTCOME } from "./tables.ts";
import { ATTEMPT_ROW_SQL, NO_DAY } from "./usage-sql.ts";

/** `delivery.state` (see schema.ts). */
export const FRESH = 0;
export const CLAIMED = 1;
export const INDEXED = 2;
export const BEHIND = 3;

export interface End {
  readonly state: TerminalState;
  readonly reason: EndReason;
  readonly nowMs: number;
  readonly retentionMs: number;
}

/** How a delivery ended; `hot` is the row it was, as far as that is still known. */
export interface Outcome extends OutcomeOwn {
  readonly hot: Hot;
  readonly day: number;
}

export const HOT_COLUMNS = columnNames(DELIVERY);
export const OUTCOME_COLUMNS = columnNames(OUTCOME);

interface DeliveryMark {
  readonly touched: number;
  readonly outcomes: number;
  readonly attempts: number;
}

/** Told of bytes that a queue's rows take up from now on until that day is over, and how many more deliveries are owed. */
export type CountBytes = (queue: number, day: number, bytes: number, owed?: number) => void;

/** Above so many rows in memory a fresh one is read back when it is claimed. */
const HELD_FRESH_MAX = 32_768;

/** Hot rows, outcomes and attempts, by prepared statements. Fresh rows and those being sent are kept in memory: moving one on needs no read. */
export class DeliveryTable {
  readonly #db: DatabaseSync;
  readonly #count: CountBytes;
  readonly #insert: StatementSync;
  readonly #select: RowStatement;
  readonly #claim: StatementSync;
  readonly #ready: StatementSync;
  readonly #index: StatementSync;
  readonly #cut: StatementSync;
  readonly #delete: StatementSync;
  readonly #ahead: StatementSync;
  readonly #promote: StatementSync;
  readonly #outcomes: DayStatements;
  readonly #attempts: DayStatements;
  /** Only a copy: what is not here is read from the file. */
  readonly #held = new NumberMap<Hot>();
  /** Rows changed since the transaction began. */
  #touched: number[] = [];

  constructor(db: DatabaseSync, count: CountBytes) {
    this.#db = db;
    this.#count = count;
    this.#insert = db.prepare(insertSql(DELIVERY));
    this.#select = prepareRows(db, `SELECT ${HOT_COLUMNS} FROM delivery WHERE id = ?`);
    this.#claim = db.prepare("UPDATE delivery SET state = 1, attempt = ?, lone = ?, epoch = ? WHERE id = ?");
    this.#ready = db.prepare("UPDATE delivery SET state = 2, due = ?, attempt = ?, crashes = ?, lone_crashes = ?, lone = 0 WHERE id = ?");
    this.#index = db.prepare("UPDATE delivery SET state = 2 WHERE id = ? AND state = 0");
    this.#cut = db.prepare("UPDATE delivery SET cut = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM delivery WHERE id = ?");
    const lowest = `SELECT id FROM delivery INDEXED BY delivery_order
      WHERE queue = ? AND order_key = ? AND order_key IS NOT NULL AND resent = 0 ORDER BY id LIMIT 1`;
    this.#ahead = db.prepare(lowest);
    this.#promote = db.prepare(`UPDATE delivery SET state = 2 WHERE state = 3 AND id = (${lowest})`);
    this.#outcomes = new DayStatements(db, "outcome", (name) => insertSql(OUTCOME, name, "REPLACE"));
    this.#attempts = new DayStatements(db, "attempt", (name) => insertSql(ATTEMPT, name, "IGNORE"));
    for (const row of this.claimedRows()) this.#held.set(row.id, row);
  }

  mark(): DeliveryMark {
    return { touched: this.#touched.length, outcomes: this.#outcomes.mark(), attempts: this.#attempts.mark() };
  }

  /** The file is as it was at the mark: what was changed since is read from it when it is needed. */
  undo(mark: DeliveryMark): void {
    for (const id of this.#touched.splice(mark.touched)) this.#held.delete(id);
    this.#outcomes.undo(mark.outcomes);
    this.#attempts.undo(mark.attempts);
  }

  settle(): void {
    if (this.#touched.length > 0) this.#touched = [];
    this.#outcomes.settle();
    this.#attempts.settle();
  }

  /** Tables of days have been dropped: statements on them are let go. */
  forgetDays(): void {
    this.#outcomes.clear();
    this.#attempts.clear();
  }

  /** Rows found claimed in the file. */
  claimedRows(): Hot[] {
    return prepareRows(this.#db, `SELECT ${HOT_COLUMNS} FROM delivery INDEXED BY delivery_unindexed WHERE state < 2 AND state = 1`)
      .all()
      .map(toHot);
  }

  insert(row: Hot): void {
    this.#touched.push(row.id);
    insertHot(this.#insert, row);
    this.#count(row.queue, NO_DAY, deliveryBytes(row), 1);
    if (row.state === CLAIMED || (row.state === FRESH && this.#held.size < HELD_FRESH_MAX)) this.#held.set(row.id, row);
  }

  get(id: number): Hot | undefined {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    const row = this.#select.get(id);
    return row === undefined ? undefined : toHot(row);
  }

  /** Whether an unfinished delivery of this order key is there: the next one waits behind it. */
  isKeyTaken(queue: number, orderKey: string): boolean {
    return this.#ahead.get(queue, orderKey) !== undefined;
  }

  claim(row: Hot, lone: boolean, epoch: number): void {
    this.#touched.push(row.id);
    row.state = CLAIMED;
    row.attempt += 1;
    row.lone = lone ? 1 : 0;
    row.epoch = epoch;
    this.#claim.run(row.attempt, row.lone, epoch, row.id);
    this.#held.set(row.id, row);
  }

  /** Back into the due index. `row` may have been changed already. */
  ready(row: Hot, dueAtMs: number): void {
    this.#touched.push(row.id);
    this.#ready.run(dueAtMs, row.attempt, row.crashes, row.loneCrashes, row.id);
    this.#held.delete(row.id);
  }

  /** Its attempt was cut off. */
  cutOff(row: Hot): void {
    row.cut += 1;
    this.#cut.run(row.cut, row.id);
  }

  /** A fresh row into the due index, at the time it has. */
  index(id: number): void {
    this.#index.run(id);
    const held = this.#held.get(id);
    if (held?.state === FRESH) this.#held.delete(id);
  }

  end(row: Hot, end: End): void {
    const day = expiryDay(end.nowMs, end.retentionMs);
    this.#touched.push(row.id);
    const { state, reason, nowMs: endedAtMs } = end;
    insertOutcomeRow(this.#outcomes.of(day), { state, reason, endedAtMs, expiresAtMs: endedAtMs + end.retentionMs }, row);
    this.#delete.run(row.id);
    this.#count(row.queue, NO_DAY, -deliveryBytes(row), -1);
    this.#count(row.queue, day, outcomeBytes(row));
    this.#held.delete(row.id);
    // The key goes on, however its head ended.
    if (row.orderKey !== null && row.resent === 0) this.#promote.run(row.queue, row.orderKey);
  }

  log(row: Hot, attempt: AttemptTold, kept: { readonly nowMs: number; historyMs: number; bodiesMs: number }): void {
    const { nowMs, historyMs, bodiesMs } = kept;
    const day = expiryDay(nowMs, historyMs);
    const insert = this.#attempts.of(day);
    this.#count(row.queue, day, attemptBytes(attempt));
    const first = row.id * ATTEMPT_PLACES;
    const place = first + Math.min(attempt.attempt, ATTEMPT_PLACES - 1);
    const own = { place, expiresAtMs: nowMs + historyMs, bodiesUntilMs: bodiesMs < historyMs ? nowMs + bodiesMs : undefined };
    if (insertAttemptRow(insert, own, attempt).changes !== 0) return;
    // Taken: an uncounted try had the same number. The next free place, or the last one, which is then replaced.
    const name = dayTableName("attempt", day);
    const top = this.#db
      .prepare(`SELECT max(place) AS top FROM ${name} WHERE place BETWEEN ? AND ?`)
      .get(first, first + ATTEMPT_PLACES - 1);
    const next = Math.min(Number(top?.["top"]) + 1, first + ATTEMPT_PLACES - 1);
    const replaced = this.#db.prepare(`DELETE FROM ${name} WHERE place = ? RETURNING ${ATTEMPT_ROW_SQL} AS bytes`).get(next);
    if (replaced !== undefined) this.#count(row.queue, day, -pagedBytes(Number(replaced["bytes"])));
    insertAttemptRow(insert, { ...own, place: next }, attempt);
  }

  /** Status and message of a delivery's last attempt that is still kept. */
  lastAttempt(id: number): Pick<AttemptRecord, "statusCode" | "message"> | undefined {
    const first = id * ATTEMPT_PLACES;
    for (const day of dayTables(this.#db, "attempt").toReversed()) {
      const row = this.#db
        .prepare(`SELECT status, message FROM ${dayTableName("attempt", day)} WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1`)
        .get(first, first + ATTEMPT_PLACES - 1);
      if (row !== undefined) {
        return { statusCode: row["status"] === null ? undefined : Number(row["status"]), message: String(row["message"]) };
      }
    }
    return undefined;
  }

  findOutcome(id: number): Outcome | undefined {
    return findOutcome(this.#db, id);
  }

  removeOutcome(outcome: Outcome): void {
    this.#db.prepare(`DELETE FROM ${dayTableName("outcome", outcome.day)} WHERE id = ?`).run(outcome.hot.id);
    this.#count(outcome.hot.queue, outcome.day, -outcomeBytes(outcome.hot));
  }

  /** Ready rows of a queue, oldest first. Scans by id: for queues whose subscription is gone. */
  readyRows(queue: number, limit: number): Hot[] {
    const due = prepareRows(
      this.#db,
      `SELECT ${HOT_COLUMNS} FROM delivery INDEXED BY delivery_due WHERE state = 2 AND queue = ? ORDER BY due, id LIMIT ?`,
    );
    const indexed = due.all(queue, limit).map(toHot);
    if (indexed.length >= limit) return indexed;
    const fresh = prepareRows(
      this.#db,
      `SELECT ${HOT_COLUMNS} FROM delivery INDEXED BY delivery_unindexed WHERE state < 2 AND state = 0 AND queue = ? ORDER BY id LIMIT ?`,
    );
    const rows = [...indexed, ...fresh.all(queue, limit - indexed.length).map(toHot)];
    if (rows.length >= limit) return rows;
    const behind = prepareRows(
      this.#db,
      `SELECT ${HOT_COLUMNS} FROM delivery INDEXED BY delivery_order
       WHERE order_key IS NOT NULL AND resent = 0 AND queue = ? AND state = 3 LIMIT ?`,
    );
    return [...rows, ...behind.all(queue, limit - rows.length).map(toHot)];
  }
}

/** The outcome of an ended delivery, whatever its day. */
export function findOutcome(db: DatabaseSync, id: number): Outcome | undefined {
  for (const day of dayTables(db, "outcome").toReversed()) {
    const row = prepareRows(db, `SELECT ${OUTCOME_COLUMNS} FROM ${dayTableName("outcome", day)} WHERE id = ?`).get(id);
    if (row !== undefined) return toOutcome(row, day);
  }
  return undefined;
}

/** What ended, of a row's values in the order of OUTCOME_COLUMNS. */
export function toOutcome(values: readonly Value[], day: number): Outcome {
  const { state, reason, endedAtMs, expiresAtMs, ...told } = toOutcomeRow(values);
  const hot: Hot = { ...told, state: INDEXED, due: 0, lone: 0, resent: 0, epoch: 0, note: null, cut: 0 };
  return { hot, state, reason, endedAtMs, expiresAtMs, day };
}
