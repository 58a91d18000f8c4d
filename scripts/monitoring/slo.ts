import { RUNBOOK_BASE_URL } from "./alerts.ts";

/**
 * What Postrider promises in numbers, and how fast the budget for failures is used up. The targets are series of their own
 * (`postrider:slo_objective`), so that the chart's values change one number and rules, alerts and dashboards follow it.
 */
export interface Objective {
  /** Value of the label `slo`; also the name of the target in the chart's values. */
  readonly slo: string;
  readonly title: string;
  /** Share that must be good within 30 days. */
  readonly target: number;
  /** Everything that counts, in the last 5 minutes. */
  readonly total: string;
  /** What of it was bad. */
  readonly bad: string;
  readonly alert: string;
  /** Whether a fast burn wakes someone up: only for what Postrider itself causes and what is lost meanwhile. */
  readonly pages: boolean;
  readonly summary: string;
  readonly description: string;
}

/** An answer slower than this is bad: a bucket of postrider_ingest_request_duration_seconds. */
export const ANSWER_SECONDS = 0.25;
/** An attempt that begins later than this after it was due is bad: a bucket of postrider_dispatch_delay_seconds. */
export const DISPATCH_SECONDS = 1;
/** A delivery that took longer than this is bad: a bucket of postrider_delivery_latency_seconds. */
export const DELIVERED_SECONDS = 60;
/** A subscription with an older pending delivery is not fresh: the bound of postrider_subscriptions_late. */
export const FRESH_SECONDS = 300;
/** Fewer bad events than this in the longer window raise no alert: with little traffic one failure would be a large share. */
export const BAD_EVENTS_MIN = 10;

/** Left out of every sum: a new Pod continues the series of the one before. Job, namespace, cluster and other labels stay. */
const POD = "instance, pod, container, endpoint, service, metrics_path";

export const OBJECTIVES: readonly Objective[] = [
  {
    slo: "accept",
    title: "Accepted",
    target: 0.9995,
    total: `sum without (code, ${POD}) (increase(postrider_ingest_requests_total{code!~"4.."}[5m]))`,
    // Without a single bad answer there may be no series of it: 0, not unknown.
    bad: `sum without (code, ${POD}) (increase(postrider_ingest_requests_total{code=~"5.."}[5m])) or 0 * sum without (code, ${POD}) (increase(postrider_ingest_requests_total{code!~"4.."}[5m]))`,
    alert: "PostriderAcceptBudgetBurning",
    pages: true,
    summary: "Events are refused with 5xx.",
    description: "Producers must retry or lose events.",
  },
  {
    slo: "answer",
    title: `Answered within ${String(ANSWER_SECONDS * 1_000)} ms`,
    target: 0.99,
    ...slowerThan("postrider_ingest_request_duration_seconds", ANSWER_SECONDS),
    alert: "PostriderAnswerBudgetBurning",
    pages: false,
    summary: "Producers wait for their answers.",
    description: `Too many requests take longer than ${String(ANSWER_SECONDS * 1_000)} ms until they are stored and answered.`,
  },
  {
    slo: "dispatch",
    title: `Sent within ${String(DISPATCH_SECONDS)} s`,
    target: 0.999,
    // Of receivers that are well: what a failing or slow one waits for, it causes itself.
    ...slowerThan("postrider_dispatch_delay_seconds", DISPATCH_SECONDS, 'kind="first",receiver="well"', "kind, receiver"),
    alert: "PostriderDispatchBudgetBurning",
    pages: true,
    summary: "Postrider sends late.",
    description: `Too many attempts begin more than ${String(DISPATCH_SECONDS)} s after they are due, while nothing holds their subscriptions back. The cause is Postrider, not the receivers.`,
  },
  {
    slo: "delivered",
    title: `Delivered within ${String(DELIVERED_SECONDS)} s`,
    target: 0.99,
    ...lateOrLost(),
    alert: "PostriderDeliveredBudgetBurning",
    pages: false,
    summary: "Receivers of {{ $labels.namespace }} get their events late.",
    description: `Too many of its deliveries take longer than ${String(DELIVERED_SECONDS)} s from acceptance to success. Mostly the receivers cause it.`,
  },
  {
    slo: "fresh",
    title: "Nothing old pending",
    target: 0.99,
    total: `sum without (state, ${POD}) (postrider_subscriptions)`,
    bad: `sum without (${POD}) (postrider_subscriptions_late)`,
    alert: "PostriderFreshBudgetBurning",
    pages: false,
    summary: "Too many subscriptions have old deliveries pending.",
    description: `Their oldest delivery has waited for more than ${String(FRESH_SECONDS / 60)} minutes.`,
  },
];

/** Observations above a bucket's bound. Prometheus 3 writes the bound 1 as `1.0`, Prometheus 2 as it was scraped. */
function slowerThan(histogram: string, seconds: number, selector = "", dropped = ""): { readonly total: string; readonly bad: string } {
  const bound = Number.isInteger(seconds) ? `${String(seconds)}([.]0)?` : String(seconds).replace(".", "[.]");
  const listed = (...labels: readonly string[]): string => labels.filter(Boolean).join(", ");
  const total = `sum without (${listed(dropped, POD)}) (increase(${histogram}_count${selector === "" ? "" : `{${selector}}`}[5m]))`;
  const good = `sum without (${listed("le", dropped, POD)}) (increase(${histogram}_bucket{${listed(selector, `le=~"${bound}"`)}}[5m]))`;
  return { total, bad: `clamp_min(${total} - ${good}, 0)` };
}

