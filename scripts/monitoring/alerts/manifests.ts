import { total, worst } from "../alert.ts";
import type { Alert } from "../alert.ts";

/** An installation that waits for its class reads nothing, and has an alert of its own. */
const READS = `unless ignoring (kind, scope) max_over_time(postrider_class_held[2m]) == 0`;

/** What Postrider reads from the API server or from files, and writes back. */
export const MANIFEST_ALERTS: readonly Alert[] = [
  {
    name: "PostriderClassNotHeld",
    expr: worst("max_over_time(postrider_class_held[2m]) == 0"),
    for: "5m",
    severity: "critical",
    summary: "This installation of Postrider does not serve its class.",
    description:
      "Another installation holds the Lease of the class, or the Lease cannot be read: events are answered 503 and nothing is delivered. If the API server was away at the start, events are accepted and wait. The line class of /readyz on the metrics port names the cause and the fix.",
    dashboard: "fleet",
  },
  {
    name: "PostriderManifestsNotRead",
    expr: worst(`max_over_time(postrider_watch_synced{scope="*"}[2m]) == 0 ${READS}`),
    for: "5m",
    severity: "critical",
    summary: "Postrider cannot read every {{ $labels.kind }}.",
    description:
      "What it knew before stays in force, and changes do not arrive. If it has been restarted since, stored subscriptions match events but nothing is delivered until this is fixed; without a store events are refused. /readyz on the metrics port names the cause.",
    dashboard: "fleet",
  },
  {
    name: "PostriderNamespaceNotRead",
    expr: worst(`max_over_time(postrider_watch_synced{scope!="*"}[2m]) == 0 ${READS}`),
    for: "15m",
    severity: "warning",
    summary: "Postrider cannot read every {{ $labels.kind }} of namespace {{ $labels.scope }}.",
    description:
      "Only this namespace waits: it does not exist, or a permission is missing there. /readyz on the metrics port names the cause and the fix.",
    dashboard: "fleet",
  },
  {
    name: "PostriderManifestsStale",
    expr: `${worst("postrider_watch_last_event_seconds")} > %seconds%`,
    for: "1m",
    severity: "warning",
    summary: "Postrider has not heard of any {{ $labels.kind }} for {{ $value | humanizeDuration }}.",
    description:
      "The API server sends at least a bookmark every minute. What was read stays in force and deliveries continue, but no change arrives: an edit, a new key or a deletion has no effect. The line watches of /readyz on the metrics port names the cause.",
    thresholds: { seconds: 300 },
    dashboard: "fleet",
  },
  {
    name: "PostriderManifestsRefused",
    expr: `${worst("postrider_manifests_refused")} > 0`,
    for: "5m",
    severity: "warning",
    summary: "Manifest files are rejected.",
    description:
      "{{ $value }} files or manifests cannot be used; their last good state stays in force, and one that is new has no effect. The log line manifest.refused names the file, the line and the fix; so does `postrider validate`.",
    dashboard: "fleet",
  },
  {
    name: "PostriderReconcileFailing",
    expr: `${total('increase(postrider_reconcile_total{result="error"}[15m])', "result")} > %count%`,
    for: "5m",
    severity: "warning",
    summary: "Manifests cannot be processed.",
    description:
      "About {{ $value | humanize }} reconciliations of the last 15 minutes failed. Known subscriptions stay in force; changes may not arrive.",
    thresholds: { count: 5 },
    dashboard: "fleet",
  },
  {
    name: "PostriderStatusNotWritten",
    expr: `${total('rate(postrider_status_writes_total{result="failed"}[15m])', "result")} / ${total("rate(postrider_status_writes_total[15m])", "result")} > %share%`,
    for: "15m",
    severity: "warning",
    summary: "kubectl shows stale data.",
    description: "{{ $value | humanizePercentage }} of the status writes fail. Deliveries continue; what kubectl get whsub shows is stale.",
    thresholds: { share: 0.5 },
    dashboard: "fleet",
  },
];
