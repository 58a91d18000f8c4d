import type { OutcomeClass } from "./outcome.ts";
import type { ReasonOf } from "./reasons.ts";

/** Why deliveries of a subscription are not going out although it is accepted. */
export interface Suspension {
  readonly reason: Exclude<ReasonOf<"Suspended">, "NotSuspended">;
  readonly message: string;
  readonly sinceMs: number;
}

export type EndpointHealthReason = ReasonOf<"EndpointHealthy">;

/** How one subscription is doing: what status.delivery, the EndpointHealthy and Suspended conditions are made of. Its times are the wall's. */
export interface SubscriptionHealth {
  readonly sinceMs: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly retried: number;
  readonly failed: number;
  readonly deadLettered: number;
  readonly pending: number;
  readonly oldestPendingAtMs: number | undefined;
  readonly consecutiveFailures: number;
  readonly nextAttemptAtMs: number | undefined;
  readonly lastSuccessAtMs: number | undefined;
  readonly lastFailureAtMs: number | undefined;
  readonly lastAttempt: LastAttempt | undefined;
  /** Newest first, at most 10. */
  readonly recentFailures: readonly RecentFailure[];
  readonly endpoint: { readonly healthy: boolean | undefined; readonly reason: EndpointHealthReason; readonly message: string };
  readonly suspension: Suspension | undefined;
  /** Paths of the spec for which no event had a value so far. */
  readonly keysWithoutValue: readonly KeyWithoutValue[];
}

/** A path that a spec reads from events, and that has found nothing in any of them. */
export interface KeyWithoutValue {
  readonly field: "ordering.key" | "history.recordIDField";
  /** As written. */
  readonly path: string;
  readonly events: number;
  readonly sinceMs: number;
}

export interface LastAttempt {
  readonly atMs: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly attempt: number;
  readonly statusCode: number | undefined;
  readonly durationMs: number;
  readonly outcome: OutcomeClass;
}

export interface RecentFailure {
  readonly eventId: string;
  readonly eventType: string;
  readonly attempt: number;
  readonly atMs: number;
  readonly statusCode: number | undefined;
  readonly durationMs: number;
  readonly reason: OutcomeClass;
  /** At most 256 characters, redacted. */
  readonly message: string;
}

export const RECENT_FAILURES_MAX = 10;
export const FAILURE_MESSAGE_CHARS_MAX = 256;
