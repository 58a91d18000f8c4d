import { describe, expect, it } from "vitest";
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
import { PROMTOOL, storyComplaint } from "../../support/observe/rule-tests.ts";
import type { Check } from "../../support/observe/rule-tests.ts";
import { TROUBLES, WELL } from "../../support/observe/trouble-series.ts";

/** Everything begins an hour before it is looked at. */
const SEEN_AT = "120m";

const filled = (expr: string): string => expr.replaceAll("$job", ".*").replaceAll("$namespace", ".*");

function codeOf(meanings: Readonly<Record<string, Meaning>>, text: string): number {
  const [code] = Object.entries(meanings).find(([, meaning]) => meaning.text === text) ?? [];
  if (code === undefined) throw new Error(`no value means "${text}"`);
  return Number(code);
}

describe.skipIf(PROMTOOL === undefined)("the first screen", () => {
  const is = (expr: string, value: number): Check => ({
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
    expect(storyComplaint([], { ...WELL, ...series }, checks)).toBeUndefined();
  });
});
