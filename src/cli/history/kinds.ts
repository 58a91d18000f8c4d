import type { Kind } from "../api/listing.ts";
import { timeText } from "../api/moment.ts";
import type { AttemptRow, ConditionRow, DeliveryRow, EventRow, SubscriptionRow } from "../api/rows.ts";
import type { Column } from "../api/table.ts";
import type { Colour } from "../terminal.ts";

/** Ids of deliveries have 32 digits: the first and last ones tell rows apart, and `-o wide` or `-o name` have them all. */
const ID_COLUMNS_MIN = 12;

const STATE_COLOURS: Readonly<Record<string, Colour>> = { Delivered: "green", Failed: "red", Discarded: "yellow" };

export const DELIVERIES: Kind<DeliveryRow> = {
  singular: "delivery",
  plural: "deliveries",
  idOf: ({ id }) => id,
  columns: (utc): readonly Column<DeliveryRow>[] => [
    { title: "ID", text: ({ id }) => id, shrink: { to: ID_COLUMNS_MIN, first: 5, at: "middle" } },
    { title: "ACCEPTED", text: ({ acceptedTime }) => timeText(acceptedTime, utc) },
    { title: "RECORD", text: ({ recordID }) => recordID ?? "", shrink: { to: 8, first: 3, at: "end" } },
    { title: "TYPE", text: ({ eventType }) => eventType, shrink: { to: 10, first: 2, at: "end" } },
    {
      title: "SUBSCRIPTION",
      text: ({ subscription, deadLetter }) => `${subscription ?? "(deleted)"}${deadLetter === true ? " (dead letter)" : ""}`,
      shrink: { to: 8, first: 4, at: "end" },
    },
    {
      title: "STATE",
      text: ({ state }) => state,
      colour: ({ state, attempts }) => STATE_COLOURS[state] ?? (attempts > 0 ? "yellow" : undefined),
    },
    { title: "LAST", text: ({ lastAttempt }) => lastAnswer(lastAttempt) },
    { title: "TRIES", text: ({ attempts }) => String(attempts), right: true },
    { title: "WHY", text: whyOf, shrink: { to: 8, first: 1, at: "end" } },
    { title: "NEXT", text: ({ nextAttemptTime }) => timeText(nextAttemptTime, utc), wide: true },
    { title: "WEBHOOK-ID", text: ({ eventID }) => eventID, wide: true },
    { title: "URL", text: ({ url }) => url ?? "", wide: true },
  ],
};

export const ATTEMPTS: Kind<AttemptRow> = {
  singular: "attempt",
  plural: "attempts",
  idOf: ({ deliveryID, attempt }) => `${deliveryID}/${attempt}`,
  columns: (utc): readonly Column<AttemptRow>[] => [
    { title: "TIME", text: ({ time }) => timeText(time, utc) },
    { title: "RECORD", text: ({ recordID }) => recordID ?? "", shrink: { to: 8, first: 3, at: "end" } },
    { title: "TYPE", text: ({ eventType }) => eventType, shrink: { to: 10, first: 2, at: "end" } },
    { title: "SUBSCRIPTION", text: ({ subscription }) => subscription ?? "(deleted)", shrink: { to: 8, first: 4, at: "end" } },
    { title: "NO", text: ({ attempt }) => String(attempt), right: true },
    { title: "ANSWER", text: lastAnswer, colour: ({ outcome }) => (outcome === "Success" ? "green" : "red") },
    { title: "MS", text: ({ durationMs }) => String(durationMs), right: true },
    { title: "DELIVERY", text: ({ deliveryID }) => deliveryID, shrink: { to: ID_COLUMNS_MIN, first: 5, at: "middle" } },
    { title: "URL", text: ({ url }) => url, shrink: { to: 10, first: 1, at: "end" } },
    { title: "CONNECTION", text: ({ connectionStatus }) => connectionStatus, wide: true },
    { title: "TLS", text: ({ tlsStatus }) => tlsStatus, wide: true },
    { title: "MESSAGE", text: ({ message }) => message, wide: true },
  ],
};

