import type { ClusterDeliveryPolicy, DeliveryPolicy } from "../../api/generated/custom-resources.ts";
import type { ConditionDraft } from "../../core/conditions.ts";
import { defaultPolicyOf } from "../../core/policy-resolution.ts";
import { AcceptedReconciler, notAccepted } from "../accepted-reconciler.ts";
import type { Reconciler, ReconcilerParts } from "../reconciler.ts";
import type { PolicyView } from "./policy-view.ts";

const VALID: ConditionDraft = { type: "Accepted", status: "True", reason: "Accepted", message: "the policy is valid" };

/** DeliveryPolicies. One that comes, goes or changes its label may make another the default: all of its namespace are shown anew. */
export function policyReconciler(parts: ReconcilerParts): Reconciler<"DeliveryPolicy"> {
  const judge = (object: DeliveryPolicy): ConditionDraft => judgePolicy(object, parts.policies);
  return new AcceptedReconciler("DeliveryPolicy", parts, { affects: "namespace", judge });
}

export function clusterPolicyReconciler(parts: ReconcilerParts): Reconciler<"ClusterDeliveryPolicy"> {
  const judge = (object: ClusterDeliveryPolicy): ConditionDraft => {
    const candidate = parts.policies.clusterPolicy(object);
    return candidate.accepted ? VALID : notAccepted(candidate.refusal);
  };
  return new AcceptedReconciler("ClusterDeliveryPolicy", parts, { affects: "itself", judge });
}

function judgePolicy(object: DeliveryPolicy, policies: PolicyView): ConditionDraft {
  const candidate = policies.namespacePolicy(object);
  if (!candidate.accepted) return notAccepted(candidate.refusal);
  const { namespace, name } = object.metadata;
  const winner = defaultPolicyOf(policies.namespacePolicies(namespace));
  if (!candidate.policy.isDefault || winner === undefined || winner.policy.name === name) return VALID;
  return notAccepted({
    reason: "Conflicted",
    message: `${winner.policy.name} is the default of namespace ${namespace} already (the oldest, then the first by name, is): remove the label from one of them`,
  });
}
