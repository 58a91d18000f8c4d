import { celList, celMap, celUint } from "@bufbuild/cel";
import type { CelList, CelMap, CelValue } from "@bufbuild/cel";
import { decimalOf } from "./decimal.ts";
import { charge, evaluationNumber } from "./expression/meter.ts";
import { ASCII_TEXT, END, ESCAPED_TEXT, type JsonIndex, NEXT, SIZE, START, UTF8_TEXT, VALUE_FIELDS } from "./json-index.ts";

const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;
const INT64_MIN = -(2n ** 63n);

/** A number with so few characters is exact as a double. */
const SAFE_CHARS = 15;
/** Significant digits that writers of doubles print, so that the same double is read again (IEEE 754: 17). */
const DOUBLE_DIGITS_MAX = 17;
/** Characters of a number in a message. */
const SHOWN_CHARS_MAX = 60;

/** What an event's map and list share with those of an expression: the marks by which CEL knows them. */
const MAP_MARK = markOf(celMap(new Map()));
const LIST_MARK = markOf(celList([]));

/** What is absent becomes an error. */
const ABSENT = 12;
/** Keys of an object read in one step. */
const KEYS_PER_STEP = 2;

/**
 * The value that begins at a place of the index, as CEL sees it; maps and lists are read when they are looked into. CEL knows its own by a mark that its types
 * do not export, hence the casts.
 */
export function valueAt(index: JsonIndex, place: number): CelValue {
  const { bytes, values } = index;
  const start = values[place + START]!;
  switch (bytes[start]) {
    case 0x7b:
      return new EventMap(index, place) as unknown as CelMap;
    case 0x5b:
      return new EventList(index, place) as unknown as CelList;
    case 0x22:
      return textAt(index, place);
    case 0x74:
      return true;
    case 0x66:
      return false;
    case 0x6e:
      return null;
    default:
      return numberOf(bytes.toString("latin1", start, values[place + END]));
  }
}

function textAt({ bytes, values }: JsonIndex, place: number): string {
  const start = values[place + START]! + 1;
  const end = values[place + END]! - 1;
  const kind = values[place + SIZE];
  if (kind === ASCII_TEXT) return bytes.toString("latin1", start, end);
  if (kind === UTF8_TEXT) return bytes.toString("utf8", start, end);
  return kind === ESCAPED_TEXT ? (JSON.parse(bytes.toString("utf8", start - 1, end + 1)) as string) : "";
}

/**
 * Written without point or exponent: an int, or a uint above that, exact to 64 bits. Else a double, of as many digits as writers of doubles print.
 * @throws for any other number: a filter that takes one id for the next, or a body that changes an amount, would be wrong without a word
 */
function numberOf(text: string): CelValue {
  if (/^-?\d{1,20}$/.test(text)) {
    if (text.length <= SAFE_CHARS) return BigInt(Number(text));
    const integer = BigInt(text);
    if (integer >= INT64_MIN && integer <= INT64_MAX) return integer;
    if (integer > INT64_MAX && integer <= UINT64_MAX) return celUint(integer);
  } else if (text.length <= DOUBLE_DIGITS_MAX || decimalOf(text).digits.length <= DOUBLE_DIGITS_MAX) return Number(text);
  const shown = text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
  throw new Error(
    `the event's number ${shown} is not exact in an expression (64-bit integers, decimals of ${DOUBLE_DIGITS_MAX} digits): send it as a string, or pass on the object that contains it`,
  );
}

/** A part of an event's data, with the bytes it was received as. */
abstract class EventPart {
  protected readonly index: JsonIndex;
  protected readonly place: number;
  readonly size: number;

  constructor(index: JsonIndex, place: number) {
    this.index = index;
    this.place = place;
    this.size = index.values[place + SIZE]!;
  }

  get raw(): Uint8Array {
    return rawAt(this.index, this.place);
  }
}

/** A number of the data as it is spelled. It only goes into JSON, never into an operator: to CEL it is a map, which a list or a map may hold. */
export class EventNumber extends EventPart {
  get text(): string {
    return asText(this.raw);
  }
}

function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** What lies at a place, a number as it is spelled. */
function spelledAt(index: JsonIndex, place: number): CelValue {
  const first = index.bytes[index.values[place + START]!]!;
  const isNumber = first === 0x2d || (first >= 0x30 && first <= 0x39);
  return isNumber ? (new EventNumber(index, place) as unknown as CelMap) : valueAt(index, place);
}

