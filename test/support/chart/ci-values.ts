import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parse } from "yaml";
import { CHART } from "./rendered-chart.ts";

/** The values of charts/postrider/ci, which together make every object of the chart: by the name of their file. */
export const CI_VALUES: readonly (readonly [name: string, values: object])[] = globSync("ci/*-values.yaml", { cwd: CHART })
  .sort()
  .map((file) => [basename(file, "-values.yaml"), parse(readFileSync(join(CHART, file), "utf8")) as object]);
