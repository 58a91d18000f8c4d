import { total } from "../alert.ts";
import type { Alert } from "../alert.ts";

/** The namespace is at its limit. */
const THROTTLED = 'code=~"rate_limited|quota_exceeded|filters_too_costly"';
/** The request is wrong, or its caller: it will be refused again. */
const REFUSED =
  'code!~"rate_limited|quota_exceeded|filters_too_costly|reviews_unavailable|not_ready|stopping|overloaded|store_unavailable|outcome_unknown|disk_low|internal|request_timeout"';
const SERVED = `(${total("increase(postrider_events_accepted_total[15m])")} + ${total("increase(postrider_ingest_refused_total[15m])", "code")} or ${total("increase(postrider_ingest_refused_total[15m])", "code")})`;

function refused(codes: string): string {
  return total(`increase(postrider_ingest_refused_total{${codes}}[15m])`, "code");
}

/** What producers get. */
export const INGEST_ALERTS: readonly Alert[] = [
  {
    name: "PostriderIngestFailing",
    expr: `${total('rate(postrider_ingest_requests_total{code=~"500|503|507"}[5m])', "code")} / ${total("rate(postrider_ingest_requests_total[5m])", "code")} > %share%`,
    for: "5m",
    severity: "critical",
    summary: "Events are refused.",
    description:
      "{{ $value | humanizePercentage }} of the requests to the ingest are answered 500, 503 or 507. Producers must retry or lose events.",
    thresholds: { share: 0.01 },
    dashboard: "fleet",
  },
  {
    name: "PostriderProducerRefused",
    expr: `${refused(REFUSED)} / ${SERVED} > %share% and ${refused(REFUSED)} > %count%`,
    for: "0m",
    severity: "warning",
    summary: "A producer{{ with $labels.namespace }} of {{ . }}{{ end }} is refused.",
    description:
      "{{ $value | humanizePercentage }} of what it sent in the last 15 minutes was refused and will be refused again: a token that is not valid, a permission that is missing, an event that is malformed or too large. The log line ingest.refused and postrider_ingest_refused_total name the code.",
    thresholds: { share: 0.05, count: 10 },
    dashboard: "fleet",
  },
  {
    name: "PostriderProducerThrottled",
    expr: `${refused(THROTTLED)} / ${SERVED} > %share% and ${refused(THROTTLED)} > %count%`,
    for: "15m",
    severity: "warning",
    summary: "{{ with $labels.namespace }}The namespace {{ . }}{{ else }}A namespace{{ end }} sends more than it may.",
    description:
      "{{ $value | humanizePercentage }} of its requests are answered 429: its rate limit, its storage limit, or filters that cost too much. What it sends is lost unless it retries.",
    thresholds: { share: 0.1, count: 10 },
    dashboard: "fleet",
  },
  {
    name: "PostriderFilterErrors",
    expr: `${total("increase(postrider_filter_errors_total[15m])")} > 0`,
    for: "5m",
    severity: "warning",
    summary: "The filter of {{ $labels.namespace }}/{{ $labels.subscription }} fails.",
    description: "For about {{ $value | humanize }} events of the last 15 minutes it could not be evaluated: they counted as no match.",
    dashboard: "subscription",
  },
  {
    name: "PostriderEventsUnmatched",
    expr: `${total("rate(postrider_events_unmatched_total[1h])")} / ${total("rate(postrider_events_accepted_total[1h])")} > %share% and ${total("increase(postrider_events_accepted_total[1h])")} > %count%`,
    for: "1h",
    severity: "warning",
    summary: "Nearly no event of {{ $labels.namespace }} matches a subscription.",
    description:
      "{{ $value | humanizePercentage }} of its events matched no subscription: check for a mistyped pattern or a removed subscription.",
    thresholds: { share: 0.9, count: 100 },
    dashboard: "fleet",
  },
];
