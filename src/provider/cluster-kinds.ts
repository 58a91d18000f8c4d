import type { NamedKind, ObjectKind, ObjectRef, ObjectsByKind } from "../controller/objects.ts";
import type { ClusterDeliveryPolicy, DeliveryPolicy, DeliveryReplay, WebhookSubscription } from "../api/generated/custom-resources.ts";
import type { KubeObject } from "../kube/reflector.ts";
import type { NamespaceObject, SecretObject } from "../controller/objects.ts";

/** Where a kind lives on the API server. */
export interface ClusterKind {
  readonly kind: Exclude<ObjectKind, "Secret" | NamedKind>;
  readonly apiVersion: string;
  /** Before `/namespaces/{ns}`, e.g. `/apis/postrider.dev/v1alpha1`. */
  readonly root: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const GROUP_ROOT = "/apis/postrider.dev/v1alpha1";
const API_VERSION = "postrider.dev/v1alpha1";

export const CLUSTER_KINDS: readonly ClusterKind[] = [
  { kind: "Namespace", apiVersion: "v1", root: "/api/v1", plural: "namespaces", namespaced: false },
  { kind: "ClusterDeliveryPolicy", apiVersion: API_VERSION, root: GROUP_ROOT, plural: "clusterdeliverypolicies", namespaced: false },
  { kind: "DeliveryPolicy", apiVersion: API_VERSION, root: GROUP_ROOT, plural: "deliverypolicies", namespaced: true },
  { kind: "DeliveryReplay", apiVersion: API_VERSION, root: GROUP_ROOT, plural: "deliveryreplays", namespaced: true },
  { kind: "WebhookSubscription", apiVersion: API_VERSION, root: GROUP_ROOT, plural: "webhooksubscriptions", namespaced: true },
];

/** The collection of a kind: of one namespace, or of all. */
export function collectionPath(kind: ClusterKind, namespace?: string): string {
  return kind.namespaced && namespace !== undefined ? `${kind.root}/namespaces/${namespace}/${kind.plural}` : `${kind.root}/${kind.plural}`;
}

/** One object's path. */
export function objectPath(ref: ObjectRef): string {
  const kind = CLUSTER_KINDS.find((candidate) => candidate.kind === ref.kind);
  if (kind === undefined) return `/api/v1/namespaces/${ref.namespace}/secrets/${ref.name}`;
  return `${collectionPath(kind, ref.namespace === "" ? undefined : ref.namespace)}/${ref.name}`;
}

/** Objects of the kinds that are watched as a whole. */
export type ListedObject = ObjectsByKind[ClusterKind["kind"]];

/** An object of the API server as the controller knows it. Lists leave out kind and apiVersion: they are filled in. */
export function watchedObject(kind: ClusterKind, object: KubeObject): ListedObject {
  if (kind.kind === "Namespace") {
    const namespace: NamespaceObject = {
      kind: "Namespace",
      metadata: object.metadata,
      terminating: (object as { status?: { phase?: string } }).status?.phase === "Terminating" || "deletionTimestamp" in object.metadata,
    };
    return namespace;
  }
  const resource: unknown = { ...object, apiVersion: kind.apiVersion, kind: kind.kind };
  return resource as WebhookSubscription | DeliveryPolicy | ClusterDeliveryPolicy | DeliveryReplay;
}

interface RawSecret extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** A Secret's values, decoded. */
export function secretObject(object: KubeObject): SecretObject {
  const { type = "Opaque", data = {}, metadata } = object as RawSecret;
  const owner = ownersOf(object).find(isSubscription);
  return {
    kind: "Secret",
    metadata,
    type,
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64")])),
    controllerUid: owner?.uid,
    ownerName: owner?.name,
  };
}

interface OwnerReference {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly uid?: string;
}

function ownersOf({ metadata }: Pick<KubeObject, "metadata">): readonly OwnerReference[] {
  return (metadata as { ownerReferences?: readonly OwnerReference[] }).ownerReferences ?? [];
}

function isSubscription({ apiVersion = "", kind }: OwnerReference): boolean {
  return kind === "WebhookSubscription" && apiVersion.startsWith("postrider.dev/");
}

/** The owners of a Secret that are no subscriptions; null (a merge patch's word for none) where that leaves none. */
export function otherOwners(secret: Pick<KubeObject, "metadata">): readonly OwnerReference[] | null {
  const others = ownersOf(secret).filter((owner) => !isSubscription(owner));
  return others.length === 0 ? null : others;
}

/** Whether anything but status (and what the server writes beside it) differs: only that is worth a reconciliation. */
export function differsForUs(before: ListedObject | SecretObject | undefined, after: ListedObject | SecretObject): boolean {
  return before === undefined || essence(before) !== essence(after);
}

/** Others' annotations of a Secret change often, and say nothing to us. */
function ownAnnotations({ metadata }: SecretObject): readonly (readonly [string, string])[] {
  return Object.entries(metadata.annotations ?? {}).filter(([name]) => name.startsWith("postrider.dev/"));
}

function essence(object: ListedObject | SecretObject): string {
  const { uid, generation, labels, annotations, deletionTimestamp, finalizers } = object.metadata;
  if (object.kind === "Secret") return JSON.stringify([uid, labels, ownAnnotations(object), object.type, object.data]);
  if (object.kind === "Namespace") return JSON.stringify([uid, labels, object.terminating]);
  return JSON.stringify([uid, generation, labels, annotations, deletionTimestamp, finalizers]);
}
