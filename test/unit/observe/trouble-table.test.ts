import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CLUSTER_ROWS } from "../../support/observe/trouble-cluster.ts";
import { SHOP_ROWS } from "../../support/observe/trouble-rows.ts";

const PAGE = join(import.meta.dirname, "../../../docs/monitoring.md");

it("the table of trouble in docs/monitoring.md is the one that npm run test:trouble makes, row by row", () => {
  const page = readFileSync(PAGE, "utf8");
  const cells = page
    .slice(page.indexOf("\n## Trouble and its alerts"))
    .split("\n")
    .filter((line) => line.startsWith("| ") && /^\| (none|the|a|an|one|each|every|no|suspended|\d+) ?/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const shown = (alerts: readonly string[]): string =>
    alerts.length === 0 ? "–" : alerts.map((name) => `\`Postrider${name}\``).join(", ");
  const rows = [...SHOP_ROWS, ...CLUSTER_ROWS].map(({ trouble, alerts }) => [trouble, shown(alerts)]);
  expect(cells.map(([, trouble, alerts]) => [trouble, alerts])).toEqual(rows);
});
