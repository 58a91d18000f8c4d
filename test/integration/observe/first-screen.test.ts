import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import {
  DELIVERING,
  IS_IT_DELIVERING,
  SINCE_WHEN,
  STATE_MEANINGS,
  statesOf,
  US_OR_THEM,
  WHOSE,
} from "../../../scripts/monitoring/verdicts.ts";
import type { Meaning } from "../../../scripts/monitoring/colors.ts";
import { TROUBLES, WELL } from "../../support/observe/trouble-series.ts";

/** Everything begins an hour before it is looked at. */
const SEEN_AT = "120m";

const hasPromtool = spawnSync("promtool", ["--version"]).error === undefined;
if (!hasPromtool)
  process.stderr.write("SKIPPED: promtool is not on this machine, the first screen was not tried (Debian: apt install prometheus)\n");

const filled = (expr: string): string => expr.replaceAll("$job", ".*").replaceAll("$namespace", ".*");

function codeOf(meanings: Readonly<Record<string, Meaning>>, text: string): number {
  const [code] = Object.entries(meanings).find(([, meaning]) => meaning.text === text) ?? [];
  if (code === undefined) throw new Error(`no value means "${text}"`);
  return Number(code);
}

describe.skipIf(!hasPromtool)("the first screen", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "postrider-first-screen-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function complaint(series: Readonly<Record<string, string>>, checks: readonly object[]): string | undefined {
    const file = join(folder, "tests.yaml");
    const input = Object.entries(series).map(([name, values]) => ({ series: name, values }));
    const tests = [{ interval: "1m", input_series: input, promql_expr_test: checks }];
    writeFileSync(file, stringify({ rule_files: [], evaluation_interval: "1m", tests }));
    const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
    return status === 0 ? undefined : `${stdout}${stderr}`;
  }

  const is = (expr: string, value: number): object => ({
    expr: filled(expr),
    eval_time: SEEN_AT,
    exp_samples: [{ labels: "{}", value }],
  });

  it.each(TROUBLES)("answers the four questions: $name", ({ series, delivering, whose, who, sinceMinutes }) => {
    const rows = Object.entries(who).map(([subscription, text]) => {
      const [namespace = "", name = ""] = subscription.split("/");
      return { labels: `{namespace="${namespace}",subscription="${name}"}`, value: codeOf(STATE_MEANINGS, text) };
    });
    const troubled = rows.filter(({ value }) => value > 1).length;
    const checks = [
      is(IS_IT_DELIVERING, codeOf(DELIVERING, delivering)),
      is(US_OR_THEM, codeOf(WHOSE, whose)),
      is(`count(${statesOf('job=~"$job", namespace=~"$namespace"')} > 1) or vector(0)`, troubled),
      is(`round(${SINCE_WHEN} / 60)`, sinceMinutes),
      { expr: filled(statesOf('job=~"$job", namespace=~"$namespace"')), eval_time: SEEN_AT, exp_samples: rows },
    ];
    expect(complaint({ ...WELL, ...series }, checks)).toBeUndefined();
  });
});
