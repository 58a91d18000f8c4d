import type { ObjectKind, ObjectRef, ObjectsByKind, WatchedObject } from "../controller/objects.ts";

type ByName = Map<string, WatchedObject>;

/** The objects last seen, by kind, namespace and name; both providers keep theirs in one. */
export class ObjectCache {
  readonly #kinds = new Map<ObjectKind, Map<string, ByName>>();

  get<K extends ObjectKind>(kind: K, namespace: string, name: string): ObjectsByKind[K] | undefined {
    return this.#kinds.get(kind)?.get(namespace)?.get(name) as ObjectsByKind[K] | undefined;
  }

  *list<K extends ObjectKind>(kind: K, namespace?: string): Iterable<ObjectsByKind[K]> {
    const namespaces = this.#kinds.get(kind);
    if (namespaces === undefined) return;
    const chosen = namespace === undefined ? [...namespaces.values()] : [namespaces.get(namespace) ?? new Map()];
    for (const names of chosen) yield* names.values() as Iterable<ObjectsByKind[K]>;
  }

  set(kind: ObjectKind, object: WatchedObject): ObjectRef {
    const ref = refOf(kind, object);
    let namespaces = this.#kinds.get(kind);
    if (namespaces === undefined) this.#kinds.set(kind, (namespaces = new Map<string, ByName>()));
    let names = namespaces.get(ref.namespace);
    if (names === undefined) namespaces.set(ref.namespace, (names = new Map<string, WatchedObject>()));
    names.set(ref.name, object);
    return ref;
  }

  delete(ref: ObjectRef): boolean {
    const names = this.#kinds.get(ref.kind)?.get(ref.namespace);
    const had = names?.delete(ref.name) ?? false;
    if (names?.size === 0) this.#kinds.get(ref.kind)?.delete(ref.namespace);
    return had;
  }
}

/** Names an object. */
export function refOf(kind: ObjectKind, object: WatchedObject): ObjectRef {
  return { kind, namespace: object.metadata.namespace ?? "", name: object.metadata.name };
}
