import type { Json } from "./defaulting.ts";
import { isJsonObject } from "./defaulting.ts";
import { isDuration } from "./schema.ts";
import type { Schema } from "./schema.ts";

/** Longest value that is written again as it should be. */
const CHARS_MAX = 40;

/** How a value of the wrong type is to be written; "" where that cannot be told. */
export function typeHint(schema: Schema, value: Json): string {
  const written = JSON.stringify(value);
  if (written.length > CHARS_MAX) return "";
  switch (schema.type) {
    case "string":
      if (typeof value !== "number" && typeof value !== "boolean") return "";
      return isDuration(schema) ? `: write ${String(value)}s (units h, m, s, ms)` : `: write "${String(value)}" in quotes`;
    case "integer":
      if (typeof value !== "string") return typeof value === "number" ? `: write a whole number` : "";
      return /^-?\d+$/.test(value) ? `: write ${value} without quotes` : "";
    case "boolean":
      return value === "true" || value === "false" ? `: write ${value} without quotes` : "";
    case "array":
      return isJsonObject(value) || Array.isArray(value) || value === null ? listHint(value) : `: write a list, [${written}]`;
    case "object":
    case undefined:
      return "";
    default:
      return "";
  }
}

function listHint(value: Json): string {
  return isJsonObject(value) ? `: write a list, with "- " before the item` : "";
}
