import { USE_LABEL, type ObjectRef, type SecretLookup, type SecretObject, type SecretsState } from "../controller/objects.ts";
import type { KubeObject } from "../kube/reflector.ts";
import { aborted } from "../lib/abort.ts";
import { differsForUs, secretObject } from "./cluster-kinds.ts";
import { SecretScope, type SecretScopeOptions, type SecretSink } from "./secret-scope.ts";

/** What was found out about a Secret that we may not read is believed for this long, ms: a thousand subscriptions may name it. */
const ANSWER_FOR_MS = 5_000;
/** Above this many such questions at a time the last answer is believed for longer. */
const QUESTIONS_MAX = 4;
/** Answers remembered. */
const ANSWERS_MAX = 20_000;

/** A thousand subscriptions that each waited for their own question to end in nothing would delay all others. */
export const NO_ANSWER = "the API server does not respond; Postrider retries by itself";

export interface ClusterSecretsOptions extends SecretScopeOptions {
  /** The command that lets us use Secrets of a namespace; `{namespace}` is replaced. */
  readonly bindingHint: string;
  /** Further labels whose Secrets are watched. */
  readonly tokenLabels: readonly string[];
  /** Whether those of all namespaces are read with one watch a label, where that is allowed. */
  readonly asOne: boolean;
  readonly changed: (ref: ObjectRef) => void;
}

/** A Secret, with the labels through which it is seen. */
interface Kept {
  readonly secret: SecretObject;
  readonly labels: Set<string>;
}

/**
 * The labelled Secrets of the namespaces that have subscriptions. Where one permission covers all namespaces they are one watch a label;
 * otherwise each namespace that a RoleBinding opens has its own. Never all Secrets: only those with an opt-in label are ever read; of others
 * no more than that they exist. What is in a namespace that is not followed is shown to no one.
 */
export class ClusterSecrets {
  readonly #options: ClusterSecretsOptions;
  readonly #labels: readonly string[];
  /** Namespaces that are followed; undefined while all are read as one, or that is not known yet. */
  readonly #scopes = new Map<string, SecretScope | undefined>();
  readonly #secrets = new Map<string, Map<string, Kept>>();
  readonly #answers = new Map<string, { readonly lookup: SecretLookup; readonly atMs: number }>();
  /** Scopes that were stopped and whose watches have not ended. */
  readonly #ending = new Set<Promise<void>>();
  #all: SecretScope | undefined;
  #signal: AbortSignal | undefined;
  #questions = 0;
  /** Until when nothing is asked because the last question got no answer, monotonic ms. */
  #awayUntilMs = 0;

  constructor(options: ClusterSecretsOptions) {
    this.#options = options;
    this.#labels = [USE_LABEL, ...options.tokenLabels];
  }

  get(namespace: string, name: string): SecretObject | undefined {
    return this.#scopes.has(namespace) ? this.#secrets.get(namespace)?.get(name)?.secret : undefined;
  }

