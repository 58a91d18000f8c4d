/**
 * What a delivery obeys, resolved: the winning policy's fields with built-in values for those it leaves out, clamped by the
 * cluster policy's limits. All lengths are milliseconds.
 */
export interface Policy {
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly retry: RetryPolicy;
  /** Which status codes are a success. */
  readonly successCodes: readonly StatusRange[];
  readonly rateLimit: RateLimit | undefined;
  readonly maxInFlight: number;
  readonly circuitBreaker: { readonly consecutiveFailures: number; readonly openForMs: number; readonly halfOpenProbes: number };
  readonly autoSuspendAfterMs: number;
  readonly retention: { readonly historyMs: number; readonly bodiesMs: number; readonly responseBytes: number };
}

export interface RetryPolicy {
  readonly maxAttempts: number;
  /** Counted from acceptance, waiting included. */
  readonly maxAgeMs: number;
  readonly delays: RetryDelays;
  /** 0..50: delay x (1 + U[0, p/100]); never before the first send. */
  readonly jitterPercent: number;
  readonly retryableCodes: readonly StatusRange[];
  /** Longest Retry-After obeyed; 0 = the header is ignored. */
  readonly retryAfterMaxMs: number;
}

/** `delaysMs[i]` is the delay before attempt i+1; used up, the last entry repeats. Backoff sends first at once. */
export type RetryDelays =
  | { readonly kind: "schedule"; readonly delaysMs: readonly number[] }
  | {
      readonly kind: "backoff";
      readonly growth: "Exponential" | "Linear" | "Constant";
      readonly initialMs: number;
      readonly maxMs: number;
    };

/** Inclusive range of HTTP status codes. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export interface RateLimit {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

/** Parts of a policy whose fields may be absent one by one; everything else (a list, a rate, the delays) is taken whole. */
type Group = "retry" | "circuitBreaker" | "retention";

/** Each field, as it is or not said. */
export type MaybeSaid<T> = { readonly [K in keyof T]: T[K] | undefined };

/** What one DeliveryPolicy or ClusterDeliveryPolicy says: every field of `Policy` may be absent. */
export type PolicyFields = Partial<MaybeSaid<Omit<Policy, Group>> & { readonly [G in Group]: Partial<MaybeSaid<Policy[G]>> | undefined }>;

/** A DeliveryPolicy as the controller sees it. */
export interface NamespacePolicy {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly createdAtMs: number;
  /** Labelled `postrider.dev/default: "true"`. */
  readonly isDefault: boolean;
  readonly fields: PolicyFields;
}

/** A ClusterDeliveryPolicy as the controller sees it. */
export interface ClusterPolicy {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly createdAtMs: number;
  /** The only class of installations that obeys it; empty = all. */
  readonly className: string;
  /** Of several that select a namespace the highest applies. */
  readonly priority: number;
  /** Undefined = all namespaces; of equal priority, those with a selector come first, and `{}` counts as none. */
  readonly namespaceSelector: LabelSelector | undefined;
  readonly fields: PolicyFields;
  readonly limits: PolicyLimits;
  readonly egress: EgressPolicy;
}

/** Kubernetes' LabelSelector. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values: readonly string[];
  }[];
}

/** Ceilings of the cluster policy; undefined = no ceiling beyond the CRD's bound. What a policy leaves out is built in, lowered to its ceiling; only `rateLimit`, for which nothing is built in, takes it. */
export interface PolicyLimits
  extends
    Pick<PolicyFields, "timeoutMs" | "maxInFlight" | "rateLimit" | "retention">,
    Pick<Partial<MaybeSaid<RetryPolicy>>, "maxAttempts" | "maxAgeMs"> {
  readonly urlLength: number;
  readonly fanOut: number;
  /** What each namespace may hold in the store, bytes; see core/storage-share.ts. */
  readonly storageBytes?: number | undefined;
}

/** Where deliveries may go (docs/endpoints.md; the guard in attempt/ obeys it at connect, the controller before). */
export interface EgressPolicy {
  /** Empty = every host; else only these (`*.x.y` = any depth below x.y). */
  readonly allowedHosts: readonly string[];
  /** Opens otherwise forbidden ranges; restricts nothing. CIDR text. */
  readonly allowedCidrs: readonly string[];
  readonly deniedCidrs: readonly string[];
  readonly allowPlainHttp: boolean;
  /** Undefined = the built-in list: 80, 443 and 1024-65535 but the well-known internal ones. */
  readonly ports: readonly PortRange[] | undefined;
  /** `SameNamespace`: those that select Pods; `SameNamespaceAny`: those without a selector too, which lead wherever their EndpointSlices say. */
  readonly services: "None" | "SameNamespace" | "SameNamespaceAny";
  /** A Secret of the operator's own namespace whose key holds the URL of the egress proxy. */
  readonly proxySecretRef?: { readonly name: string; readonly key: string } | undefined;
}

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Standard Webhooks' retry schedule (standard-webhooks spec, "Deliverability and reliability"). */
export const STANDARD_SCHEDULE_MS: readonly number[] = [
  0,
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/** The built-in policy: what holds where no policy says anything. */
export const BUILT_IN_POLICY: Policy = {
  timeoutMs: 15 * SECOND,
  connectTimeoutMs: 5 * SECOND,
  retry: {
    maxAttempts: 10,
    maxAgeMs: 96 * HOUR,
    delays: { kind: "schedule", delaysMs: STANDARD_SCHEDULE_MS },
    jitterPercent: 10,
    retryableCodes: [
      { from: 404, to: 404 },
      { from: 408, to: 409 },
      { from: 425, to: 425 },
      { from: 429, to: 429 },
      { from: 500, to: 599 },
    ],
    retryAfterMaxMs: HOUR,
  },
  successCodes: [{ from: 200, to: 299 }],
  rateLimit: undefined,
  maxInFlight: 8,
  circuitBreaker: { consecutiveFailures: 20, openForMs: 30 * SECOND, halfOpenProbes: 1 },
  autoSuspendAfterMs: 120 * HOUR,
  retention: { historyMs: 72 * HOUR, bodiesMs: 72 * HOUR, responseBytes: 4 * 1024 },
};

/** With no cluster policy: public HTTPS only. */
export const BUILT_IN_EGRESS: EgressPolicy = {
  allowedHosts: [],
  allowedCidrs: [],
  deniedCidrs: [],
  allowPlainHttp: false,
  ports: undefined,
  services: "SameNamespace",
};

/**
 * Slot time of one subscription: its `timeout` x `maxInFlight`, ms (64 x 30 s, or 6 x 5 min). Lowers `maxInFlight` where no cluster policy sets
 * `limits.maxInFlight`: whoever sets that has said how much one may hold.
 */
export const SLOT_TIME_MAX_MS = 1_920 * SECOND;

/** Ceilings that hold where no cluster policy says anything. */
export const BUILT_IN_LIMITS: PolicyLimits = { urlLength: 2_048, fanOut: 10_000 };

/** Whether `code` lies in one of `ranges`. */
export function inRanges(code: number, ranges: readonly StatusRange[]): boolean {
  return ranges.some((range) => code >= range.from && code <= range.to);
}
