import { EVENT_BYTES_MAX, REQUEST_EVENTS_MAX, type ExtensionValue } from "../core/event.ts";
import type { HookSettings } from "../core/hook-settings.ts";
import { type JsonMember, type JsonNode, jsonString, scanJson } from "../core/json-scan.ts";
import { TOKEN_FIELD } from "./body-token.ts";
import { AttributeReader, type EventDraft, NO_DATA, attributeMistake } from "./event-draft.ts";
import { isJson, isUtf8Charset, kindOfData, parseMediaType } from "./media-type.ts";
import { type Checked, type Refusal, jsonRefusal, refuse, refused } from "./refusal.ts";
import { replaceUnseen } from "../lib/unseen.ts";

/** A body whose events are read once the caller is known: the token may stand in it. */
export interface BodyRequest {
  /** Value of the top-level `token`, when it is a string. */
  readonly token: string | undefined;
  /** `tokenMatched`: the token field let the caller in, so it is no attribute of the event. `hooks`: what the caller's Secret says of its hooks. */
  readonly drafts: (tokenMatched: boolean, hooks?: HookSettings) => Checked<readonly EventDraft[]>;
}

type Shape = "structured" | "batch" | "short";

/** Scans the whole body once. `shape` comes from the Content-Type. */
export function readJsonRequest(body: Uint8Array, shape: Shape): Checked<BodyRequest> {
  const scan = scanJson(body, shape === "batch" ? 2 : 1);
  if (!scan.ok) return { ok: false, refusal: jsonRefusal(scan.error) };
  const { root } = scan;
  if (shape === "batch") {
    if (root.kind !== "array")
      return refused("event_invalid", "A batch is a JSON array of CloudEvents.", { offset: root.start, pointer: "" });
    return { ok: true, value: { token: undefined, drafts: () => readBatch(body, root.items) } };
  }
  if (root.kind !== "object") return refused("event_invalid", "The body must be a JSON object.", { offset: root.start, pointer: "" });
  const token = root.members.find((member) => member.key === TOKEN_FIELD && member.value.kind === "string");
  const read = shape === "short" ? readShort : readStructured;
  return {
    ok: true,
    value: {
      token: token === undefined ? undefined : jsonString(body, token.value),
      drafts: (tokenMatched) => {
        const members = tokenMatched ? root.members.filter((member) => member !== token) : root.members;
        const draft = read(body, members, "");
        return draft.ok ? { ok: true, value: [draft.value] } : draft;
      },
    },
  };
}

function readBatch(body: Uint8Array, items: readonly JsonNode[]): Checked<readonly EventDraft[]> {
  if (items.length > REQUEST_EVENTS_MAX) {
    return refused(
      "batch_too_long",
      `The batch holds ${items.length} events; at most ${REQUEST_EVENTS_MAX} are allowed: send several requests.`,
    );
  }
  const drafts: EventDraft[] = [];
  for (const [index, item] of items.entries()) {
    const draft = readBatchItem(body, item, index);
    if (!draft.ok) return { ok: false, refusal: { ...draft.refusal, index } };
    drafts.push(draft.value);
  }
  return { ok: true, value: drafts };
}

function readBatchItem(body: Uint8Array, item: JsonNode, index: number): Checked<EventDraft> {
  const pointer = `/${index}`;
  if (item.kind !== "object") return refused("event_invalid", "Every item of a batch is a JSON object.", { offset: item.start, pointer });
  const size = item.end - item.start;
  if (size > EVENT_BYTES_MAX) {
    return refused(
      "event_too_large",
      `Event ${index} has ${size} bytes; at most ${EVENT_BYTES_MAX} are allowed: put large content elsewhere and send its address.`,
      {
        offset: item.start,
        pointer,
      },
    );
  }
  return readStructured(body, item.members, pointer);
}

