import type { WebhookSubscriptionStatus } from "../../api/generated/custom-resources.ts";
import { mergeConditions, wholeSeconds } from "../../core/conditions.ts";
import type { ConditionDraft } from "../../core/conditions.ts";
import { OUTCOME_NAMES } from "../../core/outcome.ts";
import { FAILURE_MESSAGE_CHARS_MAX, RECENT_FAILURES_MAX } from "../../core/health.ts";
import type { SubscriptionHealth } from "../../core/health.ts";
import type { Policy } from "../../core/policy.ts";
import type { Problem } from "../../core/problem.ts";
import type { ConditionType, Reason } from "../../core/reasons.ts";
import { durationText } from "../../lib/duration.ts";
import type { ActiveSpec, Verdict } from "./checks.ts";
import { generatesKey } from "./facts.ts";
import type { FilterErrorCount } from "./filter-errors.ts";
import { hostOf } from "./checks.ts";

type KeyStatus = NonNullable<WebhookSubscriptionStatus["keysWithoutValue"]>[number];

/** All that a subscription's status is made of. */
export interface StatusInput {
  readonly generation: number;
  readonly verdict: Verdict;
  /** In the routing table. */
  readonly programmed: boolean;
  readonly draining: boolean;
  readonly health: SubscriptionHealth | undefined;
  readonly filterErrors: FilterErrorCount | undefined;
  /** The Secret that was generated; shown while it is the one that signs. */
  readonly signingName: string | undefined;
  readonly lastHandledResume: string | undefined;
}

/** The whole status that we own; times of unmoved conditions are taken over from `previous`. Stays far below 16 KiB. */
export function composeStatus(
  input: StatusInput,
  previous: WebhookSubscriptionStatus | undefined,
  nowMs: number,
): WebhookSubscriptionStatus {
  const { verdict, health } = input;
  const { active } = verdict;
  const conditions = mergeConditions(previous?.conditions ?? [], conditionDrafts(input), input.generation, nowMs);
  const url = active?.target?.url ?? (active?.spec.endpoint.address.kind === "url" ? active.spec.endpoint.address.url : undefined);
  return dropUndefined({
    observedGeneration: input.generation,
    conditions,
    endpointHost: url === undefined ? undefined : hostOf(url),
    signingSecretName: active !== undefined && generatesKey(active.spec) ? input.signingName : undefined,
    signingKeys: verdict.signingKeys.length === 0 ? undefined : verdict.signingKeys.map((key) => dropUndefined({ ...key })),
    lastHandledResume: input.lastHandledResume,
    effectivePolicy: active === undefined ? undefined : policyStatus(active),
    delivery: health === undefined ? undefined : deliveryStatus(health),
    recentFailures: health === undefined || health.recentFailures.length === 0 ? undefined : failuresStatus(health),
    recentFilterErrors: input.filterErrors && filterErrorsStatus(input.filterErrors),
    keysWithoutValue: health === undefined || health.keysWithoutValue.length === 0 ? undefined : keysStatus(health),
  });
}

/** The conditions as they are now, in the order in which people read them. */
export function conditionDrafts(input: StatusInput): ConditionDraft[] {
  const { verdict, health } = input;
  const accepted = acceptedDraft(verdict);
  const refs = refsDraft(verdict);
  const programmed = programmedDraft(input);
  return [
    readyDraft([accepted, refs, programmed]),
    accepted,
    refs,
    programmed,
    healthDraft(health),
    suspendedDraft(verdict.active, health),
    ...kstatusDrafts(verdict),
  ];
}

function draft(type: ConditionType, status: "True" | "False" | "Unknown", reason: Reason, message: string): ConditionDraft {
  return { type, status, reason, message };
}

function acceptedDraft({ refusal, active }: Verdict): ConditionDraft {
  if (refusal === undefined) return draft("Accepted", "True", "Accepted", "the spec is valid");
  const goesOn = active === undefined ? "" : `; generation ${active.generation}, the last accepted one, stays in force until this is fixed`;
  return draft("Accepted", "False", refusal.reason, sentence(refusal) + goesOn);
}

function sentence({ field, message }: Problem): string {
  return field === "" || message.includes(field) ? message : `${field}: ${message}`;
}

function refsDraft({ active }: Verdict): ConditionDraft {
  if (active === undefined) return draft("ResolvedRefs", "Unknown", "NotAccepted", "references are resolved once the spec is accepted");
  if (active.blocked !== undefined) return draft("ResolvedRefs", "False", active.blocked.reason, sentence(active.blocked));
  return draft("ResolvedRefs", "True", "ResolvedRefs", "everything that the spec names exists");
}

function programmedDraft({ programmed, draining }: StatusInput): ConditionDraft {
  if (draining)
    return draft("Programmed", "False", "Draining", "being deleted: no new events are matched, and accepted ones are still delivered");
  if (!programmed) return draft("Programmed", "False", "NotProgrammed", "not in the routing table: no event is matched");
  return draft("Programmed", "True", "Programmed", "in the routing table: events are matched");
}

function readyDraft(parts: readonly ConditionDraft[]): ConditionDraft {
  const bad = parts.find(({ status }) => status === "False") ?? parts.find(({ status }) => status !== "True");
  return bad === undefined
    ? draft("Ready", "True", "Ready", "accepted, resolved and in the routing table")
    : { ...bad, type: "Ready", status: "False" };
}

function healthDraft(health: SubscriptionHealth | undefined): ConditionDraft {
  if (health === undefined) return draft("EndpointHealthy", "Unknown", "Idle", "nothing has been sent yet");
  const { healthy, reason, message } = health.endpoint;
  return draft("EndpointHealthy", healthy === undefined ? "Unknown" : healthy ? "True" : "False", reason, message);
}

