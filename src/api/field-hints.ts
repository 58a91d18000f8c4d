import { nearestName } from "../lib/nearest-name.ts";
import { KIND_NAMES, schemaOf } from "./schema.ts";
import type { Kind, Schema } from "./schema.ts";

/** Names that stand in many places, so that one of them says nothing. */
const EVERYWHERE: ReadonlySet<string> = new Set(["name", "namespace", "key", "value", "kind", "type"]);
/** Nested deeper is not looked for a field that stands in the wrong place. */
const DEPTH_MAX = 6;

/** What was probably meant by a field that is not known where it stands: a name there, or the place where it belongs. */
export function fieldHint(kind: Kind | undefined, name: string, known: readonly string[]): string {
  const here = nearestOf(name, known);
  if (here !== undefined) return `did you mean ${here}?`;
  const at = kind === undefined ? undefined : placeOf(kind, name);
  const list = `supported: ${known.join(", ")}`;
  return at === undefined ? list : `${at}; ${list}`;
}

function placeOf(kind: Kind, name: string): string | undefined {
  if (EVERYWHERE.has(name)) return undefined;
  const own = [...fields(kind)].filter((path) => last(path) === name).toSorted(byLength)[0];
  if (own !== undefined) return `it belongs to ${own}`;
  const others = (KIND_NAMES as readonly Kind[]).filter((other) => other !== kind && other !== "DeliveryReplay");
  for (const other of others) {
    const paths = [...fields(other)].toSorted(byLength);
    const found = nearestOf(name, paths.map(last));
    const path = paths.find((one) => last(one) === found);
    if (path === undefined) continue;
    const how = kind === "WebhookSubscription" && other === "DeliveryPolicy" ? ", which spec.policyRef names" : "";
    return `it belongs to a ${other}${how}: ${path} there`;
  }
  return undefined;
}

/** Plurals are the usual slip that is not near in letters (`retries`). */
function nearestOf(name: string, names: readonly string[]): string | undefined {
  const singular = name.replace(/ies$/, "y").replace(/s$/, "");
  return nearestName(name, names) ?? (singular === name ? undefined : names.find((one) => one.toLowerCase() === singular.toLowerCase()));
}

function last(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function byLength(a: string, b: string): number {
  return a.split(".").length - b.split(".").length;
}

const known = new Map<Kind, readonly string[]>();

/** Paths of a kind's spec, shallow ones and those of lists (`headers[].name`) included. */
function fields(kind: Kind): readonly string[] {
  let paths = known.get(kind);
  if (paths === undefined) {
    const spec = schemaOf(kind).properties?.["spec"];
    paths = spec === undefined ? [] : [...pathsOf(spec, "spec", 0)];
    known.set(kind, paths);
  }
  return paths;
}

function* pathsOf(schema: Schema, place: string, depth: number): Generator<string> {
  if (depth > DEPTH_MAX) return;
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    yield `${place}.${name}`;
    yield* pathsOf(child, `${place}.${name}`, depth + 1);
    if (child.items !== undefined) yield* pathsOf(child.items, `${place}.${name}[]`, depth + 1);
  }
}
