import { HOOKS_ANNOTATION, readTokenAnnotations } from "../api/decode-hook-settings.ts";
import { decodeClusterPolicy, decodePolicy } from "../api/decode-policy.ts";
import { decodeSubscription } from "../api/decode-subscription.ts";
import { readManifestFile } from "../api/manifest.ts";
import type { Manifest } from "../api/manifest.ts";
import { notImplementedProblems } from "../api/not-implemented.ts";
import { unknownKind } from "../api/custom-resource.ts";
import type { ObjectMeta } from "../api/generated/custom-resources.ts";
import { isKind } from "../api/schema.ts";
import type { ExpressionCache } from "../controller/subscription/expression-cache.ts";
import { INGEST_TOKEN_LABEL, objectKey, USE_LABEL } from "../controller/objects.ts";
import type { ObjectRef, Resources, WatchedObject } from "../controller/objects.ts";
import { PolicyView } from "../controller/policy/policy-view.ts";
import type { PreviewedSubscription } from "./event-preview.ts";
import { referenceFaults } from "./manifest-references.ts";
import { ACCEPTANCE_CHECKS } from "../controller/subscription/checks.ts";
import type { Problem } from "../core/problem.ts";
import { DEFAULT_NAMESPACE, manifestRef, objectOf } from "../provider/manifest-object.ts";
import { ObjectCache } from "../provider/object-cache.ts";
import type { ManifestText } from "./manifest-files.ts";

/** Something to say about one manifest. Notes are about what other files or the cluster may still bring; they refuse nothing. */
export interface Finding extends Problem {
  readonly severity: "error" | "note";
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** `WebhookSubscription shop/orders`; empty where the file could not be read that far. */
  readonly object: string;
}

export interface ManifestCheck {
  readonly findings: readonly Finding[];
  /** How many objects of ours were looked at. */
  readonly objects: number;
  /** Those that nothing was found against. */
  readonly subscriptions: readonly PreviewedSubscription[];
  /** All that the files hold, as a cluster that holds exactly them. */
  readonly resources: Resources;
}

interface Entry {
  readonly file: string;
  readonly manifest: Manifest;
  readonly ref: ObjectRef;
  readonly object: WatchedObject;
}

/**
 * Judges manifests as the API server and then the controller would, all files together: schema, defaults, rules, expressions, policies and
 * destinations. What is not in the files (Secrets, policies that are in the cluster) is left out or noted, never an error. `isNote` chooses errors that are
 * only notes to the caller, who knows more than the files do.
 */
export function checkManifests(
  files: readonly ManifestText[],
  expressions: ExpressionCache,
  isNote: (found: Finding) => boolean = () => false,
): ManifestCheck {
  const findings: Finding[] = [];
  const entries = new Map<string, Entry>();
  let objects = 0;
  for (const { file, text } of files) {
    const { manifests, problems } = readManifestFile(text);
    for (const problem of problems) findings.push({ ...problem, severity: "error", file, object: "" });
    for (const manifest of manifests) {
      const { entry, problems: wrong } = entryOf(file, manifest, entries);
      if (manifest.apiVersion.startsWith("postrider.dev/")) objects += 1;
      if (entry !== undefined) entries.set(objectKey(entry.ref), entry);
      if (isWithoutNamespace(manifest)) findings.push(finding("note", file, manifest, NO_NAMESPACE));
      findings.push(...wrong.map((problem) => finding("error", file, manifest, problem)));
    }
  }
  const resources = resourcesOf(entries.values());
  const views = new Map<string, PolicyView>();
  const subscriptions: PreviewedSubscription[] = [];
  for (const entry of entries.values()) {
    const policies = viewFor(entry.object, resources, views);
    const found = objectFindings(entry, resources, policies, expressions).map((one) => (isNote(one) ? asNote(one) : one));
    findings.push(...found);
    const checked = found.some(({ severity }) => severity === "error") ? undefined : checkedSpec(entry, resources, policies);
    if (checked !== undefined) subscriptions.push(checked);
  }
  return { findings, objects, subscriptions, resources };
}

function asNote(found: Finding): Finding {
  return { ...found, severity: "note" };
}

/** The policies as the installation sees them whose class a subscription names; files may be for several. */
function viewFor(object: WatchedObject, resources: Resources, views: Map<string, PolicyView>): PolicyView {
  const className = object.kind === "WebhookSubscription" ? object.spec.className : "";
  let view = views.get(className);
  if (view === undefined) views.set(className, (view = new PolicyView(resources, className)));
  return view;
}

function checkedSpec({ ref, object }: Entry, resources: Resources, policies: PolicyView): PreviewedSubscription | undefined {
  const decoded = object.kind === "WebhookSubscription" ? decodeSubscription(object) : undefined;
  if (decoded?.ok !== true) return undefined;
  const { namespace, name } = ref;
  const { effective } = policies.resolve(namespace, decoded.value.policyName);
  return { namespace, name, spec: decoded.value, effective, resources };
}

