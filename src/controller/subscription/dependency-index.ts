import { refKey } from "../objects.ts";
import type { ObjectRef } from "../objects.ts";

/** Which subscriptions must be looked at again when something that they name changes. Keys are `namespace/name`. */
export class DependencyIndex {
  readonly #byNamespace = new Map<string, Set<string>>();
  readonly #byObject = new Map<string, Set<string>>();
  readonly #objectsOf = new Map<string, readonly string[]>();

  /** Notes what a subscription names now. */
  set(namespace: string, name: string, objects: Iterable<ObjectRef>): void {
    const key = `${namespace}/${name}`;
    add(this.#byNamespace, namespace, key);
    this.#dropObjects(key);
    const named = Array.from(objects, refKey);
    this.#objectsOf.set(key, named);
    for (const object of named) add(this.#byObject, object, key);
  }

  delete(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    remove(this.#byNamespace, namespace, key);
    this.#dropObjects(key);
    this.#objectsOf.delete(key);
  }

  /** Those to which this object matters beside its own kind: it is named, or stands over them. */
  of(ref: ObjectRef): Iterable<string> {
    switch (ref.kind) {
      case "ClusterDeliveryPolicy":
        return this.#all();
      case "Namespace":
        return this.#byNamespace.get(ref.name) ?? [];
      case "DeliveryPolicy":
        return this.#byNamespace.get(ref.namespace) ?? [];
      default:
        return this.#byObject.get(refKey(ref)) ?? [];
    }
  }

  /** Whether it matters to this one. */
  has(ref: ObjectRef, key: string): boolean {
    switch (ref.kind) {
      case "ClusterDeliveryPolicy":
        return true;
      case "Namespace":
        return key.startsWith(`${ref.name}/`);
      case "DeliveryPolicy":
        return key.startsWith(`${ref.namespace}/`);
      default:
        return this.#byObject.get(refKey(ref))?.has(key) ?? false;
    }
  }

  *#all(): Iterable<string> {
    for (const keys of this.#byNamespace.values()) yield* keys;
  }

  #dropObjects(key: string): void {
    for (const object of this.#objectsOf.get(key) ?? []) remove(this.#byObject, object, key);
  }
}

function add(map: Map<string, Set<string>>, at: string, key: string): void {
  const set = map.get(at);
  if (set === undefined) map.set(at, new Set([key]));
  else set.add(key);
}

function remove(map: Map<string, Set<string>>, at: string, key: string): void {
  const set = map.get(at);
  set?.delete(key);
  if (set?.size === 0) map.delete(at);
}
