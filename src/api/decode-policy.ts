import type {
  ClusterPolicy,
  EgressPolicy,
  LabelSelector,
  MaybeSaid,
  NamespacePolicy,
  Policy,
  PolicyFields,
  PolicyLimits,
  RateLimit,
  RetryDelays,
} from "../core/policy.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS } from "../core/policy.ts";
import type { Decoded } from "../core/problem.ts";
import { durationMs, optionalDurationMs } from "../lib/duration.ts";
import type {
  ClusterDeliveryPolicy,
  ClusterDeliveryPolicySpec,
  DeliveryPolicy,
  DeliveryPolicySpec,
  ObjectMeta,
} from "./generated/custom-resources.ts";
import { newerProblems } from "./newer-objects.ts";
import { notImplementedProblems } from "./not-implemented.ts";
import { quantityBytes } from "./quantity.ts";
import { portRange, statusRange } from "./number-range.ts";

/** Marks the policy of a namespace for subscriptions that name none. */
export const DEFAULT_POLICY_LABEL = "postrider.dev/default";

/** The domain value of a DeliveryPolicy that has passed the schema and its rules. */
export function decodePolicy(resource: DeliveryPolicy): Decoded<NamespacePolicy> {
  const problems = [...notImplementedProblems(resource), ...newerProblems(resource)];
  if (problems.length > 0) return { ok: false, problems };
  const { metadata, spec } = resource;
  const value: NamespacePolicy = {
    namespace: metadata.namespace,
    ...identity(metadata),
    isDefault: metadata.labels?.[DEFAULT_POLICY_LABEL] === "true",
    fields: policyFields(spec),
  };
  return { ok: true, value };
}

/** The domain value of a ClusterDeliveryPolicy that has passed the schema and its rules; or a problem for each field not obeyed yet. */
export function decodeClusterPolicy(resource: ClusterDeliveryPolicy): Decoded<ClusterPolicy> {
  const problems = [...notImplementedProblems(resource), ...newerProblems(resource)];
  if (problems.length > 0) return { ok: false, problems };
  const { metadata, spec } = resource;
  const value: ClusterPolicy = {
    ...identity(metadata),
    className: spec.className ?? "",
    priority: spec.priority,
    namespaceSelector: labelSelector(spec.namespaceSelector),
    fields: policyFields(spec),
    limits: policyLimits(spec.limits),
    egress: egressPolicy(spec.egress),
  };
  return { ok: true, value };
}

/** A manifest read from a file has no uid and no times; its place stands in for them. */
function identity(metadata: ObjectMeta): { name: string; uid: string; generation: number; createdAtMs: number } {
  return {
    name: metadata.name,
    uid: metadata.uid ?? `${metadata.namespace ?? ""}/${metadata.name}`,
    generation: metadata.generation ?? 1,
    createdAtMs: createdAtMs(metadata),
  };
}

/** 0 without a time, as in every manifest file: all of them are equally old. */
export function createdAtMs({ creationTimestamp }: ObjectMeta): number {
  const atMs = creationTimestamp === undefined ? 0 : Date.parse(creationTimestamp);
  return Number.isNaN(atMs) ? 0 : atMs;
}

/** Each field must be named here: one that is forgotten does not compile. */
function policyFields(spec: DeliveryPolicySpec): Required<PolicyFields> {
  const { retry, circuitBreaker, retention } = spec;
  return {
    timeoutMs: optionalDurationMs(spec.timeout),
    connectTimeoutMs: optionalDurationMs(spec.connectTimeout),
    retry: retry && retryFields(retry),
    successCodes: spec.success?.statusCodes?.map(statusRange),
    rateLimit: rateLimit(spec.rateLimit),
    maxInFlight: spec.maxInFlight,
    circuitBreaker: circuitBreaker && breakerFields(circuitBreaker),
    autoSuspendAfterMs: optionalDurationMs(spec.autoSuspendAfter),
    retention: retention && retentionFields(retention),
  };
}

