import type { Event } from "../core/event.ts";
import type { Outcome } from "../core/outcome.ts";
import type { AttemptRecord, DeliveryId, PauseReason } from "../store/store.ts";

/** A subscription as its manifest and the controller have it. */
export interface KnownSubscription {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** As written. */
  readonly spec: unknown;
  /** As the controller would write it now. */
  readonly status: unknown;
}

/** The subscriptions that are there; the app joins it to provider and controller. */
export interface SubscriptionDirectory {
  list(namespace: string): readonly KnownSubscription[];
  get(namespace: string, name: string): KnownSubscription | undefined;
  /** Why the manifest of a subscription that does not exist was rejected: with files there is no API server that would have said it. */
  refusalOf?(namespace: string, name: string): string | undefined;
  /** The name behind a uid, also of one that is gone; undefined where it was never known. */
  nameOf(uid: string): string | undefined;
  /** Who has this name, and had it before and was deleted. */
  uidsOf(namespace: string, name: string): readonly string[];
}

export interface TestRequest {
  readonly namespace: string;
  readonly uid: string;
  /** Default: the first type that the subscription names, a `*` in it filled in. */
  readonly type: string | undefined;
  /** JSON. */
  readonly data: Uint8Array | undefined;
}

/** `blocked`: a reference of the subscription does not resolve, so there is nothing to send with. `held`: a ceiling of the cluster policy. */
export type TestResult =
  | { readonly kind: "tested"; readonly event: Event; readonly url: string; readonly outcome: Outcome }
  | { readonly kind: "held"; readonly what: "rate" | "in flight"; readonly message: string; readonly retryAfterMs: number }
  | { readonly kind: "blocked"; readonly message: string };

/** What holds a subscription's deliveries back, and until when, engine time, ms; undefined = until something happens. */
export interface Hold {
  readonly reason: PauseReason | "RateLimit";
  readonly untilMs: number | undefined;
}

/** What the API does beside reading; the app joins it to the engine. */
export interface DeliveryActs {
  /** One extra attempt for a delivery that has ended. */
  resend(id: DeliveryId): Promise<"resent" | "not_found" | "body_gone" | "not_ended" | "subscription_gone">;
  /** Why the namespace may not have anything more written, if so. */
  storageFull(namespace: string): string | undefined;
  /**
   * Sends a test event now, past queue and pauses, under the subscription's own time-out and 30 s at most; a success lifts an automatic
   * suspension. On abort what is under way is cut off and its connection closed.
   */
  test(request: TestRequest, signal: AbortSignal): Promise<TestResult>;
  /** Holds back everything of it until `resume`; the message says who or why. False when the engine does not know it. */
  pause(uid: string, message: string): Promise<boolean>;
  /** Lifts an automatic suspension and a pause, and closes the circuit. */
  resume(uid: string): Promise<void>;
  /** Why deliveries of this queue (a subscription's uid, or that of its dead letters) wait although they are due; undefined = nothing holds them back. */
  heldBack(queue: string): Hold | undefined;
  /** The bytes that an attempt sent, made again of its event; undefined where that cannot be done. */
  bodyOf(attempt: AttemptRecord, event: Event | undefined): Uint8Array | undefined;
}
