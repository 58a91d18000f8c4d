import type { TerminalState } from "../../core/delivery.ts";
import type { BusinessEvents } from "../../observe/events.ts";
import type { HealthBook } from "./health-book.ts";
import type { Lane } from "../queue/lane.ts";

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
    lane.moves += 1;
    lane.pending += 1;
    lane.counters.accepted += 1;
    lane.oldestAcceptedAtMs ??= nowMs;
    this.#health.notify(lane, "counters");
  }

  /** One that had ended is owed again. */
  resent(lane: Lane, nowMs: number): void {
    lane.moves += 1;
    lane.pending += 1;
    lane.oldestAcceptedAtMs ??= nowMs;
  }

  /** One has ended. */
  ended(lane: Lane, state: TerminalState): void {
    lane.moves += 1;
    lane.pending -= 1;
    lane.counters[state] += 1;
    if (lane.pending === 0) lane.oldestAcceptedAtMs = undefined;
    const subscription = lane.route?.subscription;
    if (subscription !== undefined) this.#events.deliveryEnded(subscription, state);
    this.#health.notify(lane, "counters");
  }
}
