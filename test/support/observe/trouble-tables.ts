import { SHOP_ROWS } from "./trouble-rows.ts";
import { TROUBLES } from "./trouble-series.ts";

/** The two tables of docs/monitoring.md, line by line, made of what the tests hold the dashboards and the alerts to. */

export const FIRST_SCREEN_LINES: readonly string[] = [
  "| trouble | is it delivering? | us or them? | since when? | who, and in which state |",
  ...TROUBLES.map(({ name, delivering, whose, sinceMinutes, who }) => {
    const states = [...new Set(Object.values(who))].map((state) =>
      Object.keys(who).length > 2 ? `${String(Object.keys(who).length)} × ${state}` : state,
    );
    return `| ${[name, delivering, whose, sinceMinutes === 0 ? "–" : `${String(sinceMinutes)} min`, states.join(", ") || "–"].join(" | ")} |`;
  }),
];

export const ALERT_LINES: readonly string[] = [
  "| trouble | alerts |",
  ...SHOP_ROWS.map(({ trouble, alerts }) => `| ${trouble} | ${alerts.map((name) => `\`Postrider${name}\``).join(", ") || "none"} |`),
  "| the disk is full, and no producer has met it | `PostriderDiskFull` |",
];
