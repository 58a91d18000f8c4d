import { filled } from "./alert.ts";
import type { Alert } from "./alert.ts";
import { INGEST_ALERTS } from "./alerts/ingest.ts";
import { MANIFEST_ALERTS } from "./alerts/manifests.ts";
import { PROCESS_ALERTS } from "./alerts/process.ts";
import { RECEIVER_ALERTS } from "./alerts/receivers.ts";
import { STORE_ALERTS } from "./alerts/store.ts";
import { FLEET_DASHBOARD, SUBSCRIPTION_DASHBOARD } from "./links.ts";

/** Where the runbooks are published; the chart's value prometheusRule.runbookBaseURL replaces it. */
export const RUNBOOK_BASE_URL = "https://postrider.dev/runbooks";
/** Grafana; the chart's value prometheusRule.dashboardBaseURL replaces it. */
const DASHBOARD_BASE_URL = "https://grafana.example.com";

/** Every alert of Postrider but those of the objectives (slo.ts). */
export const ALERTS: readonly Alert[] = [...PROCESS_ALERTS, ...STORE_ALERTS, ...INGEST_ALERTS, ...RECEIVER_ALERTS, ...MANIFEST_ALERTS];

/** The rules file: read by Prometheus as it is, and by the chart's PrometheusRule as its spec. */
export function ruleGroups(thresholdsOf: (alert: Alert) => Alert["thresholds"] = ({ thresholds }) => thresholds): object {
  const rules = ALERTS.map((alert) => ({
    alert: alert.name,
    expr: filled(alert, alert.expr, thresholdsOf(alert)),
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: {
      summary: alert.summary,
      description: filled(alert, alert.description, thresholdsOf(alert)),
      runbook_url: `${RUNBOOK_BASE_URL}/${alert.name}`,
      dashboard_url: `${DASHBOARD_BASE_URL}${dashboardOf(alert)}`,
    },
  }));
  return { groups: [{ name: "postrider", rules }] };
}

/** What the chart needs to put other thresholds in: the texts before they were filled in. */
export function thresholdTable(): object {
  const adjustable = ALERTS.filter(({ thresholds }) => thresholds !== undefined);
  return Object.fromEntries(adjustable.map(({ name, expr, description, thresholds }) => [name, { thresholds, expr, description }]));
}

/** Prometheus fills in the labels; `urlquery` makes the `#` of a dead-letter queue part of the value. */
function dashboardOf({ dashboard }: Alert): string {
  const variable = (label: string): string => `var-${label}={{ $labels.${label} | urlquery }}`;
  if (dashboard === "fleet") return `${FLEET_DASHBOARD}?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}`;
  return `${SUBSCRIPTION_DASHBOARD}?${["job", "namespace", "subscription"].map(variable).join("&")}`;
}