/** CloudEvents JSON event format 1.0.2, section 3. */
function readStructured(body: Uint8Array, members: readonly JsonMember[], base: string): Checked<EventDraft> {
  const values = new Map<string, ExtensionValue>();
  let data: JsonNode | undefined;
  let base64: JsonNode | undefined;
  for (const { key, value } of members) {
    if (key === "data") data = value;
    else if (key === "data_base64") base64 = value.kind === "null" ? undefined : value;
    else {
      const text = attributeValue(body, key, value, base);
      if (!text.ok) return text;
      if (text.value !== undefined) values.set(key, text.value);
    }
  }
  const at = (name: string): Pick<Refusal, "pointer"> => ({ pointer: `${base}/${escapePointer(name)}` });
  const attributes = new AttributeReader(values, at, (name) => `Attribute '${shown(name)}'`).read();
  if (!attributes.ok) return attributes;
  const read = readData(body, { data, base64, contentType: attributes.value.dataContentType, base });
  return read.ok ? { ok: true, value: { ...attributes.value, ...read.value } } : read;
}

/** CloudEvents type system: strings, booleans and 32-bit integers; null is the same as absent. */
function attributeValue(body: Uint8Array, name: string, node: JsonNode, base: string): Checked<ExtensionValue | undefined> {
  if (node.kind === "string") return { ok: true, value: jsonString(body, node) };
  if (node.kind === "null") return { ok: true, value: undefined };
  const extension = !STRINGS_ONLY.has(name);
  if (extension && (node.kind === "true" || node.kind === "false")) return { ok: true, value: node.kind === "true" };
  if (extension && node.kind === "number") {
    const text = Buffer.from(body.buffer, body.byteOffset + node.start, node.end - node.start).toString("latin1");
    if (/^-?\d{1,10}$/.test(text) && Number(text) === (Number(text) | 0)) return { ok: true, value: Number(text) | 0 };
  }
  const wanted = extension ? "a string, a boolean or a 32-bit integer" : "a string";
  return refused("attribute_invalid", `Attribute '${shown(name)}' must be ${wanted}.`, {
    offset: node.start,
    pointer: `${base}/${escapePointer(name)}`,
  });
}

const STRINGS_ONLY: ReadonlySet<string> = new Set([
  "id",
  "source",
  "type",
  "specversion",
  "subject",
  "time",
  "datacontenttype",
  "dataschema",
]);

interface DataMembers {
  readonly data: JsonNode | undefined;
  readonly base64: JsonNode | undefined;
  readonly contentType: string | undefined;
  readonly base: string;
}

export type DataPart = Pick<EventDraft, "data" | "dataKind" | "dataContentType">;

