import {
  USE_LABEL,
  type CreateSecretResult,
  type EventNote,
  type NamedKind,
  type NamedLookup,
  type NewSigningSecret,
  type ObjectKind,
  type ObjectRef,
  type ObjectsByKind,
  type ReportedObject,
  type Resources,
  type ResultSink,
  type SecretLookup,
  type SecretObject,
  type SecretsState,
  type Unlisted,
  type WriteResult,
} from "../controller/objects.ts";
import type { WebhookSubscription } from "../api/generated/custom-resources.ts";
import { drainFinalizersAfter } from "../core/drain-finalizer.ts";
import { AccessWatch } from "../kube/access-watch.ts";
import { EventRecorder } from "../kube/event-recorder.ts";
import { ObjectWriter, type ObjectVersion, type WriteOutcome } from "../kube/object-writer.ts";
import { Reflector, type KubeObject, type ReflectorHandler } from "../kube/reflector.ts";
import { PartedRetryPace } from "../kube/retry-pace.ts";
import type { KubeTransport } from "../kube/transport.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { CLUSTER_KINDS, collectionPath, differsForUs, objectPath, watchedObject, type ClusterKind } from "./cluster-kinds.ts";
import { ClusterLists, type ClusterList } from "./cluster-lists.ts";
import { ClusterNamed } from "./cluster-named.ts";
import { ClusterSigningSecrets } from "./cluster-signing-secrets.ts";
import { ClusterSecrets } from "./cluster-secrets.ts";
import { NAMED_PLURALS } from "./named-object.ts";
import { ObjectCache, refOf } from "./object-cache.ts";
import { WatchSight } from "./watch-sight.ts";

export interface ClusterProviderOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** `spec.className` of the subscriptions that are ours; also part of the field manager. */
  readonly className: string;
  /** Only these namespaces; empty = all. */
  readonly namespaces: readonly string[];
  readonly instance: string;
  readonly bindingHint: string;
  /** The command that lets us read ServiceAccounts of a namespace and make their tokens. */
  readonly tokensBindingHint: string;
  /** Where Secrets live that cluster policies name. */
  readonly systemNamespace: string;
  /** Labels of Secrets that hold static tokens; each costs one more watch wherever Secrets are watched, so only those in use are named. */
  readonly tokenLabels?: readonly string[];
  /** Why nothing may be judged yet although it is read: another installation may serve the class. Undefined = it may. */
  readonly heldBack?: () => string | undefined;
}

/** Manifests from a cluster's API server, and results back to it. What was last seen stays in force while the API server is away. */
export class ClusterProvider implements Resources, ResultSink, Service {
  readonly name = "cluster";
  readonly #options: ClusterProviderOptions;
  readonly #cache = new ObjectCache();
  readonly #secrets: ClusterSecrets;
  readonly #writer: ObjectWriter;
  readonly #signingSecrets: ClusterSigningSecrets;
  readonly #recorder: EventRecorder;
  readonly #callbacks: ((ref: ObjectRef | undefined) => void)[] = [];
  readonly #pace: PartedRetryPace;
  readonly #lists: ClusterLists;
  readonly #named: ClusterNamed;
  readonly #access: AccessWatch;
  #signal: AbortSignal | undefined;

