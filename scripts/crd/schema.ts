/**
 * The bricks from which the four custom resource definitions are built. They exist so that no field can be written without a
 * description and no string, list or map without a bound: the API server's cost budget for CEL rules is computed from them.
 */

import type { Rule, Schema } from "../../src/api/schema.ts";
import { DURATION_PATTERN } from "../../src/lib/duration.ts";

/** A rule; `fieldPath` (relative, e.g. `.hmac`) names the child that the message is about. */
export function rule(expression: string, message: string, fieldPath?: string): Rule {
  return fieldPath === undefined ? { rule: expression, message } : { rule: expression, message, fieldPath };
}

function withRules(schema: Schema, rules: readonly Rule[] | undefined): Schema {
  if (rules !== undefined && rules.length > 0) schema["x-kubernetes-validations"] = [...rules];
  return schema;
}

interface TextOptions {
  max: number;
  min?: number;
  pattern?: string;
  default?: string;
  rules?: readonly Rule[];
}

/** A string of at least one character (unless `min` says 0) and at most `max`. */
export function text(description: string, options: TextOptions): Schema {
  const schema: Schema = { description, type: "string", minLength: options.min ?? 1, maxLength: options.max };
  if (schema.minLength === 0) delete schema.minLength;
  if (options.pattern !== undefined) schema.pattern = options.pattern;
  if (options.default !== undefined) schema.default = options.default;
  return withRules(schema, options.rules);
}

/** One of a few CamelCase words. */
export function choice(
  description: string,
  values: readonly string[],
  options: { default?: string; rules?: readonly Rule[] } = {},
): Schema {
  const schema: Schema = { description, type: "string", enum: [...values] };
  if (options.default !== undefined) schema.default = options.default;
  return withRules(schema, options.rules);
}

/**
 * A CamelCase word in a status. Its values are documented, not enforced: an operator that is one version newer than the CRDs writes words that
 * these do not know, and its whole status would be rejected.
 */
export function openChoice(description: string, values: readonly string[]): Schema {
  return text(`${description} One of ${values.join(", ")}; later versions may add others.`, { max: 64, pattern: "^[A-Za-z][A-Za-z0-9]*$" });
}

/** A boolean, always with a default. */
export function flag(description: string, byDefault: boolean): Schema {
  return { description, type: "boolean", default: byDefault };
}

/** A whole number within `min..max`. */
export function whole(description: string, min: number, max: number, format: "int32" | "int64" = "int32"): Schema {
  return { description, type: "integer", format, minimum: min, maximum: max };
}

/** A point in time (RFC 3339). */
export function instant(description: string): Schema {
  return { description, type: "string", format: "date-time" };
}

/** That a text is a length of time that CEL can read; without it the API server adds a type conversion error of CEL's to our message. */
export function isLength(text: string): string {
  return `${text}.matches('${DURATION_PATTERN}')`;
}

/**
 * A length of time within `from..to`, as a GEP-2257 string such as `1h30m` or `500ms`: without days, as Go's time.ParseDuration reads it. One rule
 * says all of it and no pattern does, so that whoever writes `1d` reads one sentence.
 */
export function length(description: string, from: string, to: string, byDefault?: string): Schema {
  const schema: Schema = { description, type: "string", minLength: 1, maxLength: 32 };
  if (byDefault !== undefined) schema.default = byDefault;
  return withRules(schema, [
    rule(
      `${isLength("self")} && duration(self) >= duration('${from}') && duration(self) <= duration('${to}')`,
      `must be a duration from ${from} to ${to}, written in h, m, s and ms without spaces (no days), for example 1h30m or 500ms`,
    ),
  ]);
}

interface FieldsOptions {
  required?: readonly string[];
  rules?: readonly Rule[];
  /** Written as one piece by server-side apply: for references and other values that make no sense in halves. */
  atomic?: boolean;
  minProperties?: number;
}

/** An object with exactly these fields. */
export function fields(description: string, properties: Record<string, Schema>, options: FieldsOptions = {}): Schema {
  const schema: Schema = { description, type: "object" };
  if (options.required !== undefined && options.required.length > 0) schema.required = [...options.required];
  if (options.minProperties !== undefined) schema.minProperties = options.minProperties;
  if (options.atomic === true) schema["x-kubernetes-map-type"] = "atomic";
  schema.properties = properties;
  return withRules(schema, options.rules);
}

interface ListOptions {
  max: number;
  min?: number;
  type: "atomic" | "set" | "map";
  keys?: readonly string[];
  rules?: readonly Rule[];
}

/** A list of at most `max` items. */
export function list(description: string, items: Schema, options: ListOptions): Schema {
  const schema: Schema = { description, type: "array" };
  if (options.min !== undefined) schema.minItems = options.min;
  schema.maxItems = options.max;
  schema["x-kubernetes-list-type"] = options.type;
  if (options.keys !== undefined) schema["x-kubernetes-list-map-keys"] = [...options.keys];
  schema.items = items;
  return withRules(schema, options.rules);
}

/** A map from names to strings. */
export function dictionary(description: string, values: Schema, max: number, rules: readonly Rule[] = []): Schema {
  return withRules({ description, type: "object", maxProperties: max, additionalProperties: values }, rules);
}
