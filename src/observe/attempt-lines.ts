import type { EndReason, TerminalState } from "../core/delivery.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import type { Outcome } from "../core/outcome.ts";
import type { SubscriptionName } from "../core/subscription.ts";
import type { Log } from "./log.ts";

export type NamesDeliveries = Pick<DeliveryNames, "nameOf">;

/** One attempt, told once: counted and written as one wide log line. */
export interface AttemptTold extends SubscriptionName {
  readonly eventId: string;
  readonly eventType: string;
  /** The row's; the log line says its name. */
  readonly deliveryId: number;
  readonly attempt: number;
  readonly outcome: Outcome;
  /** Redacted. */
  readonly url: string;
  /** What follows: `delivered`, `failed`, `retry`, `discarded`; `wait`: only another spec can help. */
  readonly decision: TerminalState | "retry" | "wait";
  readonly reason: EndReason | undefined;
  /** Delay until the next attempt, ms. */
  readonly nextInMs: number | undefined;
  /** Of the trace that its event belongs to. */
  readonly traceId: string | undefined;
  readonly acceptedAtMs: number;
  /** How long it waited for us before this attempt, ms. */
  readonly waitedMs: number;
  /** The policy that the spec names. */
  readonly policy: string | undefined;
  /** How long a failed delivery is kept, ms. */
  readonly keptMs: number;
  readonly nowMs: number;
}

/** Deliveries that failed for good without an attempt. */
export interface LostTold {
  readonly reason: EndReason;
  readonly count: number;
  /** Where they are known: the rows', oldest first. */
  readonly ids?: readonly number[];
}

/**
 * The log lines of attempts. What fails is a warning that says what follows and what can be done; of what succeeds one line in so many is
 * written, with that number in it.
 */
export class AttemptLines {
  readonly #log: Log;
  readonly #deliveryNames: NamesDeliveries;
  readonly #successOneIn: number;
  #successes = 0;

  constructor(log: Log, deliveryNames: NamesDeliveries, successOneIn: number) {
    this.#log = log;
    this.#deliveryNames = deliveryNames;
    this.#successOneIn = successOneIn;
  }

  write(told: AttemptTold): void {
    // Asked before the line is put together: else it would be for nothing.
    if (told.outcome.class !== "success") {
      if (this.#log.isLevelEnabled("warn")) this.#log.warn(this.#fields(told), this.#failure(told));
      return;
    }
    if (!this.#log.isLevelEnabled("info")) return;
    this.#successes += 1;
    if (this.#successes < this.#successOneIn) return;
    this.#successes = 0;
    const sampled = this.#successOneIn === 1 ? {} : { sampled: this.#successOneIn };
    this.#log.info({ ...this.#fields(told), ...sampled }, told.outcome.message);
  }

  writeLost({ namespace, name }: SubscriptionName, { reason, count, ids = [] }: LostTold): void {
    const named = (id: number | undefined): string | undefined =>
      id === undefined ? undefined : this.#deliveryNames.nameOf(namespace, id);
    const [firstDeliveryID, lastDeliveryID] = [named(ids[0]), named(ids.at(-1))];
    const what = count === 1 ? "a delivery has failed" : `${count} deliveries have failed`;
    const msg = `${what} for good without an attempt (${reason}); to send them again: ${listOf(namespace, name)}, then ${resendOf(namespace, "ID")}`;
    this.#log.warn({ event: "delivery.lost", namespace, subscription: name, reason, count, firstDeliveryID, lastDeliveryID }, msg);
  }

  #fields(told: AttemptTold): object {
    const { namespace, name, outcome } = told;
    return {
      event: "delivery.attempted",
      namespace,
      subscription: name,
      policy: told.policy,
      eventID: told.eventId,
      eventType: told.eventType,
      deliveryID: this.#deliveryNames.nameOf(namespace, told.deliveryId),
      trace: told.traceId,
      attempt: told.attempt,
      outcome: outcome.class,
      statusCode: outcome.statusCode,
      connectionStatus: outcome.connectionStatus,
      tlsStatus: outcome.tlsStatus,
      reconnected: outcome.reconnected,
      waitedMs: Math.round(told.waitedMs),
      durationMs: tenths(outcome.durationMs),
      dnsMs: tenths(outcome.phases?.dnsMs),
      connectMs: tenths(outcome.phases?.connectMs),
      tlsMs: tenths(outcome.phases?.tlsMs),
      firstByteMs: tenths(outcome.phases?.firstByteMs),
      ageMs: Math.round(told.nowMs - told.acceptedAtMs),
      url: told.url,
      decision: told.decision,
      reason: told.reason,
      nextInMs: told.nextInMs,
    };
  }

  #failure({ namespace, name, outcome, decision, reason, deliveryId, nextInMs, keptMs }: AttemptTold): string {
    const { message } = outcome;
    if (decision === "retry") return nextInMs === undefined ? message : `${message}; retried in ${spanOf(nextInMs)}`;
    if (decision === "wait") return `${message}; it waits for a change of the spec of ${namespace}/${name}`;
    if (decision !== "failed") return message;
    const id = this.#deliveryNames.nameOf(namespace, deliveryId);
    return `${message}; failed for good (${reason}); to send it again within ${spanOf(keptMs)}: ${resendOf(namespace, id)}`;
  }
}

function tenths(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10;
}

function resendOf(namespace: string, id: string): string {
  return `POST /v1/namespaces/${namespace}/deliveries/${id}/resend on the API port`;
}

function listOf(namespace: string, name: string): string {
  return `GET /v1/namespaces/${namespace}/deliveries?subscription=${encodeURIComponent(name)}&state=Failed`;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** In the largest unit of which there are two. */
function spanOf(ms: number): string {
  if (ms >= 2 * DAY_MS) return `${Math.round(ms / DAY_MS)} days`;
  if (ms >= 2 * HOUR_MS) return `${Math.round(ms / HOUR_MS)} h`;
  if (ms >= 2 * MINUTE_MS) return `${Math.round(ms / MINUTE_MS)} min`;
  return ms >= SECOND_MS ? `${Math.round(ms / SECOND_MS)} s` : `${Math.round(ms)} ms`;
}
