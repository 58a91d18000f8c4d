import type { Series } from "./rule-tests.ts";

/** A story in which one alert fires, and clears again. Times are minutes unless `interval` says otherwise; series as promtool writes them. */
export interface Story {
  readonly series: Series;
  /** Labels that the alert has beside its name and severity. */
  readonly labels: string;
  readonly fires: string;
  readonly clear: string;
  readonly interval?: string;
}

export const JOB = 'job="postrider"';
/** One Pod, and the one that replaces it. */
export const POD_A = 'job="postrider",instance="a:9090"';
export const POD_B = 'job="postrider",instance="b:9090"';
export const ONE = 'namespace="shop",subscription="orders"';
