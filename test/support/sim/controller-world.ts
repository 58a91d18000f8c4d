import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { Controller } from "../../../src/controller/controller.ts";
import type { ControllerOptions } from "../../../src/controller/controller.ts";
import type {
  CreateSecretResult,
  EventNote,
  NewSigningSecret,
  ObjectKind,
  ObjectRef,
  ReportedObject,
  Resources,
  ResultSink,
  SecretLookup,
  SecretObject,
  SecretsState,
  Unlisted,
  WatchedObject,
  WriteResult,
} from "../../../src/controller/objects.ts";
import { SIGNING_FOR_LABEL, USE_LABEL, objectKey } from "../../../src/controller/objects.ts";
import { drainFinalizersAfter } from "../../../src/core/drain-finalizer.ts";
import { ObjectCache, refOf } from "../../../src/provider/object-cache.ts";
import { silentLog } from "../silent-log.ts";

type SeamsOfController = Pick<ControllerOptions, "acceptedSpecs" | "deliveries" | "clock" | "onTable">;

/** The kinds that are listed as a whole; the first two are in no namespace. */
export const LISTED_KINDS = ["Namespace", "ClusterDeliveryPolicy", "DeliveryPolicy", "DeliveryReplay", "WebhookSubscription"] as const;
export type ListedKind = (typeof LISTED_KINDS)[number];

/** A manifest of ours as the API server has it, with its defaults. @throws when it is not valid. */
export function manifest(kind: Exclude<ListedKind, "Namespace">, metadata: { name: string; [field: string]: unknown }, spec: object) {
  const read = readCustomResource({ apiVersion: "postrider.dev/v1alpha1", kind, metadata: { generation: 1, ...metadata }, spec });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return { ...read.value, metadata: { uid: `uid-${metadata.name}`, generation: 1, ...metadata } } as unknown as WatchedObject;
}

export function namespace(name: string, labels: Record<string, string> = {}): WatchedObject {
  return { kind: "Namespace", metadata: { name, labels }, terminating: false };
}

/**
 * A cluster whose objects the controller sees only once their kind has been listed: `apply` and `remove` change the cluster, `arrive` lets a list
 * come in, in any order and at any time. It keeps all that the controller writes. A new one on the same objects is what a new process sees.
 */
export class ControlledManifests implements Resources, ResultSink {
  readonly statuses: { readonly object: string; readonly status: object }[] = [];
  readonly events: { readonly object: string; readonly note: EventNote }[] = [];
  readonly finalizers: { readonly object: string; readonly present: boolean }[] = [];
  readonly signingSecrets: string[] = [];
  readonly #secretStates = new Map<string, SecretsState>();
  readonly #served: readonly string[];
  readonly #all: ObjectCache;
  readonly #seen = new ObjectCache();
  readonly #listed = new Set<string>();
  readonly #troubles = new Map<string, string>();
  readonly #callbacks: ((ref: ObjectRef | undefined) => void)[] = [];

  /** `namespaces`: only these, each with lists of its own; empty = all in one. `before`: the same cluster, seen by an earlier process. */
  constructor(options: { readonly namespaces?: readonly string[]; readonly before?: ControlledManifests } = {}) {
    this.#served = options.namespaces ?? [];
    this.#all = options.before === undefined ? new ObjectCache() : options.before.#all;
  }

  /** The lists there are, as arguments of `arrive`. */
  lists(): (readonly [kind: ListedKind, namespace?: string])[] {
    const scopes = this.#served.length === 0 ? [undefined] : this.#served;
    return LISTED_KINDS.flatMap((kind, at) => (at < 2 ? [[kind]] : scopes.map((name) => [kind, name])) as [ListedKind, string?][]);
  }

