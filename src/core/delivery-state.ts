import { delayBefore } from "./backoff.ts";
import type { EndReason, TerminalState } from "./delivery.ts";
import type { Outcome } from "./outcome.ts";
import { inRanges, type Policy } from "./policy.ts";
import { pauseFor } from "./retry-after.ts";

/** What the decision needs to know of a delivery whose attempt just ended. */
export interface AttemptedDelivery {
  /** Number of the attempt that ended (1 = first). */
  readonly attempt: number;
  readonly acceptedAtMs: number;
  /** The one extra attempt of a resend: it ends the delivery either way, whatever the limits say. */
  readonly resent: boolean;
}

/** The same, and whether it may wait for another spec; absent = it may not. */
export interface EndedAttempt extends AttemptedDelivery {
  readonly mayPark?: boolean;
}

export interface Moment {
  readonly nowMs: number;
  /** In [0, 1): feeds the jitter. */
  readonly random: number;
}

/** What follows from an attempt: the delivery's next state and what it means for its whole subscription, as values. */
export interface Transition {
  readonly next:
    | {
        readonly state: "ready";
        readonly dueAtMs: number;
        /** Only another spec can help: it waits for that, until its age ends it. */
        readonly parked?: true;
      }
    | { readonly state: Extract<TerminalState, "delivered" | "failed">; readonly reason: EndReason };
  /** The subscription pauses this long (Retry-After, already clamped by the policy). */
  readonly pauseMs: number | undefined;
  /** 410: the receiver is gone, the others wait. */
  readonly endpointGone: boolean;
  /** The receiver is overloaded: its in-flight cap is halved. */
  readonly slowDown: boolean;
}

const GONE = 410;
/** A time-out or one of these says "too much"; the in-flight cap is halved (docs/delivery.md). */
const SLOW_DOWN_CODES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * The only place where a delivery changes state after an attempt:
 *   success                        -> delivered
 *   body could not be rendered     -> ready, parked until the spec changes; failed PayloadInvalid where it may not park or no attempt is left
 *   410                            -> failed EndpointGone, and the subscription is suspended
 *   another code not to be retried -> failed NotRetryable
 *   else, attempts or age left     -> ready, due after the policy's delay with jitter
 *   else                           -> failed AttemptsExhausted | AgeExceeded
 * No answer at all (time-out, connect, DNS, TLS, blocked) is always retried. Age counts from acceptance, waiting included; a retry that
 * could only come after the age is used up is not waited for.
 */
export function next(delivery: EndedAttempt, outcome: Outcome, policy: Policy, moment: Moment): Transition {
  const pauseMs = isRetryable(outcome, policy) ? pauseFor(outcome.retryAfterMs, policy.retry.retryAfterMaxMs) : undefined;
  const isSlow = outcome.class === "timeout" && outcome.stalled !== true;
  const slowDown = isSlow || (outcome.statusCode !== undefined && SLOW_DOWN_CODES.has(outcome.statusCode));
  if (outcome.class === "success") return { next: { state: "delivered", reason: "Delivered" }, pauseMs: undefined, ...CALM };
  if (outcome.permanent === true) return { next: unsendable(delivery, policy, moment.nowMs), pauseMs: undefined, ...CALM };
  if (outcome.statusCode === GONE && answered(outcome)) {
    return { next: failed("EndpointGone"), pauseMs: undefined, slowDown: false, endpointGone: true };
  }
  return { next: afterFailure(delivery, outcome, policy, moment), pauseMs, slowDown, endpointGone: false };
}

/** Due when its age is over: whatever looks at due rows then ends it. */
function unsendable({ attempt, acceptedAtMs, resent, mayPark }: EndedAttempt, { retry }: Policy, nowMs: number): Transition["next"] {
  const dueAtMs = acceptedAtMs + retry.maxAgeMs + 1;
  if (mayPark !== true || resent || attempt >= retry.maxAttempts || dueAtMs <= nowMs) return failed("PayloadInvalid");
  return { state: "ready", dueAtMs, parked: true };
}

const CALM = { slowDown: false, endpointGone: false } as const;

function afterFailure(delivery: AttemptedDelivery, outcome: Outcome, policy: Policy, moment: Moment): Transition["next"] {
  const { retry } = policy;
  if (!isRetryable(outcome, policy)) return failed("NotRetryable");
  if (delivery.resent || delivery.attempt >= retry.maxAttempts) return failed("AttemptsExhausted");
  const dueAtMs = moment.nowMs + delayBefore(delivery.attempt + 1, retry, moment.random);
  if (dueAtMs > delivery.acceptedAtMs + retry.maxAgeMs) return failed("AgeExceeded");
  return { state: "ready", dueAtMs };
}

/** Whether the receiver's answer ended the attempt (else the code, if any, came from an answer that never ended). */
function answered(outcome: Outcome): boolean {
  return outcome.class === "client_error" || outcome.class === "server_error";
}

function isRetryable(outcome: Outcome, policy: Policy): boolean {
  if (!answered(outcome) || outcome.statusCode === undefined || outcome.tokenDropped === true) return true;
  return inRanges(outcome.statusCode, policy.retry.retryableCodes);
}

function failed(reason: EndReason): Transition["next"] {
  return { state: "failed", reason };
}

/** When a delivery just accepted is due for the first time: `schedule[0]` delays it, a backoff sends at once. */
export function firstDueAtMs(policy: Policy, acceptedAtMs: number): number {
  return acceptedAtMs + delayBefore(1, policy.retry, 0);
}

/** Engine time now, and since when this process has lived through it. */
export interface Lifetime {
  readonly nowMs: number;
  readonly livedSinceMs: number;
}

/**
 * Whether an age is over, as far as an attempt may be refused for it: an age that ended while nobody ran, or that a wrong clock at the start has
 * ended, has been lived through by nobody, so one more attempt comes first.
 */
function hasExpired(atMs: number, { nowMs, livedSinceMs }: Lifetime): boolean {
  return nowMs > atMs && atMs >= livedSinceMs;
}

/** How long after a start, ms, what is held back by a pause is not ended by an age that was over before: time for the pause to be found out of date. */
const AGE_GRACE_MS = 3_600_000;

/** When a delivery that a pause holds back is ended by its age, without an attempt. */
export function expiresAtMs(acceptedAtMs: number, policy: Pick<Policy, "retry">, livedSinceMs: number): number {
  const atMs = acceptedAtMs + policy.retry.maxAgeMs;
  return atMs >= livedSinceMs ? atMs : livedSinceMs + Math.min(AGE_GRACE_MS, policy.retry.maxAgeMs);
}

/** What an attempt may not even begin with: limits are judged by the policy at claim, so a shortened one ends old deliveries. */
export function spent(
  delivery: Omit<AttemptedDelivery, "attempt"> & { readonly made: number },
  policy: Policy,
  moment: Lifetime,
): EndReason | undefined {
  if (delivery.resent) return undefined;
  if (delivery.made > 0 && hasExpired(delivery.acceptedAtMs + policy.retry.maxAgeMs, moment)) return "AgeExceeded";
  return delivery.made >= policy.retry.maxAttempts ? "AttemptsExhausted" : undefined;
}
