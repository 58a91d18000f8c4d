import { unreachable } from "../lib/assert.ts";
import type { Event } from "./event.ts";
import { asBuffer, dataAsJson, dataAsText } from "./event-data.ts";
import { eventTime } from "./event-time.ts";
import type { CompiledBody } from "./expression/compile.ts";
import { scanJson } from "./json-scan.ts";
import type { PayloadSpec } from "./subscription.ts";

/** What is sent: content type (undefined = no header), body, and headers that belong to the format (CloudEvents binary). */
export interface Payload {
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
  readonly headers: readonly (readonly [string, string])[];
}

/** `steps` are what `payload.body` took, where there is one (expression/meter.ts). */
export type Rendering = { readonly steps?: number } & (
  | { readonly ok: true; readonly payload: Payload }
  | { readonly ok: false; readonly message: string }
);

const NO_HEADERS: Payload["headers"] = [];
const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";
const CLOSING_BRACE = 0x7d;

/**
 * The bytes sent for an event. `data` is spliced in as received, never parsed and printed anew. `body` (payload.body, compiled) replaces the
 * JSON body of StandardWebhooks, Raw and Form; the CloudEvents formats are as their spec says and take none. Fails only when `body` fails.
 */
export function renderPayload(event: Event, spec: PayloadSpec, body: CompiledBody | undefined): Rendering {
  switch (spec.format) {
    case "StandardWebhooks":
    case "Form":
    case "Raw": {
      if (body !== undefined) {
        const result = body.evaluate(event);
        const { steps } = result;
        if (!result.ok) return { ok: false, message: result.message, steps };
        const payload = spec.format === "Form" ? formPayload(spec.formParameter, result.json) : jsonPayload(result.json);
        return { ok: true, payload, steps };
      }
      if (spec.format === "StandardWebhooks") return { ok: true, payload: jsonPayload(standardBody(event)) };
      if (spec.format === "Form") return { ok: true, payload: formPayload(spec.formParameter, standardBody(event)) };
      return { ok: true, payload: { contentType: event.dataContentType, body: event.data, headers: NO_HEADERS } };
    }
    case "CloudEventsStructured":
      return {
        ok: true,
        payload: { contentType: "application/cloudevents+json; charset=utf-8", body: structuredBody(event), headers: NO_HEADERS },
      };
    case "CloudEventsBinary":
      return { ok: true, payload: { contentType: event.dataContentType, body: event.data, headers: binaryHeaders(event) } };
    default:
      return unreachable(spec.format);
  }
}

/** Why a body cannot hold a token, for people. */
export const NO_BODY_FIELD =
  "signing.token.placement Body requires a body that is a JSON object or a form; this one is neither: use placement Header";

/**
 * Puts a token into a body that is already rendered: a member of the top-level JSON object (an existing one of that name is replaced) or
 * a parameter of the form. Undefined when the body is neither.
 */
export function withBodyToken(payload: Payload, field: string, token: string): Payload | undefined {
  if (payload.contentType === FORM_TYPE) {
    const parameter = Buffer.from(`&${percentEncode(Buffer.from(field))}=${percentEncode(Buffer.from(token))}`);
    return { ...payload, body: Buffer.concat([payload.body, parameter]) };
  }
  const scan = scanJson(payload.body, 1);
  if (!scan.ok || scan.root.kind !== "object") return undefined;
  const bytes = asBuffer(payload.body);
  const existing = scan.root.members.find(({ key }) => key === field);
  const value = JSON.stringify(token);
  const [from, to, text] =
    existing === undefined
      ? [scan.root.start + 1, scan.root.start + 1, `${JSON.stringify(field)}:${value}${scan.root.members.length === 0 ? "" : ","}`]
      : [existing.value.start, existing.value.end, value];
  return { ...payload, body: Buffer.concat([bytes.subarray(0, from), Buffer.from(text), bytes.subarray(to)]) };
}