function entryOf(file: string, manifest: Manifest, known: ReadonlyMap<string, Entry>): { entry?: Entry; problems: readonly Problem[] } {
  const ref = manifestRef(manifest);
  if (ref === undefined) {
    const isOurs = manifest.apiVersion.startsWith("postrider.dev/");
    return { problems: isOurs ? [unknownKind(manifest.kind)] : [] };
  }
  const twin = known.get(objectKey(ref));
  if (twin !== undefined) {
    const message = `${ref.kind} ${ref.name} is in ${twin.file} too, on line ${twin.manifest.locate("metadata.name")}: remove one of them`;
    return { problems: [{ field: "metadata.name", reason: "Duplicate", message }] };
  }
  const read = objectOf(manifest, ref, undefined);
  return read.ok ? { entry: { file, manifest, ref, object: read.value }, problems: [] } : { problems: read.problems };
}

const NO_NAMESPACE: Problem = {
  field: "metadata",
  reason: "NoNamespace",
  message: `no namespace is set: with files it is '${DEFAULT_NAMESPACE}', with kubectl the context's; write metadata.namespace`,
};

/** Foreign kinds beside ours are none of our business. */
function isWithoutNamespace(manifest: Manifest): boolean {
  const ref = manifestRef(manifest);
  return ref !== undefined && isKind(ref.kind) && ref.namespace !== "" && manifest.namespace === undefined;
}

function finding(severity: Finding["severity"], file: string, manifest: Manifest, problem: Problem): Finding {
  const ref = manifestRef(manifest);
  const place = ref === undefined || ref.namespace === "" ? manifest.name : `${ref.namespace}/${manifest.name}`;
  return { ...problem, severity, file, line: manifest.locate(problem.field), object: `${manifest.kind} ${place}` };
}

/** The files as the controller sees a cluster that holds exactly them. */
function resourcesOf(entries: Iterable<Entry>): Resources {
  const cache = new ObjectCache();
  for (const { ref, object } of entries) cache.set(ref.kind, object);
  return {
    get: (kind, namespace, name) => cache.get(kind, namespace, name),
    list: (kind, namespace) => cache.list(kind, namespace),
    findSecret: (namespace, name) => {
      const secret = cache.get("Secret", namespace, name);
      if (secret === undefined) return { state: "absent" };
      return secret.metadata.labels?.[USE_LABEL] === "true" ? { state: "usable", secret } : { state: "unlabelled" };
    },
    findNamed: (kind, namespace, name) => {
      const object = cache.get(kind, namespace, name);
      return object === undefined ? { state: "absent" } : { state: "found", object };
    },
    isListed: () => true,
    secretsOf: () => "read",
    knowsNamespace: () => true,
    isGone: (kind, namespace, name) => cache.get(kind, namespace, name) === undefined,
    unlisted: () => [],
    synced: true,
    onChange: () => undefined,
  };
}

/** What a Secret of ingest tokens says about its holders; on another Secret it would say nothing to anyone. */
function tokenSecretProblems({ labels, annotations }: ObjectMeta): readonly Problem[] {
  if (labels?.[INGEST_TOKEN_LABEL] === "true") return readTokenAnnotations(annotations).problems;
  if (annotations?.[HOOKS_ANNOTATION] === undefined) return [];
  const message = `the annotation ${HOOKS_ANNOTATION} means nothing without the label ${INGEST_TOKEN_LABEL}: "true": add the label`;
  return [{ field: `metadata.annotations.${HOOKS_ANNOTATION}`, reason: "Invalid", message }];
}

function objectFindings(entry: Entry, resources: Resources, policies: PolicyView, expressions: ExpressionCache): Finding[] {
  const { file, manifest, object } = entry;
  const errors = (problems: readonly Problem[]): Finding[] => problems.map((problem) => finding("error", file, manifest, problem));
  switch (object.kind) {
    case "DeliveryPolicy":
    case "ClusterDeliveryPolicy": {
      const decoded = object.kind === "DeliveryPolicy" ? decodePolicy(object) : decodeClusterPolicy(object);
      return decoded.ok ? [] : errors(decoded.problems);
    }
    case "Secret":
      return errors(tokenSecretProblems(object.metadata));
    case "DeliveryReplay":
      return errors(notImplementedProblems(object));
    case "WebhookSubscription": {
      const decoded = decodeSubscription(object);
      if (!decoded.ok) return errors(decoded.problems);
      const spec = decoded.value;
      const { namespace } = entry.ref;
      const { effective, problem } = policies.resolve(namespace, spec.policyName);
      const refused = ACCEPTANCE_CHECKS.flatMap(({ check }) => check({ spec, effective, expressions }) ?? []);
      const secrets = referenceFaults({ spec, namespace, effective, resources });
      const notes = problem === undefined ? [] : [finding("note", file, manifest, problem)];
      return [...errors([...refused, ...secrets]), ...notes];
    }
    default:
      return [];
  }
}
