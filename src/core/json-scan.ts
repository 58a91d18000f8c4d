import { isUtf8 } from "node:buffer";
import { JSON_DEPTH_MAX } from "./event.ts";

/** Where one JSON value lies in the bytes it was scanned from: `[start, end)`. Children are listed only down to the levels asked for. */
export interface JsonNode {
  readonly kind: "object" | "array" | "string" | "number" | "true" | "false" | "null";
  readonly start: number;
  readonly end: number;
  readonly members: readonly JsonMember[];
  readonly items: readonly JsonNode[];
}

export interface JsonMember {
  /** Decoded: escapes resolved. */
  readonly key: string;
  readonly keyStart: number;
  readonly value: JsonNode;
}

type JsonErrorReason = "syntax" | "too_deep" | "duplicate_key" | "control_byte" | "utf8" | "byte_order_mark";

/** Why bytes are not JSON as we take it, and the byte (from 0) at which that shows. */
export interface JsonError {
  readonly reason: JsonErrorReason;
  readonly offset: number;
  readonly message: string;
}

export type JsonScan = { readonly ok: true; readonly root: JsonNode } | { readonly ok: false; readonly error: JsonError };

/**
 * Checks bytes against RFC 8259 and finds where values lie, without decoding or copying them: what is stored and sent are the
 * bytes as received. Stricter than the RFC where two readers could see different values: duplicate keys (compared decoded), a byte
 * order mark and invalid UTF-8 are refused, as is nesting over JSON_DEPTH_MAX. Escapes (`\u0000`, lone surrogates) are data and pass.
 *
 * `levels` says how many levels from the root are listed in the result (0: none, 1: the root's members, 2: also those of its
 * items); listed levels are envelope, and depth is counted inside them.
 */
export function scanJson(bytes: Uint8Array, levels = 0): JsonScan {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isUtf8(buffer)) return { ok: false, error: { reason: "utf8", offset: invalidUtf8At(buffer), message: "invalid UTF-8" } };
  if (buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf) {
    return {
      ok: false,
      error: { reason: "byte_order_mark", offset: 0, message: "a byte order mark precedes the JSON: remove it" },
    };
  }
  return new Scanner(buffer).scan(levels);
}

/** The text of a string node, escapes resolved. */
export function jsonString(bytes: Uint8Array, node: JsonNode): string {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + node.start, node.end - node.start).toString("utf8")) as string;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FAILED = -1;
/** Objects up to this size compare key hashes one by one; larger ones use a set. */
const LINEAR_KEYS_MAX = 16;

