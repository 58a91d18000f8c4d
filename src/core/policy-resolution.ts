import { clusterPolicyFor } from "./cluster-policy-choice.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS, BUILT_IN_POLICY, SLOT_TIME_MAX_MS } from "./policy.ts";
import type { ClusterPolicy, EgressPolicy, NamespacePolicy, Policy, PolicyFields, PolicyLimits, RateLimit } from "./policy.ts";
import type { ClusterCandidate, NamespaceCandidate } from "./policy-candidate.ts";
import type { Problem } from "./problem.ts";
import type { ReasonOf } from "./reasons.ts";

export interface PolicyQuestion {
  /** `--class`: cluster policies of other classes do not apply. */
  readonly className: string;
  /** `spec.policyRef.name`. */
  readonly policyName: string | undefined;
  readonly namespace: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** All DeliveryPolicies of the namespace. */
  readonly namespacePolicies: readonly NamespaceCandidate[];
  readonly clusterPolicies: readonly ClusterCandidate[];
}

/** What a subscription obeys and where it comes from. */
export interface EffectivePolicy {
  readonly policy: Policy;
  readonly egress: EgressPolicy;
  readonly limits: PolicyLimits;
  readonly kind: "DeliveryPolicy" | "ClusterDeliveryPolicy" | "BuiltIn";
  /** Empty for the built-in one. */
  readonly name: string;
  readonly generation: number;
  /** Fields that the limits or a built-in ceiling have lowered, by their path in the manifest. */
  readonly clamped: readonly string[];
  readonly cluster: { readonly name: string; readonly generation: number } | undefined;
}

/** The policy to obey; with a problem nothing may be sent, and `effective` only says how long events are kept. */
export interface PolicyResolution {
  readonly effective: EffectivePolicy;
  readonly problem: Problem | undefined;
}

/**
 * Which policy wins: `policyRef`, else the namespace's default, else the cluster policy, else built-in (docs/spec/deliverypolicy.md). The
 * winner wins whole; `limits` and `egress` always come from the cluster policy that applies (`clusterPolicyFor`, ADR 37).
 */
export function resolvePolicy(question: PolicyQuestion): PolicyResolution {
  const { className, namespaceLabels: labels } = question;
  const cluster = clusterPolicyFor(question.clusterPolicies, { className, labels });
  if (cluster !== undefined && !cluster.accepted) {
    return refused(
      undefined,
      "PolicyNotAccepted",
      `the ClusterDeliveryPolicy ${cluster.policy.name} is not accepted: ${cluster.refusal.message}`,
    );
  }
  const clusterPolicy = cluster?.policy;
  const winner = winnerOf(question);
  if (winner === "missing") {
    const name = question.policyName ?? "";
    const message =
      `the DeliveryPolicy ${name} does not exist in namespace ${question.namespace}: ` +
      `create it, or correct or remove spec.policyRef; until then deliveries wait`;
    return refused(clusterPolicy, "PolicyNotFound", message, "spec.policyRef.name");
  }
  if (winner !== undefined && !winner.accepted) {
    return refused(
      clusterPolicy,
      "PolicyNotAccepted",
      `the DeliveryPolicy ${winner.policy.name} is not accepted: ${winner.refusal.message}; until it is, deliveries wait`,
    );
  }
  return { effective: effectivePolicy(winner?.policy, clusterPolicy), problem: undefined };
}

function refused(cluster: ClusterPolicy | undefined, reason: ReasonOf<"ResolvedRefs">, message: string, field = ""): PolicyResolution {
  return { effective: effectivePolicy(undefined, cluster), problem: { field, reason, message } };
}

function winnerOf(question: PolicyQuestion): NamespaceCandidate | "missing" | undefined {
  const { policyName, namespacePolicies } = question;
  if (policyName !== undefined) return namespacePolicies.find(({ policy }) => policy.name === policyName) ?? "missing";
  return defaultPolicyOf(namespacePolicies);
}

/** The namespace's default: of several labelled ones the oldest, then by name. */
export function defaultPolicyOf(candidates: readonly NamespaceCandidate[]): NamespaceCandidate | undefined {
  return candidates
    .filter(({ policy }) => policy.isDefault === true)
    .toSorted((a, b) => (a.policy.createdAtMs ?? 0) - (b.policy.createdAtMs ?? 0) || byName(a, b))[0];
}

