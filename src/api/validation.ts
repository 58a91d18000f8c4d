import { isDateTime } from "../core/instant.ts";
import type { Problem } from "../core/problem.ts";
import type { ManifestReason, Reason } from "../core/reasons.ts";
import { isJsonObject } from "./defaulting.ts";
import type { Json, JsonObject } from "./defaulting.ts";
import { nearestName } from "../lib/nearest-name.ts";
import { fieldHint } from "./field-hints.ts";
import { patternProblem } from "./pattern-words.ts";
import type { Kind, Schema } from "./schema.ts";
import { typeHint } from "./type-hints.ts";

/**
 * Checks a value against a structural schema. The words follow the API server's, so that what `validate` says offline is what
 * `kubectl apply` says, and go on with what to write: field paths like `spec.endpoint.headers[0].name`, one problem a breach.
 */
export function schemaProblems(schema: Schema, value: Json, field: string, kind?: Kind): Problem[] {
  const found: Found = { problems: [], kind, hintsLeft: HINTS_MAX };
  visit(schema, value, field, found);
  return found.problems;
}

interface Found {
  readonly problems: Problem[];
  /** Where a field may belong that is not known here. */
  readonly kind: Kind | undefined;
  /** So many more unknown fields are told what was meant. */
  hintsLeft: number;
}

/** Looking for what was meant costs a comparison with every field of ours: a manifest of a thousand unknown fields is told of the first ones. */
const HINTS_MAX = 20;

/** After these the API server does not run CEL rules, since their types would not hold. */
const BLOCKING: ReadonlySet<Reason> = new Set<ManifestReason>(["Required", "TypeInvalid", "NotSupported", "TooLong", "TooMany"]);

/** Whether CEL rules make no sense any more. */
export function isBlocking(problem: Problem): boolean {
  return BLOCKING.has(problem.reason);
}

function visit(schema: Schema, value: Json, field: string, found: Found): void {
  const { problems } = found;
  const add = (reason: ManifestReason, message: string): void => {
    problems.push({ field, reason, message });
  };
  const actual = typeName(value);
  if (schema.type !== undefined && actual !== schema.type && !(schema.type === "integer" && value === Math.trunc(Number(value)))) {
    add("TypeInvalid", `must be of type ${schema.type}, but is ${article(actual)}${typeHint(schema, value)}`);
    return;
  }
  if (typeof value === "string") stringProblems(schema, value, add);
  else if (typeof value === "number") numberProblems(schema, value, add);
  else if (Array.isArray(value)) listProblems(schema, value, field, found);
  else if (isJsonObject(value)) objectProblems(schema, value, field, found);
}

/** The JSON type, as the API server names it. */
function typeName(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isSafeInteger(value) ? "integer" : "number";
  return typeof value;
}

function article(type: string): string {
  return /^[aeio]/.test(type) ? `an ${type}` : type === "null" ? type : `a ${type}`;
}

type Add = (reason: ManifestReason, message: string) => void;

/** RFC 3339 has leap seconds, the API server does not take them. */
const LEAP_SECOND = /:60[.Zz+-]/;

const patterns = new Map<string, RegExp>();

/** Patterns are from our own CRDs and the length is checked before them, so no input can make one slow. */
function patternOf(source: string): RegExp {
  let pattern = patterns.get(source);
  if (pattern === undefined) {
    pattern = new RegExp(source, "u");
    patterns.set(source, pattern);
  }
  return pattern;
}

function stringProblems(schema: Schema, value: string, add: Add): void {
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const near = nearestName(value, schema.enum);
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    add("NotSupported", `Unsupported value: ${shown(value)}: supported values: ${schema.enum.map((one) => `"${one}"`).join(", ")}${hint}`);
    return;
  }
  const characters = codePoints(value);
  if (schema.maxLength !== undefined && characters > schema.maxLength) {
    add("TooLong", `Too long: may not be more than ${schema.maxLength} characters, and has ${characters}`);
    return;
  }
  if (schema.minLength !== undefined && characters < schema.minLength) add("Invalid", `should be at least ${schema.minLength} chars long`);
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(value)) add("Invalid", patternProblem(schema.pattern, shown(value)));
  if (schema.format === "date-time" && !(isDateTime(value) && !LEAP_SECOND.test(value))) {
    add("Invalid", "must be of type date-time: a time in RFC 3339 such as 2026-01-10T08:00:00Z");
  }
}

