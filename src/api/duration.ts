import { assert } from "../lib/assert.ts";

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/**
 * Milliseconds of a GEP-2257 duration such as `1h30m` or `500ms`. Only for text that the schema has accepted.
 */
export function durationMs(text: string): number {
  assert(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text), `not a GEP-2257 duration: ${text.slice(0, 64)}`);
  let total = 0;
  for (const [, count = "", unit = ""] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(count) * (UNIT_MS[unit] ?? 0);
  return total;
}

/** The same for an optional field. */
export function optionalDurationMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : durationMs(text);
}
