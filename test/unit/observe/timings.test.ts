import { Histogram, Registry } from "prom-client";
import { expect, it } from "vitest";
import { Timings } from "../../../src/observe/timings.ts";

const BUCKETS = [0.001, 0.5, 1, 30];
const SECONDS = [0, 0.001, 0.0011, 0.5, 0.75, 1, 29, 30, 31, 4_000];

/** Lines in any order of their labels. */
function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(",").toSorted().join(",")}}`))
    .toSorted();
}

it.each([
  { labelNames: [], values: [] },
  { labelNames: ["namespace"], values: ["shop"] },
  { labelNames: ["namespace", "subscription"], values: ["shop", 'a "name"\\'] },
])("shows what the library's own histogram shows, with labels $labelNames", async ({ labelNames, values }) => {
  const [ours, theirs] = [new Registry(), new Registry()];
  const options = { name: "took_seconds", help: "How long.", labelNames, buckets: BUCKETS };
  const timings = new Timings(options);
  ours.registerMetric(timings as never);
  const histogram = new Histogram({ ...options, registers: [theirs] });
  expect(linesOf(await ours.metrics())).toEqual(linesOf(await theirs.metrics()));
  for (const seconds of SECONDS) {
    timings.observe(seconds, ...(values as [string?, string?]));
    histogram.observe(Object.fromEntries(labelNames.map((name, i) => [name, values[i] ?? ""])), seconds);
  }
  expect(linesOf(await ours.metrics())).toEqual(linesOf(await theirs.metrics()));
});
