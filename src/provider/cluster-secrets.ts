import { USE_LABEL, type ObjectRef, type SecretLookup, type SecretObject, type SecretsState } from "../controller/objects.ts";
import { Reflector, type KubeObject, type ReflectorHandler, type RetryPace } from "../kube/reflector.ts";
import type { KubeTransport } from "../kube/transport.ts";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { differsForUs, secretObject } from "./cluster-kinds.ts";

/** What was found out about a Secret that we may not read is believed for this long, ms: a thousand subscriptions may name it. */
const ANSWER_FOR_MS = 5_000;
/** Above this many such questions at a time the last answer is believed for longer. */
const QUESTIONS_MAX = 4;
/** Answers remembered. */
const ANSWERS_MAX = 20_000;

/** A thousand subscriptions that each waited for their own question to end in nothing would hold up all others. */
export const NO_ANSWER = "the API server does not respond; Postrider retries by itself";

export interface ClusterSecretsOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The command that lets us use Secrets of a namespace; `{namespace}` is replaced. */
  readonly bindingHint: string;
  /** Labels beside USE_LABEL whose Secrets are watched. */
  readonly tokenLabels: readonly string[];
  readonly changed: (ref: ObjectRef) => void;
  readonly pace: RetryPace;
}

interface Scope {
  readonly abort: AbortController;
  readonly done: Promise<unknown>;
  /** Labels whose list has been read. */
  readonly listed: Set<string>;
  forbidden: boolean;
  /** Why a list could not be read so far, other than by a right that is missing. */
  trouble: string | undefined;
}

/**
 * The labelled Secrets of the namespaces that have subscriptions, watched where a RoleBinding lets us. Never all Secrets: only those with an
 * opt-in label are ever read; of others no more than that they exist.
 */
export class ClusterSecrets {
  readonly #options: ClusterSecretsOptions;
  readonly #labels: readonly string[];
  readonly #scopes = new Map<string, Scope>();
  /** namespace → name → Secret, with the labels through which it is seen. */
  readonly #secrets = new Map<string, Map<string, { readonly secret: SecretObject; readonly labels: Set<string> }>>();
  readonly #answers = new Map<string, { readonly lookup: SecretLookup; readonly atMs: number }>();
  #questions = 0;
  /** Until when nothing is asked because the last question got no answer, monotonic ms. */
  #awayUntilMs = 0;

  constructor(options: ClusterSecretsOptions) {
    this.#options = options;
    this.#labels = [USE_LABEL, ...options.tokenLabels];
  }

  get(namespace: string, name: string): SecretObject | undefined {
    return this.#secrets.get(namespace)?.get(name)?.secret;
  }

