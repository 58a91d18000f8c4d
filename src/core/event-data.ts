import type { Event } from "./event.ts";

const NULL_JSON = Buffer.from("null");

/**
 * An event's data as JSON bytes, for wrappers and expressions: JSON as received, text as a string, a form as an object of strings (repeated
 * names: arrays), anything else as a base64 string, no data as null.
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
      return Buffer.from(JSON.stringify(asBuffer(event.data).toString("base64")));
    default:
      return NULL_JSON;
  }
}

/** The data bytes read as UTF-8. */
export function dataAsText(event: Event): string {
  return asBuffer(event.data).toString("utf8");
}

/** The fields of a form in the order of their first appearance, each with all its values. */
function formFields(text: string): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(text)) {
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else values.push(value);
  }
  return fields;
}

/** The bytes as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function formAsJson(text: string): string {
  const members = [...formFields(text)].map(
    ([name, values]) => `${JSON.stringify(name)}:${JSON.stringify(values.length === 1 ? values[0] : values)}`,
  );
  return `{${members.join(",")}}`;
}
