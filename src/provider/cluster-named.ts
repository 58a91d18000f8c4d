import type { NamedKind, NamedLookup, ObjectRef, ObjectsByKind } from "../controller/objects.ts";
import type { AccessHandle, AccessWatch } from "../kube/access-watch.ts";
import { Reflector, type KubeObject, type ReflectorHandler, type RetryPace } from "../kube/reflector.ts";
import type { KubeTransport } from "../kube/transport.ts";
import { aborted } from "../lib/abort.ts";
import { unreachable } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { NO_ANSWER } from "./cluster-secrets.ts";
import { NAMED_PLURALS, namedObject } from "./named-object.ts";
import type { WatchSight } from "./watch-sight.ts";

/** What was found out about an object that is not there is believed for this long, ms: a thousand subscriptions may name it. */
const ANSWER_FOR_MS = 5_000;
/** Who asks for an object names it a moment later: until then it must not be let go of. */
const ASKED_FOR_MS = 10 * 60_000;
/** Answers remembered. */
const ANSWERS_MAX = 20_000;

export interface ClusterNamedOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The command that lets us read what subscriptions of a namespace name; `{namespace}` is replaced. */
  readonly bindingHint: string;
  /** The same for ServiceAccounts and their tokens. */
  readonly tokensBindingHint: string;
  readonly changed: (ref: ObjectRef) => void;
  readonly pace: RetryPace;
  readonly access: AccessWatch;
  readonly sight: WatchSight;
}

/** One kind of one namespace, watched. */
interface Scope {
  readonly kind: NamedKind;
  readonly namespace: string;
  readonly abort: AbortController;
  done: Promise<unknown>;
  reading: AbortController | undefined;
  access: AccessHandle | undefined;
  /** Names that were asked for, and when last. */
  readonly wanted: Map<string, number>;
  readonly objects: Map<string, ObjectsByKind[NamedKind]>;
}

/**
 * Services, ConfigMaps and ServiceAccounts that subscriptions name. A kind is watched in a namespace from the first question on, and only
 * what was asked for is kept: a namespace's other ConfigMaps are read by nobody. What was last seen stands while the API server is away.
 */
export class ClusterNamed {
  readonly #options: ClusterNamedOptions;
  /** By `Kind/namespace`. */
  readonly #scopes = new Map<string, Scope>();
  readonly #answers = new Map<string, { readonly lookup: NamedLookup; readonly atMs: number }>();
  readonly #questions = new Map<string, Promise<NamedLookup>>();
  #signal: AbortSignal | undefined;
  /** Until when nothing is asked because the last question got no answer, monotonic ms. */
  #awayUntilMs = 0;

  constructor(options: ClusterNamedOptions) {
    this.#options = options;
  }

  get<K extends NamedKind>(kind: K, namespace: string, name: string): ObjectsByKind[K] | undefined {
    return this.#scopes.get(`${kind}/${namespace}`)?.objects.get(name) as ObjectsByKind[K] | undefined;
  }