function byName(a: { policy: { name: string } }, b: { policy: { name: string } }): number {
  return a.policy.name < b.policy.name ? -1 : a.policy.name > b.policy.name ? 1 : 0;
}

function effectivePolicy(winner: NamespacePolicy | undefined, cluster: ClusterPolicy | undefined): EffectivePolicy {
  const limits = cluster?.limits ?? BUILT_IN_LIMITS;
  const { policy, clamped } = clamp(withBuiltIns((winner ?? cluster)?.fields ?? {}), limits);
  const kind = winner !== undefined ? "DeliveryPolicy" : cluster !== undefined ? "ClusterDeliveryPolicy" : "BuiltIn";
  return {
    policy,
    egress: cluster?.egress ?? BUILT_IN_EGRESS,
    limits,
    kind,
    name: (winner ?? cluster)?.name ?? "",
    generation: (winner ?? cluster)?.generation ?? 0,
    clamped,
    cluster: cluster === undefined ? undefined : { name: cluster.name, generation: cluster.generation },
  };
}

/** The winner wins whole: what it leaves out is built in, never another policy's. */
export function withBuiltIns({ retry, circuitBreaker, retention, ...rest }: PolicyFields): Policy {
  return {
    ...BUILT_IN_POLICY,
    ...said(rest),
    retry: { ...BUILT_IN_POLICY.retry, ...said(retry) },
    circuitBreaker: { ...BUILT_IN_POLICY.circuitBreaker, ...said(circuitBreaker) },
    retention: { ...BUILT_IN_POLICY.retention, ...said(retention) },
  };
}

/** Only the fields that say something. */
function said<T extends object>(fields: T | undefined): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** Lowers what is above a ceiling, a cluster policy's or the built-in one of slot time; where nothing is set and nothing is built in (the rate limit) the ceiling itself holds. */
export function clamp(policy: Policy, limits: PolicyLimits): { readonly policy: Policy; readonly clamped: readonly string[] } {
  const clamped: string[] = [];
  const lower = (field: string, value: number, ceiling: number | undefined): number => {
    if (ceiling === undefined || value <= ceiling) return value;
    clamped.push(field);
    return ceiling;
  };
  const { retry, retention } = policy;
  const timeoutMs = lower("timeout", policy.timeoutMs, limits.timeoutMs);
  const lowered: Policy = {
    ...policy,
    timeoutMs,
    maxInFlight: lower("maxInFlight", policy.maxInFlight, limits.maxInFlight ?? Math.max(1, Math.floor(SLOT_TIME_MAX_MS / timeoutMs))),
    retry: {
      ...retry,
      maxAttempts: lower("retry.maxAttempts", retry.maxAttempts, limits.maxAttempts),
      maxAgeMs: lower("retry.maxAge", retry.maxAgeMs, limits.maxAgeMs),
    },
    retention: {
      historyMs: lower("retention.history", retention.historyMs, limits.retention?.historyMs),
      bodiesMs: lower("retention.bodies", retention.bodiesMs, limits.retention?.bodiesMs),
      responseBytes: lower("retention.responseBytes", retention.responseBytes, limits.retention?.responseBytes),
    },
    rateLimit: lowerRate(policy.rateLimit, limits.rateLimit, clamped),
  };
  // An attempt never connects longer than it may take in all; that follows from the timeout and is not reported by itself.
  return { policy: { ...lowered, connectTimeoutMs: Math.min(lowered.connectTimeoutMs, lowered.timeoutMs) }, clamped };
}

function lowerRate(rate: RateLimit | undefined, ceiling: RateLimit | undefined, clamped: string[]): RateLimit | undefined {
  if (ceiling === undefined) return rate;
  const tooFast = rate === undefined || rate.requests * ceiling.perMs > ceiling.requests * rate.perMs;
  if (!tooFast && rate.burst <= ceiling.burst) return rate;
  clamped.push("rateLimit");
  // Lowering one of the two must not raise the other.
  return tooFast ? { ...ceiling, burst: Math.min(rate?.burst ?? ceiling.burst, ceiling.burst) } : { ...rate, burst: ceiling.burst };
}
