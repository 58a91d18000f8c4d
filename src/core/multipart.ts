import { isAscii, isUtf8 } from "node:buffer";
import { fieldsAsJson } from "./fields-as-json.ts";

/** Parts of one body: forms of people and of callers have some ten. */
export const PARTS_MAX = 1_000;
/** The headers of one part, in bytes. */
export const PART_HEAD_BYTES_MAX = 8 * 1024;

/** One part of a `multipart/form-data` body (RFC 7578). */
export interface Part {
  readonly name: string;
  /** A file has one, if only an empty one. */
  readonly filename: string | undefined;
  readonly contentType: string | undefined;
  /** A view into the body. */
  readonly value: Buffer;
}

/** Why bytes are no multipart body, and the byte (from 0) at which that shows. */
interface MultipartError {
  readonly offset: number;
  readonly message: string;
}

export type MultipartRead = { readonly ok: true; readonly parts: readonly Part[] } | { readonly ok: false; readonly error: MultipartError };

/** Whether a Content-Type says that the body is a form of several parts. */
export function isMultipartForm(contentType: string): boolean {
  return /^multipart\/form-data[ \t]*(?:;|$)/i.test(contentType);
}

/**
 * Takes a body apart, without copying it. Strict, as two readers must not see two forms: lines end in CR LF, the last boundary is there, every part has a
 * name, and nothing is encoded (RFC 7578 4.7). The same bytes and Content-Type always give the same parts.
 */
export function readMultipart(body: Uint8Array, contentType: string): MultipartRead {
  const boundary = parametersOf(contentType)?.get("boundary");
  if (boundary === undefined || !BOUNDARY.test(boundary)) {
    return failed(0, "the Content-Type has no boundary of 1 to 70 characters");
  }
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const mark = Buffer.from(`\r\n--${boundary}`, "latin1");
  // RFC 2046 allows a text before the first boundary and behind the last one, for people; in a form it would be a part that is lost without a word.
  const first = lineEndsFrom(bytes, 0);
  const isFirst = bytes.subarray(first, first + mark.length - 2).equals(mark.subarray(2));
  let line: Line = isFirst ? lineAfter(bytes, first + mark.length - 2) : NO_LINE;
  if (line.kind === "text")
    return failed(first, "the body does not begin with the boundary that the Content-Type names, on a line that ends in CR LF");
  const parts: Part[] = [];
  while (line.kind === "open") {
    if (parts.length === PARTS_MAX) return failed(line.end, `there are more than ${PARTS_MAX} parts, the most that are supported`);
    const start: number = line.end;
    const head = readHead(bytes, start);
    if ("message" in head) return { ok: false, error: head };
    // What ends the head may be what begins the boundary: such a part is empty (RFC 2046 5.1.1).
    const next = nextBoundary(bytes, mark, head.end - 2);
    if (next === undefined) return failed(bytes.length, "the body ends without the closing boundary: it is not complete");
    const { end, ...rest } = head;
    parts.push({ ...rest, value: bytes.subarray(end, Math.max(end, next.start)) });
    line = next;
  }
  const end = lineEndsFrom(bytes, line.end);
  return end === bytes.length ? { ok: true, parts } : failed(end, "there are bytes behind the closing boundary");
}

/** The parts as the JSON of an object. `value` says what a part is. */
export function partsAsJson(parts: readonly Part[], value: (part: Part) => string = partAsJson): string {
  return fieldsAsJson(parts.map((part) => [part.name, value(part)]));
}

/** A text as a string, JSON (by its Content-Type) as it is, a file or any other bytes as an object with their base64. */
export function partAsJson(part: Part): string {
  const { filename, contentType, value } = part;
  if (isJsonPart(part)) return value.toString("utf8");
  if (filename === undefined && isText(part)) return JSON.stringify(value.toString("utf8"));
  return JSON.stringify({ filename, contentType, base64: value.toString("base64") });
}

/** Whether a part says that it is JSON; a file never is read. */
export function isJsonPart({ filename, contentType }: Pick<Part, "filename" | "contentType">): boolean {
  return filename === undefined && contentType !== undefined && /^application\/(?:[\w.+-]+\+)?json[ \t]*(?:;|$)/i.test(contentType);
}

function isText({ contentType, value }: Part): boolean {
  const charset = contentType === undefined ? undefined : parametersOf(contentType)?.get("charset")?.toLowerCase();
  return charset === undefined || charset === "utf-8" || charset === "utf8" ? isUtf8(value) : isAscii(value);
}

/** RFC 2046 5.1.1 allows fewer characters than senders use. */
const BOUNDARY = /^[\u0021-\u007e](?:[\u0020-\u007e]{0,68}[\u0021-\u007e])?$/;
const [SPACE, TAB, CR, LF, HYPHEN] = [0x20, 0x09, 0x0d, 0x0a, 0x2d];

/** A line that begins as the boundary does: before a part, behind the last one, or text after all. `start`: where the part before it ends. */
interface Line {
  readonly kind: "open" | "close" | "text";
  readonly start: number;
  /** Behind its line end. */
  readonly end: number;
}

