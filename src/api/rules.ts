import { isIP } from "node:net";
import { celEnv, celFunc, CelScalar, isCelError, parse, plan } from "@bufbuild/cel";
import type { CelInput } from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import type { Problem } from "../core/problem.ts";
import { isJsonObject } from "./defaulting.ts";
import type { Json } from "./defaulting.ts";
import type { Rule, Schema } from "./schema.ts";

/**
 * The CEL rules of the CRDs, evaluated without a cluster. The environment has the standard library, the strings extension and the
 * functions of Kubernetes that our rules use; a rule with another one fails its tests, not silently.
 */
const env = celEnv({
  funcs: [...strings, celFunc("isCIDR", [CelScalar.STRING], CelScalar.BOOL, (text) => isCidr(text))],
});

type Evaluate = (bindings: Record<string, CelInput>) => unknown;

const compiled = new Map<string, Evaluate>();

function compile(rule: string): Evaluate {
  let evaluate = compiled.get(rule);
  if (evaluate === undefined) {
    evaluate = plan(env, parse(rule));
    compiled.set(rule, evaluate);
  }
  return evaluate;
}

/**
 * The rules that `value` breaks, everywhere below `field`. `old` is the value before an update; rules that read `oldSelf` are
 * skipped without it, as on the API server. Transition rules below lists are not supported: no CRD of ours has one.
 */
export function ruleProblems(schema: Schema, value: Json, field: string, old?: Json): Problem[] {
  const problems: Problem[] = [];
  visit(schema, { value, field, old }, problems);
  return problems;
}

interface Position {
  readonly value: Json;
  readonly field: string;
  readonly old: Json | undefined;
}

function visit(schema: Schema, position: Position, problems: Problem[]): void {
  for (const rule of schema["x-kubernetes-validations"] ?? []) {
    if (!holds(rule, schema, position)) {
      problems.push({ field: `${position.field}${rule.fieldPath ?? ""}`, reason: "Invalid", message: rule.message });
    }
  }
  if (Array.isArray(position.value)) {
    const { items } = schema;
    if (items !== undefined)
      position.value.forEach((item, index) =>
        visit(items, { value: item, field: `${position.field}[${index}]`, old: undefined }, problems),
      );
    return;
  }
  if (!isJsonObject(position.value)) return;
  for (const [name, child] of Object.entries(position.value)) {
    const childSchema = propertyOf(schema, name);
    const old = isJsonObject(position.old) ? position.old[name] : undefined;
    if (childSchema !== undefined)
      visit(childSchema, { value: child, field: position.field === "" ? name : `${position.field}.${name}`, old }, problems);
  }
}

function propertyOf(schema: Schema, name: string): Schema | undefined {
  return schema.properties !== undefined && Object.hasOwn(schema.properties, name) ? schema.properties[name] : schema.additionalProperties;
}

/** A rule that cannot be evaluated (a duration that is none) does not hold: the API server says so with the same message. */
function holds(rule: Rule, schema: Schema, position: Position): boolean {
  const isTransition = /\boldSelf\b/.test(rule.rule);
  if (isTransition && position.old === undefined) return true;
  const bindings: Record<string, CelInput> = { self: celValue(schema, position.value) };
  if (isTransition && position.old !== undefined) bindings["oldSelf"] = celValue(schema, position.old);
  return compile(rule.rule)(bindings) === true;
}

/** The value in CEL's types: the schema, not JavaScript, says what is an integer and what is a time. */
function celValue(schema: Schema, value: Json): CelInput {
  if (typeof value === "number") return schema.type === "integer" && Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === "string") return schema.format === "date-time" ? celTime(value) : value;
  if (Array.isArray(value)) return value.map((item: Json) => celValue(schema.items ?? {}, item));
  if (isJsonObject(value)) {
    return new Map(Object.entries(value).map(([name, child]) => [name, celValue(propertyOf(schema, name) ?? {}, child)]));
  }
  return value;
}

/** CEL makes its own timestamps; text that is none stays text, and the rule then fails. */
function celTime(text: string): CelInput {
  const time = compile("timestamp(self)")({ self: text });
  return isCelError(time) ? text : (time as CelInput);
}

/** Kubernetes' isCIDR: Go's netip.ParsePrefix, without IPv4-mapped IPv6 addresses and zones. */
function isCidr(text: string): boolean {
  const match = /^([0-9A-Fa-f.:]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  if (match === null) return false;
  const [, address = "", bits = ""] = match;
  const family = isIP(address);
  if (family === 0 || (family === 6 && /^(0{0,4}:)*:?ffff:(\d+\.|[0-9a-f]{1,4}:[0-9a-f]{1,4}$)/i.test(address))) return false;
  return Number(bits) <= (family === 4 ? 32 : 128);
}
