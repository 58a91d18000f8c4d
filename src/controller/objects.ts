import type {
  ClusterDeliveryPolicy,
  DeliveryPolicy,
  DeliveryReplay,
  ObjectMeta,
  WebhookSubscription,
} from "../api/generated/custom-resources.ts";
import type { Kind } from "../api/schema.ts";
import type { Problem } from "../core/problem.ts";
import type { Reason } from "../core/reasons.ts";

/** A namespace; with files it may exist without an object, then it has no labels. */
export interface NamespaceObject {
  readonly kind: "Namespace";
  readonly metadata: ObjectMeta;
  /** Being deleted: what is in it is discarded at once. */
  readonly terminating: boolean;
}

/** A Secret that may be used (it carries an opt-in label). Its values never leave the controller but into a route's target. */
export interface SecretObject {
  readonly kind: "Secret";
  readonly metadata: ObjectMeta;
  readonly type: string;
  readonly data: Readonly<Record<string, Uint8Array>>;
  /** `uid` of the WebhookSubscription that owns it: version 0.1 wrote owners into generated Secrets. */
  readonly controllerUid: string | undefined;
  /** That owner's name. */
  readonly ownerName?: string | undefined;
}

/** A Service, as far as an endpoint that names it needs it. */
export interface ServiceObject {
  readonly kind: "Service";
  readonly metadata: ObjectMeta;
  /** ClusterIP, NodePort, LoadBalancer or ExternalName. */
  readonly type: string;
  /** Empty or `None` where there is none to dial. */
  readonly clusterIp: string;
  /** It leads to the Pods it selects; without one, to what somebody writes into its EndpointSlices. */
  readonly hasSelector: boolean;
  readonly ports: readonly { readonly port: number; readonly protocol: string }[];
}

export interface ConfigMapObject {
  readonly kind: "ConfigMap";
  readonly metadata: ObjectMeta;
  readonly data: Readonly<Record<string, string>>;
}

/** May be used only with the opt-in label, which whoever asks has to check. */
export interface ServiceAccountObject {
  readonly kind: "ServiceAccount";
  readonly metadata: ObjectMeta;
}

/** The objects that the controller works on, by kind. */
export interface ObjectsByKind {
  readonly WebhookSubscription: WebhookSubscription;
  readonly DeliveryPolicy: DeliveryPolicy;
  readonly ClusterDeliveryPolicy: ClusterDeliveryPolicy;
  readonly DeliveryReplay: DeliveryReplay;
  readonly Namespace: NamespaceObject;
  readonly Secret: SecretObject;
  readonly Service: ServiceObject;
  readonly ConfigMap: ConfigMapObject;
  readonly ServiceAccount: ServiceAccountObject;
}

export type ObjectKind = keyof ObjectsByKind;
export type WatchedObject = ObjectsByKind[ObjectKind];
/** Kinds that have a status of ours. */
export type ReportedKind = Kind;
export type ReportedObject = ObjectsByKind[ReportedKind];

/** Names one object; `namespace` is empty for cluster-scoped kinds. */
export interface ObjectRef<K extends ObjectKind = ObjectKind> {
  readonly kind: K;
  readonly namespace: string;
  readonly name: string;
}

declare const KEY_OF: unique symbol;

/**
 * An object's name as one text, `Kind/namespace/name`, because Map and Set tell texts apart by what they say and objects by which they are. Made
 * by `objectKey` and read by `refOfKey` only.
 */
export type ObjectKey<K extends ObjectKind = ObjectKind> = string & { readonly [KEY_OF]: K };
export type SubscriptionKey = ObjectKey<"WebhookSubscription">;

export function objectKey<K extends ObjectKind>({ kind, namespace, name }: ObjectRef<K>): ObjectKey<K> {
  return `${kind}/${namespace}/${name}` as ObjectKey<K>;
}

export function refOfKey<K extends ObjectKind>(key: ObjectKey<K>): ObjectRef<K> {
  const [kind, namespace = "", name = ""] = key.split("/");
  return { kind: kind as K, namespace, name };
}

/** What is known of a Secret that a subscription names. `unlabelled` and `forbidden` exist so that the message can say what to do. */
export type SecretLookup =
  | { readonly state: "usable"; readonly secret: SecretObject }
  | { readonly state: "unlabelled" }
  | { readonly state: "absent" }
  | { readonly state: "forbidden"; readonly message: string }
  | { readonly state: "unknown"; readonly message: string };

/** Kinds that are not ours and are read by name only, where a spec names one. */
export type NamedKind = "Service" | "ConfigMap" | "ServiceAccount";

/** What is known of an object that a subscription names. */
export type NamedLookup<K extends NamedKind = NamedKind> =
  | { readonly state: "found"; readonly object: ObjectsByKind[K] }
  | { readonly state: "absent" }
  | { readonly state: "forbidden"; readonly message: string }
  | { readonly state: "unknown"; readonly message: string };