const NO_LINE: Line = { kind: "text", start: 0, end: 0 };

/** Behind the line ends that begin here. */
function lineEndsFrom(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at;
}

function nextBoundary(bytes: Buffer, mark: Buffer, from: number): Line | undefined {
  for (let start = bytes.indexOf(mark, from); start !== -1; start = bytes.indexOf(mark, start + 2)) {
    const line = lineAfter(bytes, start + mark.length);
    if (line.kind !== "text") return { ...line, start };
  }
  return undefined;
}

function lineAfter(bytes: Buffer, from: number): Line {
  const closes = bytes[from] === HYPHEN && bytes[from + 1] === HYPHEN;
  let at = closes ? from + 2 : from;
  while (bytes[at] === SPACE || bytes[at] === TAB) at++;
  const isEnd = bytes[at] === CR && bytes[at + 1] === LF;
  if (closes && (isEnd || at === bytes.length)) return { kind: "close", start: 0, end: at };
  return { kind: !closes && isEnd ? "open" : "text", start: 0, end: at + 2 };
}

type PartHead = Omit<Part, "value"> & { readonly end: number };

function readHead(bytes: Buffer, start: number): PartHead | MultipartError {
  const at = bytes.subarray(start, start + PART_HEAD_BYTES_MAX).indexOf("\r\n\r\n");
  if (at === -1) return { offset: start, message: `the headers of a part have no end within ${PART_HEAD_BYTES_MAX} bytes` };
  const head = bytes.subarray(start, start + at);
  if (!isUtf8(head)) return { offset: start, message: "the headers of a part are not UTF-8" };
  const headers = new Map<string, string>();
  for (const line of head.toString("utf8").split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0 || /[\s\0]/.test(line.slice(0, colon))) return { offset: start, message: "a part has a header line without a name" };
    const name = line.slice(0, colon).toLowerCase();
    if (headers.has(name)) return { offset: start, message: `a part has the header '${name.slice(0, 64)}' twice` };
    headers.set(name, line.slice(colon + 1).trim());
  }
  const found = namesOf(headers);
  return typeof found === "string" ? { offset: start, message: found } : { ...found, end: start + at + 4 };
}

function namesOf(headers: ReadonlyMap<string, string>): Omit<Part, "value"> | string {
  const disposition = headers.get("content-disposition") ?? "";
  const parameters = /^form-data[ \t]*(?:;|$)/i.test(disposition) ? parametersOf(disposition) : undefined;
  const name = parameters === undefined ? undefined : fieldOf(parameters, "name");
  if (parameters === undefined || name === undefined) return "a part has no Content-Disposition 'form-data' with one name";
  const encoding = headers.get("content-transfer-encoding")?.toLowerCase();
  if (encoding !== undefined && !["7bit", "8bit", "binary"].includes(encoding)) {
    return "a part has a Content-Transfer-Encoding, which forms do not use (RFC 7578 4.7): send its bytes as they are";
  }
  return { name, filename: fieldOf(parameters, "filename"), contentType: headers.get("content-type") };
}

/** What browsers write for the three characters that would end the line or the quotes (WHATWG HTML, multipart/form-data encoding). */
const ESCAPES = new Map([
  ["%22", '"'],
  ["%0A", "\n"],
  ["%0D", "\r"],
]);

/** A parameter, or its form with a charset (RFC 8187), which some clients use for what is not ASCII. */
function fieldOf(parameters: ReadonlyMap<string, string>, name: string): string | undefined {
  const extended = /^utf-8'[^']*'(.*)$/i.exec(parameters.get(`${name}*`) ?? "")?.[1];
  if (extended !== undefined) return decoded(extended) ?? parameters.get(name);
  return parameters.get(name)?.replaceAll(/%(?:22|0A|0D)/gi, (escape) => ESCAPES.get(escape.toUpperCase()) ?? escape);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

const ESCAPING = /;[ \t]*(?:([^\s;="]+)=(?:"((?:[^"\\]|\\[^])*)"|([^\s;"]*)))?[ \t]*/y;
const PLAIN = /;[ \t]*(?:([^\s;="]+)=(?:"([^"]*)"|([^\s;"]*)))?[ \t]*/y;

/**
 * The parameters behind a value, names in lower case. Undefined when they are malformed, or when one is there twice. A quote may be escaped by a
 * backslash; where the text makes no sense so, backslashes are characters as any, as browsers write them.
 */
function parametersOf(text: string): ReadonlyMap<string, string> | undefined {
  return parametersBy(ESCAPING, text) ?? parametersBy(PLAIN, text);
}

function parametersBy(pattern: RegExp, text: string): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>();
  const first = text.indexOf(";");
  pattern.lastIndex = first === -1 ? text.length : first;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) return undefined;
    const [, name, quoted, plain = ""] = match;
    if (name === undefined) continue;
    if (found.has(name.toLowerCase())) return undefined;
    found.set(name.toLowerCase(), quoted === undefined ? plain : quoted.replaceAll('\\"', '"'));
  }
  return found;
}

function failed(offset: number, message: string): MultipartRead {
  return { ok: false, error: { offset, message } };
}
