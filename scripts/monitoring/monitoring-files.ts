import type { Dashboard, Panel, RowPanel } from "@grafana/grafana-foundation-sdk/dashboard";
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

/** Rows of the fleet dashboard that are closed at first: they are opened when the machine is in trouble. */
const CLOSED: ReadonlySet<string> = new Set(["Process", "Kubernetes"]);

/** The builders give every row the id 0 and hide links in a menu: numbers make an address of a panel last, and a link above the panels is seen. */
function importable(dashboard: Dashboard): object {
  let id = 0;
  const numbered = (panel: Panel | RowPanel): object => {
    id++;
    return { ...panel, id, ...("panels" in panel ? { panels: panel.panels.map(numbered) } : {}) };
  };
  return {
    ...dashboard,
    links: dashboard.links?.map((link) => ({ ...link, placement: undefined })),
    panels: closed(dashboard.panels ?? []).map(numbered),
  };
}

/** What follows a row that is closed is in it, and takes no room: what comes after moves up. */
function closed(panels: readonly (Panel | RowPanel)[]): (Panel | RowPanel)[] {
  const shown: (Panel | RowPanel)[] = [];
  let inside: Panel[] | undefined;
  let [insideFrom, saved] = [0, 0];
  for (const panel of panels) {
    const { x = 0, y = 0, w = 24, h = 1 } = panel.gridPos ?? {};
    const isRow = "panels" in panel;
    if (isRow) {
      if (inside !== undefined) saved += y - insideFrom;
      inside = CLOSED.has(panel.title ?? "") ? [] : undefined;
      insideFrom = y + h;
    }
    const moved = { ...panel, gridPos: { x, y: y - saved, w, h } };
    if (inside === undefined) shown.push(moved);
    else if ("panels" in moved) shown.push({ ...moved, collapsed: true, panels: inside });
    else inside.push(moved);
  }
  return shown;
}
