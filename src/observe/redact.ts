import { replaceUnseen } from "../lib/unseen.ts";

/**
 * The one place secrets, header values and URL queries go through before any log, Kubernetes Event, condition, page or attempt row.
 */

/** Shown instead of what is hidden. */
export const REDACTED = "[redacted]";

/** Header names whose values are shown in history; every other value is hidden. */
const SHOWN_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "location",
  "retry-after",
  "server",
  "traceparent",
  "transfer-encoding",
  "user-agent",
  "vary",
  "via",
  "webhook-id",
  "webhook-timestamp",
  "x-request-id",
  "ce-id",
  "ce-source",
  "ce-type",
  "ce-specversion",
  "ce-subject",
  "ce-time",
  "webhook-allowed-origin",
  "webhook-allowed-rate",
]);

/** A URL for people: scheme, host, port and path; user info, query and fragment hidden. Never throws. */
export function redactUrl(url: string): string {
  const query = url.search(/[?#]/);
  const head = query === -1 ? url : url.slice(0, query);
  const withoutUser = head.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, `$1${REDACTED}@`);
  return query === -1 ? withoutUser : `${withoutUser}?${REDACTED}`;
}

/** A URL that is a secret as a whole (Slack's and others' hold their key in the path): scheme, host and port. Never throws. */
export function redactSecretUrl(url: string): string {
  return URL.canParse(url) ? `${new URL(url).origin}/${REDACTED}` : REDACTED;
}

/** Text with each of these values hidden wherever it stands, as it is or percent-encoded. */
export function redactValues(text: string, values: readonly string[]): string {
  let shown = text;
  for (const value of values) {
    if (shown.includes(value)) shown = shown.replaceAll(value, REDACTED);
    const whole = value.toWellFormed();
    for (const encoded of [encodeURIComponent(whole), encodeURI(whole)]) {
      if (encoded !== value && shown.includes(encoded)) shown = shown.replaceAll(encoded, REDACTED);
    }
  }
  return shown;
}

/** Headers for history and logs: names kept, values of all but well-known harmless ones hidden. */
export function redactHeaders(headers: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  return headers.map(([name, value]) => [name, redactHeader(name, value)] as const);
}

/** A header's value for history and logs. */
export function redactHeader(name: string, value: string): string {
  const lower = name.toLowerCase();
  if (!SHOWN_HEADERS.has(lower)) return REDACTED;
  return lower === "location" ? redactUrl(value) : value;
}

/** Text from outside (a receiver's words, an error's message) for one line: what moves a cursor or is not seen out, bounded, URLs' queries hidden. */
export function redactText(text: string, charsMax = 256): string {
  const oneLine = replaceUnseen(text, " ")
    .replace(/\b(https?:\/\/[^\s"'?#]+)[?#][^\s"']*/gi, `$1?${REDACTED}`)
    .replace(/\b(https?:\/\/)[^\s/@"']+@/gi, `$1${REDACTED}@`)
    .replace(/\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`)
    .replace(/\bwhs[ek][a-z]?_[A-Za-z0-9+/=]+/g, REDACTED)
    .trim();
  return oneLine.length > charsMax ? `${oneLine.slice(0, charsMax - 1)}…` : oneLine;
}
