/** Which subscriptions must be looked at again when something that they name changes. Keys are `namespace/name`. */
export class DependencyIndex {
  readonly #byNamespace = new Map<string, Set<string>>();
  readonly #bySecret = new Map<string, Set<string>>();
  readonly #secretsOf = new Map<string, readonly string[]>();

  /** Notes what a subscription names now. */
  set(namespace: string, name: string, secrets: Iterable<string>): void {
    const key = `${namespace}/${name}`;
    add(this.#byNamespace, namespace, key);
    this.#dropSecrets(key);
    const keys = [...secrets].map((secret) => `${namespace}/${secret}`);
    this.#secretsOf.set(key, keys);
    for (const secret of keys) add(this.#bySecret, secret, key);
  }

  delete(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    remove(this.#byNamespace, namespace, key);
    this.#dropSecrets(key);
    this.#secretsOf.delete(key);
  }

  ofSecret(namespace: string, secret: string): Iterable<string> {
    return this.#bySecret.get(`${namespace}/${secret}`) ?? [];
  }

  ofNamespace(namespace: string): Iterable<string> {
    return this.#byNamespace.get(namespace) ?? [];
  }

  *all(): Iterable<string> {
    for (const keys of this.#byNamespace.values()) yield* keys;
  }

  #dropSecrets(key: string): void {
    for (const secret of this.#secretsOf.get(key) ?? []) remove(this.#bySecret, secret, key);
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
