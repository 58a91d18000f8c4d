const DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const IMF_FIXDATE = new RegExp(`^(?:${DAYS}), (\\d{2}) (${MONTHS.join("|")}) (\\d{4}) (\\d{2}):(\\d{2}):(\\d{2}) GMT$`);

/**
 * A Retry-After header (RFC 9110 10.2.3) as ms from now, clamped to `maxMs`; undefined when there is none, when it is anything but
 * 1-10 digits or an IMF-fixdate (`Date.parse` takes "-5" for a date), or when `maxMs` is 0. A date in the past is 0.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number, maxMs: number): number | undefined {
  if (value === undefined || maxMs <= 0) return undefined;
  const text = value.trim();
  if (/^\d{1,10}$/.test(text)) return Math.min(Number(text) * 1_000, maxMs);
  const atMs = parseFixdate(text);
  return atMs === undefined ? undefined : Math.min(Math.max(0, atMs - nowMs), maxMs);
}

function parseFixdate(text: string): number | undefined {
  const found = IMF_FIXDATE.exec(text);
  if (found === null) return undefined;
  const [, day, month = "", year, hour, minute, second] = found;
  const atMs = Date.UTC(Number(year), MONTHS.indexOf(month), Number(day), Number(hour), Number(minute), Number(second));
  // Date.UTC rolls 31 Feb over to March: only a date that prints the same is one.
  const date = new Date(atMs);
  return date.getUTCDate() === Number(day) && date.getUTCHours() === Number(hour) && date.getUTCMinutes() === Number(minute)
    ? atMs
    : undefined;
}
