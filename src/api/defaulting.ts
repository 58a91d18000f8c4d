import type { Schema } from "./schema.ts";

/** A parsed YAML or JSON object. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The value with nulls left out and the schema's defaults filled in, as the API server does it: a null in a field that is not
 * nullable (none of ours is) counts as absent, and a default appears only inside an object that is there. Unknown fields stay;
 * they are the validation's to refuse. The input is not changed.
 */
export function withDefaults(schema: Schema, value: Json): Json {
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => withDefaults(items, item));
  }
  if (!isJsonObject(value)) return value;
  const known = schema.properties ?? {};
  const result: Record<string, Json> = {};
  for (const [name, child] of Object.entries(value)) {
    const childSchema = Object.hasOwn(known, name) ? known[name] : schema.additionalProperties;
    if (childSchema === undefined) define(result, name, child);
    else if (child !== null) define(result, name, withDefaults(childSchema, child));
  }
  for (const [name, childSchema] of Object.entries(known)) {
    if (childSchema.default === undefined || Object.hasOwn(result, name)) continue;
    define(result, name, withDefaults(childSchema, structuredClone(childSchema.default) as Json));
  }
  return result;
}

/** Plain assignment would take a key `__proto__` from a manifest for the object's prototype. */
function define(target: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
}
