/**
 * An event as it was accepted. `data` holds the bytes as received and is never re-serialised: they are spliced into what is
 * sent (key order, number spelling and escapes survive).
 */
export interface Event {
  /** Our id: UUIDv7 text without dots; the `webhook-id` of every delivery, the correlation id of its results. */
  readonly id: string;
  readonly namespace: string;
  /** CloudEvents `id` as the producer gave it; our own id for the short form. */
  readonly sourceId: string;
  /** CloudEvents `source`; `/namespaces/{ns}` for the short form. */
  readonly source: string;
  readonly type: string;
  readonly subject: string | undefined;
  /** CloudEvents `time` as given (RFC 3339), else undefined; bodies then tell the wall's time at acceptance, which stands in `id`. */
  readonly time: string | undefined;
  /** Media type of `data` as given, e.g. `application/json`; undefined when the event has no data, or bytes whose type was not said. */
  readonly dataContentType: string | undefined;
  readonly dataKind: DataKind;
  readonly data: Uint8Array;
  /** CloudEvents extension attributes (names `[a-z0-9]+`). */
  readonly extensions: Extensions;
  /** When we received it, in engine time (ages count from it), ms. */
  readonly receivedAtMs: number;
}

/** A string, a boolean or a 32-bit integer (CloudEvents 1.0.2, type system); attributes from HTTP headers have no type and are strings. */
export type ExtensionValue = string | number | boolean;
export type Extensions = Readonly<Record<string, ExtensionValue>>;

/** How `data` is shown to wrappers and CEL: parsed JSON, a string, an object of strings, a base64 string (a form of several parts: an object), or null. */
export type DataKind = "json" | "text" | "form" | "binary" | "none";

const NO_DATA = new Uint8Array(0);
/** Stands in for a media type that was not given: data were there. */
const SOME_DATA = "application/octet-stream";

export type EventData = Pick<Event, "data" | "dataKind" | "dataContentType">;

/** The event with its data left out; an event that never had any stays as it is. */
export function withoutData<E extends EventData>(event: E): E {
  if (event.dataKind === "none") return event;
  return { ...event, data: NO_DATA, dataKind: "none", dataContentType: event.dataContentType ?? SOME_DATA };
}

/** Whether its data have been left out: only then has an event without data a media type. */
export function isDataLeftOut(event: Pick<Event, "dataKind" | "dataContentType">): boolean {
  return event.dataKind === "none" && event.dataContentType !== undefined;
}

/** Limits of one request (docs/ingest.md). Every refusal names its number. */
export const EVENT_BYTES_MAX = 256 * 1024;
export const REQUEST_BYTES_MAX = 4 * 1024 * 1024;
export const REQUEST_EVENTS_MAX = 1_000;
export const JSON_DEPTH_MAX = 128;
/** Longest `type` accepted, in characters (a subscription's pattern has the same bound). */
export const EVENT_TYPE_CHARS_MAX = 253;
