import type { EndReason, TerminalState } from "../../core/delivery.ts";
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

  constructor(health: HealthBook, events: BusinessEvents) {
    this.#health = health;
    this.#events = events;
  }

  /** One more is owed, accepted at `nowMs`. */
  accepted(lane: Lane, nowMs: number): void {
    lane.count.accepted(nowMs);
    this.#health.notify(lane, "counters");
  }

  /** One that had ended is owed again. */
  resent(lane: Lane, nowMs: number): void {
    lane.count.resent(nowMs);
  }

  /** One will be tried again. What follows from the attempt reports it. */
  retried(lane: Lane): void {
    lane.count.retried();
  }

  /** One has ended. */
  ended(lane: Lane, { state, reason }: DeliveryEnd): void {
    lane.count.ended(state);
    const subscription = lane.route?.subscription;
    if (subscription !== undefined) this.#events.deliveryEnded(subscription, state, reason);
    this.#health.notify(lane, "counters");
  }
}
