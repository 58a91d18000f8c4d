import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../lib/clock.ts";
import { RESULT_TOMBSTONE_MS, type Dropped } from "../store.ts";
import { DAY_MS, DAY_TABLES, dayIsOver, dayTableName, dayTables, dayTableSql, expiryDay, type DayTable } from "./schema.ts";
import { pagedBytes, RESULT_ROW_BYTES } from "../../core/stored-bytes.ts";
import { keepHighestId } from "./sequence.ts";
import { columnNames, EVENT, RESULT } from "./tables.ts";
import { EVENT_ROW_SQL, NO_DAY } from "./usage-sql.ts";
import type { UsageTable } from "./usage-table.ts";

/** How long one step works, ms: whoever has an event accepted meanwhile waits for it, and for the commit of what it wrote. */
const STEP_MS = 10;
/** Rows taken between two looks at the clock. */
const WALKED_ROWS = 256;
const DELETED_ROWS = 64;
/** Free pages handed back to the file system after a step. */
const VACUUM_PAGES_MAX = 64;

/** By which column a kind's rows are deleted from the left: in the order of their place in the file. */
const KEYS: Readonly<Record<DayTable, string>> = {
  event: "event",
  outcome: "id",
  attempt: "place",
  idempotency: "key",
  result: "event_id",
};

interface DayOf {
  readonly kind: DayTable;
  readonly day: number;
}

interface Walk {
  readonly days: readonly DayOf[];
  afterId: number;
}

interface Progress {
  readonly walked: Set<string>;
  readonly walk: Walk | undefined;
  readonly keptAfter: number;
}

/**
 * Empties and drops the tables of days that are over, in steps that each fit into one short transaction: dropping a day of 200,000 events at
 * once held the writer for two seconds; a step takes at most 16 ms of CPU. First every delivery still owed is walked past, and what it needs of such a day is copied (bodies to
 * `event_kept`, ids of results to a later day). A crash between two steps begins the walk anew: copying twice changes nothing.
 */
export class Retention {
  readonly #db: DatabaseSync;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #usage: Pick<UsageTable, "add" | "dropDays">;
  /** Days whose owed rows have been copied, by table. */
  #walked: Set<string> = new Set();
  #walk: Walk | undefined;
  #keptAfter = 0;
  /** As it was before each step of the transaction. */
  #past: Progress[] = [];

  constructor(db: DatabaseSync, clock: Pick<Clock, "monotonicMs">, usage: Pick<UsageTable, "add" | "dropDays">) {
    this.#db = db;
    this.#clock = clock;
    this.#usage = usage;
  }

  mark(): number {
    return this.#past.length;
  }

  /** What was copied since has been rolled back; a step that was not keeps what it has done. */
  undo(mark: number): void {
    const [before] = this.#past.splice(mark);
    if (before === undefined) return;
    this.#walked = before.walked;
    this.#walk = before.walk;
    this.#keptAfter = before.keptAfter;
  }

