/** Condition types (docs/spec/webhooksubscription.md). */
export const READY = "Ready";
export const ACCEPTED = "Accepted";
export const RESOLVED_REFS = "ResolvedRefs";
export const PROGRAMMED = "Programmed";
export const ENDPOINT_HEALTHY = "EndpointHealthy";
export const SUSPENDED = "Suspended";
export const RECONCILING = "Reconciling";
export const STALLED = "Stalled";

/** Reasons of `Accepted=False`. */
export const INVALID_FILTER = "InvalidFilter";
export const INVALID_BODY = "InvalidBody";
export const INVALID_OBJECT = "InvalidObject";
export const CONFLICTED = "Conflicted";

/** Reasons of `ResolvedRefs=False`. */
/** The signing Secret is being generated: over within a second, so nobody is told of it by an Event. */
export const SECRET_PENDING = "SecretPending";
export const SECRET_NOT_FOUND = "SecretNotFound";
export const SECRET_KEY_NOT_FOUND = "SecretKeyNotFound";
export const SECRET_INVALID = "SecretInvalid";
export const SECRET_CONFLICT = "SecretConflict";
export const SECRET_ACCESS_DENIED = "SecretAccessDenied";
export const SECRET_UNKNOWN = "SecretUnknown";
export const REF_NOT_PERMITTED = "RefNotPermitted";
export const REF_ACCESS_DENIED = "RefAccessDenied";
export const REF_UNKNOWN = "RefUnknown";
export const SERVICE_NOT_FOUND = "ServiceNotFound";
export const SERVICE_PORT_NOT_FOUND = "ServicePortNotFound";
/** An ExternalName or headless Service: there is no ClusterIP to dial. */
export const SERVICE_NOT_DIALLABLE = "ServiceNotDiallable";
export const CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound";
export const CONFIG_MAP_KEY_NOT_FOUND = "ConfigMapKeyNotFound";
export const CONFIG_MAP_INVALID = "ConfigMapInvalid";

/** Reasons of things that are as they should be, and of waiting. */
export const RECONCILED = "Reconciled";
export const NOT_SUSPENDED = "NotSuspended";
export const NOT_PROGRAMMED = "NotProgrammed";
export const DRAINING = "Draining";
export const IDLE = "Idle";
export const STARTING = "Starting";
