import type { Problem } from "../core/problem.ts";
import type { CustomResource } from "./custom-resource.ts";
import { isJsonObject } from "./defaulting.ts";
import type { Json } from "./defaulting.ts";
import { schemaOf } from "./schema.ts";
import type { Schema } from "./schema.ts";
import { UNIONS } from "./unions.ts";

/** Longest value that is shown. */
const SHOWN_CHARS_MAX = 64;

/**
 * What an object says that only a newer version understands, which happens when the CRDs are newer than the operator: a value that is not in our
 * list, or an object of which exactly one field must be set and none that we know is. Such an object is refused by name; what would be left of it
 * without the part that is not understood is not what was meant.
 */
export function newerProblems(resource: CustomResource): Problem[] {
  const schema = schemaOf(resource.kind).properties?.["spec"];
  const problems: Problem[] = [];
  if (schema !== undefined) visit(schema, resource.spec as unknown as Json, "spec", problems);
  return problems;
}

function visit(schema: Schema, value: Json | undefined, field: string, problems: Problem[]): void {
  if (typeof value === "string") {
    if (schema.enum !== undefined && !schema.enum.includes(value)) problems.push(newerValue(field, value, schema.enum));
  } else if (Array.isArray(value)) {
    const { items } = schema;
    if (items !== undefined && isDeep(items)) value.forEach((item: Json, index) => visit(items, item, `${field}[${index}]`, problems));
  } else if (isJsonObject(value)) {
    const { properties = {} } = schema;
    for (const [name, child] of Object.entries(properties)) if (isDeep(child)) visit(child, value[name], `${field}.${name}`, problems);
    const members = unionOf(schema);
    if (members !== undefined && !members.some((name) => value[name] !== undefined)) {
      problems.push(
        newerMember(
          field,
          Object.keys(value).filter((name) => !Object.hasOwn(properties, name)),
          members,
        ),
      );
    }
  }
}

/** Whether there may be something to find below. */
function isDeep(schema: Schema): boolean {
  return schema.enum !== undefined || schema.properties !== undefined || schema.items !== undefined;
}

const unions = new WeakMap<Schema, readonly string[] | "none">();

/** The list of the union that this is, known by its fields. */
function unionOf(schema: Schema): readonly string[] | undefined {
  let found = unions.get(schema);
  if (found === undefined) {
    const { properties = {} } = schema;
    found = Object.values(UNIONS).find((names) => names.every((name) => Object.hasOwn(properties, name))) ?? "none";
    unions.set(schema, found);
  }
  return found === "none" ? undefined : found;
}

function newerValue(field: string, value: string, known: readonly string[]): Problem {
  const message = `${field}: ${shown(value)} is not supported by this version of Postrider: use ${known.join(", ")}, or upgrade Postrider`;
  return { field, reason: "NotImplemented", message };
}

function newerMember(field: string, unknown: readonly string[], known: readonly string[]): Problem {
  const wanted = `set one of ${known.join(", ")}`;
  const message =
    unknown.length === 0
      ? `${field}: ${wanted}`
      : `${field}: what is set there (${shown(unknown.join(", "))}) is not supported by this version of Postrider: ${wanted}, or upgrade Postrider`;
  return { field, reason: "NotImplemented", message };
}

function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}...` : text);
}