/** The API server counts code points, not UTF-16 units. */
function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function numberProblems(schema: Schema, value: number, add: Add): void {
  if (schema.minimum !== undefined && value < schema.minimum) add("Invalid", `should be greater than or equal to ${schema.minimum}`);
  if (schema.maximum !== undefined && value > schema.maximum) add("Invalid", `should be less than or equal to ${schema.maximum}`);
}

function listProblems(schema: Schema, value: readonly Json[], field: string, found: Found): void {
  const { problems } = found;
  const { items, minItems, maxItems } = schema;
  if (maxItems !== undefined && value.length > maxItems) {
    problems.push({ field, reason: "TooMany", message: `Too many: ${value.length}: must have at most ${maxItems} items` });
    return;
  }
  if (minItems !== undefined && value.length < minItems)
    problems.push({ field, reason: "Invalid", message: `should have at least ${minItems} items` });
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const place = `${field}[${index}]`;
    const key = identity(schema, item);
    if (key !== undefined && seen.has(key)) problems.push({ field: place, reason: "Duplicate", message: `Duplicate value: ${key}` });
    if (key !== undefined) seen.add(key);
    if (items !== undefined) visit(items, item, place, found);
  });
}

/** What makes an item of a set or of a listMap unique; undefined where repeats are allowed. */
function identity(schema: Schema, item: Json): string | undefined {
  const type = schema["x-kubernetes-list-type"];
  if (type === "set") return JSON.stringify(item);
  const keys = schema["x-kubernetes-list-map-keys"];
  if (type !== "map" || keys === undefined || !isJsonObject(item)) return undefined;
  return JSON.stringify(Object.fromEntries(keys.map((key) => [key, item[key]])));
}

function objectProblems(schema: Schema, value: JsonObject, field: string, found: Found): void {
  const { problems } = found;
  const known = schema.properties ?? {};
  const names = Object.keys(value);
  if (schema.maxProperties !== undefined && names.length > schema.maxProperties) {
    problems.push({ field, reason: "TooMany", message: `Too many: ${names.length}: must have at most ${schema.maxProperties} items` });
    return;
  }
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) problems.push({ field: join(field, name), reason: "Required", message: required(name, names, known) });
  }
  for (const name of names) {
    const child = value[name];
    const childSchema = Object.hasOwn(known, name) ? known[name] : schema.additionalProperties;
    const place = join(field, cut(name));
    if (childSchema === undefined) {
      const hint = found.hintsLeft-- > 0 ? `: ${fieldHint(found.kind, cut(name), Object.keys(known))}` : "";
      problems.push({ field: place, reason: "UnknownField", message: `unknown field ${shown(place)}${hint}` });
    } else if (child !== undefined) visit(childSchema, child, place, found);
  }
}

/** A misspelt name beside the gap is what was meant to fill it. */
function required(name: string, written: readonly string[], known: Readonly<Record<string, Schema>>): string {
  const unknown = written.filter((one) => !Object.hasOwn(known, one)).slice(0, HINTS_MAX);
  const misspelt = unknown.find((one) => nearestName(one, Object.keys(known)) === name);
  return misspelt === undefined ? "Required value" : `Required value: there is ${shown(misspelt)}, did you mean ${name}?`;
}

function join(field: string, name: string): string {
  return field === "" ? name : `${field}.${name}`;
}

/** Longest key that a label selector may have, so that no good name is ever cut. */
const SHOWN_CHARS_MAX = 317;

/** A value in a message, cut so that a hostile manifest cannot fill a log. */
function shown(text: string): string {
  return JSON.stringify(cut(text));
}

function cut(text: string): string {
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}...` : text;
}
