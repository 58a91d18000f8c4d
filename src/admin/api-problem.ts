/** Why a call on the API port was not answered with what was asked for: becomes an RFC 9457 problem. `code` is stable. */
export interface ApiProblem {
  readonly code: ApiProblemCode;
  /** What is wrong and what to do, for a person. Never holds a secret. */
  readonly detail: string;
  /** Seconds; sent as Retry-After. */
  readonly retryAfterSeconds?: number;
  /** Sent as Allow (405). */
  readonly allow?: string;
}

const KINDS = {
  malformed_request: [400, "The request is not well-formed HTTP"],
  parameter_invalid: [400, "A parameter is not valid"],
  body_invalid: [400, "The body is not valid"],
  unauthenticated: [401, "No valid token"],
  forbidden: [403, "The token is valid, but lacks the permission for this"],
  not_found: [404, "Nothing is served at this path"],
  delivery_not_found: [404, "There is no such delivery"],
  event_not_found: [404, "There is no such event"],
  subscription_not_found: [404, "There is no such subscription"],
  method_not_allowed: [405, "This path supports other methods"],
  delivery_not_ended: [409, "The delivery has not ended"],
  suspended_by_spec: [409, "The subscription is suspended by its spec"],
  subscription_not_ready: [409, "The subscription cannot be called now"],
  body_gone: [410, "The retention of the event's body is over"],
  subscription_gone: [410, "The delivery's subscription has been deleted"],
  request_too_large: [413, "The request is too large"],
  quota_exceeded: [429, "The namespace has used up its storage"],
  tests_busy: [429, "Too many tests at once"],
  tests_too_fast: [429, "Tests come too fast"],
  internal: [500, "Postrider failed internally"],
  coding_unsupported: [501, "This transfer coding is not supported"],
  reads_busy: [503, "Too many reads at once"],
  not_ready: [503, "Postrider is not ready yet"],
  reviews_unavailable: [503, "Tokens cannot be verified right now"],
  store_unavailable: [503, "The store does not respond"],
} as const satisfies Record<string, readonly [number, string]>;

export type ApiProblemCode = keyof typeof KINDS;

/** Every code with its HTTP status and title, for the documentation's test. */
export const API_PROBLEM_KINDS: Readonly<Record<ApiProblemCode, readonly [status: number, title: string]>> = KINDS;

/** Base of `type`; the fragment is the code. A name, not an address that must answer. */
const TYPE_BASE = "https://postrider.dev/errors#";

/** An answer of the API: a status, headers beside the usual ones, and a JSON body. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export function ok(body: unknown, status = 200): ApiAnswer {
  return { status, headers: { "content-type": "application/json" }, body };
}

export function problem(given: ApiProblem): ApiAnswer {
  const [status, title] = KINDS[given.code];
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (given.retryAfterSeconds !== undefined) headers["retry-after"] = String(given.retryAfterSeconds);
  if (given.allow !== undefined) headers["allow"] = given.allow;
  if (status === 401) headers["www-authenticate"] = 'Bearer realm="postrider"';
  return { status, headers, body: { type: TYPE_BASE + given.code, title, status, code: given.code, detail: given.detail } };
}
