import { decodeClusterPolicy, decodePolicy, DEFAULT_POLICY_LABEL, labelSelector } from "../../api/decode-policy.ts";
import type { ClusterDeliveryPolicy, DeliveryPolicy } from "../../api/generated/custom-resources.ts";
import { clusterPolicyFor, resolvePolicy } from "../../core/policy-resolution.ts";
import type { ClusterCandidate, NamespaceCandidate, PolicyResolution } from "../../core/policy-resolution.ts";
import { mergedProblem } from "../../core/problem.ts";
import type { Decoded } from "../../core/problem.ts";
import type { Resources } from "../objects.ts";

/** Policies as the resolution wants them; each object is decoded once in its life. */
export class PolicyView {
  readonly #resources: Resources;
  readonly #namespacePolicies = new WeakMap<DeliveryPolicy, NamespaceCandidate>();
  readonly #clusterPolicies = new WeakMap<ClusterDeliveryPolicy, ClusterCandidate>();

  constructor(resources: Resources) {
    this.#resources = resources;
  }

  /** What a subscription of `namespace` that names `policyName` (or none) obeys now. */
  resolve(namespace: string, policyName: string | undefined): PolicyResolution {
    return resolvePolicy({
      policyName,
      namespace,
      namespaceLabels: this.#resources.get("Namespace", "", namespace)?.metadata.labels ?? {},
      namespacePolicies: this.namespacePolicies(namespace),
      clusterPolicies: [...this.#resources.list("ClusterDeliveryPolicy")].map((policy) => this.clusterPolicy(policy)),
    });
  }

  /** `limits.storage` of the cluster policy that applies to the namespace. */
  storageBytes(namespace: string): number | undefined {
    const labels = this.#resources.get("Namespace", "", namespace)?.metadata.labels ?? {};
    const candidates = [...this.#resources.list("ClusterDeliveryPolicy")].map((policy) => this.clusterPolicy(policy));
    return clusterPolicyFor(candidates, labels)?.policy.limits?.storageBytes;
  }

  namespacePolicies(namespace: string): NamespaceCandidate[] {
    return [...this.#resources.list("DeliveryPolicy", namespace)].map((policy) => this.namespacePolicy(policy));
  }

  namespacePolicy(object: DeliveryPolicy): NamespaceCandidate {
    let candidate = this.#namespacePolicies.get(object);
    if (candidate === undefined) this.#namespacePolicies.set(object, (candidate = namespaceCandidate(object)));
    return candidate;
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
  const createdAtMs = metadata.creationTimestamp === undefined ? 0 : Date.parse(metadata.creationTimestamp);
  return { accepted: false, policy: { name: metadata.name, isDefault, createdAtMs }, refusal: mergedProblem(decoded.problems) };
}

function clusterCandidate(object: ClusterDeliveryPolicy): ClusterCandidate {
  const decoded = safelyDecoded(() => decodeClusterPolicy(object));
  if (decoded.ok) return { accepted: true, policy: decoded.value };
  const namespaceSelector = labelSelector(object.spec?.namespaceSelector);
  return { accepted: false, policy: { name: object.metadata.name, namespaceSelector }, refusal: mergedProblem(decoded.problems) };
}

function safelyDecoded<T>(decode: () => Decoded<T>): Decoded<T> {
  try {
    return decode();
  } catch (error) {
    const message = `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    return { ok: false, problems: [{ field: "", reason: "InvalidObject", message }] };
  }
}
