/** Reasons by the condition in which they stand, the good ones first. Stable: people and programs look for them. docs/reasons.md explains each. */
export const CONDITION_REASONS = {
  /** Its other reasons are those of the first condition that is not as it should be. */
  Ready: [
    "Ready",
    /** Blocks a route that the store gave back until its manifest has been read. */
    "Starting",
  ],
  Accepted: [
    "Accepted",
    "InvalidFilter",
    "InvalidBody",
    "InvalidEndpoint",
    "EgressDenied",
    "NotImplemented",
    /** It cannot be read at all: stored under another version of the schema. */
    "InvalidObject",
    /** Another DeliveryPolicy is the default of the namespace. */
    "Conflicted",
  ],
  ResolvedRefs: [
    "ResolvedRefs",
    /** Unknown: no spec was ever accepted. */
    "NotAccepted",
    /** The signing Secret is being generated: over within a second, so nobody is told of it by an Event. */
    "SecretPending",
    "SecretNotCreated",
    "SecretNotFound",
    "SecretKeyNotFound",
    "SecretInvalid",
    "SecretConflict",
    "SecretAccessDenied",
    "SecretUnknown",
    "RefNotPermitted",
    "RefAccessDenied",
    "RefUnknown",
    "ServiceNotFound",
    "ServicePortNotFound",
    /** An ExternalName or headless Service: there is no ClusterIP to dial. */
    "ServiceNotDiallable",
    "ServiceAccountNotFound",
    "ConfigMapNotFound",
    "ConfigMapKeyNotFound",
    "ConfigMapInvalid",
    /** It came from another class, whose ordered deliveries come first. */
    "HandingOver",
    "PolicyNotFound",
    "PolicyNotAccepted",
  ],
  Programmed: ["Programmed", "NotProgrammed", "Draining"],
  EndpointHealthy: [
    "Delivering",
    "Idle",
    "CircuitOpen",
    "HighFailureRate",
    "DNSFailure",
    "TLSFailure",
    "Timeout",
    "AuthRejected",
    "Blocked",
    "HandshakePending",
  ],
  Suspended: ["NotSuspended", "BySpec", "AutoSuspended", "EndpointGone", "Paused"],
  /** kstatus; while there is something to do, the reason is that of the condition behind it. */
  Reconciling: ["Reconciled"],
  Stalled: ["Reconciled"],
  /** Of a ClusterDeliveryPolicy. */
  Shadowed: ["NotShadowed", "OtherPolicyApplies"],
} as const;

/** Reasons of Kubernetes Events that tell of no condition. */
export const EVENT_REASONS = [
  "FilterFailed",
  "KeyWithoutValue",
  "TokenIgnored",
  "HookSettingsInvalid",
  "Discarded",
  "DeadLettered",
  "HandedOver",
  "SigningKeyGenerated",
  "SigningKeyAdopted",
  "SigningKeyChanged",
  "SecretNotAdopted",
  "SecretNotDeleted",
] as const;

/**
 * What is wrong with a manifest before the controller looks at it: `validate` shows it behind each message, the API server says most of them too. A
 * manifest file that has become broken shows it in `Accepted`.
 */
export const MANIFEST_REASONS = [
  "InvalidYAML",
  "Ambiguous",
  "TooDeep",
  "Unreadable",
  "Required",
  "TypeInvalid",
  "NotSupported",
  "TooLong",
  "TooMany",
  "Duplicate",
  "UnknownField",
  "Invalid",
  "NoNamespace",
] as const;

export type ConditionType = keyof typeof CONDITION_REASONS;
export type ReasonOf<T extends ConditionType> = (typeof CONDITION_REASONS)[T][number];
export type ManifestReason = (typeof MANIFEST_REASONS)[number];
/** Every reason that a problem, a condition or an Event may have. */
export type Reason = ReasonOf<ConditionType> | ManifestReason | (typeof EVENT_REASONS)[number];