/** Where manifests come from, whatever the provider: a snapshot that is always whole, and word of each change. */
export interface Resources {
  get<K extends ObjectKind>(kind: K, namespace: string, name: string): ObjectsByKind[K] | undefined;
  /** All of a kind, or those of one namespace. */
  list<K extends ObjectKind>(kind: K, namespace?: string): Iterable<ObjectsByKind[K]>;
  /** A Secret by name, used or not. Never rejects; may ask the API server. */
  findSecret(namespace: string, name: string): SecretLookup | Promise<SecretLookup>;
  /** A Service, ConfigMap or ServiceAccount by name; from then on `onChange` tells of its changes. Never rejects; may ask the API server. */
  findNamed<K extends NamedKind>(kind: K, namespace: string, name: string): NamedLookup<K> | Promise<NamedLookup<K>>;
  /**
   * Whether all that a verdict in this namespace ("" = on what is in none) may depend on has been listed once since the start. Before that,
   * what `list` gives is a part of the truth, and what it does not give may be there all the same. Also true of a namespace that does not
   * exist or is not served: nothing is there. The Secrets have a word of their own.
   */
  isListed(namespace: string): boolean;
  secretsOf(namespace: string): SecretsState;
  /** Whether the namespace is served and known with its labels; what is in it may be told before it is. */
  knowsNamespace(namespace: string): boolean;
  /** Whether it is known that there is no such object: `get` gives none, and nothing is left unread in which it might be. */
  isGone(kind: ObjectKind, namespace: string, name: string): boolean;
  /**
   * Why the newest form of an object is not the one that `get` gives: a manifest file has become broken, and its last good state goes on.
   * Absent where the newest form is always known.
   */
  refusalOf?(ref: ObjectRef): Problem | undefined;
  /** Whether there is nothing left to wait for at the start: all is listed, but for namespaces of which it is known why they are not. */
  readonly synced: boolean;
  /** What has not been listed since the start. */
  unlisted(): readonly Unlisted[];
  /** Called after each change, and with undefined when `isListed` or `synced` turns true. The callback only notes a key; it must not throw. */
  onChange(callback: (ref: ObjectRef | undefined) => void): void;
}

/** How far the Secrets of a namespace have been read: `closed` by rights that are missing, `troubled` by an API server that does not do its part. */
export type SecretsState = "pending" | "read" | "closed" | "troubled";

/** Something that has not been listed since the start. */
export interface Unlisted {
  /** For people, e.g. `DeliveryPolicy of namespace shop`. */
  readonly what: string;
  /** What was answered instead and what mends it; undefined while the first answer is awaited. */
  readonly trouble: string | undefined;
}

/** `conflict`: the object has changed or was recreated, look again; `gone`: it is no more; `failed`: try again later. */
export type WriteResult =
  | { readonly kind: "done" | "conflict" | "gone" }
  | {
      readonly kind: "failed";
      readonly message: string;
      readonly retryAfterMs?: number;
      /** The API server has refused it (403, 422 …): asking again changes nothing before someone has changed something. */
      readonly refused?: boolean;
    };

/** A signing Secret to be made. It has no owner: it outlives its subscription, so that a restored one signs with the key that receivers know. */
export interface NewSigningSecret {
  readonly owner: WebhookSubscription;
  readonly name: string;
  readonly key: string;
  readonly value: string;
  /** Value of SIGNING_FOR_LABEL. */
  readonly signingFor: string;
}

/** `exists`: there is a Secret of that name already, which is never overwritten. */
export type CreateSecretResult = WriteResult | { readonly kind: "exists" };

/** A Kubernetes Event about an object. */
export interface EventNote {
  readonly type: "Normal" | "Warning";
  readonly reason: Reason;
  readonly message: string;
}

/** Where results go. No call rejects: what cannot be written now is answered as a value. */
export interface ResultSink {
  /** `status` is the whole status that we own. */
  writeStatus(object: ReportedObject, status: object): Promise<WriteResult>;
  recordEvent(object: ReportedObject | SecretObject, note: EventNote): void;
  /** Adds or removes the drain finalizer of our class. A provider without finalizers answers done. */
  setFinalizer(object: WebhookSubscription, present: boolean): Promise<WriteResult>;
  createSigningSecret(secret: NewSigningSecret): Promise<CreateSecretResult>;
  /** Writes SIGNING_FOR_LABEL and takes subscriptions out of the Secret's owners; its values stay. */
  adoptSigningSecret(secret: SecretObject, signingFor: string): Promise<WriteResult>;
  /** Deletes this Secret in this version, and no other of its name. */
  deleteSigningSecret(secret: SecretObject): Promise<WriteResult>;
}

/** A Secret or ServiceAccount may be used by subscriptions only with this label set to "true". */
export const USE_LABEL = "postrider.dev/use";
/** Names the subscription for which a signing Secret was generated; see `signingForLabel`. Written by us; a Secret without it is not ours. */
export const SIGNING_FOR_LABEL = "postrider.dev/signing-for";
/** Every value of an Opaque Secret with this label set to "true" is an ingest token of its namespace. */
export const INGEST_TOKEN_LABEL = "postrider.dev/ingest-token";
/** The same for the read and act API. */
export const API_TOKEN_LABEL = "postrider.dev/api-token";
/** A new value lifts an automatic suspension; echoed in `status.lastHandledResume`. */
export const RESUME_ANNOTATION = "postrider.dev/resume";
