import { isUtf8 } from "node:buffer";
import { AttributeReader, type EventDraft, NO_DATA } from "./event-draft.ts";
import { classify } from "./json-envelope.ts";
import { type Checked, refused } from "./refusal.ts";

/** CloudEvents HTTP binding 1.0.2, section 3.1 (binary mode): attributes in `ce-*` headers, the body is the data. */
export function readBinaryEvent(body: Uint8Array, headers: BinaryHeaders): Checked<EventDraft> {
  const values = new Map<string, string>();
  for (const [header, raw] of headers.attributes) {
    const value = headerText(raw);
    if (value === undefined) return refused("attribute_invalid", `Header '${header}' is not UTF-8, percent-encoded.`);
    const name = header.slice(PREFIX.length);
    values.set(name, URIS.has(name) && NOT_IN_URIS.test(value) ? raw : value);
  }
  // In binary mode the Content-Type is the datacontenttype; a ce-datacontenttype beside it could only contradict.
  if (values.has("datacontenttype")) {
    return refused("attribute_invalid", "Header 'ce-datacontenttype' is not used in binary mode: use Content-Type.");
  }
  const attributes = new AttributeReader(
    values,
    () => ({}),
    (name) => `Header 'ce-${name}'`,
  ).read();
  if (!attributes.ok) return attributes;
  if (body.length === 0) return { ok: true, value: { ...attributes.value, data: NO_DATA, dataKind: "none", dataContentType: undefined } };
  const data = classify(body, headers.contentType, {});
  return data.ok ? { ok: true, value: { ...attributes.value, ...data.value } } : data;
}

export interface BinaryHeaders {
  readonly contentType: string | undefined;
  /** Lower-case names, `ce-` included, values as Node gives them (one character a byte). */
  readonly attributes: readonly (readonly [name: string, value: string])[];
}

const PREFIX = "ce-";
/**
 * Attributes that are URIs (CloudEvents 1.0.2, 3.1). sdk-go and sdk-java do not encode them, so that the escapes in a header are the URI's own: what is no
 * URI once they are decoded is kept as it was sent.
 */
const URIS: ReadonlySet<string> = new Set(["source", "dataschema"]);
// oxlint-disable-next-line no-control-regex -- none of these is in a URI
const NOT_IN_URIS = /[\s\u0000-\u001f\u007f]/;

/** Section 3.1.3.2: quotes off, one round of percent-decoding, UTF-8. Undefined when the bytes are no UTF-8. */
export function headerText(raw: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- ASCII without quote and percent needs no decoding
  if (/^[\u0020-\u007e]*$/.test(raw) && !raw.includes("%") && !raw.startsWith('"')) return raw;
  const quoted = raw.length >= 2 && raw.startsWith('"') && raw.endsWith('"');
  const text = quoted ? raw.slice(1, -1).replaceAll(/\\(.)/g, "$1") : raw;
  const decoded = text.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const bytes = Buffer.from(decoded, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}
