import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";
import type { EngineBounds } from "./queue/bounds.ts";
import type { DeadLetters } from "./lane-state/dead-letters.ts";
import { ExpirySweep } from "./expiry-sweep.ts";
import type { FlightDesk } from "./flight/flight-desk.ts";
import { ForgottenRows } from "./forgotten-rows.ts";
import type { HealthBook } from "./lane-state/health-book.ts";
import { Housekeeping } from "./housekeeping.ts";
import type { IntakeDesk } from "./queue/intake-desk.ts";
import type { Lane } from "./queue/lane.ts";
import type { Scheduler } from "./queue/scheduler.ts";
import type { Tally } from "./lane-state/tally.ts";

export interface UpkeepParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly bounds: EngineBounds;
  readonly scheduler: Scheduler;
  readonly desk: IntakeDesk;
  readonly flights: FlightDesk;
  readonly health: HealthBook;
  readonly tally: Tally;
  readonly deadLetters: DeadLetters;
  readonly livedSinceMs: () => number;
  /** Gives a lane the route in force. */
  readonly adopt: (lane: Lane) => void;
  /** Deliveries have ended, of events not named. */
  readonly deliveryEnded: () => void;
}

/** What looks after the queues once a second: the housekeeping, and of it the part that others tell of doubts. */
export interface Upkeep {
  readonly housekeeping: Housekeeping;
  readonly forgotten: ForgottenRows;
}

export function upkeepOf(parts: UpkeepParts): Upkeep {
  const { store, clock, log, metrics, scheduler, desk, flights, health, tally, deadLetters, livedSinceMs } = parts;
  const sweep = new ExpirySweep({
    store,
    clock,
    log,
    lanesMax: parts.bounds.sweptLanesMax,
    livedSinceMs,
    holds: (id) => scheduler.loader.holds(id),
    ended: (lane) => {
      tally.ended(lane, "failed");
      deadLetters.failed(lane);
      parts.deliveryEnded();
    },
    freshTaken: (lane, waiting) => desk.taken(lane, waiting),
  });
  const found = (rows: number): void => metrics.forgottenRows.inc(rows);
  const forgotten = new ForgottenRows({ store, clock, log, scheduler, desk, flights, adopt: parts.adopt, found });
  return { forgotten, housekeeping: new Housekeeping({ store, clock, log, metrics, scheduler, health, sweep, forgotten }) };
}
