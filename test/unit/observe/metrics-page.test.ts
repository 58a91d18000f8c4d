import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");

/** `name kind label, label` of each row of the page. */
function listed(text: string): string[] {
  const rows = text.matchAll(/^\| `(postrider_\w+)`\s*\|\s*(\w+)\s*\|\s*([\w, ]*?)\s*\|/gm);
  return [...rows].map(([, name, kind, labels]) => `${name} ${kind} ${labels}`.trim()).toSorted();
}

async function registered(): Promise<string[]> {
  const metrics = await new Metrics({ version: "test", defaults: false }).described();
  return metrics.map(({ name, kind, labelNames }) => `${name} ${kind} ${labelNames.join(", ")}`.trim()).toSorted();
}

it("docs/metrics.md lists exactly the metrics there are, with their kinds and labels", async () => {
  expect(listed(page)).toEqual(await registered());
});

it.each([
  ["a metric that is not listed", page.replace("| `postrider_circuit_open`", "| postrider_circuit_open")],
  [
    "a listed metric that is not there",
    page.replace("| `postrider_circuit_open`", "| `postrider_gone` | gauge | | x |\n| `postrider_circuit_open`"),
  ],
  ["another kind", page.replace(/(`postrider_circuit_open` +\| )gauge/, "$1counter")],
  ["a label that is not named", page.replace(/(`postrider_circuit_open` +\| gauge +\| )namespace, /, "$1")],
])("and the test sees %s", async (_, changed) => {
  expect(changed).not.toBe(page);
  expect(listed(changed)).not.toEqual(await registered());
});
