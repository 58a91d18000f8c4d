import type { TerminalState } from "../../core/delivery.ts";
import type { QueueCounters, QueueState } from "../../store/store.ts";

/** The numbers of a queue as memory counts them; the store counts the same durably, and is right where they differ. */
export class LaneCount {
  /** Accepts (and resends) that are on their way to the store. */
  #offered = 0;
  /** Results that are on their way to the store. */
  #unwritten = 0;
  #moves = 0;
  #pending = 0;
  #oldestAcceptedAtMs: number | undefined;
  #counters: { -readonly [K in keyof QueueCounters]: number };

  constructor(sinceMs: number) {
    this.#counters = { sinceMs, accepted: 0, delivered: 0, retried: 0, failed: 0, discarded: 0 };
  }

  /** Owed and not ended. */
  get pending(): number {
    return this.#pending;
  }

  /** When the oldest of those was accepted; undefined while none is owed. */
  get oldestAcceptedAtMs(): number | undefined {
    return this.#oldestAcceptedAtMs;
  }

  get counters(): QueueCounters {
    return this.#counters;
  }

  /** How often a number has moved. */
  get moves(): number {
    return this.#moves;
  }

  /** Nothing is on its way to the store. */
  get isSettled(): boolean {
    return this.#offered === 0 && this.#unwritten === 0;
  }

  /** An accept or a resend is on its way to the store. */
  offered(): void {
    this.#offered += 1;
  }

  /** It came back, whatever became of it. */
  answered(): void {
    this.#offered -= 1;
  }

  /** A result is on its way to the store. */
  writing(): void {
    this.#unwritten += 1;
  }

  /** It came back. */
  written(): void {
    this.#unwritten -= 1;
  }

  accepted(nowMs: number): void {
    this.resent(nowMs);
    this.#counters.accepted += 1;
  }

  resent(nowMs: number): void {
    this.#moves += 1;
    this.#pending += 1;
    this.#oldestAcceptedAtMs ??= nowMs;
  }

  retried(): void {
    this.#counters.retried += 1;
  }

  ended(state: TerminalState): void {
    this.#moves += 1;
    this.#pending -= 1;
    this.#counters[state] += 1;
    if (this.#pending === 0) this.#oldestAcceptedAtMs = undefined;
  }

  /** Takes the store's numbers. */
  recount(queue: Pick<QueueState, "pending" | "oldestAcceptedAtMs" | "counters">): void {
    this.#pending = queue.pending;
    this.#oldestAcceptedAtMs = queue.oldestAcceptedAtMs;
    this.#counters = { ...queue.counters };
  }

  /** The oldest of a queue ends, which only the store sees. */
  oldestIs(acceptedAtMs: number | undefined): void {
    if (this.#pending > 0) this.#oldestAcceptedAtMs = acceptedAtMs ?? this.#oldestAcceptedAtMs;
  }
}
