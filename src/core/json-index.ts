/** Where the values of a JSON text lie. */
export interface JsonIndex {
  readonly bytes: Buffer;
  /** VALUE_FIELDS numbers a value, in the order written; a member's key is the value before its own. */
  readonly values: Int32Array;
}

export const VALUE_FIELDS = 4;
/** First byte of the value. */
export const START = 0;
/** The byte behind it. */
export const END = 1;
/** Place in `values` of what is behind it and all it holds. */
export const NEXT = 2;
/** Of an array its items, of an object its members, of a string which of the three below it is. */
export const SIZE = 3;

export const ASCII_TEXT = 0;
export const UTF8_TEXT = 1;
export const ESCAPED_TEXT = 2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const BETWEEN = bytesOf(" \t\r\n,:");
const ENDS_SCALAR = bytesOf(" \t\r\n,:]}");
const BEGINS_SCALAR = bytesOf("-0123456789tfn");

function bytesOf(chars: string): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (chars.includes(String.fromCharCode(byte)) ? 1 : 0));
}

/**
 * One pass over JSON that has been checked (json-scan.ts), without decoding or recursion: some nanoseconds a byte, 16 bytes a value, so that reading
 * an event costs by what is looked at and not by what it holds. @returns undefined for what is plainly no JSON
 */
export function indexJson(bytes: Buffer): JsonIndex | undefined {
  return new Indexer(bytes).run();
}

class Indexer {
  readonly #bytes: Buffer;
  #values: Int32Array;
  #count = 0;
  /** Containers that are open, by their places. */
  readonly #open: number[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#values = new Int32Array(VALUE_FIELDS * Math.max(16, bytes.length >> 4));
  }

  run(): JsonIndex | undefined {
    const bytes = this.#bytes;
    let at = 0;
    while (at < bytes.length) {
      const byte = bytes[at]!;
      if (BETWEEN[byte] === 1) at += 1;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (!this.#close(++at, byte)) return undefined;
      } else {
        if (this.#count > 0 && this.#open.length === 0) return undefined;
        const place = this.#begin(at);
        if (byte === QUOTE) at = this.#text(at, place);
        else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
          this.#open.push(place);
          at += 1;
        } else if (BEGINS_SCALAR[byte] === 1) at = this.#scalar(at, place);
        else return undefined;
      }
    }
    return this.#open.length > 0 || this.#count === 0 ? undefined : { bytes, values: this.#values.slice(0, this.#count) };
  }

  #begin(at: number): number {
    if (this.#count + VALUE_FIELDS > this.#values.length) {
      const grown = new Int32Array(this.#values.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    const place = this.#count;
    this.#count += VALUE_FIELDS;
    this.#values[place + START] = at;
    const around = this.#open.at(-1);
    if (around !== undefined) this.#values[around + SIZE]! += 1;
    return place;
  }

  #end(place: number, at: number): void {
    this.#values[place + END] = at;
    this.#values[place + NEXT] = this.#count;
  }

  #close(at: number, byte: number): boolean {
    const place = this.#open.pop();
    if (place === undefined) return false;
    const isObject = this.#bytes[this.#values[place + START]!] === OPEN_OBJECT;
    const size = this.#values[place + SIZE]!;
    if (isObject) this.#values[place + SIZE] = size >> 1;
    this.#end(place, at);
    return isObject === (byte === CLOSE_OBJECT) && !(isObject && size % 2 === 1);
  }

  #text(start: number, place: number): number {
    const bytes = this.#bytes;
    let kind = ASCII_TEXT;
    let at = start + 1;
    while (at < bytes.length) {
      const byte = bytes[at]!;
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        kind = ESCAPED_TEXT;
        at += 1;
      } else if (byte >= 0x80 && kind === ASCII_TEXT) kind = UTF8_TEXT;
      at += 1;
    }
    this.#values[place + SIZE] = kind;
    this.#end(place, at + 1);
    return at + 1;
  }

  #scalar(start: number, place: number): number {
    const bytes = this.#bytes;
    let at = start + 1;
    while (at < bytes.length && ENDS_SCALAR[bytes[at]!] === 0) at += 1;
    this.#end(place, at);
    return at;
  }
}
