import { celEnv, celFunc, celList, celMethod, CelScalar, celType, isCelList, isCelMap, isCelUint, listType } from "@bufbuild/cel";
import type { CelEnv, CelFunc, CelInput, CelList, CelMap, CelValue } from "@bufbuild/cel";
import { plainDateTime } from "../instant.ts";
import { EventList, EventMap, EventNumber } from "../event-values.ts";
import { rawJsonOf } from "./input.ts";
import { buildsBytes, buildsList, buildsText, charge, chargeChars, chargePattern, patternOf } from "./meter.ts";
import { MATCHES } from "./patterns.ts";
import { SPELLED } from "./spelling.ts";
import { APPEND, KEYED, RANGE } from "./tree.ts";
import { containsText, searchedChars } from "./text-search.ts";

const { BOOL, BYTES, DYN, INT, STRING } = CelScalar;
const LIST = listType(DYN);

/** Steps for each item or member of an event's data that a loop reads, and for each of what the expression made. */
const READ_ITEM = 2;
const READ_MEMBER = 4;
const OWN_ITEM = 1;
/** Joining copies each item twice; searching compares each, by way of what it could be compared as. */
const JOINED_ITEM = 4;
const SEARCHED_ITEM = 6;
const SEARCHED_MAP = 4;
const CONVERSION = 4;
const COMPARED_RAW = 4;
const KEYS_PER_STEP = 8;
/** CEL counts a text's code points one by one, and V8's digits of a number grow faster than their count. */
const CODE_POINTS_PER_STEP = 16;
const DIGITS_SQUARED_PER_STEP = 65_536;
/** Moments and durations are made as messages; reading a time zone by name makes a calendar. */
const MESSAGE = 50;
const DURATION_CHARS_MAX = 128;
const KEY_CHARS_SHOWN = 64;
const CALENDAR = 100;
const OFFSET = 160;
const TIME_ZONE = 2_500;

/** Beginning to look for a pattern. */
const MATCHING = 8;
/** CEL tries one after the other what a function can be called with; those for lists and maps come late. */
const OVERLOADS = 10;
/** Making an error, beside what was charged before; and having looked through all that a function can be called with. */
const FAILURE = 50;
const NO_OVERLOAD = 80;

/** Lists that `@append` made, by what they are views of. */
const appendable = new WeakMap<CelList, CelValue[]>();

const OWN_FUNCTIONS: readonly CelFunc[] = [
  celFunc(RANGE, [DYN], DYN, (range) => {
    if (isCelList(range) || isCelMap(range)) charge(1 + range.size * itemSteps(range));
    return range;
  }),
  celFunc(APPEND, [LIST, DYN], LIST, (list, item) => {
    const known = appendable.get(list);
    if (known !== undefined) {
      known.push(item);
      return list;
    }
    const items = [...list, item];
    const grown = celList(items);
    appendable.set(grown, items);
    return grown;
  }),
  celFunc(KEYED, [DYN, INT], DYN, (key, steps) => {
    if (typeof key !== "string") charge(Number(steps));
    return key;
  }),
  celFunc(SPELLED, [DYN, DYN], DYN, (from, key) => {
    const found = spelledValue(from, key);
    if (found === undefined) throw new Error(`field not found: ${shownKey(key)}`);
    return found;
  }),
  celFunc(MATCHES, [STRING, INT], BOOL, (text, index) => {
    charge(MATCHING);
    return patternOf(index).test(text, chargePattern);
  }),
  celFunc("_+_", [STRING, STRING], STRING, (left, right) => {
    chargeChars(left.length + right.length);
    buildsText(left.length + right.length);
    return left + right;
  }),
  celFunc("_+_", [BYTES, BYTES], BYTES, (left, right) => {
    chargeChars(left.length + right.length);
    buildsBytes(left.length + right.length);
    return Buffer.concat([left, right]);
  }),
  celFunc("_+_", [LIST, LIST], LIST, (left, right) => {
    charge(OVERLOADS + (left.size + right.size) * JOINED_ITEM);
    buildsList(left.size + right.size);
    return celList([...left, ...right]);
  }),
  celFunc("bytes", [STRING], BYTES, (text) => {
    const length = Buffer.byteLength(text);
    charge(CONVERSION);
    chargeChars(text.length + length);
    buildsBytes(length);
    return Buffer.from(text);
  }),
  celFunc("size", [STRING], INT, codePoints),
  celMethod("size", STRING, [], INT, function () {
    return codePoints(this);
  }),
  celMethod("contains", STRING, [STRING], BOOL, function (needle) {
    chargeChars(searchedChars(this, needle));
    return containsText(this, needle);
  }),
];

