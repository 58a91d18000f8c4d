/**
 * A delivery: one event owed to one subscription.
 *
 * States, and what a crash leaves:
 *   ready     stored, nobody is sending it. Crash: found again at boot (fresh rows by id, retries by due time).
 *   claimed   an attempt is under way; the claim was durable before the socket was touched. Crash: the row gets an attempt
 *             `unknown` and goes back to ready with its crash counted.
 *   delivered the receiver answered success. Final; the row has moved to the outcome table.
 *   failed    attempts or age used up, quarantined, or not retryable. Final; waits in the dead-letter store.
 *   discarded thrown away on purpose (deletionPolicy Discard). Final.
 */
export type DeliveryState = "ready" | "claimed" | "delivered" | "failed" | "discarded";
export type TerminalState = "delivered" | "failed" | "discarded";

/** How the API spells a state. */
export const STATE_NAMES = {
  ready: "Ready",
  claimed: "Claimed",
  delivered: "Delivered",
  failed: "Failed",
  discarded: "Discarded",
} as const satisfies Record<DeliveryState, string>;

/** Why a delivery failed or was discarded: stable words for the API, the dead-letter store and docs/errors.md. */
export type EndReason =
  | "Delivered"
  | "AttemptsExhausted"
  | "AgeExceeded"
  | "NotRetryable"
  | "EndpointGone"
  | "Quarantined"
  | "PayloadInvalid"
  | "SubscriptionDeleted"
  | "Discarded"
  // Its age was used up while a pause held it back; no attempt was made at the end.
  | "BySpec"
  | "Paused"
  | "AutoSuspended"
  | "RetryAfter"
  | "CircuitOpen"
  | "RefsUnresolved"
  | "HandshakePending";

/** Three crashed lone tries and a delivery is quarantined (failed), so that one poisoned delivery cannot loop for ever. */
export const LONE_CRASHES_MAX = 3;
