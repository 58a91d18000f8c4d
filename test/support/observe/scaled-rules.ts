import { writeFileSync } from "node:fs";
import { stringify } from "yaml";
import { ALERTS, ruleGroups } from "../../../scripts/monitoring/alerts.ts";

/** How much faster than in life: windows below an hour, and those of hours, which would take too long otherwise. */
export interface Pace {
  readonly minutes: number;
  readonly hours: number;
}

const HOUR_SECONDS = 3_600;
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: HOUR_SECONDS, d: 24 * HOUR_SECONDS };
/** With a scrape each second a shorter window may hold one sample only. */
const WINDOW_SECONDS_MIN = 2;
/** Thresholds that are ages of a state; all others are sizes, shares or real delays, which trouble makes as large as in life. */
const AGES: Readonly<Record<string, readonly string[]>> = {
  PostriderManyReceiversFailing: ["within"],
  PostriderEndpointFailing: ["seconds", "until"],
  PostriderEndpointDown: ["seconds"],
  PostriderEndpointUnreliable: ["failing"],
  PostriderBacklogOld: ["seconds", "failing"],
  PostriderSendsLate: ["seconds"],
};

/** Writes the shipped rules with every window, `for`, and age divided. */
export function writeScaledRules(file: string, pace: Pace): void {
  for (const [name, ages] of Object.entries(AGES)) {
    const { thresholds = {} } = ALERTS.find((alert) => alert.name === name) ?? {};
    for (const age of ages) if (thresholds[age] === undefined) throw new Error(`${name} has no threshold ${age}`);
  }
  const scaled = ruleGroups(({ name, thresholds = {} }) =>
    Object.fromEntries(
      Object.entries(thresholds).map(([key, value]) => [key, AGES[name]?.includes(key) === true ? secondsAt(pace, value) : value]),
    ),
  ) as { groups: { rules: { expr: string; for: string }[] }[] };
  for (const rule of scaled.groups.flatMap((group) => group.rules)) {
    rule.expr = rule.expr
      .replaceAll(/\[(\d+[smhd])(:?)\]/g, (_, window: string, sub: string) => `[${scaledWindow(pace, window)}${sub === "" ? "" : ":1s"}]`)
      .replaceAll(/offset (\d+[smhd])/g, (_, window: string) => `offset ${scaledWindow(pace, window)}`);
    rule.for = rule.for === "0m" ? "0s" : scaledWindow(pace, rule.for);
  }
  writeFileSync(file, stringify(scaled, { lineWidth: 0 }));
}

/** A time of life, in seconds of the test. */
export function secondsAt({ minutes, hours }: Pace, seconds: number): number {
  return seconds / (seconds >= HOUR_SECONDS ? hours : minutes);
}

function scaledWindow(pace: Pace, window: string): string {
  const seconds = Number(window.slice(0, -1)) * (UNIT_SECONDS[window.slice(-1)] ?? 0);
  return `${Math.max(WINDOW_SECONDS_MIN, Math.round(secondsAt(pace, seconds)))}s`;
}
