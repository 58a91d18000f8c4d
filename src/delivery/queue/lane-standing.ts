import {
  emptyRecord,
  judgeEndpoint,
  noteAttempt,
  noteUnsendable,
  type EndpointRecord,
  type EndpointVerdict,
  type NotedAttempt,
} from "../../core/endpoint-health.ts";
import type { RecentFailure, Suspension } from "../../core/health.ts";
import type { Route } from "../../core/route-table.ts";

/** How the receiver of a lane is doing, and what is reported of it. The store keeps a snapshot of the record; the rest follows from it, or is learned again. */
export class LaneStanding {
  #record: EndpointRecord = emptyRecord();
  #verdict: EndpointVerdict | undefined;
  #withheld: EndpointVerdict | undefined;
  #suspended: Suspension | undefined;
  #suspendedEndpoint: string | undefined;
  #suspendedBySpec: Suspension | undefined;
  #paused: Suspension | undefined;

  get record(): Readonly<EndpointRecord> {
    return this.#record;
  }

  /** Digest of the endpoint that was suspended: another endpoint lifts it. */
  get suspendedEndpoint(): string | undefined {
    return this.#suspendedEndpoint;
  }

  /** An automatic suspension. */
  get suspended(): Suspension | undefined {
    return this.#suspended;
  }

  /** Why deliveries are not going out although the subscription is accepted. */
  get suspension(): Suspension | undefined {
    return this.#paused ?? this.#suspended ?? this.#suspendedBySpec;
  }

  /** A person has paused it. */
  get paused(): Suspension | undefined {
    return this.#paused;
  }

  /** A person pauses it, or (undefined) no longer does. */
  pause(paused: Suspension | undefined): void {
    this.#paused = paused;
  }

  /** The verdict on the endpoint, or that it has not given permission. */
  shown(circuitIsOpen: boolean): EndpointVerdict {
    return this.#withheld ?? this.#verdict ?? judgeEndpoint(this.#record, circuitIsOpen, undefined);
  }

  /** At boot: what the last process knew. The time in which nobody ran is no failing. */
  restore(record: Partial<EndpointRecord>, awayMs: number): void {
    this.#record = { ...emptyRecord(), ...record };
    if (this.#record.failingSinceMs !== undefined) this.#record.failingSinceMs += awayMs;
    this.#verdict = undefined;
  }

  adopt(route: Route | undefined, nowMs: number): void {
    if (route?.subscription.spec.suspend === true)
      this.#suspendedBySpec ??= { reason: "BySpec", message: "spec.suspend is true", sinceMs: nowMs };
    else this.#suspendedBySpec = undefined;
  }

  attempted(noted: NotedAttempt): void {
    noteAttempt(this.#record, noted);
  }

  /** An attempt whose body could not be made: the endpoint is not judged by it. */
  unsendable(failure: RecentFailure): void {
    noteUnsendable(this.#record, failure);
  }

  /** Judges the endpoint again; answers whether the verdict changed. */
  judge(circuitIsOpen: boolean): boolean {
    const before = this.#verdict;
    this.#verdict = judgeEndpoint(this.#record, circuitIsOpen, before);
    return before?.healthy !== this.#verdict.healthy || before?.reason !== this.#verdict.reason;
  }

  /** A receiver that must give permission first has not given it: this is reported instead of the verdict. */
  withhold(verdict: EndpointVerdict): void {
    this.#withheld = verdict;
  }

  /** It has given permission, or need not give it. */
  permit(): void {
    this.#withheld = undefined;
  }

  suspend(suspension: Suspension, endpoint: string): void {
    this.#suspended = suspension;
    this.#suspendedEndpoint = endpoint;
  }

  /** Ends the automatic suspension. The time of failing that led to it starts over. */
  lift(): void {
    this.#suspended = undefined;
    this.#suspendedEndpoint = undefined;
    this.#record.failingSinceMs = undefined;
  }
}
