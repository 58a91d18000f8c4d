import { TROUBLES } from "./trouble-series.ts";

/** The table of docs/monitoring.md, line by line, made of what the tests hold the dashboards to. */
export const FIRST_SCREEN_LINES: readonly string[] = [
  "| trouble | is it delivering? | us or them? | since when? | who, and in which state |",
  ...TROUBLES.map(({ name, delivering, whose, sinceMinutes, who }) => {
    const states = [...new Set(Object.values(who))].map((state) =>
      Object.keys(who).length > 2 ? `${String(Object.keys(who).length)} × ${state}` : state,
    );
    return `| ${[name, delivering, whose, sinceMinutes === 0 ? "–" : `${String(sinceMinutes)} min`, states.join(", ") || "–"].join(" | ")} |`;
  }),
];
