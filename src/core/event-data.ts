import type { Event, EventData } from "./event.ts";
import { fieldsAsJson } from "./fields-as-json.ts";
import { isMultipartForm, partsAsJson, readMultipart } from "./multipart.ts";

const NULL_JSON = Buffer.from("null");

/**
 * An event's data as JSON bytes, for wrappers and expressions: JSON as received, text as a string, a form as an object of strings (repeated
 * names: arrays), a form of several parts as an object of these, anything else as a base64 string, no data as null.
 */
export function dataAsJson(event: Event): Uint8Array {
  switch (event.dataKind) {
    case "json":
      return event.data;
    case "text":
      return Buffer.from(JSON.stringify(dataAsText(event)));
    case "form":
      return Buffer.from(formAsJson(dataAsText(event)));
    case "binary":
      return Buffer.from(multipartAsJson(event) ?? JSON.stringify(asBuffer(event.data).toString("base64")));
    default:
      return NULL_JSON;
  }
}

/**
 * Bytes that are a form of several parts, as JSON. They have no kind of their own: a version that does not know of them finds bytes in the store, and
 * sends these as it always has.
 */
export function multipartAsJson({ data, dataKind, dataContentType = "" }: EventData): string | undefined {
  if (dataKind !== "binary" || !isMultipartForm(dataContentType)) return undefined;
  const read = readMultipart(data, dataContentType);
  return read.ok ? partsAsJson(read.parts) : undefined;
}

/** The data bytes read as UTF-8. */
export function dataAsText(event: Event): string {
  return asBuffer(event.data).toString("utf8");
}

/** The bytes as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A form as the JSON of an object; `value` gives the JSON of one value. */
export function formAsJson(text: string, value: (name: string, text: string) => string = (_, one) => JSON.stringify(one)): string {
  return fieldsAsJson([...new URLSearchParams(text)].map(([name, one]) => [name, value(name, one)]));
}