/** What a function costs beyond the look at its texts and bytes (chars / 32 and one step), by its name. */
type Price = (args: readonly CelValue[]) => void;

const PRICES: Readonly<Record<string, Price>> = {
  "_==_": ([left, right]) => chargeComparison(left, right),
  "_!=_": ([left, right]) => chargeComparison(left, right),
  "@in": ([value, within]) => chargeSearch(value, within),
  int: chargeDigits,
  uint: chargeDigits,
  double: (args) => {
    charge(CONVERSION);
    chargeTexts(args);
  },
  string: ([value]) => {
    if (value instanceof Uint8Array) buildsText(value.length);
    charge(isMessage(value) ? MESSAGE : typeof value === "number" ? 8 : 2);
    chargeTexts([value]);
  },
  timestamp: (args) => {
    charge(MESSAGE);
    chargeTexts(args);
  },
  duration: ([value]) => charge(MESSAGE + (typeof value === "string" ? 4 * Math.min(value.length, DURATION_CHARS_MAX) : 0)),
  type: () => charge(3),
  size: ([value]) => (value instanceof Uint8Array ? chargeChars(value.length) : charge(OVERLOADS)),
  ...Object.fromEntries(
    ["FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Seconds", "Minutes", "Hours", "Milliseconds"].map((part) => [
      `get${part}`,
      ([zone]: readonly CelValue[]) => charge(typeof zone !== "string" ? CALENDAR : /^[+-]?\d\d:\d\d$/.test(zone) ? OFFSET : TIME_ZONE),
    ]),
  ),
};

/** The functions of CEL without `matches`, each paying before it works. Its types do not tell that an environment lists them, hence the cast. */
export function meteredEnv(): CelEnv {
  const standard = celEnv() as unknown as { readonly funcs: Iterable<CelFunc | Iterable<CelFunc>> };
  const paid: CelFunc[] = [];
  for (const group of standard.funcs) {
    for (const func of Symbol.iterator in group ? group : [group]) paid.push(func.name === "matches" ? NO_MATCHES : paying(func));
  }
  paid.push(...OWN_FUNCTIONS);
  return celEnv({ funcs: [...paid, ...lastResorts(paid)] });
}

/** Where CEL would look up a member or an item; undefined where there is none. */
function spelledValue(from: CelValue, key: CelValue): CelInput | undefined {
  if (from === null || from === undefined || isScalar(from)) return undefined;
  if (from instanceof EventMap && typeof key === "string") return from.spelled(key);
  if (from instanceof EventList && typeof key === "bigint") return from.spelled(Number(key));
  if (isCelMap(from)) return from.get(key as never);
  if (isCelList(from) && typeof key === "bigint") return from.get(Number(key));
  throw new Error(noOverload("_[_]", undefined, [from, key]));
}

/** Nothing is in it. */
function isScalar(value: unknown): boolean {
  return value instanceof EventNumber || ["string", "number", "bigint", "boolean"].includes(typeof value);
}

function shownKey(key: CelValue): string {
  return typeof key === "string" || typeof key === "bigint" ? String(key).slice(0, KEY_CHARS_SHOWN) : celType(key).name;
}

/** For each function, behind all that it can be called with, one that takes anything and says no: to have tried them all costs, too. */
function lastResorts(funcs: readonly CelFunc[]): CelFunc[] {
  const resorts = new Map<string, CelFunc>();
  for (const { name, target, arguments: types } of funcs) {
    const args = types.map(() => DYN);
    const key = `${name} ${target !== undefined} ${args.length}`;
    if (types.every((type) => type === DYN) && target === undefined) continue;
    const isMethod = target !== undefined;
    function refuse(this: unknown, ...given: CelValue[]): never {
      charge(NO_OVERLOAD);
      throw new Error(noOverload(name, isMethod ? (this as CelValue) : undefined, given));
    }
    resorts.set(key, isMethod ? celMethod(name, DYN, args, DYN, refuse as never) : celFunc(name, args, DYN, refuse as never));
  }
  return [...resorts.values()];
}

const NUMBERS: ReadonlySet<string> = new Set(["int", "uint", "double"]);

/** In the words of CEL's own message, and what helps where a text meets a number: the usual one. */
function noOverload(name: string, target: CelValue | undefined, given: readonly CelValue[]): string {
  const types = given.map((value) => celType(value).name);
  const on = target === undefined ? "" : `${celType(target).name}.`;
  const isMixed = target === undefined && types.includes("string") && types.some((type) => NUMBERS.has(type));
  const hint = isMixed ? ": a text is no number; write double(…) around the text, or send a number" : "";
  return `found no matching overload for '${name}' applied to '${on}(${types.join(", ")})'${hint}`;
}