  *list(namespace?: string): Iterable<SecretObject> {
    const chosen = namespace === undefined ? [...this.#secrets.values()] : [this.#secrets.get(namespace) ?? new Map<string, never>()];
    for (const names of chosen) for (const { secret } of names.values()) yield secret;
  }

  follow(namespace: string, signal: AbortSignal): void {
    if (!this.#scopes.has(namespace) && !signal.aborted) this.#scopes.set(namespace, this.#open(namespace, signal));
  }

  unfollow(namespace: string): void {
    this.#scopes.get(namespace)?.abort.abort();
    this.#scopes.delete(namespace);
    this.#secrets.delete(namespace);
  }

  /** A Secret that we have just made. */
  remember(namespace: string, object: KubeObject): void {
    if (this.#scopes.has(namespace)) this.#put(namespace, USE_LABEL, object);
  }

  /** Undefined where Secrets are not followed. No list is waited for longer than its first answer, and no answer longer than a request may take. */
  stateOf(namespace: string): SecretsState | undefined {
    const scope = this.#scopes.get(namespace);
    if (scope === undefined) return undefined;
    if (scope.forbidden) return "closed";
    if (scope.listed.size === this.#labels.length) return "read";
    return scope.trouble === undefined ? "pending" : "troubled";
  }

  async find(namespace: string, name: string): Promise<SecretLookup> {
    const scope = this.#scopes.get(namespace);
    if (scope === undefined)
      return { state: "unknown", message: `Secrets of namespace ${namespace} have not been read yet; this resolves itself` };
    if (scope.forbidden) return { state: "forbidden", message: this.#hint(namespace) };
    const usable = this.#usable(namespace, name);
    if (usable !== undefined) return usable;
    // One question a subscription would wait as long as each list does, and everybody behind it.
    if (scope.trouble !== undefined && !scope.listed.has(USE_LABEL)) {
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
    await Promise.all([...this.#scopes.values()].map(async (scope) => scope.done));
    this.#scopes.clear();
  }

  #hint(namespace: string): string {
    return `Postrider lacks permission to read Secrets of namespace ${namespace}; allow it with: ${this.#options.bindingHint.replaceAll("{namespace}", namespace)}`;
  }

  #open(namespace: string, signal: AbortSignal): Scope {
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    signal.addEventListener("abort", stop, { once: true });
    const scope: { -readonly [K in keyof Scope]: Scope[K] } = {
      abort,
      listed: new Set(),
      forbidden: false,
      trouble: undefined,
      done: Promise.resolve(),
    };
    const { transport, clock, random, pace } = this.#options;
    scope.done = Promise.all(
      this.#labels.map(async (label) =>
        new Reflector({
          name: `secrets-${namespace}`,
          path: `/api/v1/namespaces/${namespace}/secrets`,
          labelSelector: `${label}=true`,
          transport,
          clock,
          random,
          handler: this.#handler(namespace, label, scope),
          pace,
        }).run(abort.signal),
      ),
    ).finally(() => signal.removeEventListener("abort", stop));
    return scope;
  }

  #handler(namespace: string, label: string, scope: Scope): ReflectorHandler {
    return {
      replace: (objects) => {
        const first = !scope.listed.has(label);
        const mended = scope.forbidden;
        scope.listed.add(label);
        scope.forbidden = false;
        const seen = new Set(objects.map((object) => object.metadata.name));
        for (const [name, entry] of this.#secrets.get(namespace) ?? [])
          if (entry.labels.has(label) && !seen.has(name)) this.#drop(namespace, name, label);
        for (const object of objects) this.#put(namespace, label, object);
        if (scope.listed.size === this.#labels.length) scope.trouble = undefined;
        if (first || mended) this.#options.changed({ kind: "Namespace", namespace: "", name: namespace });
      },
      changed: (object) => this.#put(namespace, label, object),
      deleted: (object) => this.#drop(namespace, object.metadata.name, label),
      restarted: (reason, message) => {
        this.#options.metrics.watchRestarts.inc({ kind: "Secret", reason });
        const firstTrouble = reason !== "forbidden" && scope.trouble === undefined && !scope.listed.has(label);
        if (reason !== "forbidden" && !scope.listed.has(label)) scope.trouble = message;
        if (firstTrouble) this.#options.changed({ kind: "Namespace", namespace: "", name: namespace });
        if (reason === "forbidden" && !scope.forbidden) {
          scope.forbidden = true;
          this.#options.log.warn({ event: "secrets.forbidden", namespace }, this.#hint(namespace));
          this.#options.changed({ kind: "Namespace", namespace: "", name: namespace });
        } else if (reason !== "forbidden") {
          this.#options.log.info({ event: "watch.restarted", kind: "Secret", namespace, reason }, message);
        }
      },
      failed: (error) => this.#options.log.error({ err: error, kind: "Secret", namespace }, "a change could not be handled"),
    };
  }

  #put(namespace: string, label: string, object: KubeObject): void {
    let names = this.#secrets.get(namespace);
    if (names === undefined) this.#secrets.set(namespace, (names = new Map()));
    const { name } = object.metadata;
    const before = names.get(name);
    const labels = before?.labels ?? new Set<string>();
    labels.add(label);
    const secret = secretObject(object);
    names.set(name, { secret, labels });
    this.#answers.delete(`${namespace}/${name}`);
    if (differsForUs(before?.secret, secret)) this.#options.changed({ kind: "Secret", namespace, name });
  }

  #drop(namespace: string, name: string, label: string): void {
    const names = this.#secrets.get(namespace);
    const entry = names?.get(name);
    if (entry === undefined) return;
    entry.labels.delete(label);
    if (entry.labels.size === 0) names?.delete(name);
    this.#answers.delete(`${namespace}/${name}`);
    this.#options.changed({ kind: "Secret", namespace, name });
  }
}