  /** The list of a kind comes in: what the cluster has is seen from now on. */
  arrive(kind: ListedKind, scope?: string): void {
    const key = `${kind}/${scope ?? ""}`;
    this.#troubles.delete(key);
    for (const object of this.#all.list(kind, scope)) this.#tell(this.#seen.set(kind, object));
    if (this.#listed.has(key)) return;
    this.#listed.add(key);
    this.#tell(undefined);
  }

  /** The list is refused. */
  refuse(kind: ListedKind, scope: string | undefined, trouble: string): void {
    const key = `${kind}/${scope ?? ""}`;
    if (this.#listed.has(key)) return;
    this.#troubles.set(key, trouble);
    this.#tell(undefined);
  }

  /** How far the Secrets of a namespace are read; "read" unless told otherwise. */
  readSecrets(scope: string, state: SecretsState): void {
    this.#secretStates.set(scope, state);
    this.#tell({ kind: "Namespace", namespace: "", name: scope });
  }

  apply(object: WatchedObject): void {
    const ref = this.#all.set(object.kind, object);
    if (!this.#isSeen(ref)) return;
    this.#seen.set(object.kind, object);
    this.#tell(ref);
  }

  remove(ref: ObjectRef): void {
    this.#all.delete(ref);
    if (this.#seen.delete(ref)) this.#tell(ref);
  }

  #isSeen({ kind, namespace: scope }: ObjectRef): boolean {
    if (!(LISTED_KINDS as readonly string[]).includes(kind)) return true;
    return this.#listed.has(`${kind}/`) || this.#listed.has(`${kind}/${scope}`);
  }

  #tell(ref: ObjectRef | undefined): void {
    for (const callback of this.#callbacks) callback(ref);
  }

  get: Resources["get"] = (kind, scope, name) => this.#seen.get(kind, scope, name);
  list: Resources["list"] = (kind, scope) => this.#seen.list(kind, scope);
  findNamed: Resources["findNamed"] = (kind, scope, name) => {
    const object = this.#all.get(kind, scope, name);
    return object === undefined ? { state: "absent" } : { state: "found", object };
  };
  /** What is answered when a Secret is looked for; undefined = what there is. */
  secretAnswer: SecretLookup | undefined;
  findSecret: Resources["findSecret"] = (scope, name) => {
    if (this.secretAnswer !== undefined) return this.secretAnswer;
    const secret = this.#all.get("Secret", scope, name);
    if (secret === undefined) return { state: "absent" };
    return secret.metadata.labels?.[USE_LABEL] === "true" ? { state: "usable", secret } : { state: "unlabelled" };
  };

  isListed(scope: string): boolean {
    const missing = this.#missing();
    if (missing.some(([, name]) => name === undefined)) return false;
    return !missing.some(([, name]) => name === scope) || this.#seen.get("Namespace", "", scope) === undefined;
  }

  knowsNamespace(scope: string): boolean {
    const isServed = this.#served.length === 0 || this.#served.includes(scope);
    return isServed && this.#seen.get("Namespace", "", scope) !== undefined;
  }

  isGone(kind: ObjectKind, scope: string, name: string): boolean {
    return this.isListed(scope) && this.#seen.get(kind, scope, name) === undefined;
  }

  secretsOf(scope: string): SecretsState {
    return this.#secretStates.get(scope) ?? "read";
  }

  get synced(): boolean {
    const waiting = this.#missing().filter(([kind, scope]) => scope === undefined || !this.#troubles.has(`${kind}/${scope}`));
    return waiting.every(([, scope]) => scope !== undefined && this.isListed(scope));
  }

  unlisted(): readonly Unlisted[] {
    return this.#missing().map(([kind, scope]) => ({
      what: scope === undefined ? kind : `${kind} of namespace ${scope}`,
      trouble: this.#troubles.get(`${kind}/${scope ?? ""}`),
    }));
  }

  #missing(): (readonly [ListedKind, string?])[] {
    return this.lists().filter(([kind, scope]) => !this.#listed.has(`${kind}/${scope ?? ""}`));
  }

  onChange(callback: (ref: ObjectRef | undefined) => void): void {
    this.#callbacks.push(callback);
  }

  writeStatus(object: ReportedObject, status: object): Promise<WriteResult> {
    this.statuses.push({ object: nameOf(object), status });
    return Promise.resolve({ kind: "done" });
  }

  recordEvent(object: WatchedObject, note: EventNote): void {
    this.events.push({ object: nameOf(object), note });
  }

  setFinalizer(object: ReportedObject, present: boolean): Promise<WriteResult> {
    this.finalizers.push({ object: nameOf(object), present });
    const finalizers = drainFinalizersAfter(object.metadata.finalizers ?? [], "postrider", present);
    if (!present && object.metadata.deletionTimestamp !== undefined) this.remove(refOf(object.kind, object));
    else this.apply({ ...object, metadata: { ...object.metadata, finalizers } } as WatchedObject);
    return Promise.resolve({ kind: "done" });
  }

  createSigningSecret({ owner, name, key, value, signingFor }: NewSigningSecret): Promise<CreateSecretResult> {
    const { namespace: scope } = owner.metadata;
    this.signingSecrets.push(`${scope}/${name}`);
    const metadata = { name, namespace: scope, uid: `uid-${name}`, labels: { [USE_LABEL]: "true", [SIGNING_FOR_LABEL]: signingFor } };
    this.apply({ kind: "Secret", metadata, type: "Opaque", data: { [key]: Buffer.from(value) }, controllerUid: undefined });
    return Promise.resolve({ kind: "done" });
  }

  /** What the next write to a Secret is answered; undefined = it is done. */
  secretWrites: WriteResult | undefined;

  adoptSigningSecret(secret: SecretObject, signingFor: string): Promise<WriteResult> {
    if (this.secretWrites !== undefined) return Promise.resolve(this.secretWrites);
    const labels = { ...secret.metadata.labels, [SIGNING_FOR_LABEL]: signingFor };
    this.apply({ ...secret, metadata: { ...secret.metadata, labels }, controllerUid: undefined, ownerName: undefined });
    return Promise.resolve({ kind: "done" });
  }

  deleteSigningSecret(secret: SecretObject): Promise<WriteResult> {
    if (this.secretWrites !== undefined) return Promise.resolve(this.secretWrites);
    this.remove(refOf("Secret", secret));
    return Promise.resolve({ kind: "done" });
  }
}

/** The real controller on them, not running yet. */
export function controllerOn({ manifests, ...parts }: SeamsOfController & { manifests: ControlledManifests }): Controller {
  const random = { next: () => 0, bytes: (n: number) => new Uint8Array(n).fill(7) };
  const names = { className: "postrider", systemNamespace: "postrider-system" };
  return new Controller({ ...parts, ...names, resources: manifests, sink: manifests, random, log: silentLog });
}

function nameOf(object: WatchedObject): string {
  return objectKey(refOf(object.kind, object));
}
