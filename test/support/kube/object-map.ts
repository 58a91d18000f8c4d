/** A Kubernetes object as far as the fake API server looks into it. */
export interface FakeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: FakeObject;
}

/** Group path and plural, e.g. `/apis/postrider.dev/v1alpha1/webhooksubscriptions`: the cluster-wide collection. */
export type Collection = string;

interface LogEntry extends WatchEvent {
  readonly collection: Collection;
  readonly version: number;
}

/** Objects by collection with one counter of versions, and the log that watches read. Not durable, on purpose. */
export class ObjectMap {
  readonly #objects = new Map<Collection, Map<string, FakeObject>>();
  readonly #log: LogEntry[] = [];
  #version = 100;
  #compactedTo = 0;

  get version(): number {
    return this.#version;
  }

  /** Creates or replaces, with a new version; a new uid when it was not there. */
  put(collection: Collection, object: FakeObject): FakeObject {
    const known = this.#collection(collection).get(keyOf(object.metadata));
    const version = ++this.#version;
    const specChanged = JSON.stringify(known?.["spec"]) !== JSON.stringify(object["spec"]);
    const stored: FakeObject = {
      ...object,
      metadata: {
        ...object.metadata,
        resourceVersion: String(version),
        uid: known?.metadata.uid ?? `uid-${version}`,
        generation: (known?.metadata.generation ?? 0) + (specChanged || known === undefined ? 1 : 0),
      },
    };
    this.#collection(collection).set(keyOf(object.metadata), stored);
    this.#log.push({ collection, version, type: known === undefined ? "ADDED" : "MODIFIED", object: stored });
    return stored;
  }

  /** Gives what was deleted, with the version of its deletion. */
  delete(collection: Collection, name: string, namespace?: string): FakeObject | undefined {
    const key = keyOf({ name, ...(namespace === undefined ? {} : { namespace }) });
    const known = this.#collection(collection).get(key);
    if (known === undefined) return undefined;
    const version = ++this.#version;
    const object = { ...known, metadata: { ...known.metadata, resourceVersion: String(version) } };
    this.#collection(collection).delete(key);
    this.#log.push({ collection, version, type: "DELETED", object });
    return object;
  }

  get(collection: Collection, name: string, namespace?: string): FakeObject | undefined {
    return this.#collection(collection).get(keyOf({ name, ...(namespace === undefined ? {} : { namespace }) }));
  }

  list(collection: Collection, matches: (object: FakeObject) => boolean): FakeObject[] {
    return [...this.#collection(collection).values()].filter(matches);
  }

  /** Events after a version, or "expired" when they have been compacted away. */
  since(collection: Collection, version: number): readonly LogEntry[] | "expired" {
    if (version < this.#compactedTo) return "expired";
    return this.#log.filter((entry) => entry.collection === collection && entry.version > version);
  }

  /** Forgets the past: a watch from any earlier version gets 410 Gone. Takes effect for versions before the present one. */
  compact(): void {
    this.#version += 1;
    this.#compactedTo = this.#version;
    this.#log.length = 0;
  }

  #collection(collection: Collection): Map<string, FakeObject> {
    const known = this.#objects.get(collection) ?? new Map<string, FakeObject>();
    this.#objects.set(collection, known);
    return known;
  }
}

/** RFC 7396 for plain data. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

function keyOf(metadata: { readonly name: string; readonly namespace?: string }): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