export const EVENTS: Kind<EventRow> = {
  singular: "event",
  plural: "events",
  idOf: ({ id }) => id,
  columns: (utc): readonly Column<EventRow>[] => [
    { title: "ID", text: ({ id }) => id, shrink: { to: ID_COLUMNS_MIN, first: 5, at: "middle" } },
    { title: "RECEIVED", text: ({ receivedTime }) => timeText(receivedTime, utc) },
    { title: "TYPE", text: ({ type }) => type, shrink: { to: 10, first: 2, at: "end" } },
    { title: "MATCHED", text: ({ matched }) => String(matched ?? ""), right: true },
    { title: "SOURCE-ID", text: ({ sourceID }) => sourceID, shrink: { to: 12, first: 1, at: "end" } },
    { title: "SOURCE", text: ({ source }) => source, wide: true },
    { title: "SUBJECT", text: ({ subject }) => subject ?? "", wide: true },
  ],
};

export const SUBSCRIPTIONS: Kind<SubscriptionRow> = {
  singular: "subscription",
  plural: "subscriptions",
  idOf: ({ name }) => name,
  columns: (utc): readonly Column<SubscriptionRow>[] => [
    { title: "NAME", text: ({ name }) => name },
    { title: "STATE", text: (row) => stateWord(row).word, colour: (row) => stateWord(row).colour },
    { title: "HOST", text: ({ status }) => status?.endpointHost ?? "", shrink: { to: 10, first: 2, at: "end" } },
    { title: "WAITING", text: ({ status }) => String(status?.delivery?.pending ?? 0), right: true },
    { title: "OLDEST", text: ({ status }) => timeText(status?.delivery?.oldestPendingTime, utc) },
    { title: "LAST", text: ({ status }) => lastAnswer(status?.delivery?.lastAttempt) },
    { title: "SUCCESS", text: ({ status }) => timeText(status?.delivery?.lastSuccessTime, utc) },
    { title: "TYPES", text: ({ spec }) => (spec?.events?.types ?? []).join(","), shrink: { to: 8, first: 1, at: "end" } },
    { title: "DELIVERED", text: ({ status }) => String(status?.delivery?.delivered ?? 0), right: true, wide: true },
    { title: "FAILED", text: ({ status }) => String(status?.delivery?.failed ?? 0), right: true, wide: true },
    { title: "POLICY", text: ({ status }) => policyText(status?.effectivePolicy), wide: true },
    { title: "UID", text: ({ uid }) => uid, wide: true },
  ],
};

export function conditionOf({ status }: SubscriptionRow, type: string): ConditionRow | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

/** One word for how a subscription is: the first of these that applies, as an admin would say it. */
export function stateWord(row: SubscriptionRow): { readonly word: string; readonly colour: Colour | undefined } {
  const accepted = conditionOf(row, "Accepted");
  if (accepted?.status === "False") return { word: accepted.reason, colour: "red" };
  const suspended = conditionOf(row, "Suspended");
  if (suspended?.status === "True") return { word: suspended.reason === "BySpec" ? "Suspended" : suspended.reason, colour: "yellow" };
  const ready = conditionOf(row, "Ready");
  if (ready !== undefined && ready.status !== "True") return { word: ready.reason, colour: "red" };
  const healthy = conditionOf(row, "EndpointHealthy");
  if (healthy?.status === "False") return { word: healthy.reason, colour: "red" };
  if ((row.status?.delivery?.consecutiveFailures ?? 0) > 0) return { word: "Failing", colour: "yellow" };
  return healthy?.status === "True" ? { word: healthy.reason, colour: "green" } : { word: "Idle", colour: undefined };
}

/** The status, or how it ended without one. */
export function lastAnswer(attempt: { readonly statusCode?: number | null; readonly outcome?: string } | null | undefined): string {
  return attempt === null || attempt === undefined
    ? ""
    : attempt.statusCode === null || attempt.statusCode === undefined
      ? (attempt.outcome ?? "")
      : String(attempt.statusCode);
}

/** Why a delivery waits, or ended as it did. */
export function whyOf({ waitingFor, reason, state }: DeliveryRow): string {
  return waitingFor?.reason ?? (state === "Delivered" ? "" : (reason ?? ""));
}

export function policyText(policy: { readonly kind?: string; readonly name?: string } | undefined): string {
  return [policy?.kind, policy?.name].filter((part) => part !== undefined && part !== "").join("/");
}
