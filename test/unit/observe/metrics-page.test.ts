import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");

it("docs/metrics.md lists exactly the metrics there are, with their kinds and labels", async () => {
  const registered = (await new Metrics({ version: "test", defaults: false }).registry.getMetricsAsJSON()).map(
    ({ name, type }) => `${name} ${String(type)}`,
  );
  const listed = [...page.matchAll(/^\| `(postrider_\w+)`\s*\|\s*(\w+)\s*\|/gm)].map(([, name, kind]) => `${name} ${kind}`);
  expect(listed.toSorted()).toEqual(registered.toSorted());
});
