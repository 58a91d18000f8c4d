import type { Problem } from "../core/problem.ts";
import type { CustomResource } from "./custom-resource.ts";
import { isJsonObject } from "./defaulting.ts";
import type { Json } from "./defaulting.ts";
import type { Kind } from "./schema.ts";

/** A field that the schema accepts and the code does not obey yet. */
export interface UnobeyedField {
  readonly kind: Kind;
  /** Path within the resource; empty for a kind that is not obeyed at all. */
  readonly field: string;
  /** Values that may stand there: the default, which is what happens anyway. Without it the field may not be set at all. */
  readonly obeyed?: readonly string[];
}

/**
 * Every field that is part of the API but not obeyed yet. Such a field is refused (`Accepted=False`, reason `NotImplemented`), never
 * silently ignored. A feature that lands deletes its line here.
 */
export const NOT_IMPLEMENTED: readonly UnobeyedField[] = [{ kind: "DeliveryReplay", field: "" }];

/** The fields of this resource that cannot be obeyed, each as a problem that names it. */
export function notImplementedProblems(resource: CustomResource): Problem[] {
  return NOT_IMPLEMENTED.filter((entry) => entry.kind === resource.kind && isUnobeyed(entry, resource)).map(problemOf);
}

function isUnobeyed(entry: UnobeyedField, resource: CustomResource): boolean {
  const value = entry.field === "" ? (resource as unknown as Json) : valueAt(resource as unknown as Json, entry.field);
  return value !== undefined && !(typeof value === "string" && entry.obeyed?.includes(value) === true);
}

function valueAt(value: Json, path: string): Json | undefined {
  let current: Json | undefined = value;
  for (const name of path.split(".")) {
    if (!isJsonObject(current) || !Object.hasOwn(current, name)) return undefined;
    current = current[name];
  }
  return current;
}

function problemOf(entry: UnobeyedField): Problem {
  if (entry.field === "") {
    return {
      field: "",
      reason: "NotImplemented",
      message: `${entry.kind} is part of the API but not supported by this version: it has no effect`,
    };
  }
  const mend = entry.obeyed === undefined ? "remove the field" : `use ${entry.obeyed.join(", ")}`;
  return {
    field: entry.field,
    reason: "NotImplemented",
    message: `${entry.field} is part of the API but not supported by this version: ${mend}`,
  };
}