/** All calls of it are replaced when an expression is compiled. */
const NO_MATCHES = celMethod("matches", STRING, [STRING], BOOL, () => {
  throw new Error("matches is missing");
});

/** How CEL keeps what a function does; its types do not tell. */
interface Implemented {
  readonly _impl: (this: unknown, ...args: CelValue[]) => CelInput;
}

function paying(func: CelFunc): CelFunc {
  const { _impl: work } = func as unknown as Implemented;
  const price = PRICES[func.name] ?? chargeTexts;
  const readsTime = func.name === "timestamp";
  function paid(this: unknown, ...args: CelValue[]): CelInput {
    if (typeof this === "string" || this instanceof Uint8Array) chargeChars(this.length);
    price(args);
    try {
      return work.apply(this, readsTime ? args.map(readableTime) : args);
    } catch (error) {
      charge(FAILURE);
      throw error;
    }
  }
  const made: unknown =
    func.target === undefined
      ? celFunc(func.name, [...func.arguments], func.result, paid as never)
      : celMethod(func.name, func.target, [...func.arguments], func.result, paid as never);
  return made as CelFunc;
}

function itemSteps(range: CelList | CelMap): number {
  if (rawJsonOf(range) === undefined) return OWN_ITEM;
  return isCelMap(range) ? READ_MEMBER : READ_ITEM;
}

/** What the ingest takes for a time is one here, too. */
function readableTime(value: CelValue): CelValue {
  return typeof value === "string" ? plainDateTime(value) : value;
}

function chargeTexts(args: readonly (CelValue | undefined)[]): void {
  for (const arg of args) {
    if (typeof arg === "string" || arg instanceof Uint8Array) chargeChars(arg.length);
    else if (isMessage(arg)) charge(MESSAGE);
  }
}

function chargeDigits([value]: readonly CelValue[]): void {
  if (typeof value !== "string") return;
  chargeChars(value.length);
  charge(value.length ** 2 / DIGITS_SQUARED_PER_STEP);
}

/** As much as a comparison may look at: what differs in kind or size differs at once, else the smaller of the two is walked, or its bytes counted. */
function chargeComparison(left: CelValue | undefined, right: CelValue | undefined): void {
  if (left === right) return;
  if (isCelList(left) && isCelList(right)) {
    if (left.size === right.size && !chargedRaw(left, right)) {
      charge(1 + 2 * left.size);
      for (let at = 0; at < left.size; at++) chargeComparison(left.get(at), right.get(at));
    }
  } else if (isCelMap(left) && isCelMap(right)) {
    if (left.size === right.size && !chargedRaw(left, right)) {
      charge(1 + 4 * left.size);
      for (const [key, value] of left) chargeComparison(value, right.get(key));
    }
  } else if (typeof left === "string" && typeof right === "string") {
    if (left.length === right.length) chargeChars(left.length);
  } else if (left instanceof Uint8Array && right instanceof Uint8Array) {
    if (left.length === right.length) chargeChars(left.length);
  } else if (isMessage(left) && isMessage(right)) charge(MESSAGE);
}

/** An event's own lists and maps cost a step a byte: each of their parts has one at least, and is read to be compared. */
function chargedRaw(left: CelList | CelMap, right: CelList | CelMap): boolean {
  const lengths = [rawJsonOf(left)?.length, rawJsonOf(right)?.length].filter((length) => length !== undefined);
  if (lengths.length === 0) return false;
  charge(COMPARED_RAW + Math.min(...lengths));
  return true;
}

function chargeSearch(value: CelValue | undefined, within: CelValue | undefined): void {
  if (isCelList(within)) {
    charge(1 + within.size * SEARCHED_ITEM);
    for (const item of within) chargeComparison(value, item);
  } else if (typeof value === "string") {
    charge(SEARCHED_MAP);
    chargeChars(value.length);
  } else if (isCelMap(within)) charge(1 + within.size / KEYS_PER_STEP);
}

function isMessage(value: CelValue | undefined): boolean {
  return typeof value === "object" && value !== null && "message" in value && !isCelUint(value);
}

/** CEL's size of a string: its code points. Counted without a list of them. */
function codePoints(text: string): bigint {
  charge(1 + text.length / CODE_POINTS_PER_STEP);
  let count = 0;
  for (let at = 0; at < text.length; count++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return BigInt(count);
}