/** 1 for every byte that ends the plain run inside a string: quote, backslash, control bytes. */
const STRING_STOP = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 1 : 0));
const SPACE = Uint8Array.from({ length: 256 }, (_, byte) => (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09 ? 1 : 0));
const DIGIT = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x30 && byte <= 0x39 ? 1 : 0));
const HEX = Uint8Array.from({ length: 256 }, (_, byte) => (/[0-9a-fA-F]/.test(String.fromCharCode(byte)) ? 1 : 0));
const SIMPLE_ESCAPE = Uint8Array.from({ length: 256 }, (_, byte) => ('"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0));

/** Bytes of a string that are looked at one by one before four are looked at together. */
const SHORT_RUN = 32;

/** Whether one of four bytes may be a quote, a backslash or a control byte; true for some words without any, false for none with one. */
function hasStop(word: number): boolean {
  const quote = word ^ 0x22222222;
  const backslash = word ^ 0x5c5c5c5c;
  const stops = ((word - 0x20202020) & ~word) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash);
  return (stops & 0x80808080) !== 0;
}

/** The bytes as words, from the last word boundary before them; those that fill no word are left out. */
function wordsOf({ buffer, byteOffset, length }: Buffer): Int32Array {
  const shift = byteOffset & 3;
  return new Int32Array(buffer, byteOffset - shift, (length + shift) >> 2);
}

interface MemberList {
  readonly members: JsonMember[];
  readonly levels: number;
}

const NO_MEMBERS: readonly JsonMember[] = [];
const NO_ITEMS: readonly JsonNode[] = [];

/** One pass, positions as numbers, -1 = failed (`#error` says why). Recursion is bounded by the depth limit. */
class Scanner {
  readonly #bytes: Buffer;
  /** Made for the first long string. */
  #words: Int32Array | undefined;
  #error: JsonError | undefined;
  /** Keys of the objects now open, as a stack: hash, start and end of the text between the quotes. */
  readonly #hashes: number[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #keyTop = 0;
  /** Of the key last scanned. */
  #keyHash = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  scan(levels: number): JsonScan {
    const root = this.#node(this.#space(0), 1 - levels, levels);
    if (root !== undefined) {
      const end = this.#space(root.end);
      if (end !== this.#bytes.length) this.#fail(end, "something follows the JSON value");
      else return { ok: true, root };
    }
    return { ok: false, error: this.#error ?? { reason: "syntax", offset: 0, message: "not JSON" } };
  }

  #fail(offset: number, message: string, reason: JsonErrorReason = "syntax"): typeof FAILED {
    const ended = offset >= this.#bytes.length && reason === "syntax";
    this.#error ??= { reason, offset: Math.min(offset, this.#bytes.length), message: ended ? "the JSON ends too early" : message };
    return FAILED;
  }

  #space(from: number): number {
    const bytes = this.#bytes;
    let at = from;
    while (at < bytes.length && SPACE[bytes[at]!] === 1) at++;
    return at;
  }

  /** A value with its place; children listed while `levels` > 0. */
  #node(start: number, depth: number, levels: number): JsonNode | undefined {
    const kind = kindOf(this.#bytes[start]);
    const members: JsonMember[] | undefined = levels > 0 && kind === "object" ? [] : undefined;
    const items: JsonNode[] | undefined = levels > 0 && kind === "array" ? [] : undefined;
    let end: number;
    if (members !== undefined) end = this.#object(start, depth, { members, levels: levels - 1 });
    else if (items !== undefined) end = this.#array(start, depth, { items, levels: levels - 1 });
    else end = this.#value(start, depth);
    return end === FAILED ? undefined : { kind, start, end, members: members ?? NO_MEMBERS, items: items ?? NO_ITEMS };
  }

  #value(at: number, depth: number): number {
    const byte = this.#bytes[at];
    if (byte === QUOTE) return this.#string(at);
    if (byte === 0x7b) return this.#object(at, depth, undefined);
    if (byte === 0x5b) return this.#array(at, depth, undefined);
    if (byte === 0x74) return this.#word(at, "true");
    if (byte === 0x66) return this.#word(at, "false");
    if (byte === 0x6e) return this.#word(at, "null");
    return this.#number(at);
  }

  #word(at: number, word: string): number {
    for (let i = 1; i < word.length; i++) {
      if (this.#bytes[at + i] !== word.charCodeAt(i)) return this.#fail(at + i, `expected '${word}'`);
    }
    return at + word.length;
  }

  #number(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (bytes[at] === 0x2d) at++;
    if (bytes[at] === 0x30) at++;
    else if (DIGIT[bytes[at] ?? 0] === 1) at = this.#digits(at);
    else return this.#fail(at, at === start ? "expected a value" : "expected a digit");
    if (bytes[at] === 0x2e) {
      at++;
      if (DIGIT[bytes[at] ?? 0] !== 1) return this.#fail(at, "expected a digit after the point");
      at = this.#digits(at);
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      at++;
      if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
      if (DIGIT[bytes[at] ?? 0] !== 1) return this.#fail(at, "expected a digit in the exponent");
      at = this.#digits(at);
    }
    return at;
  }

  #digits(from: number): number {
    let at = from;
    while (DIGIT[this.#bytes[at] ?? 0] === 1) at++;
    return at;
  }

  /** From the opening quote to after the closing one. */
  #string(start: number): number {
    const bytes = this.#bytes;
    const length = bytes.length;
    let at = start + 1;
    for (;;) {
      const soon = at + SHORT_RUN < length ? at + SHORT_RUN : length;
      while (at < soon && STRING_STOP[bytes[at]!] === 0) at++;
      if (at === length) return this.#fail(length, "the string has no end");
      const byte = bytes[at]!;
      if (byte === QUOTE) return at + 1;
      if (byte === BACKSLASH) {
        at = this.#escape(at);
        if (at === FAILED) return FAILED;
      } else if (STRING_STOP[byte] === 0) {
        // Most strings are short, and long ones are most of the bytes.
        at = this.#longRun(at);
      } else return this.#fail(at, "a string contains a raw control byte: escape it", "control_byte");
    }
  }

  /** Over the plain bytes of a string, four at a time: to at most three bytes before the first that is none. */
  #longRun(from: number): number {
    const words = (this.#words ??= wordsOf(this.#bytes));
    const { byteOffset, length } = this.#bytes;
    const shift = byteOffset & 3;
    let at = from;
    while (at < length && ((at + shift) & 3) !== 0 && STRING_STOP[this.#bytes[at]!] === 0) at++;
    if (((at + shift) & 3) !== 0) return at;
    let word = (at + shift) >> 2;
    while (word < words.length && !hasStop(words[word]!)) word++;
    return Math.max(at, (word << 2) - shift);
  }

  #escape(at: number): number {
    const bytes = this.#bytes;
    const byte = bytes[at + 1] ?? 0;
    if (SIMPLE_ESCAPE[byte] === 1) return at + 2;
    if (byte !== 0x75) return this.#fail(at + 1, "unknown escape");
    for (let i = 2; i < 6; i++) {
      if (HEX[bytes[at + i] ?? 0] !== 1) return this.#fail(at + i, "\\u needs four hexadecimal digits");
    }
    return at + 6;
  }

  #object(start: number, depth: number, list: MemberList | undefined): number {
    if (depth > JSON_DEPTH_MAX) return this.#fail(start, `nested deeper than ${JSON_DEPTH_MAX} levels`, "too_deep");
    const bytes = this.#bytes;
    let at = this.#space(start + 1);
    if (bytes[at] === 0x7d) return at + 1;
    const base = this.#keyTop;
    let many: Set<string> | undefined;
    for (;;) {
      if (bytes[at] !== QUOTE) return this.#fail(at, "expected a key in double quotes");
      const keyStart = at;
      at = this.#key(keyStart);
      if (at === FAILED) return FAILED;
      const keyEnd = at - 1;
      if (many === undefined && this.#keyTop - base >= LINEAR_KEYS_MAX) many = this.#keysSince(base);
      if (!this.#remember(keyStart + 1, keyEnd, base, many)) return FAILED;
      at = this.#space(at);
      if (bytes[at] !== 0x3a) return this.#fail(at, "expected ':' after the key");
      at = this.#space(at + 1);
      if (list === undefined) at = this.#value(at, depth + 1);
      else at = this.#listed(list, { key: this.#decoded(keyStart + 1, keyEnd), keyStart }, at, depth + 1);
      if (at === FAILED) return FAILED;
      at = this.#space(at);
      if (bytes[at] === 0x2c) at = this.#space(at + 1);
      else if (bytes[at] === 0x7d) {
        this.#keyTop = base;
        return at + 1;
      } else return this.#fail(at, "expected ',' or '}'");
    }
  }

  /** A member's value, listed under its key. */
  #listed(list: MemberList, name: Omit<JsonMember, "value">, at: number, depth: number): number {
    const value = this.#node(at, depth, list.levels);
    if (value === undefined) return FAILED;
    list.members.push({ ...name, value });
    return value.end;
  }

  #array(start: number, depth: number, list: { readonly items: JsonNode[]; readonly levels: number } | undefined): number {
    if (depth > JSON_DEPTH_MAX) return this.#fail(start, `nested deeper than ${JSON_DEPTH_MAX} levels`, "too_deep");
    const bytes = this.#bytes;
    let at = this.#space(start + 1);
    if (bytes[at] === 0x5d) return at + 1;
    for (;;) {
      if (list === undefined) at = this.#value(at, depth + 1);
      else {
        const item = this.#node(at, depth + 1, list.levels);
        if (item !== undefined) list.items.push(item);
        at = item?.end ?? FAILED;
      }
      if (at === FAILED) return FAILED;
      at = this.#space(at);
      if (bytes[at] === 0x2c) at = this.#space(at + 1);
      else if (bytes[at] === 0x5d) return at + 1;
      else return this.#fail(at, "expected ',' or ']'");
    }
  }

  /** A string that is a key: also leaves the hash of its decoded text in `#keyHash`. */
  #key(start: number): number {
    const bytes = this.#bytes;
    let hash = 0;
    let at = start + 1;
    while (at < bytes.length && STRING_STOP[bytes[at]!] === 0) hash = (Math.imul(hash, 31) + bytes[at++]!) | 0;
    if (bytes[at] === QUOTE) {
      this.#keyHash = hash;
      return at + 1;
    }
    const end = this.#string(start);
    if (end === FAILED) return FAILED;
    this.#keyHash = hashText(this.#decoded(start + 1, end - 1));
    return end;
  }

  /** Adds the key to its object's; false (and failed) when it was there. */
  #remember(start: number, end: number, base: number, many: Set<string> | undefined): boolean {
    if (many !== undefined) {
      const text = this.#decoded(start, end);
      if (many.has(text)) return this.#duplicate(start, text);
      many.add(text);
      return true;
    }
    const hash = this.#keyHash;
    for (let i = base; i < this.#keyTop; i++) {
      if (this.#hashes[i] !== hash) continue;
      const text = this.#decoded(start, end);
      if (this.#decoded(this.#starts[i]!, this.#ends[i]!) === text) return this.#duplicate(start, text);
    }
    const top = this.#keyTop++;
    this.#hashes[top] = hash;
    this.#starts[top] = start;
    this.#ends[top] = end;
    return true;
  }

  #duplicate(start: number, key: string): false {
    const shown = key.length > 64 ? `${key.slice(0, 64)}…` : key;
    this.#fail(start - 1, `the key ${JSON.stringify(shown)} appears twice in one object`, "duplicate_key");
    return false;
  }

  #keysSince(base: number): Set<string> {
    const keys = new Set<string>();
    for (let i = base; i < this.#keyTop; i++) keys.add(this.#decoded(this.#starts[i]!, this.#ends[i]!));
    return keys;
  }

  /** Text between quotes, escapes resolved. */
  #decoded(start: number, end: number): string {
    const text = this.#bytes.toString("utf8", start, end);
    return text.includes("\\") ? (JSON.parse(`"${text}"`) as string) : text;
  }
}

function kindOf(byte: number | undefined): JsonNode["kind"] {
  if (byte === 0x7b) return "object";
  if (byte === 0x5b) return "array";
  if (byte === QUOTE) return "string";
  if (byte === 0x74) return "true";
  if (byte === 0x66) return "false";
  return byte === 0x6e ? "null" : "number";
}

function hashText(text: string): number {
  let hash = 0;
  for (const byte of Buffer.from(text, "utf8")) hash = (Math.imul(hash, 31) + byte) | 0;
  return hash;
}

/** The first byte that does not continue valid UTF-8 (Unicode table 3-7). Only for the error's place; `isUtf8` decides. */
export function invalidUtf8At(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes[at]!);
    const whole = length === 1 || (length > 1 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)));
    if (!whole) return at;
    at += length;
  }
  return bytes.length;
}

/** Bytes of the UTF-8 sequence that starts so; 0 when none does. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}
