import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { stringify } from "yaml";
import { alertmanagerConfig } from "./alertmanager.ts";
import { ruleGroups, thresholdTable } from "./alerts.ts";
import { fleetDashboard } from "./fleet-dashboard.ts";
import { sloGroups } from "./slo.ts";
import { subscriptionDashboard } from "./subscription-dashboard.ts";

/** The dashboards and rules that the chart installs; they can also be imported by hand. */
export function monitoringFiles(): [path: string, content: string][] {
  const json = (value: Dashboard): string => `${JSON.stringify(importable(value), undefined, 1)}\n`;
  return [
    ["charts/postrider/dashboards/fleet.json", json(fleetDashboard())],
    ["charts/postrider/dashboards/subscription.json", json(subscriptionDashboard())],
    rules("alerts", "alerts", ruleGroups()),
    rules("thresholds", "alerts", thresholdTable()),
    rules("slo", "slo", sloGroups()),
    rules("alertmanager", "alertmanager", alertmanagerConfig()),
  ];
}

function rules(name: string, source: string, groups: object): [path: string, content: string] {
  const head = `# Generated from scripts/monitoring/${source}.ts by \`npm run generate\`.`;
  return [`charts/postrider/rules/${name}.yaml`, `${head}\n${stringify(groups, { lineWidth: 0, aliasDuplicateObjects: false })}`];
}

/** The builders give every row the id 0 and hide links in a menu: numbers make an address of a panel last, and a link above the panels is seen. */
function importable(dashboard: Dashboard): object {
  return {
    ...dashboard,
    links: dashboard.links?.map((link) => ({ ...link, placement: undefined })),
    panels: dashboard.panels?.map((panel, i) => ({ ...panel, id: i + 1 })),
  };
}
