import { stringify } from "yaml";
import { ruleGroups } from "./alerts.ts";
import { fleetDashboard } from "./fleet-dashboard.ts";
import { subscriptionDashboard } from "./subscription-dashboard.ts";

/** The dashboards and rules that the chart installs; they can also be imported by hand. */
export function monitoringFiles(): [path: string, content: string][] {
  const json = (value: object): string => `${JSON.stringify(value, undefined, 1)}\n`;
  return [
    ["charts/postrider/dashboards/fleet.json", json(fleetDashboard())],
    ["charts/postrider/dashboards/subscription.json", json(subscriptionDashboard())],
    [
      "charts/postrider/rules/alerts.yaml",
      `# Generated from scripts/monitoring/alerts.ts by \`npm run generate\`.\n${stringify(ruleGroups(), { lineWidth: 0 })}`,
    ],
  ];
}
