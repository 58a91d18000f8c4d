import { assert } from "./assert.ts";

/** GEP-2257, as the schemas of the custom resources have it. */
export const DURATION_PATTERN = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
const DURATION = new RegExp(DURATION_PATTERN);
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** Milliseconds of a duration such as `1h30m` or `500ms` (GEP-2257: at most four numbers, each of at most five digits); undefined for other text. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit = ""] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(count) * (UNIT_MS[unit] ?? 0);
  return total;
}

const UNITS = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

/** The shortest way to write a whole number of milliseconds: 5_400_000 is `1h30m`. */
export function durationText(ms: number): string {
  let rest = Math.round(ms);
  let text = "";
  for (const [unit, length] of UNITS) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === "" ? "0s" : text;
}

/** The same for text that a schema has accepted. */
export function durationMs(text: string): number {
  const ms = parseDuration(text);
  assert(ms !== undefined, `not a GEP-2257 duration: ${text.slice(0, 64)}`);
  return ms;
}

/** The same for an optional field. */
export function optionalDurationMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : durationMs(text);
}
