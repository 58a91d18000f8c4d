import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { programsFor } from "./programs.ts";

/** Series by name and labels, with their samples as promtool writes them: `_` is no sample, `stale` the end of a series (a failed scrape). */
export type Series = Readonly<Record<string, string>>;

/** What an expression answers at a time. */
export interface Check {
  readonly expr: string;
  readonly eval_time: string;
  readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
}

/** promtool, or undefined where it cannot be built; then tests that need it are skipped, loudly. */
export const PROMTOOL: string | undefined = (await programsFor("the rules", ["promtool"]))?.promtool;

/** What `promtool check rules` says against a file, or undefined. Duplicate rules and unknown fields count. */
export function lintComplaint(file: string): string | undefined {
  return failure(["check", "rules", "--lint=all", "--lint-fatal", file]);
}

/** What `promtool test rules` says against checks of one history, or undefined when everything is as expected. Rules run once per `interval`. */
export function storyComplaint(rules: readonly string[], series: Series, checks: readonly Check[], interval = "1m"): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "postrider-rules-"));
  try {
    const file = join(folder, "tests.yaml");
    const inputs = Object.entries(series).map(([name, values]) => ({ series: name, values }));
    const tests = [{ interval, input_series: inputs, promql_expr_test: checks }];
    writeFileSync(file, stringify({ rule_files: rules, evaluation_interval: interval, tests }, { lineWidth: 0 }));
    return failure(["test", "rules", file]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What `promtool check metrics` says against a page of metrics, or undefined. */
export function metricsComplaint(page: string): string | undefined {
  return failure(["check", "metrics"], page);
}

function failure(args: readonly string[], input = ""): string | undefined {
  if (PROMTOOL === undefined) throw new Error("promtool was not built: skip what needs it");
  const { status, stdout, stderr } = spawnSync(PROMTOOL, args, { encoding: "utf8", input });
  return status === 0 ? undefined : `${stdout}${stderr}`;
}