/** RFC 3986 unreserved characters stay, every other byte becomes `%XX` in upper case (a space is `%20`). */
export function percentEncode(bytes: Uint8Array): string {
  const source = asBuffer(bytes);
  let encoded = "";
  let from = 0;
  for (let at = 0; at < source.length; at++) {
    if (UNRESERVED[source[at]!] === 1) continue;
    if (at > from) encoded += source.toString("latin1", from, at);
    encoded += PERCENT[source[at]!]!;
    from = at + 1;
  }
  return encoded + source.toString("latin1", from);
}

const UNRESERVED = Uint8Array.from({ length: 256 }, (_, byte) => (/[A-Za-z0-9._~-]/.test(String.fromCharCode(byte)) ? 1 : 0));
const PERCENT = Array.from({ length: 256 }, (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`);

function jsonPayload(body: Uint8Array): Payload {
  return { contentType: JSON_TYPE, body, headers: NO_HEADERS };
}

function formPayload(parameter: string, json: Uint8Array): Payload {
  const body = Buffer.from(`${percentEncode(Buffer.from(parameter))}=${percentEncode(json)}`, "latin1");
  return { contentType: FORM_TYPE, body, headers: NO_HEADERS };
}

function standardBody(event: Event): Buffer {
  return wrap(`{"type":${JSON.stringify(event.type)},"timestamp":${JSON.stringify(eventTime(event))},"data":`, dataAsJson(event));
}

/** One buffer, filled once: a body may have 256 KiB. */
function wrap(head: string, data: Uint8Array): Buffer {
  const headBytes = Buffer.byteLength(head);
  const body = Buffer.allocUnsafe(headBytes + data.length + 1);
  body.write(head, "utf8");
  body.set(data, headBytes);
  body[headBytes + data.length] = CLOSING_BRACE;
  return body;
}

/** CloudEvents JSON event format 1.0.2: JSON data lies in `data` as it is, text as a string, other bytes in `data_base64`. */
function structuredBody(event: Event): Buffer {
  let head = `{"specversion":"1.0","id":${JSON.stringify(event.sourceId)},"source":${JSON.stringify(event.source)},"type":${JSON.stringify(event.type)}`;
  if (event.subject !== undefined) head += `,"subject":${JSON.stringify(event.subject)}`;
  head += `,"time":${JSON.stringify(eventTime(event))}`;
  for (const [name, value] of Object.entries(event.extensions)) head += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  if (event.dataKind === "none") return Buffer.from(`${head}}`);
  if (event.dataContentType !== undefined) head += `,"datacontenttype":${JSON.stringify(event.dataContentType)}`;
  if (event.dataKind === "json") return wrap(`${head},"data":`, event.data);
  if (event.dataKind === "binary") return Buffer.from(`${head},"data_base64":"${asBuffer(event.data).toString("base64")}"}`);
  return Buffer.from(`${head},"data":${JSON.stringify(dataAsText(event))}}`);
}

/** CloudEvents HTTP binding 1.0.2, 3.1.3. */
function binaryHeaders(event: Event): Payload["headers"] {
  const headers: [string, string][] = [
    ["ce-specversion", "1.0"],
    ["ce-id", headerValue(event.sourceId)],
    ["ce-source", headerValue(event.source)],
    ["ce-type", headerValue(event.type)],
    ["ce-time", headerValue(eventTime(event))],
  ];
  if (event.subject !== undefined) headers.push(["ce-subject", headerValue(event.subject)]);
  for (const [name, value] of Object.entries(event.extensions)) headers.push([`ce-${name}`, headerValue(String(value))]);
  return headers;
}

/** HTTP binding 3.1.3.2: space, double quote, percent and everything outside printable ASCII are percent-encoded. */
function headerValue(text: string): string {
  if (/^[\x21\x23\x24\x26-\x7e]*$/.test(text)) return text;
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    encoded += byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x25 ? String.fromCharCode(byte) : PERCENT[byte]!;
  }
  return encoded;
}
