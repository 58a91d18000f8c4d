import { InvalidArgumentError } from "commander";
import { isDay } from "../../core/instant.ts";
import { durationText, parseDuration } from "../../lib/duration.ts";
import { shown, type Shown } from "../terminal.ts";

/** A moment as it was given to `--since` or `--until`. */
export interface Moment {
  readonly text: string;
  readonly atMs: number;
}

/** The operator's clock and this machine's differ. */
export interface ClockSkew {
  readonly operatorAheadMs: number;
}

const DAY_MS = 86_400_000;
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/**
 * `2h`, `90m`, `3d`: how long ago. `02:00`, `02:00:30`: when it last was that late, by this machine's zone. RFC 3339: exactly then. Fixed once, so that all
 * pages of a list mean the same moment.
 */
export function moment(nowMs: () => number): (text: string) => Moment {
  return (text) => {
    const atMs = momentMs(text, nowMs());
    if (atMs === undefined)
      throw new InvalidArgumentError("expected how long ago (30m, 2h, 3d), a time of day (02:00) or a time such as 2026-01-02T03:04:05Z.");
    return { text, atMs };
  };
}

/** Undefined for what is no time. */
export function momentMs(text: string, nowMs: number): number | undefined {
  const days = /^(\d{1,5})d$/.exec(text)?.[1];
  const agoMs = days === undefined ? parseDuration(text) : Number(days) * DAY_MS;
  if (agoMs !== undefined) return nowMs - agoMs;
  const clock = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(text);
  if (clock !== null) return lastTimeOfDay([Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0)], nowMs);
  const [, year = "", month = "", day = ""] = RFC_3339.exec(text) ?? [];
  return isDay(Number(year), Number(month), Number(day)) ? Date.parse(text.toUpperCase()) : undefined;
}

/** In a night in which the clock is put forward an hour that does not exist means the one after it. */
function lastTimeOfDay([hours, minutes, seconds]: readonly [number, number, number], nowMs: number): number {
  const at = new Date(nowMs);
  at.setHours(hours, minutes, seconds, 0);
  if (at.getTime() > nowMs) {
    at.setDate(at.getDate() - 1);
    at.setHours(hours, minutes, seconds, 0);
  }
  return at.getTime();
}

/** What was understood, for stderr; and whether this machine's clock can be trusted with it. */
export function momentLines(moments: Readonly<Record<string, Moment | undefined>>, skew: ClockSkew | undefined): Shown[] {
  const relative = Object.entries(moments).filter(([, given]) => given !== undefined && !RFC_3339.test(given.text));
  const lines = relative.map(([flag, given]) => shown`${flag} ${given?.text ?? ""} is ${rfc3339(given?.atMs ?? 0)}`);
  if (skew === undefined || relative.length === 0) return lines;
  const { operatorAheadMs } = skew;
  const word = operatorAheadMs > 0 ? "behind" : "ahead of";
  return [
    ...lines,
    shown`this machine's clock is ${durationText(Math.round(Math.abs(operatorAheadMs) / 1_000) * 1_000)} ${word} the operator's: give --since and --until as RFC 3339`,
  ];
}

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

/** How people read times: with the date, to the second; in this machine's zone, or in UTC with a Z. */
export function timeText(time: unknown, utc: boolean): string {
  const ms = typeof time === "string" ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms)) return "";
  const at = new Date(ms);
  if (utc) return `${at.toISOString().slice(0, 19).replace("T", " ")}Z`;
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A length for people, in at most two units: `1 h 12 min`, `18 s`, `3 d 4 h`. Never below 0: clocks differ. */
export function lengthText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d${hours > 0 ? ` ${hours} h` : ""}`;
  if (hours > 0) return `${hours} h${minutes > 0 ? ` ${minutes} min` : ""}`;
  if (minutes > 0) return `${minutes} min${seconds % 60 > 0 ? ` ${seconds % 60} s` : ""}`;
  return `${seconds} s`;
}
