import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DataKind, Event } from "../../core/event.ts";
import { eventBytes } from "../../core/stored-bytes.ts";
import { DayStatements } from "./day-statements.ts";
import { packEventId, unpackEventId } from "./event-id.ts";
import { dayTableName, dayTables, expiryDay } from "./schema.ts";

const COLUMNS = `event, event_id, deliveries, namespace, source_id, source, type, subject, time, content_type, kind, extensions, received,
  expires, data`;

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

type Value = number | string | Uint8Array | null;
type Row = readonly Value[];

/** Event bodies: one table per day of expiry, and `event_kept` for bodies still owed when their day was dropped. */
export class EventTable {
  readonly #db: DatabaseSync;
  readonly #inserts: DayStatements;
  readonly #reads = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#inserts = new DayStatements(
      db,
      "event",
      (name) => `INSERT INTO ${name} (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
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

  insert(
    key: number,
    event: Event & { readonly extensionsText?: string },
    keep: { deliveries: number; nowMs: number; retentionMs: number; id: Uint8Array | string },
  ): EventPlace & { readonly bytes: number } {
    const extensionsText = event.extensionsText ?? JSON.stringify(event.extensions);
    const day = expiryDay(keep.nowMs, keep.retentionMs);
    const { namespace, sourceId, source, type, subject, time, dataContentType, dataKind, receivedAtMs, data } = event;
    this.#inserts
      .of(day)
      .run(
        key,
        keep.id,
        keep.deliveries,
        namespace,
        sourceId,
        source,
        type,
        subject ?? null,
        time ?? null,
        dataContentType ?? null,
        dataKind,
        extensionsText,
        receivedAtMs,
        keep.nowMs + keep.retentionMs,
        data,
      );
    return { event: key, day, bytes: eventBytes(event, extensionsText) };
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
      const statement = this.#db.prepare(`SELECT ${COLUMNS} FROM ${table} WHERE event_id = ?`);
      statement.setReturnArrays(true);
      const row = statement.get(id) as unknown as Row | undefined;
      if (row !== undefined) return toStored(row, day);
    }
    return undefined;
  }

  #readAt(table: string, event: number): Row | undefined {
    let statement = this.#reads.get(table);
    try {
      if (statement === undefined) {
        // Days come and go; the reader is not told when they go.
        if (this.#reads.size >= READS_MAX) this.#reads.clear();
        statement = this.#db.prepare(`SELECT ${COLUMNS} FROM ${table} WHERE event = ?`);
        statement.setReturnArrays(true);
        this.#reads.set(table, statement);
      }
      return statement.get(event) as unknown as Row | undefined;
    } catch (error) {
      // The day has been dropped: its statement cannot be prepared (again).
      this.#reads.delete(table);
      if (error instanceof Error && error.message.includes("no such table")) return undefined;
      throw error;
    }
  }
}

/** A row in the order of COLUMNS. */
function toStored(row: Row, day: number): StoredEvent {
  const [event, id, deliveries, namespace, sourceId, source, type, subject, time, contentType, kind, extensions, received, expires, data] =
    row;
  const text = (value: Value | undefined): string => String(value);
  const optional = (value: Value | undefined): string | undefined => (value as string | null) ?? undefined;
  const extensionsText = text(extensions);
  return {
    event: {
      id: unpackEventId(id),
      namespace: text(namespace),
      sourceId: text(sourceId),
      source: text(source),
      type: text(type),
      subject: optional(subject),
      time: optional(time),
      dataContentType: optional(contentType),
      dataKind: kind as DataKind,
      data: data as Uint8Array,
      extensions: JSON.parse(extensionsText) as Record<string, string>,
      receivedAtMs: Number(received),
    },
    extensionsText,
    expiresAtMs: Number(expires),
    deliveries: Number(deliveries),
    place: { event: Number(event), day },
  };
}
