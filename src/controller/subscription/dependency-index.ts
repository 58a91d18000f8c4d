import { objectKey, refOfKey } from "../objects.ts";
import type { ObjectKey, ObjectRef, SubscriptionKey } from "../objects.ts";

/** Which subscriptions must be looked at again when something that they name changes. */
export class DependencyIndex {
  readonly #byNamespace = new Map<string, Set<SubscriptionKey>>();
  readonly #byObject = new Map<ObjectKey, Set<SubscriptionKey>>();
  readonly #objectsOf = new Map<SubscriptionKey, readonly ObjectKey[]>();

  /** Notes what a subscription names now. */
  set(key: SubscriptionKey, objects: Iterable<ObjectRef>): void {
    add(this.#byNamespace, refOfKey(key).namespace, key);
    this.#dropObjects(key);
    const named = Array.from(objects, objectKey);
    this.#objectsOf.set(key, named);
    for (const object of named) add(this.#byObject, object, key);
  }

  delete(key: SubscriptionKey): void {
    remove(this.#byNamespace, refOfKey(key).namespace, key);
    this.#dropObjects(key);
    this.#objectsOf.delete(key);
  }

  /** Those to which this object matters beside its own kind: it is named, or stands over them. */
  of(ref: ObjectRef): Iterable<SubscriptionKey> {
    switch (ref.kind) {
      case "ClusterDeliveryPolicy":
        return this.#all();
      case "Namespace":
        return this.#byNamespace.get(ref.name) ?? [];
      case "DeliveryPolicy":
        return this.#byNamespace.get(ref.namespace) ?? [];
      default:
        return this.#byObject.get(objectKey(ref)) ?? [];
    }
  }

  /** Whether it matters to this one. */
  has(ref: ObjectRef, key: SubscriptionKey): boolean {
    switch (ref.kind) {
      case "ClusterDeliveryPolicy":
        return true;
      case "Namespace":
        return refOfKey(key).namespace === ref.name;
      case "DeliveryPolicy":
        return refOfKey(key).namespace === ref.namespace;
      default:
        return this.#byObject.get(objectKey(ref))?.has(key) ?? false;
    }
  }

  *#all(): Iterable<SubscriptionKey> {
    for (const keys of this.#byNamespace.values()) yield* keys;
  }

  #dropObjects(key: SubscriptionKey): void {
    for (const object of this.#objectsOf.get(key) ?? []) remove(this.#byObject, object, key);
  }
}

function add<A>(map: Map<A, Set<SubscriptionKey>>, at: A, key: SubscriptionKey): void {
  const set = map.get(at);
  if (set === undefined) map.set(at, new Set([key]));
  else set.add(key);
}

function remove<A>(map: Map<A, Set<SubscriptionKey>>, at: A, key: SubscriptionKey): void {
  const set = map.get(at);
  set?.delete(key);
  if (set?.size === 0) map.delete(at);
}