/** JSON event format 3.1: JSON data lies in the envelope as it is, text as a string, bytes as base64. */
function readData(body: Uint8Array, members: DataMembers): Checked<DataPart> {
  const { data, base64, contentType, base } = members;
  if (data !== undefined && base64 !== undefined) {
    return refused("event_invalid", "Both data and data_base64 are present: send one of them.", {
      offset: base64.start,
      pointer: `${base}/data_base64`,
    });
  }
  if (base64 !== undefined) return readBase64(body, base64, members);
  if (data === undefined) return { ok: true, value: { data: NO_DATA, dataKind: "none", dataContentType: undefined } };
  const media = contentType === undefined ? undefined : parseMediaType(contentType);
  if (media === undefined || isJson(media.essence)) {
    const bytes = body.subarray(data.start, data.end);
    return { ok: true, value: { data: bytes, dataKind: "json", dataContentType: contentType ?? "application/json" } };
  }
  const pointer = `${base}/data`;
  const text = data.kind === "string" ? jsonString(body, data) : undefined;
  if (text === undefined || !text.isWellFormed()) {
    const detail = `With datacontenttype ${shown(media.essence)}, data must be a well-formed string; send bytes as data_base64.`;
    return refused("event_invalid", detail, { offset: data.start, pointer });
  }
  const bytes = Buffer.from(text, "utf8");
  return { ok: true, value: { data: bytes, dataKind: kindOfData(media, bytes), dataContentType: contentType } };
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function readBase64(body: Uint8Array, node: JsonNode, members: DataMembers): Checked<DataPart> {
  const where = { offset: node.start, pointer: `${members.base}/data_base64` };
  const text = node.kind === "string" ? jsonString(body, node) : undefined;
  if (text === undefined || !BASE64.test(text))
    return refused("event_invalid", "data_base64 must be a string of padded base64 (RFC 4648 4).", where);
  const bytes = Buffer.from(text, "base64");
  return classify(bytes, members.contentType, where);
}

/** How bytes are read whose media type was not said, or is none; it is not sent on (RFC 9110 8.3 leaves it to the receiver). */
const UNTYPED = "application/octet-stream";

/** Data that came as bytes: JSON must be JSON (it is spliced into JSON bodies later), anything else is taken as it is. */
export function classify(data: Uint8Array, contentType: string | undefined, where: Pick<Refusal, "pointer">): Checked<DataPart> {
  const media = parseMediaType(contentType ?? UNTYPED) ?? { essence: UNTYPED, charset: undefined };
  if (!isJson(media.essence)) return { ok: true, value: { data, dataKind: kindOfData(media, data), dataContentType: contentType } };
  if (!isUtf8Charset(media.charset)) {
    return refused("charset_unsupported", `JSON data in charset '${shown(media.charset ?? "")}' is not supported: send UTF-8.`, where);
  }
  const scan = scanJson(data);
  if (!scan.ok) return { ok: false, refusal: jsonRefusal(scan.error, 0, where) };
  return { ok: true, value: { data, dataKind: "json", dataContentType: contentType } };
}

const SHORT_FIELDS = ["type", "data", "subject", "time"] as const;

/** `{"type": …, "data": …}` with `subject` and `time` if wanted: an event without an identity of its own. */
function readShort(body: Uint8Array, members: readonly JsonMember[]): Checked<EventDraft> {
  const texts: { type?: string; subject?: string; time?: string } = {};
  let data: JsonNode | undefined;
  for (const { key, keyStart, value } of members) {
    if (key === "data") data = value;
    else if (key === "type" || key === "subject" || key === "time") {
      if (value.kind === "null" && key !== "type") continue;
      const text = shortText(body, key, value);
      if (!text.ok) return text;
      texts[key] = text.value;
    } else if (key !== TOKEN_FIELD) return { ok: false, refusal: unknownField(key, keyStart) };
  }
  const { type, subject, time } = texts;
  if (type === undefined)
    return refused("attribute_missing", "Field 'type' is missing: write for example \"order.paid\".", { pointer: "/type" });
  const bytes = data === undefined ? NO_DATA : body.subarray(data.start, data.end);
  const isAbsent = data === undefined;
  return {
    ok: true,
    value: {
      identity: undefined,
      type,
      subject,
      time,
      dataContentType: isAbsent ? undefined : "application/json",
      dataKind: isAbsent ? "none" : "json",
      data: bytes,
      extensions: NO_EXTENSIONS,
    },
  };
}

const NO_EXTENSIONS: Readonly<Record<string, string>> = {};

function shortText(body: Uint8Array, key: string, node: JsonNode): Checked<string> {
  const where = { offset: node.start, pointer: `/${key}` };
  if (node.kind !== "string") return refused("attribute_invalid", `Field '${key}' must be a string.`, where);
  const text = jsonString(body, node);
  const mistake = attributeMistake(key, text);
  return mistake === undefined ? { ok: true, value: text } : refused("attribute_invalid", `Field '${key}' ${mistake}.`, where);
}

function unknownField(key: string, offset: number): Refusal {
  const advice = `the short form supports ${SHORT_FIELDS.join(", ")}; put your own fields into data, or send a CloudEvent (application/cloudevents+json)`;
  return refuse("field_unknown", `Field '${shown(key)}' is unknown: ${advice}.`, { offset, pointer: `/${escapePointer(key)}` });
}

function escapePointer(name: string): string {
  return shown(name).replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Somebody else's text inside a message: bounded, one line. */
function shown(text: string): string {
  const line = replaceUnseen(text.toWellFormed(), (run) => "?".repeat(run.length));
  return line.length > 64 ? `${line.slice(0, 64)}…` : line;
}
