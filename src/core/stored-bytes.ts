import type { Event } from "./event.ts";

/**
 * What rows take up in the store, bytes: their contents in UTF-8, and for each row what its numbers, ids and index entries add. Both engines count
 * by these; test/integration/store/usage.test.ts holds them to the pages of a real file.
 */
export const EVENT_ROW_BYTES = 96;
export const DELIVERY_ROW_BYTES = 95;
export const OUTCOME_ROW_BYTES = 100;
export const ATTEMPT_ROW_BYTES = 78;
/** Of a record id's entry in its index, beside the id. */
const RECORD_ID_ENTRY_BYTES = 10;
/** An idempotency key with what it leads to. */
export const KEY_ROW_BYTES = 90;
/** The row that leads from an event's id to its deliveries. */
export const RESULT_ROW_BYTES = 48;

/** A page of the file, and what rows can use of it; a row longer than ROW_ON_PAGE_MAX begins on one and goes on over pages of its own. */
const PAGE_BYTES = 8_192;
const PAGE_USED_BYTES = 8_184;
const ROW_ON_PAGE_MAX = 8_157;
/** Shorter rows fill pages. */
const ROW_PACKED_MAX = 1_024;

/** What a row of `bytes` takes up: of rows that are large for a page some of it stays empty (SQLite file format, 1.6). */
export function pagedBytes(bytes: number): number {
  if (bytes <= ROW_PACKED_MAX || bytes > ROW_ON_PAGE_MAX) return bytes;
  return Math.floor(PAGE_BYTES / Math.floor(PAGE_USED_BYTES / bytes));
}

/** The same in SQL. */
export function pagedBytesSql(bytes: string): string {
  return `CASE WHEN ${bytes} <= ${ROW_PACKED_MAX} OR ${bytes} > ${ROW_ON_PAGE_MAX} THEN ${bytes} ELSE ${PAGE_BYTES} / (${PAGE_USED_BYTES} / ${bytes}) END`;
}

/** What is kept free for the end of each delivery that is owed, whatever it comes to: its outcome and a record of its last attempt. */
export const ENDING_BYTES = 512;

type Text = string | null | undefined;

export function eventBytes(event: Omit<Event, "extensions">, extensionsText: string): number {
  const { namespace, sourceId, source, type, subject, time, dataContentType } = event;
  const texts = of(namespace) + of(sourceId) + of(source) + of(type) + of(subject) + of(time) + of(dataContentType) + of(extensionsText);
  return pagedBytes(EVENT_ROW_BYTES + event.data.byteLength + texts);
}

export interface DeliveryParts {
  readonly type: string;
  readonly orderKey: Text;
  readonly recordId: Text;
}

/** Of a delivery that is owed. Order key and record id stand in an index too. */
export function deliveryBytes(row: DeliveryParts & { readonly note: Text }): number {
  return DELIVERY_ROW_BYTES + of(row.type) + 2 * of(row.orderKey) + of(row.note) + recordIdBytes(row.recordId);
}

/** Of a delivery that has ended. */
export function outcomeBytes(row: DeliveryParts): number {
  return OUTCOME_ROW_BYTES + of(row.type) + of(row.orderKey) + recordIdBytes(row.recordId);
}

function recordIdBytes(recordId: Text): number {
  return recordId === undefined || recordId === null ? 0 : 2 * of(recordId) + RECORD_ID_ENTRY_BYTES;
}

export interface AttemptParts {
  readonly message: string;
  readonly url: string;
  readonly recordId: Text;
  readonly requestHeadersText: string;
  readonly requestBody: Uint8Array | undefined;
  readonly responseHeadersText: string;
  readonly responseBody: Uint8Array | undefined;
  readonly payloadKey?: Text;
}

/** A record id stands in an index too. */
export function attemptBytes(row: AttemptParts): number {
  const texts = of(row.message) + of(row.url) + 2 * of(row.recordId) + of(row.requestHeadersText) + of(row.responseHeadersText);
  const bodies = (row.requestBody?.byteLength ?? 0) + (row.responseBody?.byteLength ?? 0);
  return pagedBytes(ATTEMPT_ROW_BYTES + texts + bodies + of(row.payloadKey));
}

function of(text: Text): number {
  return text === undefined || text === null ? 0 : Buffer.byteLength(text);
}
