import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Schema } from "../../../src/api/schema.ts";

const CRDS = join(import.meta.dirname, "../../../crds");

/** Every leaf of every CRD below `top` (`spec` or `status`), as `[kind, path]`; `[]` stands for a list's entries, `{}` for a map's. */
export function crdLeaves(top: "spec" | "status"): readonly (readonly [kind: string, path: string])[] {
  return readdirSync(CRDS).flatMap((file) => {
    const { spec } = parse(readFileSync(join(CRDS, file), "utf8")) as {
      spec: { names: { kind: string }; versions: { schema: { openAPIV3Schema: Schema } }[] };
    };
    const schema = spec.versions[0]?.schema.openAPIV3Schema.properties?.[top];
    return schema === undefined ? [] : leaves(schema, top).map((path) => [spec.names.kind, path] as const);
  });
}

function leaves(schema: Schema, path: string): string[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, child]) => leaves(child, `${path}.${name}`));
  }
  if (schema.items !== undefined) return leaves(schema.items, `${path}[]`);
  return [schema.additionalProperties === undefined ? path : `${path}{}`];
}
