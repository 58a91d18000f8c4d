import { unreachable } from "../lib/assert.ts";
import type { EndpointHealthReason, LastAttempt, RecentFailure, SubscriptionHealth } from "./health.ts";
import { RECENT_FAILURES_MAX } from "./health.ts";
import type { OutcomeClass } from "./outcome.ts";

/** What is remembered of a subscription's attempts; plain JSON, so a snapshot survives restarts. */
export interface EndpointRecord {
  consecutiveFailures: number;
  /** Since when every attempt failed; undefined while the last one succeeded. */
  failingSinceMs: number | undefined;
  lastSuccessAtMs: number | undefined;
  lastFailureAtMs: number | undefined;
  lastAttempt: LastAttempt | undefined;
  lastMessage: string;
  /** Moving share of failures, 0..1, over about the last 20 attempts. */
  failureShare: number;
  /** Newest first. */
  recentFailures: readonly RecentFailure[];
}

export function emptyRecord(): EndpointRecord {
  return {
    consecutiveFailures: 0,
    failingSinceMs: undefined,
    lastSuccessAtMs: undefined,
    lastFailureAtMs: undefined,
    lastAttempt: undefined,
    lastMessage: "",
    failureShare: 0,
    recentFailures: [],
  };
}

const SHARE_STEP = 0.05;
/** One or two failures in a row are weather, three are a state. */
export const FAILING_AFTER = 3;
const HIGH_SHARE = 0.5;
const LOW_SHARE = 0.25;

/** Notes one attempt. `record` is changed in place: it is made once per subscription, not once per attempt. */
export function noteAttempt(record: EndpointRecord, attempt: LastAttempt, failure: RecentFailure | undefined): void {
  const failed = failure === undefined ? 0 : 1;
  Object.assign(record, { lastAttempt: attempt, failureShare: record.failureShare + (failed - record.failureShare) * SHARE_STEP });
  const atMs = attempt.atMs + attempt.durationMs;
  if (failure === undefined) {
    Object.assign(record, { consecutiveFailures: 0, failingSinceMs: undefined, lastSuccessAtMs: Math.round(atMs) });
    return;
  }
  Object.assign(record, {
    consecutiveFailures: record.consecutiveFailures + 1,
    failingSinceMs: record.failingSinceMs ?? Math.round(atMs),
    lastFailureAtMs: Math.round(atMs),
    lastMessage: failure.message,
    recentFailures: [failure, ...record.recentFailures.slice(0, RECENT_FAILURES_MAX - 1)],
  });
}

export type EndpointVerdict = SubscriptionHealth["endpoint"];

/** The EndpointHealthy condition. `before` gives hysteresis: between well and ill the last verdict stands. */
export function judgeEndpoint(record: EndpointRecord, circuitOpen: boolean, before: EndpointVerdict | undefined): EndpointVerdict {
  const last = record.lastAttempt;
  if (circuitOpen) {
    const message = `The circuit is open after ${record.consecutiveFailures} failures in a row; a probe follows. Last: ${record.lastMessage}`;
    return { healthy: false, reason: "CircuitOpen", message };
  }
  if (last === undefined) return { healthy: undefined, reason: "Idle", message: "Nothing has been sent yet." };
  const failsNow = record.consecutiveFailures > 0;
  const isIll = record.consecutiveFailures >= FAILING_AFTER || (failsNow && record.lastSuccessAtMs === undefined);
  if (isIll) return { healthy: false, reason: reasonOf(last.outcome, last.statusCode), message: record.lastMessage };
  if (record.failureShare > HIGH_SHARE) return highShare(record);
  if (before?.reason === "HighFailureRate" && record.failureShare > LOW_SHARE) return highShare(record);
  if (failsNow && before?.healthy === false) return before;
  return { healthy: true, reason: "Delivering", message: "The receiver answers with success." };
}

function highShare(record: EndpointRecord): EndpointVerdict {
  const message = `More than ${LOW_SHARE * 100} % of the last attempts failed. Last failure: ${record.lastMessage}`;
  return { healthy: false, reason: "HighFailureRate", message };
}

const AUTH_CODES: ReadonlySet<number> = new Set([401, 403, 407]);

function reasonOf(outcome: OutcomeClass, statusCode: number | undefined): EndpointHealthReason {
  if (statusCode !== undefined && AUTH_CODES.has(statusCode)) return "AuthRejected";
  switch (outcome) {
    case "dns_error":
      return "DNSFailure";
    case "tls_error":
      return "TLSFailure";
    case "timeout":
      return "Timeout";
    case "blocked":
      return "Blocked";
    case "success":
    case "client_error":
    case "server_error":
    case "connect_error":
      return "HighFailureRate";
    default:
      return unreachable(outcome);
  }
}
