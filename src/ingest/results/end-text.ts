import type { EndReason } from "../../core/delivery.ts";
import type { ResultDelivery } from "../../store/store.ts";

/** In the words of everyone who may publish: nothing that the receiver said but its status, and nothing of where it is. */
const TEXTS: Readonly<Record<EndReason, (last: string) => string>> = {
  Delivered: () => "",
  AttemptsExhausted: (last) => `all attempts of retry.maxAttempts failed; ${last}`,
  AgeExceeded: (last) => `retry.maxAge was over; ${last}`,
  NotRetryable: (last) => `${last}, which the policy does not retry`,
  EndpointGone: () => "the receiver answered HTTP 410: it is gone for good",
  Quarantined: () => "the process crashed three times during an attempt of this delivery alone",
  PayloadInvalid: () => "the body (payload.body) could not be made for this event",
  SubscriptionDeleted: () => "the subscription was deleted before the delivery succeeded",
  Discarded: () => "the subscription was deleted with deletionPolicy: Discard",
  BySpec: () => "retry.maxAge was over while spec.suspend was true",
  Paused: () => "retry.maxAge was over while the subscription was paused through the API",
  AutoSuspended: () => "retry.maxAge was over while the subscription was suspended because every attempt failed",
  RetryAfter: () => "retry.maxAge was over while the receiver's Retry-After paused deliveries",
  CircuitOpen: () => "retry.maxAge was over while the circuit was open",
  RefsUnresolved: () => "retry.maxAge was over while something that the subscription names was missing",
  HandshakePending: () => "retry.maxAge was over before the receiver allowed deliveries",
};

/**
 * Why a delivery ended so; null for one that was delivered. The attempt's own message may name addresses and what the receiver said: it is for those who
 * may see answers. Why a body failed is about the producer's own event, and is for everyone.
 */
export function endText({ state, reason, lastAttempt }: ResultDelivery, seesAnswers: boolean): string | null {
  if (state === "delivered" || reason === undefined) return null;
  const { statusCode, message = "" } = lastAttempt ?? {};
  if (message !== "" && (seesAnswers || reason === "PayloadInvalid")) return message;
  const last = statusCode === undefined ? "the last attempt got no answer" : `the receiver answered HTTP ${statusCode}`;
  return TEXTS[reason](lastAttempt === undefined ? "no attempt is known" : last);
}
