import type { Outcome } from "./outcome.ts";
import type { RateLimit } from "./policy.ts";

/** What a receiver's answer to the validation request says (CloudEvents "HTTP 1.1 Web Hooks for Event Delivery", section 4.2). */
export type HandshakeVerdict =
  | {
      readonly kind: "allowed";
      /** Requests a minute; undefined = as many as we like. */
      readonly perMinute: number | undefined;
    }
  /** It answered, and its answer is not a permission. */
  | { readonly kind: "refused"; readonly message: string; readonly retryAfterMs: number | undefined }
  /** It did not answer, or only that it cannot now: what held before holds. */
  | { readonly kind: "unanswered"; readonly message: string; readonly retryAfterMs: number | undefined };

const SERVER_ERROR = 500;
const TOO_MANY = 429;
const MINUTE_MS = 60_000;

/** Judges the answer to an OPTIONS request that named `origin` as who wants to send. */
export function judgeHandshake(outcome: Outcome, origin: string): HandshakeVerdict {
  const { statusCode, message, retryAfterMs } = outcome;
  if (statusCode === undefined || statusCode >= SERVER_ERROR || statusCode === TOO_MANY)
    return { kind: "unanswered", message, retryAfterMs };
  const refused = (why: string): HandshakeVerdict => ({ kind: "refused", message: why, retryAfterMs });
  if (outcome.class !== "success") return refused(`the receiver answered OPTIONS with ${message}`);
  const allowed = header(outcome, "webhook-allowed-origin");
  if (allowed === undefined) return refused(`the receiver answered OPTIONS with ${message} but without WebHook-Allowed-Origin`);
  if (allowed !== "*" && allowed.toLowerCase() !== origin.toLowerCase())
    return refused(`the receiver's WebHook-Allowed-Origin is ${shown(allowed)}, not ${origin} or *`);
  const rate = header(outcome, "webhook-allowed-rate");
  if (rate === undefined || rate === "*") return { kind: "allowed", perMinute: undefined };
  if (!/^[1-9]\d{0,8}$/.test(rate))
    return refused(`the receiver's WebHook-Allowed-Rate is ${shown(rate)}, not a number of requests a minute or *`);
  return { kind: "allowed", perMinute: Number(rate) };
}

/** A receiver's rate as the bucket that obeys it: spread over the minute, at most a second's worth at once. */
export function allowedLimit(perMinute: number): RateLimit {
  return { requests: perMinute, perMs: MINUTE_MS, burst: Math.max(1, Math.floor(perMinute / 60)) };
}

/** `WebHook-Request-Rate`: what the policy would send, if it says so. At least 1. */
export function requestedRate(limit: RateLimit | undefined): number | undefined {
  return limit === undefined ? undefined : Math.max(1, Math.floor((limit.requests * MINUTE_MS) / limit.perMs));
}

function header({ responseHeaders }: Outcome, name: string): string | undefined {
  return responseHeaders.find(([key]) => key.toLowerCase() === name)?.[1].trim();
}

function shown(value: string): string {
  return value.length > 64 ? `${value.slice(0, 63)}…` : value;
}
