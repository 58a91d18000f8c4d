import { unreachable } from "../lib/assert.ts";
import type { EndpointHealthReason, LastAttempt, RecentFailure, SubscriptionHealth } from "./health.ts";
import { RECENT_FAILURES_MAX } from "./health.ts";
import type { Outcome, OutcomeClass } from "./outcome.ts";

/** What is remembered of a subscription's attempts; plain JSON, so a snapshot survives restarts. */
export interface EndpointRecord {
  consecutiveFailures: number;
  /** Since when every attempt failed; undefined while the last one succeeded. */
  failingSinceMs: number | undefined;
  lastSuccessAtMs: number | undefined;
  lastFailureAtMs: number | undefined;
  lastAttempt: LastAttempt | undefined;
  lastMessage: string;
  /** The last attempt got no token: whoever gives them refused our credentials. */
  tokenRefused: boolean;
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
    tokenRefused: false,
    failureShare: 0,
    recentFailures: [],
  };
}

const SHARE_STEP = 0.05;
/** One or two failures in a row are weather, three are a state. */
export const FAILING_AFTER = 3;
const HIGH_SHARE = 0.5;
const LOW_SHARE = 0.25;

/** An attempt and what is kept of it if it failed. */
export interface NotedAttempt {
  readonly attempt: LastAttempt;
  readonly failure: RecentFailure | undefined;
  readonly tokenRefused: boolean;
}

/** Whether an attempt failed because the credentials were not exchanged for a token; an authorization server in trouble (5xx) has refused nothing. */
export function isTokenRefused({ class: outcome, connectionStatus }: Pick<Outcome, "class" | "connectionStatus">): boolean {
  return outcome === "client_error" && connectionStatus === "TOKEN_REFUSED";
}

/** Notes one attempt. `record` is changed in place: it is made once per subscription, not once per attempt. */
export function noteAttempt(record: EndpointRecord, { attempt, failure, tokenRefused }: NotedAttempt): void {
  const failed = failure === undefined ? 0 : 1;
  record.lastAttempt = attempt;
  record.tokenRefused = tokenRefused;
  record.failureShare += (failed - record.failureShare) * SHARE_STEP;
  const atMs = attempt.atMs + attempt.durationMs;
  if (failure === undefined) {
    record.consecutiveFailures = 0;
    record.failingSinceMs = undefined;
    record.lastSuccessAtMs = Math.round(atMs);
    return;
  }
  record.consecutiveFailures += 1;
  record.failingSinceMs ??= Math.round(atMs);
  record.lastFailureAtMs = Math.round(atMs);
  record.lastMessage = failure.message;
  record.recentFailures = [failure, ...record.recentFailures.slice(0, RECENT_FAILURES_MAX - 1)];
}

/** Notes an attempt that came to nothing because of the subscription itself: shown, but the endpoint is not judged by it. */
export function noteUnsendable(record: EndpointRecord, failure: RecentFailure): void {
  record.recentFailures = [failure, ...record.recentFailures.slice(0, RECENT_FAILURES_MAX - 1)];
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
  if (isIll) return { healthy: false, reason: record.tokenRefused ? "AuthRejected" : reasonOf(last), message: record.lastMessage };
  if (record.failureShare > HIGH_SHARE) return highShare(record);
  if (before?.reason === "HighFailureRate" && record.failureShare > LOW_SHARE) return highShare(record);
  if (failsNow && before?.healthy === false) return before;
  return { healthy: true, reason: "Delivering", message: "The receiver answers successfully." };
}

function highShare(record: EndpointRecord): EndpointVerdict {
  const message = `More than ${LOW_SHARE * 100} % of the last attempts failed. Last failure: ${record.lastMessage}`;
  return { healthy: false, reason: "HighFailureRate", message };
}

const AUTH_CODES: ReadonlySet<number> = new Set([401, 403, 407]);

function reasonOf({
  outcome,
  statusCode,
}: {
  readonly outcome: OutcomeClass;
  readonly statusCode: number | undefined;
}): EndpointHealthReason {
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