function retryFields(retry: NonNullable<DeliveryPolicySpec["retry"]>): MaybeSaid<Policy["retry"]> {
  return {
    maxAttempts: retry.maxAttempts,
    maxAgeMs: optionalDurationMs(retry.maxAge),
    delays: retryDelays(retry),
    jitterPercent: retry.jitterPercent,
    retryableCodes: retry.statusCodes?.map(statusRange),
    retryAfterMaxMs: optionalDurationMs(retry.retryAfterMax),
  };
}

/** `backoff: {}` is a choice too: the built-in numbers of the table, not the built-in schedule. */
function retryDelays(retry: NonNullable<DeliveryPolicySpec["retry"]>): RetryDelays | undefined {
  if (retry.schedule !== undefined) return { kind: "schedule", delaysMs: retry.schedule.map(durationMs) };
  if (retry.backoff === undefined) return undefined;
  const { policy = "Exponential", initialDelay = "2s", maxDelay = "1h" } = retry.backoff;
  return { kind: "backoff", growth: policy, initialMs: durationMs(initialDelay), maxMs: durationMs(maxDelay) };
}

function breakerFields(breaker: NonNullable<DeliveryPolicySpec["circuitBreaker"]>): MaybeSaid<Policy["circuitBreaker"]> {
  return {
    consecutiveFailures: breaker.consecutiveFailures,
    openForMs: optionalDurationMs(breaker.openFor),
    halfOpenProbes: breaker.halfOpenProbes,
  };
}

function rateLimit(limit: DeliveryPolicySpec["rateLimit"]): RateLimit | undefined {
  return limit === undefined ? undefined : { requests: limit.requests, perMs: durationMs(limit.per), burst: limit.burst ?? limit.requests };
}

function retentionFields(retention: NonNullable<DeliveryPolicySpec["retention"]>): MaybeSaid<Policy["retention"]> {
  return {
    historyMs: optionalDurationMs(retention.history),
    bodiesMs: optionalDurationMs(retention.bodies),
    responseBytes: retention.responseBytes,
  };
}

function policyLimits(limits: ClusterDeliveryPolicySpec["limits"]): PolicyLimits {
  if (limits === undefined) return BUILT_IN_LIMITS;
  const { retention } = limits;
  return {
    urlLength: limits.urlLength ?? BUILT_IN_LIMITS.urlLength,
    fanOut: limits.fanOut ?? BUILT_IN_LIMITS.fanOut,
    storageBytes: limits.storage === undefined ? undefined : quantityBytes(limits.storage),
    timeoutMs: optionalDurationMs(limits.timeout),
    maxInFlight: limits.maxInFlight,
    rateLimit: rateLimit(limits.rateLimit),
    maxAttempts: limits.maxAttempts,
    maxAgeMs: optionalDurationMs(limits.maxAge),
    retention: retention && retentionFields(retention),
  };
}

function egressPolicy(egress: ClusterDeliveryPolicySpec["egress"]): EgressPolicy {
  if (egress === undefined) return BUILT_IN_EGRESS;
  return {
    allowedHosts: egress.allowedHosts ?? [],
    allowedCidrs: egress.allowedCIDRs ?? [],
    deniedCidrs: egress.deniedCIDRs ?? [],
    allowPlainHttp: egress.allowPlainHTTP,
    ports: egress.ports?.map(portRange),
    services: egress.services,
    ...(egress.proxySecretRef === undefined ? {} : { proxySecretRef: egress.proxySecretRef }),
  };
}

export function labelSelector(selector: ClusterDeliveryPolicySpec["namespaceSelector"]): LabelSelector | undefined {
  if (selector === undefined) return undefined;
  return {
    matchLabels: selector.matchLabels ?? {},
    matchExpressions: (selector.matchExpressions ?? []).map(({ key, operator, values }) => ({ key, operator, values: values ?? [] })),
  };
}
