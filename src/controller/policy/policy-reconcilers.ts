import type { DeliveryPolicy } from "../../api/generated/custom-resources.ts";
import type { ConditionDraft } from "../../core/conditions.ts";
import { defaultPolicyOf } from "../../core/policy-resolution.ts";
import type { Problem } from "../../core/problem.ts";
import { AcceptedReconciler, stalledDraft } from "../accepted-reconciler.ts";
import type { Reconciler, ReconcilerParts } from "../reconciler.ts";
import { ClusterPolicyReach } from "./cluster-policy-reach.ts";
import type { PolicyView } from "./policy-view.ts";

export interface PolicyReconcilerParts extends ReconcilerParts {
  /** `--class`: statuses of cluster policies of other classes are not written. */
  readonly className: string;
}

/** DeliveryPolicies. One that comes, goes or changes its label may make another the default: all of its namespace are shown anew. */
export function policyReconciler(parts: PolicyReconcilerParts): Reconciler<"DeliveryPolicy"> {
  return new AcceptedReconciler("DeliveryPolicy", parts, {
    judge: (object) => refusalOf(object, parts.policies),
    affectedBy: ({ kind }) => (kind === "DeliveryPolicy" ? { which: "namespace", lane: "transition" } : undefined),
    more: (_, refusal) => ({ conditions: kstatusDrafts(refusal) }),
  });
}

/**
 * ClusterDeliveryPolicies. How far one reaches depends on all others and on the labels of all namespaces. An installation writes the status of those
 * of its own class and of those of every class; what it says of the latter is the same whichever installation says it (`standingsOf`).
 */
export function clusterPolicyReconciler(parts: PolicyReconcilerParts): Reconciler<"ClusterDeliveryPolicy"> {
  const { policies, resources, className, clock } = parts;
  const reach = new ClusterPolicyReach({ resources, policies, clock, known: () => reconciler.reportAll("transition") });
  const reconciler = new AcceptedReconciler("ClusterDeliveryPolicy", parts, {
    judge: (object) => {
      const candidate = policies.clusterPolicy(object);
      return candidate.accepted ? undefined : candidate.refusal;
    },
    affectedBy: (ref) => {
      if (!reach.changed(ref)) return undefined;
      // Namespaces come and go all day: what they change is a number, which may wait.
      return { which: "all", lane: ref.kind === "ClusterDeliveryPolicy" ? "transition" : "counters" };
    },
    listed: () => reach.listed(),
    isOurs: (object) => ["", className].includes(policies.clusterPolicy(object).policy.className ?? ""),
    more: ({ metadata }, refusal) => {
      const found = reach.of(metadata.name);
      return found && { conditions: [...kstatusDrafts(refusal), found.shadowed], fields: { namespaces: found.namespaces } };
    },
  });
  return reconciler;
}

function refusalOf(object: DeliveryPolicy, policies: PolicyView): Problem | undefined {
  const candidate = policies.namespacePolicy(object);
  if (!candidate.accepted) return candidate.refusal;
  const { namespace, name } = object.metadata;
  const winner = defaultPolicyOf(policies.namespacePolicies(namespace));
  if (!candidate.policy.isDefault || winner === undefined || winner.policy.name === name) return undefined;
  return {
    field: "",
    reason: "Conflicted",
    message: `${winner.policy.name} is the default of namespace ${namespace} already (the oldest, then the first by name, is): remove the label from one of them`,
  };
}

function kstatusDrafts(refusal: Problem | undefined): ConditionDraft[] {
  return [
    refusal === undefined
      ? { type: "Ready", status: "True", reason: "Ready", message: "accepted: the subscriptions that follow it obey it" }
      : { type: "Ready", status: "False", reason: refusal.reason, message: refusal.message },
    stalledDraft(refusal),
  ];
}
