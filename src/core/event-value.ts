import { hash } from "node:crypto";
import type { Event } from "./event.ts";
import { dataAsText, multipartAsJson } from "./event-data.ts";
import { scalarAt } from "./json-scalar.ts";

/** Longest order key kept as it is, in characters; a longer one is kept as its digest. */
const ORDER_KEY_CHARS_MAX = 256;
/** Longest record id kept, in characters; a longer one is cut. */
const RECORD_ID_CHARS_MAX = 256;

/**
 * The value at a path of an event as text: an attribute (`subject`, `id`, `source`, `type`, an extension), or a member of its data such as
 * `data.id`, with or without `event.` before it. Numbers are spelled as received, so 64-bit ones stay apart. Undefined where there is none, or an object, a list, null or "".
 */
export function eventValue(event: Event, path: string): string | undefined {
  const [head = "", ...rest] = path.replace(/^event\.(?=.)/, "").split(".");
  const value = head === "data" ? dataAt(event, rest) : rest.length === 0 ? attribute(event, head) : undefined;
  return value === "" ? undefined : value;
}

/** The order key of an event under `ordering.key`; undefined = it is delivered without order. */
export function orderKeyOf(event: Event, path: string): string | undefined {
  const value = eventValue(event, path);
  return value === undefined || value.length <= ORDER_KEY_CHARS_MAX ? value : `sha256:${hash("sha256", value, "base64url")}`;
}

/** The record id of an event under `history.recordIDField`; undefined where it has none. */
export function recordIdOf(event: Event, path: string): string | undefined {
  return eventValue(event, path)?.slice(0, RECORD_ID_CHARS_MAX);
}

function attribute(event: Event, name: string): string | undefined {
  switch (name) {
    case "id":
      return event.sourceId;
    case "source":
      return event.source;
    case "type":
      return event.type;
    case "subject":
      return event.subject;
    default:
      return Object.hasOwn(event.extensions, name) ? String(event.extensions[name]) : undefined;
  }
}

function dataAt(event: Event, path: readonly string[]): string | undefined {
  if (event.dataKind === "json") return scalarAt(event.data, path);
  if (event.dataKind === "binary") {
    const parts = multipartAsJson(event);
    return parts === undefined ? undefined : scalarAt(Buffer.from(parts), path);
  }
  if (event.dataKind !== "form" || path.length !== 1) return undefined;
  return new URLSearchParams(dataAsText(event)).get(path[0] ?? "") ?? undefined;
}
