import { createHash } from "node:crypto";
import { labelProblems, readCustomResource } from "../api/custom-resource.ts";
import type { CustomResource } from "../api/custom-resource.ts";
import type { ObjectMeta } from "../api/generated/custom-resources.ts";
import type { Manifest } from "../api/manifest.ts";
import { isKind, isNamespaced } from "../api/schema.ts";
import type { Decoded, Problem } from "../core/problem.ts";
import type {
  ConfigMapObject,
  NamespaceObject,
  ObjectKind,
  ObjectRef,
  SecretObject,
  ServiceObject,
  WatchedObject,
} from "../controller/objects.ts";
import { ownText } from "../lib/own-text.ts";
import { serviceObject } from "./service-object.ts";
import type { RawServiceSpec } from "./service-object.ts";

/** Where objects live that name no namespace, as with kubectl's default context. */
export const DEFAULT_NAMESPACE = "default";

/** The object that a manifest names; undefined for kinds that Postrider does not watch (a Deployment beside our manifests is no error). */
export function manifestRef(manifest: Manifest): ObjectRef | undefined {
  const kind = watchedKind(manifest);
  if (kind === undefined) return undefined;
  const namespaced = isKind(kind) ? isNamespaced(kind) : kind !== "Namespace";
  return { kind, namespace: namespaced ? (manifest.namespace ?? DEFAULT_NAMESPACE) : "", name: manifest.name };
}

const CORE_KINDS = ["Namespace", "Secret", "Service", "ConfigMap", "ServiceAccount"] as const;

function watchedKind({ apiVersion, kind }: Manifest): ObjectKind | undefined {
  if (apiVersion === "v1") return CORE_KINDS.find((core) => core === kind);
  // A wrong version of our own group goes on to the check that names it.
  return apiVersion.startsWith("postrider.dev/") && isKind(kind) ? kind : undefined;
}

/**
 * What the API server would make of a manifest: defaults filled in and identity given. `uid` is made from kind, namespace and name, so
 * that a subscription keeps its deliveries and its key over restarts; `old` is the object before this change.
 */
export function objectOf(manifest: Manifest, ref: ObjectRef, old: WatchedObject | undefined): Decoded<WatchedObject> {
  const problems = isKind(ref.kind) ? [] : labelProblems(manifest.object["metadata"]);
  if (problems.length > 0) return { ok: false, problems };
  if (ref.kind === "Secret") return secretOf(manifest, ref);
  if (ref.kind === "Namespace") return { ok: true, value: namespaceOf(manifest, ref) };
  if (ref.kind === "Service") return serviceOf(manifest, ref);
  if (ref.kind === "ConfigMap") return configMapOf(manifest, ref);
  if (ref.kind === "ServiceAccount") return { ok: true, value: { kind: "ServiceAccount", metadata: metadataOf(manifest, ref) } };
  const previous = old as CustomResource | undefined;
  const read = readCustomResource(manifest.object, previous);
  if (!read.ok) return read;
  const generation = nextGeneration(previous, read.value);
  // A time from where the manifest was copied: with files nothing is older than anything else.
  const { creationTimestamp: _, ...given } = read.value.metadata;
  const metadata = { ...given, ...identity(ref), generation };
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
  return ownText(`${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`);
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

/** Nobody gives a Service in a file its ClusterIP: it is the one written there. */
function serviceOf(manifest: Manifest, ref: ObjectRef): Decoded<ServiceObject> {
  const spec = (manifest.object["spec"] ?? {}) as RawServiceSpec;
  const { clusterIP, type, selector, ports } = spec;
  const isWhole =
    typeof (clusterIP ?? "") === "string" &&
    typeof (type ?? "") === "string" &&
    ((selector ?? undefined) === undefined || isTexts(selector)) &&
    (ports === undefined || (Array.isArray(ports) && ports.every((port: { port?: unknown } | null) => Number.isInteger(port?.port))));
  if (!isWhole)
    return {
      ok: false,
      problems: [
        invalid("spec", "clusterIP and type must be strings, selector an object of strings, and each of ports needs a number `port`"),
      ],
    };
  return { ok: true, value: serviceObject(metadataOf(manifest, ref), spec) };
}

function isTexts(value: unknown): boolean {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((one) => typeof one === "string")
  );
}

function configMapOf(manifest: Manifest, ref: ObjectRef): Decoded<ConfigMapObject> {
  const data = (manifest.object["data"] ?? {}) as Readonly<Record<string, string>>;
  const problems = Object.entries(data as Record<string, unknown>)
    .filter(([, value]) => typeof value !== "string")
    .map(([key]) => invalid(`data.${key}`, "must be a string: put it in quotes"));
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, value: { kind: "ConfigMap", metadata: metadataOf(manifest, ref), data } };
}

/** Never holds the value: it is a secret even when it is malformed. */
function invalid(field: string, message: string): Problem {
  return { field, reason: "Invalid", message };
}
