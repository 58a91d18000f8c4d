import type { Problem } from "./problem.ts";

/** Headers a subscription may not set: they frame the request, name its target, or are ours to set. Lower case. */
const DENIED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "content-encoding",
  "cookie",
  "date",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "traceparent",
  "tracestate",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "via",
]);
const DENIED_PREFIXES: readonly string[] = ["webhook-", "ce-", "postrider-", "x-forwarded-", "sec-"];
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/;
const VALUE = /^[\x20-\x7e\t]*$/;
const HEADER_VALUE_CHARS_MAX = 8_192;

/**
 * What is wrong with a subscription's extra headers: denied, not a token, or named twice in different case (both would be sent). `values` are
 * checked for bytes that could split the request; the problem never holds a value. `hasAuth`: endpoint.auth already sets Authorization.
 */
export function judgeHeaders(headers: readonly (readonly [name: string, value: string])[], hasAuth: boolean): Problem | undefined {
  const seen = new Set<string>(hasAuth ? ["authorization"] : []);
  for (const [index, [name, value]] of headers.entries()) {
    const message = judgeHeader(name, value, seen);
    if (message !== undefined) return { field: `spec.endpoint.headers[${index}]`, reason: "InvalidEndpoint", message };
    seen.add(name.toLowerCase());
  }
  return undefined;
}

function judgeHeader(name: string, value: string, seen: ReadonlySet<string>): string | undefined {
  const lower = name.toLowerCase();
  if (!TOKEN.test(name)) return "the header's name is not a token of RFC 9110: use letters, digits and hyphens";
  if (DENIED.has(lower) || DENIED_PREFIXES.some((prefix) => lower.startsWith(prefix))) {
    return `the header '${name}' is set by Postrider or frames the request: remove it`;
  }
  if (seen.has(lower)) return `the header '${name}' is set twice (names are compared without case): keep one`;
  const fault = headerValueFault(value);
  return fault && `the value of header '${name}' ${fault}`;
}

/** Why a value cannot be sent in a header, for "the value …"; undefined where it can. Holds wherever the value comes from. */
export function headerValueFault(value: string): string | undefined {
  if (!VALUE.test(value) || value !== value.trim())
    return "has line breaks, other control characters, characters outside ASCII, or spaces at an end";
  return value.length > HEADER_VALUE_CHARS_MAX ? `is longer than ${HEADER_VALUE_CHARS_MAX} characters` : undefined;
}
