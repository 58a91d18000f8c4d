import { parseHttpDate } from "./http-date.ts";

/**
 * Retry-After (RFC 9110, 10.2.3) as ms from now, clamped to `maxMs`; undefined when there is none that can be read, or when `maxMs` is 0. Seconds are
 * digits alone (`Date.parse` takes "-5" for a date), a date is any HTTP-date and counts from the answer's own Date, so that a receiver's clock may be
 * wrong; one in the past is 0. The field has one value: of several, in one line or more, the longest counts, because peace was asked for.
 * `value`: the field's line, or each of its lines.
 */
export function parseRetryAfter(
  value: string | readonly string[] | undefined,
  nowMs: number,
  maxMs: number,
  date?: string,
): number | undefined {
  if (value === undefined || maxMs <= 0) return undefined;
  const answeredMs = date === undefined ? nowMs : (parseHttpDate(date.trim(), nowMs) ?? nowMs);
  const waits = (typeof value === "string" ? [value] : value).flatMap((line) => waitsIn(line, answeredMs));
  return waits.length === 0 ? undefined : Math.min(Math.max(...waits), maxMs);
}

/** Every wait in a line: the whole of it, or the members of a list. A comma may also be a date's. */
function waitsIn(line: string, answeredMs: number): readonly number[] {
  const whole = waitOf(line, answeredMs);
  if (whole !== undefined) return [whole];
  const parts = line.split(",");
  return parts.flatMap((part, i) => waitOf(part, answeredMs) ?? waitOf(`${part},${parts[i + 1] ?? ""}`, answeredMs) ?? []);
}

function waitOf(value: string, answeredMs: number): number | undefined {
  const text = value.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  const atMs = parseHttpDate(text, answeredMs);
  return atMs === undefined ? undefined : Math.max(0, atMs - answeredMs);
}

/**
 * How long a retryable answer pauses its subscription, ms: as long as the receiver asked for, at most the policy's `retryAfterMax`, of which 0 ignores
 * the header.
 */
export function pauseFor(retryAfterMs: number | undefined, maxMs: number): number | undefined {
  return retryAfterMs === undefined || retryAfterMs <= 0 || maxMs <= 0 ? undefined : Math.min(retryAfterMs, maxMs);
}

/** When a pause ends that is asked for now, while another one may hold: an answer that was on its way does not shorten what a later one asked for. */
export function pauseUntilMs(nowMs: number, pauseMs: number, heldUntilMs: number | undefined): number {
  return Math.max(heldUntilMs ?? 0, nowMs + pauseMs);
}
