import type { Kind } from "../../../src/api/schema.ts";
import type { FieldManifests } from "./field-manifests.ts";
import type { FieldRig } from "./field-rig.ts";

/**
 * What one field of a resource does, seen from outside. The same is looked at twice: with the field as given, and as if nobody had read
 * it; what shows must be `shows` the first time and must not be the second.
 */
export interface FieldCase extends FieldManifests {
  readonly observe: (rig: FieldRig) => unknown;
  readonly shows: unknown;
}

/** Cases of one kind. */
export function casesOf(kind: Kind, given: readonly Omit<FieldCase, "kind">[]): readonly FieldCase[] {
  const cases: FieldCase[] = [];
  for (const one of given) cases.push({ kind, ...one });
  return cases;
}
