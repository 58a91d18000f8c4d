import type { JsonError } from "../core/json-scan.ts";

/** Why a request on the ingest port was not accepted: becomes an RFC 9457 problem. `code` is stable; docs/errors.md lists them. */
export interface Refusal {
  readonly status: number;
  readonly code: RefusalCode;
  /** What is wrong and what to do, for a person. Never holds a secret or the request's data. */
  readonly detail: string;
  /** Byte in the request's body (from 0) at which it shows. */
  readonly offset?: number;
  /** Where in the body, as a JSON pointer (RFC 6901), e.g. `/3/type`. */
  readonly pointer?: string;
  /** Which event of a batch (from 0). */
  readonly index?: number;
  /** The event that holds the idempotency key already. */
  readonly eventID?: string;
  /** Seconds; sent as Retry-After. */
  readonly retryAfterSeconds?: number;
  /** Sent as Allow (405). */
  readonly allow?: string;
  /** Ways to authenticate besides Bearer, sent before it in WWW-Authenticate (401): callers such as SNS send a password only when they are asked for one. */
  readonly challenge?: "Basic";
}

/** A value, or the refusal that stands in its way. */
export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

/** Seconds a producer waits before it tries again where nothing better is known. */
export const RETRY_AFTER_SECONDS = 1;

const KINDS = {
  malformed_request: [400, "The request is not well-formed HTTP"],
  duplicate_header: [400, "A header appears twice"],
  body_truncated: [400, "The body ended too early"],
  json_invalid: [400, "The body is not valid JSON"],
  json_duplicate_key: [400, "A key appears twice in a JSON object"],
  json_too_deep: [400, "The JSON is nested too deeply"],
  multipart_invalid: [400, "The body is not a valid form of several parts"],
  utf8_invalid: [400, "The body is not valid UTF-8"],
  event_invalid: [400, "The event is not valid"],
  attribute_missing: [400, "A required attribute is missing"],
  attribute_invalid: [400, "An attribute is not valid"],
  field_unknown: [400, "The short form does not support this field"],
  specversion_unsupported: [400, "This CloudEvents version is not supported"],
  idempotency_key_invalid: [400, "The idempotency key cannot be used"],
  token_in_data: [400, "The event contains a live token"],
  parameter_invalid: [400, "A parameter of the address is not valid"],
  unauthenticated: [401, "No valid token"],
  forbidden: [403, "The token is valid, but lacks the permission to publish here"],
  client_certificate_refused: [403, "A valid client certificate is required"],
  not_found: [404, "Nothing is served at this path"],
  namespace_invalid: [404, "This is not a namespace name"],
  result_unknown: [404, "There is no such result"],
  method_not_allowed: [405, "This path supports other methods"],
  request_timeout: [408, "The request arrived too slowly"],
  idempotency_conflict: [409, "The idempotency key was used for other content"],
  result_gone: [410, "The result has been deleted"],
  event_too_large: [413, "The event is too large"],
  request_too_large: [413, "The request is too large"],
  batch_too_long: [413, "The batch holds too many events"],
  too_many_deliveries: [413, "The request would make too many deliveries"],
  media_type_unsupported: [415, "This media type is not supported"],
  charset_unsupported: [415, "Only UTF-8 is supported"],
  content_encoding_unsupported: [415, "This Content-Encoding is not supported"],
  expectation_unsupported: [417, "This expectation is not supported"],
  fan_out_exceeded: [422, "The event matches too many subscriptions"],
  type_unknown: [422, "No subscription names this event type"],
  filters_too_costly: [429, "The namespace's filters cost too much"],
  rate_limited: [429, "The namespace publishes too fast"],
  quota_exceeded: [429, "The namespace has used up its storage"],
  headers_too_large: [431, "The headers are too large"],
  internal: [500, "Postrider failed internally"],
  coding_unsupported: [501, "This transfer coding is not supported"],
  reviews_unavailable: [503, "Tokens cannot be verified right now"],
  not_ready: [503, "Postrider is not ready yet"],
  stopping: [503, "Postrider is shutting down"],
  overloaded: [503, "Postrider is busy"],
  store_unavailable: [503, "The store does not respond"],
  outcome_unknown: [503, "It is unknown whether the event was stored"],
  disk_low: [507, "The disk is nearly full"],
} as const satisfies Record<string, readonly [number, string]>;

export type RefusalCode = keyof typeof KINDS;

/** Every code with its HTTP status and title, for the documentation's test. */
export const REFUSAL_KINDS: Readonly<Record<RefusalCode, readonly [status: number, title: string]>> = KINDS;

/** Base of `type`; the fragment is the code. A name, not an address that must answer. */
const TYPE_BASE = "https://postrider.dev/errors#";

type Extra = Omit<Refusal, "status" | "code" | "detail">;

export function refuse(code: RefusalCode, detail: string, extra?: Extra): Refusal {
  return { status: KINDS[code][0], code, detail, ...extra };
}

/** The same as a failed check. */
export function refused(code: RefusalCode, detail: string, extra?: Extra): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: refuse(code, detail, extra) };
}

const JSON_CODES = {
  syntax: "json_invalid",
  control_byte: "json_invalid",
  byte_order_mark: "json_invalid",
  too_deep: "json_too_deep",
  duplicate_key: "json_duplicate_key",
  utf8: "utf8_invalid",
} as const satisfies Record<JsonError["reason"], RefusalCode>;

/** What the scanner found, as a refusal. `shift` is where the scanned bytes began in the body. */
export function jsonRefusal(error: JsonError, shift = 0, extra: Extra = {}): Refusal {
  const offset = error.offset + shift;
  return refuse(JSON_CODES[error.reason], `At byte ${offset}: ${error.message}.`, { ...extra, offset });
}

/** The body of an RFC 9457 problem. */
export function problemBody(refusal: Refusal): string {
  const { status, code, detail, offset, pointer, index, eventID } = refusal;
  return JSON.stringify({ type: TYPE_BASE + code, title: KINDS[code][1], status, detail, code, offset, pointer, index, eventID });
}

/** A problem says what somebody sent: it is never kept, and never taken for anything but JSON. */
const SAFE_HEADERS = { "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store" } as const;

/** Headers of the answer beside Content-Type and Content-Length. */
export function problemHeaders(refusal: Refusal): Record<string, string> {
  const headers: Record<string, string> = { ...SAFE_HEADERS };
  if (refusal.retryAfterSeconds !== undefined) headers["Retry-After"] = String(refusal.retryAfterSeconds);
  if (refusal.allow !== undefined) headers["Allow"] = refusal.allow;
  if (refusal.status === 401) {
    headers["WWW-Authenticate"] =
      `${refusal.challenge === undefined ? "" : `${refusal.challenge} realm="postrider", `}Bearer realm="postrider"`;
  }
  return headers;
}