function suspendedDraft(active: ActiveSpec | undefined, health: SubscriptionHealth | undefined): ConditionDraft {
  if (active?.spec.suspend === true) {
    return draft("Suspended", "True", "BySpec", "spec.suspend is true: deliveries wait until their maxAge; set it to false to resume");
  }
  const suspension = health?.suspension;
  if (suspension !== undefined && suspension.reason !== "BySpec") return draft("Suspended", "True", suspension.reason, suspension.message);
  return draft("Suspended", "False", "NotSuspended", "deliveries are sent");
}

/** kstatus (Flux, Argo CD, `helm --wait`): stalled needs a person, reconciling goes on by itself once what is missing is there. */
function kstatusDrafts({ refusal, active }: Verdict): ConditionDraft[] {
  const waits = refusal === undefined && active?.blocked !== undefined ? active.blocked : undefined;
  return [
    waits === undefined
      ? draft("Reconciling", "False", "Reconciled", "nothing is left to do")
      : draft("Reconciling", "True", waits.reason, "waiting for what the spec names"),
    refusal === undefined
      ? draft("Stalled", "False", "Reconciled", "nothing blocks it")
      : draft("Stalled", "True", refusal.reason, "change the spec, or the policy that rejects it"),
  ];
}

function policyStatus({ effective }: ActiveSpec): WebhookSubscriptionStatus["effectivePolicy"] {
  return dropUndefined({
    kind: effective.kind,
    name: effective.name === "" ? undefined : effective.name,
    generation: effective.kind === "BuiltIn" ? undefined : effective.generation,
    clamped: effective.clamped.length === 0 ? undefined : effective.clamped,
    cluster: effective.cluster,
    values: policyValues(effective.policy),
  });
}

type PolicyValues = NonNullable<NonNullable<WebhookSubscriptionStatus["effectivePolicy"]>["values"]>;

/** What applies, with every built-in value and ceiling in it. */
export function policyValues({ timeoutMs, connectTimeoutMs, retry, maxInFlight, rateLimit, retention }: Policy): PolicyValues {
  return dropUndefined({
    timeout: durationText(timeoutMs),
    connectTimeout: durationText(connectTimeoutMs),
    maxAttempts: retry.maxAttempts,
    maxAge: durationText(retry.maxAgeMs),
    maxInFlight,
    rateLimit: rateLimit && { requests: rateLimit.requests, per: durationText(rateLimit.perMs), burst: rateLimit.burst },
    retention: {
      history: durationText(retention.historyMs),
      bodies: durationText(retention.bodiesMs),
      responseBytes: retention.responseBytes,
    },
  });
}

function deliveryStatus(health: SubscriptionHealth): NonNullable<WebhookSubscriptionStatus["delivery"]> {
  const { lastAttempt } = health;
  return dropUndefined({
    since: wholeSeconds(health.sinceMs),
    accepted: health.accepted,
    delivered: health.delivered,
    retried: health.retried,
    failed: health.failed,
    deadLettered: health.deadLettered,
    pending: health.pending,
    oldestPendingTime: time(health.oldestPendingAtMs),
    consecutiveFailures: health.consecutiveFailures,
    nextAttemptTime: time(health.nextAttemptAtMs),
    lastSuccessTime: time(health.lastSuccessAtMs),
    lastFailureTime: time(health.lastFailureAtMs),
    lastAttempt:
      lastAttempt &&
      dropUndefined({
        time: wholeSeconds(lastAttempt.atMs),
        eventID: lastAttempt.eventId,
        eventType: lastAttempt.eventType,
        attempt: lastAttempt.attempt,
        statusCode: lastAttempt.statusCode,
        durationMs: Math.round(lastAttempt.durationMs),
        outcome: OUTCOME_NAMES[lastAttempt.outcome],
      }),
  });
}

function failuresStatus({ recentFailures }: SubscriptionHealth): NonNullable<WebhookSubscriptionStatus["recentFailures"]> {
  return recentFailures.slice(0, RECENT_FAILURES_MAX).map((failure) =>
    dropUndefined({
      time: wholeSeconds(failure.atMs),
      eventID: failure.eventId,
      eventType: failure.eventType,
      attempt: failure.attempt,
      statusCode: failure.statusCode,
      durationMs: Math.round(failure.durationMs),
      reason: OUTCOME_NAMES[failure.reason],
      message: failure.message.slice(0, FAILURE_MESSAGE_CHARS_MAX),
    }),
  );
}

function filterErrorsStatus({ count, sinceMs, lastAtMs, message }: FilterErrorCount): WebhookSubscriptionStatus["recentFilterErrors"] {
  const text = message.slice(0, FAILURE_MESSAGE_CHARS_MAX);
  return { count, since: wholeSeconds(sinceMs), lastTime: wholeSeconds(lastAtMs), message: text };
}

function keysStatus({ keysWithoutValue }: SubscriptionHealth): NonNullable<WebhookSubscriptionStatus["keysWithoutValue"]> {
  return keysWithoutValue.map(({ field, path, events, sinceMs }) => ({ field, path, events, since: wholeSeconds(sinceMs) }));
}

/** What an Event says of an entry of `keysWithoutValue`. */
export function keyWithoutValueText({ field, path, events }: KeyStatus): string {
  const effect = field === "ordering.key" ? "events are delivered without order" : "recordID finds no delivery";
  return `Of ${events} event${events === 1 ? "" : "s"} so far none has a value at ${field} (${path}), so ${effect}: correct the path if it is misspelt.`;
}

function time(atMs: number | undefined): string | undefined {
  return atMs === undefined ? undefined : wholeSeconds(atMs);
}

/** An absent field is absent: JSON has no undefined, and two statuses are compared as JSON. */
function dropUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