  *list(namespace?: string): Iterable<SecretObject> {
    const chosen = namespace === undefined ? [...this.#scopes.keys()] : this.#scopes.has(namespace) ? [namespace] : [];
    for (const one of chosen) for (const { secret } of this.#secrets.get(one)?.values() ?? []) yield secret;
  }

  follow(namespace: string, signal: AbortSignal): void {
    if (this.#scopes.has(namespace) || signal.aborted) return;
    this.#signal = signal;
    this.#scopes.set(namespace, undefined);
    if (this.#options.asOne && this.#all === undefined) this.#all = this.#scope(undefined, signal);
    if (this.#isApart) this.#scopes.set(namespace, this.#scope(namespace, signal));
  }

  unfollow(namespace: string): void {
    if (!this.#scopes.has(namespace)) return;
    this.#end(this.#scopes.get(namespace));
    this.#scopes.delete(namespace);
    // Read as one, it stays, so that it is there at once when the namespace is followed again.
    if (this.#isApart) this.#secrets.delete(namespace);
  }

  /** Something has changed in a namespace: if its Secrets are closed, it may be that they were opened with it. */
  prompt(namespace: string): void {
    this.#scopes.get(namespace)?.prompt();
  }

  /** A Secret that we have just made. */
  remember(namespace: string, object: KubeObject): void {
    if (this.#scopes.has(namespace)) this.#put(namespace, USE_LABEL, object);
  }

  /** Undefined where Secrets are not followed. No list is waited for longer than its first answer, and no answer longer than a request may take. */
  stateOf(namespace: string): SecretsState | undefined {
    return this.#scopes.has(namespace) ? this.#scopeOf(namespace)?.state : undefined;
  }

  async find(namespace: string, name: string): Promise<SecretLookup> {
    const scope = this.#scopeOf(namespace);
    if (scope === undefined || !this.#scopes.has(namespace))
      return { state: "unknown", message: `Secrets of namespace ${namespace} have not been read yet; this resolves itself` };
    if (scope.state === "closed") return { state: "forbidden", message: this.#hint(namespace) };
    const usable = this.#usable(namespace, name);
    if (usable !== undefined) return usable;
    // One question a subscription would wait as long as each list does, and everybody behind it.
    if (scope.trouble !== undefined && !scope.hasListed(USE_LABEL)) {
      return {
        state: "unknown",
        message: `Secrets of namespace ${namespace} cannot be read (${scope.trouble}); Postrider retries by itself`,
      };
    }
    const key = `${namespace}/${name}`;
    const known = this.#answers.get(key);
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : this.#options.clock.monotonicMs() - known.atMs;
    if (known !== undefined && (ageMs < ANSWER_FOR_MS || this.#questions >= QUESTIONS_MAX)) return known.lookup;
    if (this.#options.clock.monotonicMs() < this.#awayUntilMs) return { state: "unknown", message: NO_ANSWER };
    this.#questions += 1;
    const lookup = await this.#ask(namespace, name);
    this.#questions -= 1;
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    if (lookup.state !== "unknown") this.#answers.set(key, { lookup, atMs: this.#options.clock.monotonicMs() });
    return this.#usable(namespace, name) ?? lookup;
  }

  #usable(namespace: string, name: string): SecretLookup | undefined {
    const secret = this.get(namespace, name);
    return secret?.metadata.labels?.[USE_LABEL] === "true" ? { state: "usable", secret } : undefined;
  }

  /** Metadata only: whether a Secret exists that we may not use. */
  async #ask(namespace: string, name: string): Promise<SecretLookup> {
    try {
      const answer = await this.#options.transport.request({
        method: "GET",
        path: `/api/v1/namespaces/${namespace}/secrets/${name}`,
        accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
      });
      this.#awayUntilMs = 0;
      if (answer.status === 404) return { state: "absent" };
      if (answer.status === 403) return { state: "forbidden", message: this.#hint(namespace) };
      if (answer.status !== 200) return { state: "unknown", message: `the API server answered ${answer.status}` };
      const labels = (answer.body as { metadata?: { labels?: Record<string, string> } }).metadata?.labels;
      if (labels?.[USE_LABEL] !== "true") return { state: "unlabelled" };
      return { state: "unknown", message: `Secret ${name} has just been labelled; this resolves itself within seconds` };
    } catch (error) {
      this.#awayUntilMs = this.#options.clock.monotonicMs() + ANSWER_FOR_MS;
      return { state: "unknown", message: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Settles when every watch has ended. */
  async run(signal: AbortSignal): Promise<void> {
    await aborted(signal);
    this.#end(this.#all);
    for (const scope of this.#scopes.values()) this.#end(scope);
    this.#scopes.clear();
    await Promise.all(this.#ending);
  }

  #hint(namespace: string): string {
    return `Postrider lacks permission to read Secrets of namespace ${namespace}; allow it with: ${this.#options.bindingHint.replaceAll("{namespace}", namespace)}`;
  }

  /** Whether each namespace has a scope of its own. */
  get #isApart(): boolean {
    return this.#all === undefined || this.#all.state === "closed";
  }

  /** Who reads the Secrets of a namespace. */
  #scopeOf(namespace: string): SecretScope | undefined {
    return this.#isApart ? this.#scopes.get(namespace) : this.#all;
  }

  #end(scope: SecretScope | undefined): void {
    if (scope === undefined) return;
    scope.stop();
    const ended = scope.ended().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #scope(namespace: string | undefined, signal: AbortSignal): SecretScope {
    const sink: SecretSink = {
      replace: (label, objects) => this.#replace(namespace, label, objects),
      put: (label, object) => this.#put(object.metadata.namespace ?? namespace ?? "", label, object),
      drop: (label, object) => this.#drop(object.metadata.namespace ?? namespace ?? "", object.metadata.name, label),
      closed: () => this.#closed(namespace),
      turned: () => this.#turned(namespace),
    };
    return new SecretScope(this.#options, { namespace, labels: this.#labels, signal }, sink);
  }

  #replace(namespace: string | undefined, label: string, objects: readonly KubeObject[]): void {
    const seen = new Set(objects.map(({ metadata }) => `${metadata.namespace ?? namespace}/${metadata.name}`));
    const chosen = namespace === undefined ? [...this.#secrets.keys()] : [namespace];
    for (const one of chosen) {
      for (const [name, { labels }] of this.#secrets.get(one) ?? [])
        if (labels.has(label) && !seen.has(`${one}/${name}`)) this.#drop(one, name, label);
    }
    for (const object of objects) this.#put(object.metadata.namespace ?? namespace ?? "", label, object);
  }

  /** Those of all are dropped by each namespace for itself, once it is known not to be open. */
  #closed(namespace: string | undefined): void {
    if (namespace !== undefined) {
      this.#options.log.warn({ event: "secrets.forbidden", namespace }, this.#hint(namespace));
      this.#secrets.delete(namespace);
      return;
    }
    for (const one of this.#secrets.keys()) if (!this.#scopes.has(one)) this.#secrets.delete(one);
  }

  /** What a namespace's Secrets are has changed, or who reads them. */
  #turned(namespace: string | undefined): void {
    if (namespace !== undefined) return this.#options.changed({ kind: "Namespace", namespace: "", name: namespace });
    const signal = this.#signal;
    for (const [one, scope] of this.#scopes) {
      if (this.#isApart && scope === undefined && signal !== undefined) this.#scopes.set(one, this.#scope(one, signal));
      else if (!this.#isApart) {
        this.#end(scope);
        this.#scopes.set(one, undefined);
      }
      this.#options.changed({ kind: "Namespace", namespace: "", name: one });
    }
  }

  #put(namespace: string, label: string, object: KubeObject): void {
    let names = this.#secrets.get(namespace);
    if (names === undefined) this.#secrets.set(namespace, (names = new Map<string, Kept>()));
    const { name } = object.metadata;
    const before = names.get(name);
    const labels = before?.labels ?? new Set<string>();
    labels.add(label);
    const secret = secretObject(object);
    names.set(name, { secret, labels });
    this.#answers.delete(`${namespace}/${name}`);
    if (this.#scopes.has(namespace) && differsForUs(before?.secret, secret)) this.#options.changed({ kind: "Secret", namespace, name });
  }

  #drop(namespace: string, name: string, label: string): void {
    const names = this.#secrets.get(namespace);
    const entry = names?.get(name);
    if (entry === undefined) return;
    entry.labels.delete(label);
    if (entry.labels.size === 0) names?.delete(name);
    if (names?.size === 0) this.#secrets.delete(namespace);
    this.#answers.delete(`${namespace}/${name}`);
    if (this.#scopes.has(namespace)) this.#options.changed({ kind: "Secret", namespace, name });
  }
}
