import type { Meaning } from "./colors.ts";

/**
 * The four questions of the first ten seconds, asked of state and not of ratios: is it delivering, who is in trouble, since when, us or
 * them. Each expression answers exactly one number whatever is absent, so that no panel shows an old value or "no data" in trouble.
 */

const OWN = 'job=~"$job"';
/** An attempt that could begin and has not for this long: Postrider is late. */
const LATE_SECONDS = 5;
/** A single attempt that fails is no trouble: its retry mostly succeeds. */
const FAILING_SECONDS = 60;

/** What can be wrong with Postrider itself: each is empty unless it is. */
export const OURS: Readonly<Record<string, string>> = {
  "is not running": `(absent(postrider_build_info{${OWN}}) or up{${OWN}} == 0)`,
  "restarts again and again": `(max by (namespace, job, how) (max_over_time(postrider_starts_total{${OWN}}[30m])) - min by (namespace, job, how) (min_over_time(postrider_starts_total{${OWN}}[30m])) > 3)`,
  "does not serve its class": `(max_over_time(postrider_class_held{${OWN}}[2m]) == 0)`,
  "cannot write": `(postrider_store_writable{${OWN}} == 0)`,
  "is late": `(postrider_oldest_due_age_seconds{${OWN}} > ${String(LATE_SECONDS)})`,
  "refuses events": `(sum by (job) (rate(postrider_ingest_requests_total{${OWN}, code=~"5.."}[5m])) / sum by (job) (rate(postrider_ingest_requests_total{${OWN}}[5m])) > 0.01)`,
  "stands still": `(postrider_loop_stall_max_seconds{${OWN}} > 2)`,
  "commits slowly": `(histogram_quantile(0.99, sum by (job, le) (rate(postrider_store_commit_duration_seconds_bucket{${OWN}}[5m]))) > 1)`,
  "does not hear of changes": `(postrider_watch_last_event_seconds{${OWN}} > 300 or max_over_time(postrider_watch_synced{${OWN}}[2m]) == 0)`,
};

/** What receivers do. Held by one's own spec is no trouble. */
const RECEIVERS = `(min_over_time(postrider_subscriptions{${OWN}, state="failing"}[${String(FAILING_SECONDS)}s]) > 0 or postrider_subscriptions_held{${OWN}, reason=~"EndpointGone|AutoSuspended|CircuitOpen|RetryAfter|HandshakePending"} > 0 or postrider_endpoint_failure_ratio{${OWN}, namespace=~"$namespace"} > 0.25)`;

/** What owners of subscriptions and producers of events have to correct. */
const OWNERS = `(postrider_subscriptions{${OWN}, state="not_ready"} > 0 or postrider_subscriptions_held{${OWN}, reason="RefsUnresolved"} > 0 or postrider_manifests_refused{${OWN}} > 0 or increase(postrider_filter_errors_total{${OWN}, namespace=~"$namespace"}[15m]) > 0 or sum by (job, namespace) (increase(postrider_ingest_refused_total{${OWN}, code!~"not_ready|stopping|overloaded|store_unavailable|outcome_unknown|disk_low|internal|reviews_unavailable"}[15m])) > 10)`;

const ours = Object.values(OURS).join(" or ");
/** 1 while the list is not empty, otherwise 0. */
const any = (list: string): string => `(group(${list}) or vector(0))`;

export const US_OR_THEM = `${any(ours)} + 2 * ${any(RECEIVERS)} + 4 * ${any(OWNERS)}`;

export const WHOSE: Readonly<Record<string, Meaning>> = {
  "0": { text: "No trouble", color: "green" },
  "1": { text: "Us", color: "red" },
  "2": { text: "Them: receivers", color: "orange" },
  "3": { text: "Us, and receivers", color: "red" },
  "4": { text: "Them: owners or producers", color: "yellow" },
  "5": { text: "Us, and owners or producers", color: "red" },
  "6": { text: "Them: receivers, and owners or producers", color: "orange" },
  "7": { text: "Us, and all others", color: "red" },
};

const pending = `sum(postrider_queue_deliveries{${OWN}})`;
const delivered = `sum(rate(postrider_deliveries_ended_total{${OWN}, outcome="delivered"}[5m]))`;
/** The first of these that is so. */
const DELIVERING_CASES: readonly (readonly [condition: string, meaning: Meaning])[] = [
  [OURS["is not running"] ?? "", { text: "No: it is not running", color: "red" }],
  [OURS["does not serve its class"] ?? "", { text: "No: another installation serves its class", color: "red" }],
  [OURS["is late"] ?? "", { text: "Late: deliveries are due and not sent", color: "red" }],
  [`(${delivered} > 0)`, { text: "Yes", color: "green" }],
  [`(${pending} > 0)`, { text: "No: all that is pending waits for receivers or owners", color: "orange" }],
  [`(${pending} == 0)`, { text: "Nothing to send", color: "blue" }],
];
const UNKNOWN = DELIVERING_CASES.length + 1;

