import type { EndReason, TerminalState } from "../../core/delivery.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BusinessEvents } from "../../observe/events.ts";
import type { HealthBook } from "./health-book.ts";
import type { Lane } from "../queue/lane.ts";

/** How a delivery ended, and why. */
export interface DeliveryEnd {
  readonly state: TerminalState;
  readonly reason: EndReason;
}

/** Counts what enters and leaves each lane, for status and metrics. The store keeps the same counters durably. */
export class Tally {
  readonly #health: HealthBook;
  readonly #events: BusinessEvents;
  readonly #clock: Pick<Clock, "nowMs">;

  constructor(health: HealthBook, events: BusinessEvents, clock: Pick<Clock, "nowMs">) {
    this.#health = health;
    this.#events = events;
    this.#clock = clock;
  }

  /** One more is owed, accepted at `nowMs`. */
  accepted(lane: Lane, nowMs: number): void {
    lane.count.accepted(nowMs);
    this.#health.notify(lane, "counters");
  }

  /** One that had ended is owed again; `failedAtMs` = when it had failed, if it had. */
  resent(lane: Lane, nowMs: number, failedAtMs: number | undefined): void {
    lane.count.resent(nowMs);
    const historyMs = lane.route?.subscription.policy.retention.historyMs;
    if (failedAtMs === undefined || historyMs === undefined) return;
    lane.letters?.resent(failedAtMs + historyMs);
    this.#health.noted(lane);
  }

  /** One will be tried again. What follows from the attempt reports it. */
  retried(lane: Lane): void {
    lane.count.retried();
  }

  /** One has ended. */
  ended(lane: Lane, { state, reason }: DeliveryEnd): void {
    lane.count.ended(state);
    const subscription = lane.route?.subscription;
    if (subscription !== undefined) {
      this.#events.deliveryEnded(subscription, state, reason);
      // One that is forwarded lies there as well, but its dead letter stands for it.
      if (state === "failed" && !lane.forwards) {
        lane.lettersMade().failed(this.#clock.nowMs() + subscription.policy.retention.historyMs);
        this.#health.noted(lane);
      }
    }
    this.#health.notify(lane, "counters");
  }
}
