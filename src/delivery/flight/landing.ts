import type { EndReason } from "../../core/delivery.ts";
import { deadLetterQueue, deadLetterRoute } from "../../core/dead-letter.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Completion } from "../../store/store.ts";
import type { Parking } from "../lane-state/parking.ts";
import type { Tally } from "../lane-state/tally.ts";
import type { QueueEnding } from "../queue-ending.ts";
import type { Lane } from "../queue/lane.ts";
import type { Scheduler, Turn } from "../queue/scheduler.ts";
import type { RouteWatch } from "../route-watch.ts";

export interface LandingParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly tally: Tally;
  readonly parking: Pick<Parking, "parked">;
  readonly ending: Pick<QueueEnding, "attemptOver">;
  readonly routes: Pick<RouteWatch, "adopt">;
}

/**
 * What follows once a result is durable: for its lane, for the next of its order key, for the dead letter that the store made of it, and for
 * whoever waits for the end of the delivery. Nothing of it is stored: after a crash the next start finds all of it in the rows.
 */
export class Landing {
  readonly #parts: LandingParts;
  #ended: (eventId: string | undefined) => void = () => undefined;

  constructor(parts: LandingParts) {
    this.#parts = parts;
  }

  /** Who hears that a delivery has ended, once that is durable; without an event's id: several, of events not named. */
  onEnded(listener: (eventId: string | undefined) => void): void {
    this.#ended = listener;
  }

  /** Deliveries have ended, durably, whose events nobody here knows. */
  someEnded(): void {
    this.#ended(undefined);
  }

  /** The store has the completion; `changed` false = it came late and changed nothing. */
  written({ lane, waiting }: Turn, completion: Completion, changed: boolean): void {
    const { scheduler, parking, ending } = this.#parts;
    const { next } = completion;
    scheduler.letGo(lane, completion.id);
    if (changed && next.state !== "ready") this.#ended(completion.attempt?.eventId ?? waiting.event?.id);
    if (changed && next.state === "failed") this.#letterWaits(lane);
    if (next.state === "ready") {
      lane.backlog.noteDue(next.dueAtMs);
      if (next.parked !== undefined) parking.parked(lane, next.parked);
      scheduler.refresh(lane);
    } else if (waiting.orderKey !== undefined) {
      // The end of a head made the next of its key due; when, only the store knows.
      lane.backlog.noteDue(completion.nowMs);
      scheduler.refresh(lane);
    }
    if (lane.ending !== undefined) ending.attemptOver(lane, changed && next.state === "ready");
  }

  /** A delivery of the lane failed without an attempt, durably. */
  failedUntried(lane: Lane, reason: EndReason): void {
    this.#parts.tally.ended(lane, { state: "failed", reason });
    this.#letterWaits(lane);
    this.someEnded();
  }

  /** A delivery of the lane failed: if the store forwards, its dead letter waits. */
  #letterWaits(lane: Lane): void {
    if (!lane.forwards) return;
    const { scheduler, tally, clock, routes } = this.#parts;
    const letters = scheduler.lane(deadLetterQueue(lane.uid), lane.namespace);
    routes.adopt(letters, deadLetterRoute(lane.route));
    const nowMs = clock.nowMs();
    tally.accepted(letters, nowMs);
    letters.backlog.noteDue(nowMs);
    scheduler.refresh(letters);
  }
}