  constructor(options: ClusterProviderOptions) {
    this.#options = options;
    const {
      transport,
      clock,
      random,
      log,
      metrics,
      bindingHint,
      tokensBindingHint,
      namespaces,
      className,
      instance,
      tokenLabels = [],
    } = options;
    this.#pace = new PartedRetryPace(clock);
    // Of their own: a thousand namespaces' watches of Secrets must not delay those of manifests.
    const pace = new PartedRetryPace(clock);
    const changed = (ref: ObjectRef): void => this.#tell(ref);
    this.#access = new AccessWatch({ transport, clock, random, asked: (result) => metrics.accessChecks.inc({ result }) });
    const sight = new WatchSight(clock);
    metrics.readWatches(() => sight.silentSeconds());
    const watched = { transport, clock, random, log, metrics, changed, pace, access: this.#access, sight, bindingHint };
    this.#secrets = new ClusterSecrets({ ...watched, tokenLabels, asOne: namespaces.length === 0 });
    this.#named = new ClusterNamed({ ...watched, tokensBindingHint });
    this.#writer = new ObjectWriter(transport, managerOf(className));
    this.#signingSecrets = new ClusterSigningSecrets(this.#writer, (namespace, secret) => this.#secrets.remember(namespace, secret));
    const told = (result: string): void => metrics.kubernetesEvents.inc({ result });
    this.#recorder = new EventRecorder({ transport, clock, random, controller: { name: "postrider.dev/controller", instance }, told });
    this.#lists = new ClusterLists({ namespaces, log, metrics, clock, sight, exists: (namespace) => this.knowsNamespace(namespace) });
  }

  /** Leaves no connection behind when it settles. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const { transport, clock, random } = this.#options;
    const pace = this.#pace;
    for (const namespace of new Set([...this.#cache.list("WebhookSubscription")].map(({ metadata }) => metadata.namespace)))
      this.#followSecrets(namespace);
    const reflectors = this.#lists.all().map((list) => {
      const { kind, namespace } = list;
      const handler = this.#handler(list);
      return new Reflector({ name: kind.plural, path: collectionPath(kind, namespace), transport, clock, random, handler, pace });
    });
    await Promise.all(
      [...reflectors, this.#access, this.#recorder, this.#secrets, this.#named].map(async (service) => service.run(signal)),
    );
    await transport.close();
  }

  get synced(): boolean {
    return this.#heldBack === undefined && this.#lists.settled;
  }

  isListed(namespace: string): boolean {
    return this.#heldBack === undefined && this.#lists.isListed(namespace);
  }

  /** What was held back may be judged. */
  released(): void {
    this.#tell(undefined);
  }

  get #heldBack(): string | undefined {
    return this.#options.heldBack?.();
  }

  knowsNamespace(namespace: string): boolean {
    const { namespaces } = this.#options;
    return (namespaces.length === 0 || namespaces.includes(namespace)) && this.#cache.get("Namespace", "", namespace) !== undefined;
  }

  isGone(kind: ObjectKind, namespace: string, name: string): boolean {
    return this.isListed(namespace) && this.get(kind, namespace, name) === undefined;
  }