  /** At once where it is known. Never rejects. */
  find<K extends NamedKind>(kind: K, namespace: string, name: string): NamedLookup<K> | Promise<NamedLookup<K>> {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.get(kind, namespace, name);
    if (known !== undefined) {
      this.#scopes.get(`${kind}/${namespace}`)?.wanted.set(name, nowMs);
      return { state: "found", object: known };
    }
    if (this.#signal === undefined || this.#signal.aborted) {
      return { state: "unknown", message: `the ${kind} ${name} has not been read yet; this resolves itself` };
    }
    const scope = this.#follow(kind, namespace, this.#signal);
    scope.wanted.set(name, nowMs);
    if (scope.access?.isDenied === true) return { state: "forbidden", message: this.#hint(kind, namespace) };
    const key = `${kind}/${namespace}/${name}`;
    const answer = this.#answers.get(key);
    if (answer !== undefined && nowMs - answer.atMs < ANSWER_FOR_MS) return answer.lookup as NamedLookup<K>;
    if (nowMs < this.#awayUntilMs) return { state: "unknown", message: NO_ANSWER };
    return this.#joined(key, () => this.#ask(kind, namespace, name)) as Promise<NamedLookup<K>>;
  }

  /** Nobody names anything in this namespace any more. */
  unfollow(namespace: string): void {
    for (const kind of Object.keys(NAMED_PLURALS)) {
      const key = `${kind}/${namespace}`;
      this.#end(key);
    }
  }

  /** Something has changed in a namespace: if it is closed, it may be that it was opened with it. */
  prompt(namespace: string): void {
    for (const kind of Object.keys(NAMED_PLURALS)) this.#scopes.get(`${kind}/${namespace}`)?.access?.prompt();
  }

  #end(key: string): void {
    const scope = this.#scopes.get(key);
    scope?.access?.stop();
    scope?.abort.abort();
    this.#scopes.delete(key);
  }

  /** Lets go of what nobody names any more, and of watches in which nothing is left to be seen. */
  retain(isNamed: (ref: ObjectRef) => boolean): void {
    const beforeMs = this.#options.clock.monotonicMs() - ASKED_FOR_MS;
    for (const [key, { kind, namespace, wanted, objects }] of this.#scopes) {
      for (const [name, askedAtMs] of wanted) {
        if (askedAtMs > beforeMs || isNamed({ kind, namespace, name })) continue;
        wanted.delete(name);
        objects.delete(name);
        this.#answers.delete(`${key}/${name}`);
      }
      if (wanted.size === 0) this.#end(key);
    }
  }

  /** Settles when every watch has ended. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await aborted(signal);
    await Promise.all(Array.from(this.#scopes.values(), async (scope) => scope.done));
    this.#scopes.clear();
  }

  #joined(key: string, ask: () => Promise<NamedLookup>): Promise<NamedLookup> {
    let question = this.#questions.get(key);
    if (question === undefined) {
      question = ask().finally(() => this.#questions.delete(key));
      this.#questions.set(key, question);
    }
    return question;
  }

  async #ask(kind: NamedKind, namespace: string, name: string): Promise<NamedLookup> {
    const askedMs = this.#options.clock.monotonicMs();
    const lookup = await this.#read(kind, namespace, name);
    // The watch may have told of it meanwhile, and is right.
    const seen = this.get(kind, namespace, name);
    if (seen !== undefined) return { state: "found", object: seen };
    const told = this.#answers.get(`${kind}/${namespace}/${name}`);
    if (told !== undefined && told.atMs >= askedMs) return told.lookup;
    if (lookup.state === "found") this.#scopes.get(`${kind}/${namespace}`)?.objects.set(name, lookup.object);
    else if (lookup.state !== "unknown") {
      if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
      this.#answers.set(`${kind}/${namespace}/${name}`, { lookup, atMs: this.#options.clock.monotonicMs() });
    }
    return lookup;
  }

  async #read(kind: NamedKind, namespace: string, name: string): Promise<NamedLookup> {
    try {
      const path = `/api/v1/namespaces/${namespace}/${NAMED_PLURALS[kind]}/${name}`;
      const answer = await this.#options.transport.request({ method: "GET", path });
      this.#awayUntilMs = 0;
      if (answer.status === 200) return { state: "found", object: namedObject(kind, answer.body as KubeObject) };
      if (answer.status === 404) return { state: "absent" };
      if (answer.status === 403) return { state: "forbidden", message: this.#hint(kind, namespace) };
      return { state: "unknown", message: `the ${kind} ${name}: the API server answered ${answer.status}; this resolves itself` };
    } catch (error) {
      this.#awayUntilMs = this.#options.clock.monotonicMs() + ANSWER_FOR_MS;
      return { state: "unknown", message: `the ${kind} ${name}: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  #hint(kind: NamedKind, namespace: string): string {
    const { bindingHint, tokensBindingHint } = this.#options;
    const command = (kind === "ServiceAccount" ? tokensBindingHint : bindingHint).replaceAll("{namespace}", namespace);
    return `Postrider lacks permission to read ${kind}s of namespace ${namespace}; allow it with: ${command}`;
  }

  #follow(kind: NamedKind, namespace: string, signal: AbortSignal): Scope {
    const key = `${kind}/${namespace}`;
    const known = this.#scopes.get(key);
    if (known !== undefined) return known;
    const scope: Scope = {
      kind,
      namespace,
      abort: new AbortController(),
      wanted: new Map(),
      objects: new Map(),
      done: Promise.resolve(),
      reading: undefined,
      access: undefined,
    };
    const { log, access } = this.#options;
    scope.access = access.follow(
      { namespace, verb: "watch", group: "", resource: NAMED_PLURALS[kind] },
      {
        open: () => this.#open(scope, signal),
        close: () => {
          scope.reading?.abort();
          scope.objects.clear();
          log.warn({ event: "references.forbidden", kind, namespace }, this.#hint(kind, namespace));
          this.#tellWanted(scope);
        },
        // Each question about a name finds out for itself.
        troubled: () => {},
      },
    );
    this.#scopes.set(key, scope);
    return scope;
  }

  #open(scope: Scope, signal: AbortSignal): void {
    const { kind, namespace } = scope;
    const reading = new AbortController();
    scope.reading = reading;
    const { transport, clock, random, pace, sight } = this.#options;
    const seen = sight.begin(kind);
    const path = `/api/v1/namespaces/${namespace}/${NAMED_PLURALS[kind]}`;
    const handler = { ...this.#handler(scope, reading), heard: () => seen.heard() };
    const name = `${NAMED_PLURALS[kind]}-${namespace}`;
    const reflector = new Reflector({ name, path, transport, clock, random, handler, pace, endsWhenForbidden: true });
    scope.done = reflector.run(AbortSignal.any([signal, scope.abort.signal, reading.signal])).finally(() => seen.end());
  }

  #handler(scope: Scope, reading: AbortController): ReflectorHandler {
    const { log, metrics } = this.#options;
    const { kind, namespace } = scope;
    return {
      replace: (objects) => {
        const wasDenied = scope.access?.isDenied === true;
        scope.access?.granted();
        const seen = new Set(objects.map((object) => object.metadata.name));
        for (const name of scope.objects.keys()) if (!seen.has(name)) this.#drop(kind, namespace, name, scope);
        for (const object of objects) this.#put(kind, namespace, object, scope);
        if (wasDenied) this.#tellWanted(scope);
      },
      changed: (object) => this.#put(kind, namespace, object, scope),
      deleted: (object) => this.#drop(kind, namespace, object.metadata.name, scope),
      restarted: (reason, message) => {
        metrics.watchRestarts.inc({ kind, reason });
        if (reason !== "forbidden") log.info({ event: "watch.restarted", kind, namespace, reason }, message);
        else if (!reading.signal.aborted) {
          reading.abort();
          scope.access?.refused();
        }
      },
      failed: (error) => log.error({ err: error, kind, namespace }, "a change could not be handled"),
    };
  }

  #tellWanted({ kind, namespace, wanted }: Scope): void {
    for (const name of wanted.keys()) {
      this.#answers.delete(`${kind}/${namespace}/${name}`);
      this.#options.changed({ kind, namespace, name });
    }
  }

  #put(kind: NamedKind, namespace: string, raw: KubeObject, { wanted, objects }: Scope): void {
    const { name } = raw.metadata;
    if (!wanted.has(name)) return;
    const before = objects.get(name);
    const after = namedObject(kind, raw);
    this.#answers.delete(`${kind}/${namespace}/${name}`);
    if (before !== undefined && essence(before) === essence(after)) return;
    objects.set(name, after);
    this.#options.changed({ kind, namespace, name });
  }

  #drop(kind: NamedKind, namespace: string, name: string, { wanted, objects }: Scope): void {
    if (wanted.has(name)) {
      this.#answers.set(`${kind}/${namespace}/${name}`, { lookup: { state: "absent" }, atMs: this.#options.clock.monotonicMs() });
    }
    if (objects.delete(name)) this.#options.changed({ kind, namespace, name });
  }
}

/** What may change a verdict. */
function essence(object: ObjectsByKind[NamedKind]): string {
  const { uid, labels } = object.metadata;
  switch (object.kind) {
    case "Service": {
      // All that is read of it, so that nothing is followed later only because it was forgotten here.
      const { metadata: _metadata, ...spec } = object;
      return JSON.stringify([uid, spec]);
    }
    case "ConfigMap":
      return JSON.stringify([uid, object.data]);
    case "ServiceAccount":
      return JSON.stringify([uid, labels]);
    default:
      return unreachable(object);
  }
}
