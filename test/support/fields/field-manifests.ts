import type { Kind } from "../../../src/api/schema.ts";

/** The manifests in which one field is set, and how they look as if nobody had read it. */
export interface FieldManifests {
  readonly kind: Kind;
  /** Path of a leaf of the CRD; `[]` stands for a list's first entry. */
  readonly field: string;
  readonly value: unknown;
  /** What stands there when the field is ignored: for fields that cannot be left out. Without it the field is left out. */
  readonly instead?: unknown;
  /** Leaves the field's whole parent out where the field is ignored: for members of a union. */
  readonly without?: string;
  /** Further values of the same object, by path. */
  readonly beside?: Readonly<Record<string, unknown>>;
  /** Values of the other objects, by kind and path. */
  readonly around?: Readonly<Partial<Record<Kind, Readonly<Record<string, unknown>>>>>;
  /** Further objects. */
  readonly extra?: readonly object[];
}

type Node = Record<string, unknown>;

/** Sets, or with undefined removes, what stands at `path` (`spec.headers[].name`); missing parents are made. */
export function put(object: Node, path: string, value: unknown): void {
  const steps = path.replace("{}", "").split(/\.|(?=\[\])/);
  let node: Node | unknown[] = object;
  for (const [i, step] of steps.slice(0, -1).entries()) {
    const key = step === "[]" ? 0 : step;
    const makes = steps[i + 1] === "[]" ? [] : {};
    const holder = node as Record<string | number, unknown>;
    holder[key] ??= makes;
    node = holder[key] as Node | unknown[];
  }
  const last = steps.at(-1) ?? "";
  const key = last === "[]" ? 0 : last;
  const holder = node as Record<string | number, unknown>;
  // Cases share values; what is set beside one of them must not reach another.
  if (value !== undefined) holder[key] = structuredClone(value);
  else if (Array.isArray(node)) node.splice(0, 1);
  else delete holder[key];
}