export const IS_IT_DELIVERING = `${DELIVERING_CASES.map(([condition], i) => `${String(i + 1)} * group(${condition})`).join(" or ")} or vector(${String(UNKNOWN)})`;

export const DELIVERING: Readonly<Record<string, Meaning>> = Object.fromEntries([
  ...DELIVERING_CASES.map(([, meaning], i) => [String(i + 1), meaning] as const),
  [String(UNKNOWN), { text: "Not known: no metrics of deliveries", color: "red" }],
]);

/** A subscription's state, as a number for a table, the worst one if there are several. */
export interface State extends Meaning {
  readonly expr: (selector: string) => string;
}

const held = (reason: string) => (selector: string) => `postrider_subscription_held{${selector}, reason="${reason}"}`;
const STATES: readonly State[] = [
  { text: "Suspended by its spec", color: "text", expr: held("BySpec") },
  { text: "Paused through the API", color: "text", expr: held("Paused") },
  { text: "Fails partly", color: "yellow", expr: (selector) => `(postrider_endpoint_failure_ratio{${selector}} > 0.25)` },
  { text: "Filter fails", color: "yellow", expr: (selector) => `(increase(postrider_filter_errors_total{${selector}}[15m]) > 0)` },
  {
    text: "Failing",
    color: "orange",
    expr: (selector) => `(time() - postrider_endpoint_failing_since_timestamp_seconds{${selector}} > ${String(FAILING_SECONDS)})`,
  },
  { text: "Paused: Retry-After", color: "purple", expr: held("RetryAfter") },
  { text: "Circuit open", color: "orange", expr: held("CircuitOpen") },
  { text: "Waits for permission", color: "purple", expr: held("HandshakePending") },
  { text: "Not ready", color: "red", expr: (selector) => `(postrider_subscription_ready{${selector}} == 0)` },
  { text: "Secret or policy missing", color: "red", expr: held("RefsUnresolved") },
  { text: "Off: failed too long", color: "red", expr: held("AutoSuspended") },
  { text: "Off: 410 Gone", color: "red", expr: held("EndpointGone") },
];

export const STATE_MEANINGS: Readonly<Record<string, Meaning>> = Object.fromEntries(
  STATES.map(({ text, color }, i) => [String(i + 1), { text, color }]),
);

/** The states of those that have one; the number is the line of the list above. */
export function statesOf(selector: string): string {
  const each = STATES.map(({ expr }, i) => `max by (namespace, subscription) (0 * ${expr(selector)} + ${String(i + 1)})`);
  // The worst comes first: of two that share their labels, `or` takes the left one.
  return each.toReversed().join(" or ");
}

/** How long it has been so: exactly while a receiver fails; otherwise in steps of 5 minutes, of the last 6 hours (0: less than 5 minutes). */
export function sinceOf(selector: string): string {
  const by = "max by (namespace, subscription)";
  const troubled = `(${statesOf(selector)} > 1)`;
  return [
    `${by} (time() - postrider_endpoint_failing_since_timestamp_seconds{${selector}} > ${String(FAILING_SECONDS)})`,
    `(300 * count_over_time(${troubled}[6h:5m]) and on (namespace, subscription) ${troubled})`,
    `0 * ${troubled}`,
  ].join(" or ");
}

/** How long there has been one of these without a minute in between, up to 6 hours or the age of the process. */
function lasting(list: string): string {
  const lastGood = `max_over_time((vector(time()) unless group(${list}))[6h:1m])`;
  const atMost = `clamp_max(max(time() - process_start_time_seconds{${OWN}}), 21600)`;
  return `((time() - ${lastGood} or ${atMost} or vector(21600)) and group(${list}))`;
}

/** The longest of all troubles that there are now, in seconds; 0 without any. Suspended by the owner's own spec is none. */
export const SINCE_WHEN = (() => {
  const theirs = `max(${sinceOf(`${OWN}, namespace=~"$namespace"`)})`;
  const each = [lasting(ours), lasting(OWNERS), theirs].map((expr, i) => `label_replace(${expr}, "of", "${String(i)}", "", "")`);
  return `max(${each.join(" or ")} or vector(0))`;
})();
