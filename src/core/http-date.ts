import { isDay } from "./instant.ts";

const DAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAYS = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTH = "(?<month>[A-Z][a-z]{2})";
const TIME = "(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})";
/**
 * The three formats of RFC 9110, 5.6.7, all of which a recipient must read. Case matters, as it says there.
 * Beyond the grammar UTC is GMT and a day may have one digit ("robust in parsing timestamps"); the name of the day is not compared with the date.
 */
const FORMATS: readonly RegExp[] = [
  new RegExp(`^${DAYS}, (?<day>\\d{1,2}) ${MONTH} (?<year>\\d{4}) ${TIME} (?:GMT|UTC)$`),
  new RegExp(`^${LONG_DAYS}, (?<day>\\d{1,2})-${MONTH}-(?<year>\\d{2}) ${TIME} (?:GMT|UTC)$`),
  new RegExp(`^${DAYS} ${MONTH} (?<day>[ \\d]\\d|\\d) ${TIME} (?<year>\\d{4})$`),
];
const YEARS_AHEAD_MAX = 50;

/** An HTTP-date (RFC 9110, 5.6.7) as ms since the epoch; undefined when it is none, or a day that never was. `nowMs` places two-digit years. */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  for (const format of FORMATS) {
    const found = format.exec(text)?.groups;
    if (found !== undefined) return instantOf(found, nowMs);
  }
  return undefined;
}

function instantOf(found: Readonly<Record<string, string | undefined>>, nowMs: number): number | undefined {
  const number = (name: string): number => Number(found[name]);
  const month = MONTHS.indexOf(found["month"] ?? "");
  const [day, hour, minute, second] = [number("day"), number("hour"), number("minute"), number("second")];
  if (month === -1 || hour > 23 || minute > 59 || second > 60) return undefined;
  const at = (year: number): number => Date.UTC(year, month, day, hour, minute, second);
  const year = found["year"]?.length === 2 ? fullYear(number("year"), at, nowMs) : number("year");
  // A leap second is the second after it.
  return isDay(year, month + 1, day) ? at(year) : undefined;
}

/** "More than 50 years in the future" is the latest year in the past with the same two digits. */
function fullYear(twoDigits: number, at: (year: number) => number, nowMs: number): number {
  const now = new Date(nowMs);
  const year = Math.floor(now.getUTCFullYear() / 100) * 100 + twoDigits;
  const latest = new Date(nowMs).setUTCFullYear(now.getUTCFullYear() + YEARS_AHEAD_MAX);
  const nearest = [year + 100, year].find((candidate) => at(candidate) <= latest);
  return nearest ?? year - 100;
}
