/**
 * `npm run dashboards:draw -- --prometheus URL` draws both dashboards, as SVG, from what a Prometheus has that scrapes Postrider and has
 * loaded its rules. It is no Grafana: the panels, queries, units, words and colours are those of the files, the drawing is ours.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dashboardPicture } from "./monitoring/picture/dashboard-picture.ts";
import type { PicturedDashboard } from "./monitoring/picture/dashboard-picture.ts";

const { values } = parseArgs({
  options: {
    prometheus: { type: "string" },
    out: { type: "string", default: "docs/pictures" },
    minutes: { type: "string", default: "180" },
    namespace: { type: "string", default: ".*" },
    subscription: { type: "string", default: "" },
    "rate-seconds": { type: "string", default: "120" },
  },
});
if (values.prometheus === undefined) {
  process.stderr.write(
    "--prometheus is missing: npm run dashboards:draw -- --prometheus http://127.0.0.1:9091 --subscription shop/orders\n",
  );
  process.exit(2);
}
const to = Math.floor(Date.now() / 1_000);
const range = { from: to - Number(values.minutes) * 60, to };
const [namespace = "", subscription = ""] = values.subscription.split("/");
const shared = { job: ".*", __rate_interval: values["rate-seconds"] };
const chosen = { fleet: { ...shared, namespace: values.namespace }, subscription: { ...shared, namespace, subscription } } as const;
mkdirSync(values.out, { recursive: true });
for (const [name, variables] of Object.entries(chosen)) {
  const file = join(import.meta.dirname, `../charts/postrider/dashboards/${name}.json`);
  const dashboard = JSON.parse(readFileSync(file, "utf8")) as PicturedDashboard;
  const picture = await dashboardPicture(dashboard, values.prometheus, range, variables);
  writeFileSync(join(values.out, `${name}.svg`), picture);
  process.stdout.write(`${join(values.out, `${name}.svg`)}\n`);
}
