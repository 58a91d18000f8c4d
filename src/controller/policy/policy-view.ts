import { createdAtMs, decodeClusterPolicy, decodePolicy, DEFAULT_POLICY_LABEL, labelSelector } from "../../api/decode-policy.ts";
import type { ClusterDeliveryPolicy, DeliveryPolicy } from "../../api/generated/custom-resources.ts";
import { clusterPolicyFor } from "../../core/cluster-policy-choice.ts";
import { resolvePolicy } from "../../core/policy-resolution.ts";
import type { PolicyResolution } from "../../core/policy-resolution.ts";
import type { ClusterCandidate, NamespaceCandidate } from "../../core/policy-candidate.ts";
import type { LabelSelector } from "../../core/policy.ts";
import { mergedProblem } from "../../core/problem.ts";
import type { Decoded } from "../../core/problem.ts";
import type { Resources } from "../objects.ts";

/** Policies as the resolution wants them; each object is decoded once in its life. */
export class PolicyView {
  readonly #resources: Resources;
  readonly #className: string;
  readonly #namespacePolicies = new WeakMap<DeliveryPolicy, NamespaceCandidate>();
  readonly #clusterPolicies = new WeakMap<ClusterDeliveryPolicy, ClusterCandidate>();

  /** `className`: cluster policies of other classes are not obeyed. */
  constructor(resources: Resources, className: string) {
    this.#resources = resources;
    this.#className = className;
  }

  /** What a subscription of `namespace` that names `policyName` (or none) obeys now. */
  resolve(namespace: string, policyName: string | undefined): PolicyResolution {
    return resolvePolicy({
      className: this.#className,
      policyName,
      namespace,
      namespaceLabels: this.#resources.get("Namespace", "", namespace)?.metadata.labels ?? {},
      namespacePolicies: this.namespacePolicies(namespace),
      clusterPolicies: this.clusterPolicies(),
    });
  }

  /** `limits.storage` of the cluster policy that applies to the namespace. */
  storageBytes(namespace: string): number | undefined {
    const labels = this.#resources.get("Namespace", "", namespace)?.metadata.labels ?? {};
    return clusterPolicyFor(this.clusterPolicies(), { className: this.#className, labels })?.policy.limits?.storageBytes;
  }

  namespacePolicies(namespace: string): NamespaceCandidate[] {
    return [...this.#resources.list("DeliveryPolicy", namespace)].map((policy) => this.namespacePolicy(policy));
  }

  namespacePolicy(object: DeliveryPolicy): NamespaceCandidate {
    let candidate = this.#namespacePolicies.get(object);
    if (candidate === undefined) this.#namespacePolicies.set(object, (candidate = namespaceCandidate(object)));
    return candidate;
  }

  /** Of every class. */
  clusterPolicies(): ClusterCandidate[] {
    return [...this.#resources.list("ClusterDeliveryPolicy")].map((policy) => this.clusterPolicy(policy));
  }

  clusterPolicy(object: ClusterDeliveryPolicy): ClusterCandidate {
    let candidate = this.#clusterPolicies.get(object);
    if (candidate === undefined) this.#clusterPolicies.set(object, (candidate = clusterCandidate(object)));
    return candidate;
  }
}

/** The API server has checked these by the schema of its day: what cannot be decoded is not accepted, never an exception. */
function namespaceCandidate(object: DeliveryPolicy): NamespaceCandidate {
  const { metadata } = object;
  const decoded = safelyDecoded(() => decodePolicy(object));
  if (decoded.ok) return { accepted: true, policy: decoded.value };
  const isDefault = metadata.labels?.[DEFAULT_POLICY_LABEL] === "true";
  return {
    accepted: false,
    policy: { name: metadata.name, isDefault, createdAtMs: createdAtMs(metadata) },
    refusal: mergedProblem(decoded.problems),
  };
}

/** One that cannot be read keeps as much of its place as can be; what cannot be read of it is read as the wider: every class, every namespace. */
function clusterCandidate(object: ClusterDeliveryPolicy): ClusterCandidate {
  const decoded = safelyDecoded(() => decodeClusterPolicy(object));
  if (decoded.ok) return { accepted: true, policy: decoded.value };
  const { name } = object.metadata;
  const { className, priority }: { className?: unknown; priority?: unknown } = object.spec ?? {};
  const policy = {
    name,
    createdAtMs: createdAtMs(object.metadata),
    className: typeof className === "string" ? className : "",
    priority: typeof priority === "number" ? priority : 0,
    namespaceSelector: readableSelector(object),
  };
  return { accepted: false, policy, refusal: mergedProblem(decoded.problems) };
}

function readableSelector(object: ClusterDeliveryPolicy): LabelSelector | undefined {
  try {
    return labelSelector(object.spec?.namespaceSelector);
  } catch {
    return undefined;
  }
}

function safelyDecoded<T>(decode: () => Decoded<T>): Decoded<T> {
  try {
    return decode();
  } catch (error) {
    const message = `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    return { ok: false, problems: [{ field: "", reason: "InvalidObject", message }] };
  }
}
