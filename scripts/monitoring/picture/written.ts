import type { PicturedPanel, Style } from "./answers.ts";

/** How Grafana writes values and paints names, as far as our panels use it. */

const HEX: Readonly<Record<string, string>> = {
  green: "#73bf69",
  yellow: "#fade2a",
  orange: "#ff9830",
  red: "#f2495c",
  blue: "#5794f2",
  purple: "#b877d9",
  text: "#9da5b4",
  "dark-yellow": "#e0b400",
  "dark-orange": "#fa6400",
  "dark-red": "#c4162a",
  "dark-blue": "#1f60c4",
  "dark-purple": "#8f3bb8",
};
/** For lines without a colour of their own, by turns. */
const PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#37872d"];

export function hexOf(name: string): string {
  return HEX[name] ?? name;
}

/** The colour of a line: one that the panel fixes for its name, or its turn's. */
export function lineColor(panel: PicturedPanel, name: string, index: number): string {
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    const color = properties.find(({ id }) => id === "color")?.value as { fixedColor: string } | undefined;
    if (color !== undefined && matcher.id === "byRegexp" && new RegExp(matcher.options).test(name)) return hexOf(color.fixedColor);
  }
  return PALETTE[index % PALETTE.length] ?? "#ffffff";
}

export function legendOf(format: string | undefined, labels: Readonly<Record<string, string>>): string {
  return (format ?? "").replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, label: string) => labels[label] ?? "");
}

/** A value in words, or with its unit. */
export function written(value: number, { unit, mappings }: Style): string {
  const meaning = mappings?.[0]?.options[String(value)];
  if (meaning !== undefined) return meaning.text;
  if (!Number.isFinite(value)) return "No data";
  if (unit === "percentunit") return `${short(value * 100)}%`;
  if (unit === "s") return duration(value);
  if (unit === "bytes") return scaled(value, 1_024, ["B", "KiB", "MiB", "GiB", "TiB"]);
  if (unit === "ops" || unit === "reqps") return `${short(value)} ${unit === "ops" ? "ops/s" : "req/s"}`;
  return scaled(value, 1_000, ["", "K", "M", "G"]);
}

/** The colour of a value: its meaning's, or the last threshold's that it reaches. */
export function valueColor(panel: PicturedPanel, value: number): string {
  const { mappings, thresholds } = panel.fieldConfig?.defaults ?? {};
  const meaning = mappings?.[0]?.options[String(value)];
  if (meaning !== undefined) return hexOf(meaning.color);
  const reached = (thresholds?.steps ?? []).filter((step) => step.value === null || value >= step.value);
  return hexOf(reached.at(-1)?.color ?? "text");
}

function short(value: number): string {
  if (value === 0) return "0";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

function scaled(value: number, factor: number, units: readonly string[]): string {
  let rest = value;
  let i = 0;
  while (Math.abs(rest) >= factor && i < units.length - 1) {
    rest /= factor;
    i++;
  }
  return `${short(rest)}${units[i] === "" ? "" : ` ${units[i] ?? ""}`}`.trim();
}

const LENGTHS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, "days"],
  [3_600, "hours"],
  [60, "mins"],
  [1, "s"],
  [0.001, "ms"],
  [0.000_001, "µs"],
];

function duration(seconds: number): string {
  if (seconds === 0) return "0 s";
  const [length, name] = LENGTHS.find(([least]) => Math.abs(seconds) >= least) ?? [1, "s"];
  return `${short(seconds / length)} ${name}`;
}
