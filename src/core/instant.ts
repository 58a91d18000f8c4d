/** A date-time of RFC 3339, 5.6, as far as its grammar says; a leap second is one. `Date.parse` reads much that is none. */
const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Whether a text is a date-time of RFC 3339 on a day that there is. */
export function isDateTime(text: string): boolean {
  const match = DATE_TIME.exec(text);
  return match !== null && isDay(Number(match[1]), Number(match[2]), Number(match[3]));
}

/**
 * A date-time of RFC 3339 as the JSON form of protobuf's Timestamp spells it, which is what CEL reads: capitals, and for a leap second the second before it.
 * Any other text stays as it is.
 */
export function plainDateTime(text: string): string {
  return DATE_TIME.test(text) ? text.toUpperCase().replace(/:60(?=[.Z+-])/, ":59") : text;
}

const EARLIEST_MS = Date.UTC(2000, 0, 1) - 63_082_281_600_000;
const LATEST_MS = Date.UTC(10_000, 0, 1) - 1;

/** Whether a date-time is one of the years 1 to 9999 of UTC, all that protobuf's Timestamp and CEL's can hold. */
export function isTimestamp(text: string): boolean {
  const atMs = Date.parse(plainDateTime(text));
  return atMs >= EARLIEST_MS && atMs <= LATEST_MS;
}

/** Whether there is this day (RFC 3339, 5.7): `Date` takes 30 February for 2 March. Months count from 1. */
export function isDay(year: number, month: number, day: number): boolean {
  const days = month === 2 && isLeapYear(year) ? 29 : (MONTH_DAYS[month - 1] ?? 0);
  return day >= 1 && day <= days;
}

/** RFC 3339, appendix C. */
function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}
