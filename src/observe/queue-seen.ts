import type { SubscriptionName } from "../core/subscription.ts";

/** Why a queue sends nothing now. The first ones last until someone acts; the last two end by themselves. */
export const HELD_REASONS = [
  "BySpec",
  "EndpointGone",
  "AutoSuspended",
  "HandshakePending",
  "RefsUnresolved",
  "CircuitOpen",
  "RetryAfter",
] as const;
export type HeldReason = (typeof HELD_REASONS)[number];

/** What a receiver is like for the fair queue. */
export const RECEIVER_KINDS = ["well", "failing", "slow"] as const;
export type ReceiverKind = (typeof RECEIVER_KINDS)[number];

/** What a queue is like at the moment when metrics are read. Times are the wall's, in seconds since 1970; ages are in seconds. */
export interface QueueSeen extends SubscriptionName {
  /** The queue of a subscription's dead letters. */
  readonly isDeadLetters: boolean;
  readonly pending: number;
  readonly inFlight: number;
  /** Of what has not ended; undefined while nothing is pending. */
  readonly oldestAgeSeconds: number | undefined;
  /** How long the oldest has been due that waits for nobody but us (its receiver is well and may have more); undefined while there is none. */
  readonly dueAgeSeconds: number | undefined;
  readonly held: HeldReason | undefined;
  readonly circuitIsOpen: boolean;
  /** Since when every attempt has failed; undefined while the last one succeeded. */
  readonly failingSinceSeconds: number | undefined;
  /** Over about the last 20 attempts; undefined before the first failure. */
  readonly failureRatio: number | undefined;
  /** Failed deliveries that lie in the store, neither delivered later nor forwarded; undefined where none has failed. */
  readonly deadLetters: number | undefined;
  /** When the first of them is deleted. */
  readonly deadLettersExpirySeconds: number | undefined;
  readonly lastSuccessSeconds: number | undefined;
  /** Undefined while nothing is pending, or only an event brings it. */
  readonly nextAttemptSeconds: number | undefined;
}