  unlisted(): readonly Unlisted[] {
    const trouble = this.#heldBack;
    return [...this.#lists.unlisted(), ...(trouble === undefined ? [] : [{ what: "Lease of the class", trouble }])];
  }

  /** What was read and cannot be followed now, for people; undefined while all is. */
  lostSight(): string | undefined {
    return this.#lists.lostSight();
  }

  /** Where no subscription of ours lives there is nothing to be read; that is known once the subscriptions have been listed. */
  secretsOf(namespace: string): SecretsState {
    return this.#secrets.stateOf(namespace) ?? (this.isListed(namespace) ? "read" : "pending");
  }

  get<K extends ObjectKind>(kind: K, namespace: string, name: string): ObjectsByKind[K] | undefined {
    if (kind === "Secret") return this.#secrets.get(namespace, name) as ObjectsByKind[K] | undefined;
    if (isNamedKind(kind)) return this.#named.get(kind, namespace, name);
    return this.#cache.get(kind, namespace, name);
  }

  list<K extends ObjectKind>(kind: K, namespace?: string): Iterable<ObjectsByKind[K]> {
    if (kind === "Secret") return this.#secrets.list(namespace) as Iterable<ObjectsByKind[K]>;
    return this.#cache.list(kind, namespace);
  }

  findSecret(namespace: string, name: string): SecretLookup | Promise<SecretLookup> {
    const secret = this.#secrets.get(namespace, name);
    if (secret?.metadata.labels?.[USE_LABEL] === "true") return { state: "usable", secret };
    return this.#secrets.find(namespace, name);
  }

  findNamed<K extends NamedKind>(kind: K, namespace: string, name: string): NamedLookup<K> | Promise<NamedLookup<K>> {
    return this.#named.find(kind, namespace, name);
  }

  onChange(callback: (ref: ObjectRef | undefined) => void): void {
    this.#callbacks.push(callback);
  }

  async writeStatus(object: ReportedObject, status: object): Promise<WriteResult> {
    const outcome = await this.#writer.applyStatus(versionOf(this.#latest(object)), status);
    this.#remember(object.kind, outcome);
    if (object.kind === "WebhookSubscription") await this.#dropStatusOfOthers(outcome);
    const result = resultOf(outcome);
    this.#options.metrics.statusWrites.inc({ result: result.kind });
    return result;
  }

  /**
   * What another installation wrote into the status of a subscription that is ours now, and we do not write: without this it would stay forever. An apply
   * without a status in its name gives its fields up. Tried again with the next status when it fails.
   */
  async #dropStatusOfOthers(outcome: WriteOutcome): Promise<void> {
    if (outcome.kind !== "done") return;
    const object = outcome.object as WebhookSubscription & ManagedObject;
    const others = new Set((object.metadata?.managedFields ?? []).map(({ manager }) => statusClass(manager)));
    for (const className of others) {
      if (className === undefined || className === this.#options.className) continue;
      const dropped = await new ObjectWriter(this.#options.transport, managerOf(className)).applyStatus(
        versionOf(this.#latest(object)),
        undefined,
      );
      this.#remember(object.kind, dropped);
    }
  }

  recordEvent(object: ReportedObject | SecretObject, note: EventNote): void {
    const { namespace, name, uid, resourceVersion } = object.metadata;
    const apiVersion = object.kind === "Secret" ? "v1" : object.apiVersion;
    this.#recorder.record({ apiVersion, kind: object.kind, namespace, name, uid, resourceVersion }, note);
  }

  async setFinalizer(object: WebhookSubscription, present: boolean): Promise<WriteResult> {
    const latest = this.#latest(object);
    const before = latest.metadata.finalizers ?? [];
    const after = drainFinalizersAfter(before, this.#options.className, present);
    if (after === before) return { kind: "done" };
    const outcome = await this.#writer.setFinalizers(versionOf(latest), after);
    if (present) this.#remember(object.kind, outcome);
    return resultOf(outcome);
  }

  async createSigningSecret(secret: NewSigningSecret): Promise<CreateSecretResult> {
    const outcome = await this.#signingSecrets.create(secret);
    return outcome.kind === "exists" ? { kind: "exists" } : resultOf(outcome);
  }

  async adoptSigningSecret(secret: SecretObject, signingFor: string): Promise<WriteResult> {
    return resultOf(await this.#signingSecrets.adopt(secret, signingFor));
  }

  async deleteSigningSecret(secret: SecretObject): Promise<WriteResult> {
    return resultOf(await this.#signingSecrets.delete(secret));
  }

  /** The version last seen of the same object: a caller may hold one that is older by a status of ours. */
  #latest<T extends ReportedObject>(object: T): T {
    const { namespace = "", name, uid } = object.metadata;
    const cached = this.#cache.get(object.kind, namespace, name);
    return cached !== undefined && cached.metadata.uid === uid ? (cached as unknown as T) : object;
  }

  /** What the API server answered to a write is newer than what the watch has told so far. */
  #remember(kind: ReportedObject["kind"], outcome: WriteOutcome): void {
    if (outcome.kind !== "done") return;
    const found = CLUSTER_KINDS.find((candidate) => candidate.kind === kind);
    const object = outcome.object as KubeObject | undefined;
    if (found === undefined || object?.metadata?.resourceVersion === undefined) return;
    const { namespace = "", name, uid } = object.metadata;
    const cached = this.#cache.get(kind, namespace, name);
    if (cached?.metadata.uid !== uid || isOlder(object.metadata.resourceVersion, cached?.metadata.resourceVersion)) return;
    this.#put(found, object);
  }

  #handler(list: ClusterList): ReflectorHandler {
    const { log } = this.#options;
    const { kind, namespace } = list;
    return {
      replace: (objects) => {
        const seen = new Set(objects.map((object) => `${object.metadata.namespace ?? ""}/${object.metadata.name}`));
        for (const old of Array.from(this.#cache.list(kind.kind, namespace))) {
          const ref = refOf(kind.kind, old);
          if (!seen.has(`${ref.namespace}/${ref.name}`)) this.#drop(ref);
        }
        for (const object of objects) this.#put(kind, object);
        if (this.#lists.read(list)) this.#tell(undefined);
      },
      changed: (object) => this.#put(kind, object),
      deleted: (object) => this.#drop({ kind: kind.kind, namespace: object.metadata.namespace ?? "", name: object.metadata.name }),
      opened: () => this.#lists.followed(list),
      heard: () => this.#lists.heard(list),
      restarted: (reason, message, status) => {
        if (this.#lists.broke(list, reason, message, status)) this.#tell(undefined);
      },
      failed: (error) => log.error({ err: error, kind: kind.kind }, "a change could not be handled"),
    };
  }

  #put(kind: ClusterKind, raw: KubeObject): void {
    const object = watchedObject(kind, raw);
    const ref = refOf(kind.kind, object);
    const before = this.#cache.get(kind.kind, ref.namespace, ref.name);
    if (
      before !== undefined &&
      before.metadata.uid === object.metadata.uid &&
      isOlder(object.metadata.resourceVersion, before.metadata.resourceVersion)
    )
      return;
    this.#cache.set(kind.kind, object);
    if (!differsForUs(before, object)) return;
    this.#followNamesIn(ref);
    this.#tell(ref);
  }

  #drop(ref: ObjectRef): void {
    if (!this.#cache.delete(ref)) return;
    this.#followNamesIn(ref);
    this.#tell(ref);
  }

  /** Objects that were read because somebody named them, and that nobody names any more, are let go of. */
  retainNamed(isNamed: (ref: ObjectRef) => boolean): void {
    this.#named.retain(isNamed);
  }

  #followNamesIn({ kind, namespace, name }: ObjectRef): void {
    const changedIn = kind === "Namespace" ? name : namespace;
    this.#secrets.prompt(changedIn);
    this.#named.prompt(changedIn);
    if (kind === "WebhookSubscription") this.#followSecrets(namespace);
    if (kind === "ClusterDeliveryPolicy") this.#followSecrets(this.#options.systemNamespace);
  }

  /** Secrets are read only where a subscription of ours lives, and in our own namespace where a cluster policy names one. */
  #followSecrets(namespace: string): void {
    if (this.#signal === undefined) return;
    const isNamed = this.#hasSubscription(namespace);
    if (!isNamed) this.#named.unfollow(namespace);
    if (isNamed || (namespace === this.#options.systemNamespace && this.#hasProxy())) this.#secrets.follow(namespace, this.#signal);
    else this.#secrets.unfollow(namespace);
  }

  #hasSubscription(namespace: string): boolean {
    for (const { spec } of this.#cache.list("WebhookSubscription", namespace)) {
      if (spec.className === this.#options.className) return true;
    }
    return false;
  }

  #hasProxy(): boolean {
    for (const { spec } of this.#cache.list("ClusterDeliveryPolicy")) {
      const isOurs = (spec?.className ?? this.#options.className) === this.#options.className;
      if (isOurs && spec?.egress?.proxySecretRef !== undefined) return true;
    }
    return false;
  }

  #tell(ref: ObjectRef | undefined): void {
    for (const callback of this.#callbacks) callback(ref);
  }
}

interface ManagedObject {
  readonly metadata: { readonly managedFields?: readonly { readonly manager?: string }[] };
}

function managerOf(className: string): string {
  return `postrider-${className}`;
}

/** The class whose installation writes statuses under this name; undefined for anybody else. */
function statusClass(manager: string | undefined): string | undefined {
  return /^postrider-(.+)-status$/.exec(manager ?? "")?.[1];
}

function isNamedKind(kind: ObjectKind): kind is NamedKind {
  return Object.hasOwn(NAMED_PLURALS, kind);
}

/** resourceVersions are comparable numbers (KEP-5504); anything else is taken as newer. */
function isOlder(candidate: string | undefined, known: string | undefined): boolean {
  if (candidate === undefined || known === undefined || !/^\d+$/.test(candidate) || !/^\d+$/.test(known)) return false;
  return BigInt(candidate) < BigInt(known);
}

function versionOf(object: ReportedObject): ObjectVersion {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  const path = objectPath({ kind: object.kind, namespace: namespace ?? "", name });
  return { apiVersion: object.apiVersion, kind: object.kind, path, namespace, name, uid, resourceVersion };
}

function resultOf(outcome: WriteOutcome): WriteResult {
  if (outcome.kind === "failed") return outcome;
  return { kind: outcome.kind === "exists" ? "conflict" : outcome.kind };
}