/** Deliveries that succeeded late, and those that failed for good. */
function lateOrLost(): { readonly total: string; readonly bad: string } {
  const late = slowerThan("postrider_delivery_latency_seconds", DELIVERED_SECONDS);
  const lost = `sum without (outcome, ${POD}) (increase(postrider_deliveries_ended_total{outcome="failed"}[5m]))`;
  // A namespace may have the one, the other, or both.
  const both = (a: string, b: string): string => `${a} + ${b} or ${a} or ${b}`;
  return { total: both(late.total, lost), bad: both(late.bad, lost) };
}

/** Windows of which burn rates are recorded, and what each is summed from: 5-minute steps up to 6 hours, hours above. */
const WINDOWS: readonly (readonly [window: string, source: string])[] = [
  ["30m", "increase5m"],
  ["1h", "increase5m"],
  ["2h", "increase5m"],
  ["6h", "increase5m"],
  ["1d", "increase1h"],
  ["3d", "increase1h"],
];
const STEP: Readonly<Record<string, string>> = { increase5m: "5m", increase1h: "1h" };

/** A rule as Prometheus reads it. */
type Rule = Readonly<Record<string, unknown>>;

/** The group of recording rules and alerts in charts/postrider/rules/slo.yaml. */
export function sloGroups(): object {
  return {
    groups: [
      { name: "postrider-slo-records", rules: [...objectives(), ...OBJECTIVES.flatMap(measured), ...windows()] },
      { name: "postrider-slo", rules: OBJECTIVES.flatMap(alertsOf) },
    ],
  };
}

function objectives(): Rule[] {
  return [
    ...OBJECTIVES.map(({ slo, target }) => ({ record: "postrider:slo_objective", expr: `vector(${String(target)})`, labels: { slo } })),
    { record: "postrider:slo_bad_events_min", expr: `vector(${String(BAD_EVENTS_MIN)})` },
  ];
}

function measured({ slo, total, bad }: Objective): Rule[] {
  return [
    { record: "postrider:slo_total:increase5m", expr: total, labels: { slo } },
    { record: "postrider:slo_bad:increase5m", expr: bad, labels: { slo } },
  ];
}

function windows(): Rule[] {
  const summed = (what: string, window: string, source: string): string =>
    `sum_over_time(postrider:slo_${what}:${source}[${window}:${STEP[source] ?? source}])`;
  const allowed = "on (slo) group_left () (1 - postrider:slo_objective)";
  const shareOf = (window: string, source: string): string => `${summed("bad", window, source)} / (${summed("total", window, source)} > 0)`;
  return [
    { record: "postrider:slo_total:increase1h", expr: summed("total", "1h", "increase5m") },
    { record: "postrider:slo_bad:increase1h", expr: summed("bad", "1h", "increase5m") },
    {
      record: "postrider:slo_burn:5m",
      expr: `postrider:slo_bad:increase5m / (postrider:slo_total:increase5m > 0) / ${allowed}`,
    },
    ...WINDOWS.map(([window, source]) => ({
      record: `postrider:slo_burn:${window}`,
      expr: `${shareOf(window, source)} / ${allowed}`,
    })),
    { record: "postrider:slo_budget_left:30d", expr: `1 - ${shareOf("30d", "increase1h")} / ${allowed}` },
  ];
}

/** Both windows of a pair must burn: the long one says that it matters, the short one that it has not ended. */
interface Pair {
  readonly long: string;
  readonly short: string;
  readonly factor: number;
  readonly source: "increase5m" | "increase1h";
}

const PAGE: readonly Pair[] = [
  { long: "1h", short: "5m", factor: 14.4, source: "increase5m" },
  { long: "6h", short: "30m", factor: 6, source: "increase5m" },
];
const TICKET: readonly Pair[] = [
  { long: "1d", short: "2h", factor: 3, source: "increase1h" },
  { long: "3d", short: "6h", factor: 1, source: "increase1h" },
];

function alertsOf({ slo, alert, pages, title, target, summary, description }: Objective): Rule[] {
  const burning = ({ long, short, factor, source }: Pair): string => {
    const of = `{slo="${slo}"}`;
    const bad = `sum_over_time(postrider:slo_bad:${source}${of}[${long}:${STEP[source] ?? ""}])`;
    const over = (window: string): string => `postrider:slo_burn:${window}${of} > ${String(factor)}`;
    return `(${over(long)} and ${over(short)} and ${bad} >= on () group_left () postrider:slo_bad_events_min)`;
  };
  const rule = (severity: string, lasting: string, pairs: readonly Pair[]): Rule => ({
    alert,
    expr: pairs.map(burning).join(" or "),
    for: lasting,
    labels: { severity, slo },
    annotations: {
      summary,
      description: `${description} The objective "${title}" (${String(target * 100)} % unless the chart's values say otherwise) uses up its budget {{ $value | humanize }} times as fast as it may.`,
      runbook_url: `${RUNBOOK_BASE_URL}/${alert}`,
    },
  });
  return [...(pages ? [rule("critical", "2m", PAGE)] : []), rule("warning", "15m", TICKET)];
}