  settle(): void {
    if (this.#past.length > 0) this.#past = [];
  }

  /** One step; runs inside the writer's transaction. `lastId` is the highest number given so far. */
  step(nowMs: number, lastId: number): Dropped {
    const untilMs = this.#clock.monotonicMs() + STEP_MS;
    const walk = this.#walk === undefined ? undefined : { ...this.#walk };
    this.#past.push({ walked: new Set(this.#walked), walk, keptAfter: this.#keptAfter });
    const over = DAY_TABLES.flatMap((kind) => daysOver(this.#db, kind, nowMs).map((day) => ({ kind, day })));
    if (!this.#copyOwed(over, { nowMs, untilMs })) return { tables: 0, idempotencyKeys: 0, more: true };
    let tables = 0;
    let idempotencyKeys = 0;
    if (over.length > 0) keepHighestId(this.#db, lastId);
    for (const { kind, day } of over) {
      const { deleted, isEmpty } = this.#empty(kind, day, untilMs);
      if (kind === "idempotency") idempotencyKeys += deleted;
      if (!isEmpty) return { tables, idempotencyKeys, more: true };
      this.#db.exec(`DROP TABLE ${dayTableName(kind, day)}`);
      this.#walked.delete(dayTableName(kind, day));
      if (kind !== "idempotency") tables += 1;
    }
    this.#usage.dropDays(nowMs);
    return { tables, idempotencyKeys, more: !this.#letGoOfKept(nowMs, untilMs) };
  }

  /** True once everything that is owed of these days lies elsewhere. */
  #copyOwed(over: readonly DayOf[], { nowMs, untilMs }: { readonly nowMs: number; readonly untilMs: number }): boolean {
    const days = over.filter(({ kind, day }) => (kind === "event" || kind === "result") && !this.#walked.has(dayTableName(kind, day)));
    if (days.length === 0) return true;
    this.#walk ??= { days, afterId: 0 };
    const walk = this.#walk;
    const copies = walk.days.map((day) => copyOf(this.#db, day, { nowMs, usage: this.#usage }));
    const next = this.#db.prepare("SELECT id, event, event_day, event_id FROM delivery WHERE id > ? ORDER BY id LIMIT ?");
    do {
      const rows = next.all(walk.afterId, WALKED_ROWS);
      for (const row of rows) for (const copy of copies) copy(row);
      if (rows.length < WALKED_ROWS) {
        for (const { kind, day } of walk.days) this.#walked.add(dayTableName(kind, day));
        this.#walk = undefined;
        return walk.days.length === days.length;
      }
      walk.afterId = Number(rows.at(-1)?.["id"]);
    } while (this.#clock.monotonicMs() < untilMs);
    return false;
  }

  #empty(kind: DayTable, day: number, untilMs: number): { readonly deleted: number; readonly isEmpty: boolean } {
    const name = dayTableName(kind, day);
    const key = KEYS[kind];
    const end = this.#db.prepare(`SELECT ${key} AS end FROM ${name} ORDER BY ${key} LIMIT 1 OFFSET ?`);
    const left = this.#db.prepare(`DELETE FROM ${name} WHERE ${key} <= ?`);
    let deleted = 0;
    do {
      const last = end.get(DELETED_ROWS - 1);
      if (last === undefined) {
        deleted += Number(this.#db.prepare(`DELETE FROM ${name}`).run().changes);
        return { deleted, isEmpty: true };
      }
      deleted += Number(left.run(last["end"] as number | Uint8Array | string).changes);
    } while (this.#clock.monotonicMs() < untilMs);
    return { deleted, isEmpty: false };
  }

  /** Bodies that were kept for deliveries which have ended since. True when all have been looked at. */
  #letGoOfKept(nowMs: number, untilMs: number): boolean {
    // An event's deliveries have the numbers that follow its own; only dead letters stand elsewhere.
    const next = this.#db.prepare(
      `SELECT event, expires <= ?
         AND NOT EXISTS (SELECT 1 FROM delivery WHERE id BETWEEN kept.event + 1 AND kept.event + kept.deliveries)
         AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_letters WHERE note IS NOT NULL AND event = kept.event) AS over
       FROM event_kept AS kept WHERE event > ? ORDER BY event LIMIT ?`,
    );
    const remove = this.#db.prepare(`DELETE FROM event_kept WHERE event = ? RETURNING namespace, ${EVENT_ROW_SQL} AS bytes`);
    do {
      const rows = next.all(nowMs, this.#keptAfter, DELETED_ROWS);
      for (const { event, over } of rows) {
        const removed = over === 1 ? remove.get(Number(event)) : undefined;
        if (removed !== undefined) this.#usage.add(NO_DAY, String(removed["namespace"]), -pagedBytes(Number(removed["bytes"])));
      }
      if (rows.length < DELETED_ROWS) {
        this.#keptAfter = 0;
        return true;
      }
      this.#keptAfter = Number(rows.at(-1)?.["event"]);
    } while (this.#clock.monotonicMs() < untilMs);
    return false;
  }
}

function daysOver(db: DatabaseSync, kind: DayTable, nowMs: number): readonly number[] {
  return dayTables(db, kind).filter((day) => dayIsOver(day, nowMs));
}

/** Copies what one delivery needs of a day that is over: its body, or the way from its event's id to it. */
function copyOf(
  db: DatabaseSync,
  { kind, day }: DayOf,
  { nowMs, usage }: { readonly nowMs: number; readonly usage: Pick<UsageTable, "add"> },
): (delivery: Record<string, unknown>) => void {
  const name = dayTableName(kind, day);
  if (kind === "event") {
    const copy = db.prepare(
      `INSERT OR IGNORE INTO event_kept (${columnNames(EVENT)}) SELECT ${columnNames(EVENT)} FROM ${name} WHERE event = ? RETURNING namespace, ${EVENT_ROW_SQL} AS bytes`,
    );
    return ({ event, event_day: eventDay }) => {
      const copied = Number(eventDay) === day ? copy.get(Number(event)) : undefined;
      if (copied !== undefined) usage.add(NO_DAY, String(copied["namespace"]), pagedBytes(Number(copied["bytes"])));
    };
  }
  const later = expiryDay(nowMs, RESULT_TOMBSTONE_MS + DAY_MS);
  db.exec(dayTableSql("result", later));
  const copy = db.prepare(
    `INSERT OR IGNORE INTO ${dayTableName("result", later)} (${columnNames(RESULT)})
     SELECT ${columnNames(RESULT)} FROM ${name} WHERE event_id = ? RETURNING namespace`,
  );
  return ({ event_id: id }) => {
    const copied = copy.get(id as Uint8Array | string);
    if (copied !== undefined) usage.add(later, String(copied["namespace"]), RESULT_ROW_BYTES);
  };
}

/** Gives a few free pages back; outside any transaction. */
export function vacuumStep(db: DatabaseSync): void {
  db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES_MAX})`);
}
