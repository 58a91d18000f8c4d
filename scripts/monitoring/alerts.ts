/** Where the runbooks are published; the chart's value prometheusRule.runbookBaseURL replaces it. */
export const RUNBOOK_BASE_URL = "https://postrider.dev/runbooks";

/** One alert: what is wrong, for how long, and what its reader is told first. */
export interface Alert {
  /** Also the name of its page in docs/runbooks. */
  readonly name: string;
  readonly expr: string;
  readonly for: string;
  /** critical: somebody's events are being lost or refused now. warning: somebody must look within a day. */
  readonly severity: "critical" | "warning";
  readonly summary: string;
  readonly description: string;
}

const SUBSCRIPTION = "{{ $labels.namespace }}/{{ $labels.subscription }}";

/** One of several installations that is gone is missed for this long; a whole weekend, for who removes one for good can silence it. */
const ABSENT_SEEN_WITHIN = "3d";

/** An installation that waits for its class reads nothing, and has an alert of its own. */
const UNLESS_IT_WAITS = "unless on (job, instance) max_over_time(postrider_class_held[2m]) == 0";

/** Every alert of Postrider, in the order of urgency. */
export const ALERTS: readonly Alert[] = [
  {
    name: "PostriderAbsent",
    expr: `group by (namespace, job) (last_over_time(postrider_build_info[${ABSENT_SEEN_WITHIN}])) unless group by (namespace, job) (postrider_build_info) or absent(last_over_time(postrider_build_info[${ABSENT_SEEN_WITHIN}]))`,
    for: "5m",
    severity: "critical",
    summary: "{{ with $labels.job }}The Postrider {{ . }} is{{ else }}Postrider is{{ end }} absent.",
    description:
      "{{ with $labels.namespace }}In namespace {{ . }}, it{{ else }}It{{ end }} has not been scraped for 5 minutes: events cannot be accepted, and nothing is delivered.",
  },
  {
    name: "PostriderIngestFailing",
    expr: 'sum by (namespace, job) (rate(postrider_ingest_requests_total{code=~"500|503|507"}[5m])) / sum by (namespace, job) (rate(postrider_ingest_requests_total[5m])) > 0.01',
    for: "5m",
    severity: "critical",
    summary: "Events are refused.",
    description:
      "{{ $value | humanizePercentage }} of the requests to the ingest are answered 500, 503 or 507. Producers must retry or lose events.",
  },
  {
    name: "PostriderDiskFull",
    expr: "postrider_store_free_bytes < postrider_store_free_min_bytes",
    for: "1m",
    severity: "critical",
    summary: "The store's disk is full.",
    description:
      "{{ $value | humanize1024 }}B are free on the store's disk, less than --store-free-min: events are refused with 507. Deliveries continue.",
  },
  {
    name: "PostriderDiskFillingUp",
    expr: "postrider_store_free_bytes / (postrider_store_free_bytes + postrider_store_size_bytes) < 0.2 and predict_linear(postrider_store_free_bytes[6h], 24 * 3600) < 0",
    for: "30m",
    severity: "warning",
    summary: "The store's disk will be full within a day.",
    description: "{{ $value | humanizePercentage }} of the store's disk is free, and at the pace of the last 6 hours it is full within 24.",
  },
  {
    name: "PostriderNamespaceStorageNearlyFull",
    expr: "postrider_store_namespace_bytes / postrider_store_namespace_limit_bytes > 0.8",
    for: "10m",
    severity: "warning",
    summary: "The namespace {{ $labels.namespace }} has nearly used up its storage.",
    description:
      "It uses {{ $value | humanizePercentage }} of its limit; at 100 % its events are refused with 429. Shorten its retention, or raise limits.storage of the cluster policy.",
  },
  {
    name: "PostriderLogLong",
    expr: "postrider_store_log_bytes > 128 * 1024 * 1024",
    for: "10m",
    severity: "warning",
    summary: "The store's write-ahead log keeps growing.",
    description:
      "It is {{ $value | humanize1024 }}B long and should stay below 64 MiB: something keeps the database open for reading, or the disk is too slow for the writes.",
  },
  {
    name: "PostriderRowsForgotten",
    expr: "increase(postrider_forgotten_rows_total[1h]) > 0",
    for: "0m",
    severity: "warning",
    summary: "Postrider had forgotten open deliveries.",
    description:
      "{{ $value | humanize }} due deliveries were missing in memory. They were found in the store and sent, up to two minutes late. This is a defect: please report it.",
  },
  {
    name: "PostriderCommitSlow",
    expr: "histogram_quantile(0.99, sum by (namespace, job, le) (rate(postrider_store_commit_duration_seconds_bucket[10m]))) > 1",
    for: "10m",
    severity: "warning",
    summary: "The store commits slowly.",
    description: "The slowest 1 % of commits take {{ $value | humanizeDuration }}. Every accepted event waits for one.",
  },
  {
    name: "PostriderEventLoopBlocked",
    expr: "postrider_event_loop_lag_seconds > 0.5",
    for: "10m",
    severity: "warning",
    summary: "The process cannot keep up.",
    description: "The event loop is late by {{ $value | humanizeDuration }} (99th percentile): so is every answer and every delivery.",
  },
  {
    name: "PostriderCertificateExpiring",
    expr: "postrider_tls_certificate_not_after_seconds - time() < 14 * 24 * 3600 and postrider_tls_certificate_not_after_seconds - time() < 0.25 * (postrider_tls_certificate_not_after_seconds - postrider_tls_certificate_not_before_seconds)",
    for: "15m",
    severity: "warning",
    summary: "The certificate of the {{ $labels.listener }} port expires soon and was not renewed.",
    description:
      "It expires in {{ $value | humanizeDuration }}, after three quarters of its life and within 14 days. Clients then refuse to connect. A new file is served within 10 seconds.",
  },
  {
    name: "PostriderCertificateRejected",
    expr: "postrider_tls_certificate_rejected == 1",
    for: "10m",
    severity: "warning",
    summary: "The certificate files of the {{ $labels.listener }} port cannot be used.",
    description:
      "The previous certificate stays in force, but a Pod that starts now refuses the files and does not become ready: then nothing is accepted or delivered. The log line certificate.rejected and /readyz?verbose name the file and what is wrong with it.",
  },
  {
    name: "PostriderRestarting",
    expr: "changes(process_start_time_seconds[30m]) * on (job, instance) group_left () postrider_build_info > 3",
    for: "5m",
    severity: "warning",
    summary: "Postrider restarts again and again.",
    description: "{{ $value }} restarts in 30 minutes. Accepted events are kept, but attempts in flight are repeated.",
  },
  {
    name: "PostriderSubscriptionNotReady",
    expr: "postrider_subscription_ready == 0",
    for: "15m",
    severity: "warning",
    summary: `The subscription ${SUBSCRIPTION} is not ready.`,
    description: "Its manifest is rejected, or a Secret or policy that it names is missing. Matching events wait until their maxAge.",
  },
  {
    name: "PostriderEndpointFailing",
    expr: 'sum by (namespace, subscription) (rate(postrider_delivery_attempts_total{outcome!="success"}[15m])) / sum by (namespace, subscription) (rate(postrider_delivery_attempts_total[15m])) > 0.5',
    for: "15m",
    severity: "warning",
    summary: `The receiver of ${SUBSCRIPTION} fails.`,
    description: "{{ $value | humanizePercentage }} of the attempts of the last 15 minutes did not succeed.",
  },
  {
    name: "PostriderCircuitOpen",
    expr: "max_over_time(postrider_circuit_open[10m]) == 1",
    for: "30m",
    severity: "warning",
    summary: `The circuit of ${SUBSCRIPTION} is open.`,
    description: "It has been open for half an hour: one probe at a time checks whether the receiver is back.",
  },
  {
    name: "PostriderBacklogOld",
    expr: "postrider_oldest_pending_age_seconds > 6 * 3600",
    for: "15m",
    severity: "warning",
    summary: `Deliveries of ${SUBSCRIPTION} wait for hours.`,
    description: "The oldest has waited {{ $value | humanizeDuration }}. At the policy's retry.maxAge it fails for good.",
  },
  {
    name: "PostriderDeliveriesFailed",
    expr: 'sum by (namespace, subscription) (increase(postrider_deliveries_total{outcome="failed"}[15m])) > 0',
    for: "0m",
    severity: "warning",
    summary: `Deliveries of ${SUBSCRIPTION} failed for good.`,
    description: "About {{ $value | humanize }} in the last 15 minutes. They are in the dead-letter store and can be sent again.",
  },
  {
    name: "PostriderFilterErrors",
    expr: "sum by (namespace, subscription) (increase(postrider_filter_errors_total[15m])) > 0",
    for: "5m",
    severity: "warning",
    summary: `The filter of ${SUBSCRIPTION} fails.`,
    description: "For about {{ $value | humanize }} events of the last 15 minutes it could not be evaluated: they counted as no match.",
  },
  {
    name: "PostriderEventsUnmatched",
    expr: "sum by (namespace) (rate(postrider_events_unmatched_total[1h])) / sum by (namespace) (rate(postrider_events_accepted_total[1h])) > 0.9 and sum by (namespace) (increase(postrider_events_accepted_total[1h])) > 100",
    for: "1h",
    severity: "warning",
    summary: "Nearly no event of {{ $labels.namespace }} matches a subscription.",
    description:
      "{{ $value | humanizePercentage }} of its events matched no subscription: check for a mistyped pattern or a removed subscription.",
  },
  {
    name: "PostriderClassNotHeld",
    expr: "max_over_time(postrider_class_held[2m]) == 0",
    for: "5m",
    severity: "critical",
    summary: "This installation of Postrider does not serve its class.",
    description:
      "Another installation holds the Lease of the class, or the Lease cannot be read: events are answered 503 and nothing is delivered. If the API server was away at the start, events are accepted and wait. The line class of /readyz on the metrics port names the cause and the fix.",
  },
  {
    name: "PostriderManifestsNotRead",
    expr: `max_over_time(postrider_watch_synced{scope="*"}[2m]) == 0 ${UNLESS_IT_WAITS}`,
    for: "5m",
    severity: "critical",
    summary: "Postrider cannot read every {{ $labels.kind }}.",
    description:
      "What it knew before stays in force, and changes do not arrive. If it has been restarted since, stored subscriptions match events but nothing is delivered until this is fixed; without a store events are refused. /readyz on the metrics port names the cause.",
  },
  {
    name: "PostriderNamespaceNotRead",
    expr: `max_over_time(postrider_watch_synced{scope!="*"}[2m]) == 0 ${UNLESS_IT_WAITS}`,
    for: "15m",
    severity: "warning",
    summary: "Postrider cannot read every {{ $labels.kind }} of namespace {{ $labels.scope }}.",
    description:
      "Only this namespace waits: it does not exist, or a permission is missing there. /readyz on the metrics port names the cause and the fix.",
  },
  {
    name: "PostriderManifestsStale",
    expr: "max by (namespace, job, kind) (postrider_watch_last_event_seconds) > 300",
    for: "1m",
    severity: "warning",
    summary: "Postrider has not heard of any {{ $labels.kind }} for {{ $value | humanizeDuration }}.",
    description:
      "The API server sends at least a bookmark every minute. What was read stays in force and deliveries continue, but no change arrives: an edit, a new key or a deletion has no effect. The line watches of /readyz on the metrics port names the cause.",
  },
  {
    name: "PostriderReconcileFailing",
    expr: 'sum by (namespace, job) (increase(postrider_reconcile_total{result="error"}[15m])) > 5',
    for: "5m",
    severity: "warning",
    summary: "Manifests cannot be processed.",
    description:
      "About {{ $value | humanize }} reconciliations of the last 15 minutes failed. Known subscriptions stay in force; changes may not arrive.",
  },
  {
    name: "PostriderStatusNotWritten",
    expr: 'sum by (namespace, job) (rate(postrider_status_writes_total{result="failed"}[15m])) / sum by (namespace, job) (rate(postrider_status_writes_total[15m])) > 0.5',
    for: "15m",
    severity: "warning",
    summary: "kubectl shows stale data.",
    description: "{{ $value | humanizePercentage }} of the status writes fail. Deliveries continue; what kubectl get whsub shows is stale.",
  },
];

/** The rules file: read by Prometheus as it is, and by the chart's PrometheusRule as its spec. */
export function ruleGroups(): object {
  const rules = ALERTS.map(({ name, expr, for: lasting, severity, summary, description }) => ({
    alert: name,
    expr,
    for: lasting,
    labels: { severity },
    annotations: { summary, description, runbook_url: `${RUNBOOK_BASE_URL}/${name}` },
  }));
  return { groups: [{ name: "postrider", rules }] };
}