/** An object of the data. Its keys are texts, so no other key is ever looked for. */
export class EventMap extends EventPart {
  #places: Map<string, number> | undefined;
  #read: Map<string, CelValue> | undefined;
  /** The evaluation that has paid for its keys. */
  #paidIn = 0;

  /** Where a member's value lies. */
  placeOf(key: string): number | undefined {
    this.#pay();
    return this.#members().get(key);
  }

  get(key: unknown): CelValue | undefined {
    if (typeof key !== "string") return undefined;
    this.#pay();
    const known = this.#read?.get(key);
    if (known !== undefined) return known;
    const place = this.#members().get(key);
    if (place === undefined) {
      charge(ABSENT);
      return undefined;
    }
    const value = valueAt(this.index, place);
    this.#read ??= new Map();
    this.#read.set(key, value);
    return value;
  }

  /** The same, a number as it is spelled. */
  spelled(key: string): CelValue | undefined {
    const place = this.placeOf(key);
    return place === undefined ? undefined : spelledAt(this.index, place);
  }

  /** As CEL's own maps see it: a member that is null is not there. */
  has(key: unknown): boolean {
    return (this.get(key) ?? undefined) !== undefined;
  }

  keys(): IterableIterator<string> {
    this.#pay();
    return this.#members().keys();
  }

  *values(): IterableIterator<CelValue> {
    for (const key of this.keys()) yield this.get(key)!;
  }

  *entries(): IterableIterator<[string, CelValue]> {
    for (const key of this.keys()) yield [key, this.get(key)!];
  }

  [Symbol.iterator](): IterableIterator<[string, CelValue]> {
    return this.entries();
  }

  forEach(callback: (value: CelValue, key: string, map: unknown) => void, thisArg?: unknown): void {
    for (const [key, value] of this.entries()) callback.call(thisArg, value, key, this);
  }

  /** Each evaluation pays for the keys, whether they were read before or not: what it costs depends on the event alone. */
  #pay(): void {
    const number = evaluationNumber();
    if (this.#paidIn === number) return;
    this.#paidIn = number;
    charge(this.size / KEYS_PER_STEP);
  }

  #members(): Map<string, number> {
    if (this.#places !== undefined) return this.#places;
    const places = new Map<string, number>();
    const { values } = this.index;
    let at = this.place + VALUE_FIELDS;
    for (let i = 0; i < this.size; i++) {
      const value = values[at + NEXT]!;
      places.set(textAt(this.index, at), value);
      at = values[value + NEXT]!;
    }
    this.#places = places;
    return places;
  }
}

/** An array of the data. */
export class EventList extends EventPart {
  #items: (CelValue | undefined)[] | undefined;
  #places: Int32Array | undefined;

  get(at: number): CelValue | undefined {
    if (!(at >= 0 && at < this.size)) return undefined;
    this.#items ??= Array.from({ length: this.size }, () => undefined);
    const known = this.#items[at];
    if (known !== undefined) return known;
    const place = this.#placed()[at];
    if (place === undefined) return undefined;
    const value = valueAt(this.index, place);
    this.#items[at] = value;
    return value;
  }

  /** The same, a number as it is spelled. */
  spelled(at: number): CelValue | undefined {
    const place = at >= 0 && at < this.size ? this.#placed()[at] : undefined;
    return place === undefined ? undefined : spelledAt(this.index, place);
  }

  *values(): IterableIterator<CelValue> {
    for (let at = 0; at < this.size; at++) yield this.get(at)!;
  }

  [Symbol.iterator](): IterableIterator<CelValue> {
    return this.values();
  }

  #placed(): Int32Array {
    if (this.#places !== undefined) return this.#places;
    const places = new Int32Array(this.size);
    let at = this.place + VALUE_FIELDS;
    for (let i = 0; i < this.size; i++) {
      places[i] = at;
      at = this.index.values[at + NEXT]!;
    }
    this.#places = places;
    return places;
  }
}

Object.defineProperty(EventMap.prototype, MAP_MARK, { value: {} });
Object.defineProperty(EventList.prototype, LIST_MARK, { value: {} });
Object.defineProperty(EventNumber.prototype, MAP_MARK, { value: {} });

export function rawAt({ bytes, values }: JsonIndex, place: number): Uint8Array {
  return bytes.subarray(values[place + START], values[place + END]);
}

function markOf(value: object): symbol {
  const [mark] = Object.getOwnPropertySymbols(value);
  if (mark === undefined) throw new Error("CEL's maps and lists no longer carry their mark: adapt event-values.ts");
  return mark;
}
