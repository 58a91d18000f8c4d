import { createHash } from "node:crypto";
import { readCustomResource } from "../api/custom-resource.ts";
import type { CustomResource } from "../api/custom-resource.ts";
import type { ObjectMeta } from "../api/generated/custom-resources.ts";
import type { Manifest } from "../api/manifest.ts";
import { isKind, isNamespaced } from "../api/schema.ts";
import type { Decoded, Problem } from "../core/problem.ts";
import type { NamespaceObject, ObjectKind, ObjectRef, SecretObject, WatchedObject } from "../controller/objects.ts";

/** Where objects live that name no namespace, as with kubectl's default context. */
export const DEFAULT_NAMESPACE = "default";

/** The object that a manifest names; undefined for kinds that Postrider does not watch (a Deployment beside our manifests is no error). */
export function manifestRef(manifest: Manifest): ObjectRef | undefined {
  const kind = watchedKind(manifest);
  if (kind === undefined) return undefined;
  const namespaced = kind === "Secret" || (kind !== "Namespace" && isNamespaced(kind));
  return { kind, namespace: namespaced ? (manifest.namespace ?? DEFAULT_NAMESPACE) : "", name: manifest.name };
}

function watchedKind({ apiVersion, kind }: Manifest): ObjectKind | undefined {
  if (apiVersion === "v1") return kind === "Secret" || kind === "Namespace" ? kind : undefined;
  // A wrong version of our own group goes on to the check that names it.
  return apiVersion.startsWith("postrider.dev/") && isKind(kind) ? kind : undefined;
}

/**
 * What the API server would make of a manifest: defaults filled in and identity given. `uid` is made from kind, namespace and name, so
 * that a subscription keeps its deliveries and its key over restarts; `old` is the object before this change.
 */
export function objectOf(manifest: Manifest, ref: ObjectRef, old: WatchedObject | undefined): Decoded<WatchedObject> {
  if (ref.kind === "Secret") return secretOf(manifest, ref);
  if (ref.kind === "Namespace") return { ok: true, value: namespaceOf(manifest, ref) };
  const previous = old as CustomResource | undefined;
  const read = readCustomResource(manifest.object, previous);
  if (!read.ok) return read;
  const generation = nextGeneration(previous, read.value);
  const metadata = { ...read.value.metadata, ...identity(ref), generation };
  return { ok: true, value: { ...read.value, metadata } as CustomResource };
}

function nextGeneration(old: CustomResource | undefined, next: CustomResource): number {
  if (old === undefined) return 1;
  const generation = old.metadata.generation ?? 1;
  return JSON.stringify(old.spec) === JSON.stringify(next.spec) ? generation : generation + 1;
}

function identity(ref: ObjectRef): Pick<ObjectMeta, "uid"> & { namespace?: string } {
  return { uid: uidOf(ref), ...(ref.namespace === "" ? {} : { namespace: ref.namespace }) };
}

/** A UUID (version 8, RFC 9562) from the object's name. */
export function uidOf(ref: ObjectRef): string {
  const hex = createHash("sha256").update(`${ref.kind}/${ref.namespace}/${ref.name}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function metadataOf(manifest: Manifest, ref: ObjectRef): ObjectMeta {
  const metadata = (manifest.object["metadata"] ?? {}) as Partial<ObjectMeta>;
  return {
    name: ref.name,
    ...identity(ref),
    ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
    ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
  };
}

function namespaceOf(manifest: Manifest, ref: ObjectRef): NamespaceObject {
  return { kind: "Namespace", metadata: metadataOf(manifest, ref), terminating: false };
}

const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

/** `stringData` wins over `data`, as on the API server. */
function secretOf(manifest: Manifest, ref: ObjectRef): Decoded<SecretObject> {
  const problems: Problem[] = [];
  const data: Record<string, Uint8Array> = {};
  const { type } = manifest.object;
  for (const [field, encoding] of [
    ["data", "base64"],
    ["stringData", "utf8"],
  ] as const) {
    for (const [key, value] of Object.entries(manifest.object[field] ?? {}) as [string, unknown][]) {
      if (typeof value !== "string") problems.push(invalid(`${field}.${key}`, "must be a string: put it in quotes"));
      else if (encoding === "base64" && !BASE64.test(value)) {
        problems.push(invalid(`${field}.${key}`, "must be base64: encode the value, or write it as it is under stringData"));
      } else data[key] = Buffer.from(value, encoding);
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  const value: SecretObject = {
    kind: "Secret",
    metadata: metadataOf(manifest, ref),
    type: typeof type === "string" ? type : "Opaque",
    data,
    controllerUid: undefined,
  };
  return { ok: true, value };
}

/** Never holds the value: it is a secret even when it is malformed. */
function invalid(field: string, message: string): Problem {
  return { field, reason: "Invalid", message };
}
