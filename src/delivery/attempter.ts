import type { Event } from "../core/event.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Route } from "../core/route-table.ts";
import type { Subscription } from "../core/subscription.ts";

/** What the engine asks of the attempt layer. */
export interface Attempter {
  /**
   * Makes one HTTP request, fully bounded. Never rejects; settles by the policy's `timeoutMs` (+ a timer tick), whatever the receiver does.
   * On `close` what is under way is aborted with outcome `connect_error`.
   */
  attempt(input: AttemptInput): Promise<AttemptDone>;
  /** The subscription's endpoint or policy changed, or it is gone: its pool is closed once idle. */
  forget(uid: string): void;
  close(): Promise<void>;
}

export interface AttemptInput {
  /** `route.subscription.target` is set. */
  readonly route: Route;
  readonly event: Event;
  /** 1 = first. */
  readonly attempt: number;
  /** Lowers the policy's time-out, ms. */
  readonly timeoutMaxMs?: number | undefined;
  /** Whoever wanted to know is gone: what is under way is aborted with outcome `connect_error`, its connection closed. */
  readonly signal?: AbortSignal | undefined;
}

export interface AttemptDone {
  readonly outcome: Outcome;
  /** Wall time of the attempt's begin, ms. */
  readonly startedAtMs: number;
  /** Redacted. */
  readonly url: string;
  /** Redacted. */
  readonly requestHeaders: readonly (readonly [string, string])[];
  /** Only where the bytes cannot be rendered again (a token in the body). */
  readonly requestBody: Uint8Array | undefined;
}

/** Asks a receiver for permission to send (the CloudEvents webhook handshake). */
export interface PermissionAsker {
  /** The name under which we ask. */
  readonly origin: string;
  /** Sends the validation request; `subscription.target` is set. Never rejects. */
  askPermission(subscription: Subscription): Promise<Outcome>;
}
