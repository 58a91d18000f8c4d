import type { DatabaseSync } from "node:sqlite";
import type { Event, Extensions } from "../../core/event.ts";
import { DayStatements } from "./day-statements.ts";
import { packEventId, unpackEventId } from "./event-id.ts";
import { insertEventRow, toEventRow, type EventOwn, type EventTold } from "./generated/rows.ts";
import { prepareRows, type RowStatement, type Value } from "./row-statement.ts";
import { dayTableName, dayTables } from "./schema.ts";
import { columnNames, EVENT, insertSql } from "./tables.ts";

const COLUMNS = columnNames(EVENT);

/** Statements kept prepared, one a day table. */
const READS_MAX = 64;

/** Where an event's row lies. */
export interface EventPlace {
  readonly event: number;
  readonly day: number;
}

export interface StoredEvent {
  readonly event: Event;
  /** The event's extensions as JSON. */
  readonly extensionsText: string;
  readonly expiresAtMs: number;
  readonly deliveries: number;
  readonly place: EventPlace;
}

/** Event bodies: one table per day of expiry, and `event_kept` for bodies still owed when their day was dropped. */
export class EventTable {
  readonly #db: DatabaseSync;
  readonly #inserts: DayStatements;
  readonly #reads = new Map<string, RowStatement>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#inserts = new DayStatements(db, "event", (name) => insertSql(EVENT, name));
  }

  /** Days have been dropped. */
  forgetDays(): void {
    this.#inserts.clear();
    this.#reads.clear();
  }

  mark(): number {
    return this.#inserts.mark();
  }

  undo(mark: number): void {
    this.#inserts.undo(mark);
  }

  settle(): void {
    this.#inserts.settle();
  }

  insert(day: number, own: EventOwn, event: EventTold): void {
    insertEventRow(this.#inserts.of(day), own, event);
  }

  /** The event at that place, or kept after its day was dropped. */
  read(place: EventPlace): StoredEvent | undefined {
    const row = this.#readAt(dayTableName("event", place.day), place.event) ?? this.#readAt("event_kept", place.event);
    return row === undefined ? undefined : toStored(row, place.day);
  }

  /** Searches every day: only for questions people ask. */
  find(eventId: string): StoredEvent | undefined {
    const id = packEventId(eventId);
    const days = dayTables(this.#db, "event").toReversed();
    for (const [table, day] of [
      ...days.map((d): [string, number] => [dayTableName("event", d), d]),
      ["event_kept", 0] as [string, number],
    ]) {
      const row = prepareRows(this.#db, `SELECT ${COLUMNS} FROM ${table} WHERE event_id = ?`).get(id);
      if (row !== undefined) return toStored(row, day);
    }
    return undefined;
  }

  #readAt(table: string, event: number): readonly Value[] | undefined {
    let statement = this.#reads.get(table);
    try {
      if (statement === undefined) {
        // Days come and go; the reader is not told when they go.
        if (this.#reads.size >= READS_MAX) this.#reads.clear();
        statement = prepareRows(this.#db, `SELECT ${COLUMNS} FROM ${table} WHERE event = ?`);
        this.#reads.set(table, statement);
      }
      return statement.get(event);
    } catch (error) {
      // The day has been dropped: its statement cannot be prepared (again).
      this.#reads.delete(table);
      if (error instanceof Error && error.message.includes("no such table")) return undefined;
      throw error;
    }
  }
}

function toStored(values: readonly Value[], day: number): StoredEvent {
  const row = toEventRow(values);
  const { extensionsText, expiresAtMs, deliveries } = row;
  return {
    event: {
      id: unpackEventId(row.eventId),
      namespace: row.namespace,
      sourceId: row.sourceId,
      source: row.source,
      type: row.type,
      subject: row.subject,
      time: row.time,
      dataContentType: row.dataContentType,
      dataKind: row.dataKind,
      data: row.data,
      extensions: JSON.parse(extensionsText) as Extensions,
      receivedAtMs: row.receivedAtMs,
    },
    extensionsText,
    expiresAtMs,
    deliveries,
    place: { event: row.event, day },
  };
}
