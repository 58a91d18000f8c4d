import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import type { BusinessEvents } from "../../observe/events.ts";
import type { Log } from "../../observe/log.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { Store } from "../../store/store.ts";
import type { PermissionAsker } from "../attempter.ts";
import type { Lane } from "../queue/lane.ts";
import type { Scheduler } from "../queue/scheduler.ts";
import { HealthBook } from "./health-book.ts";
import type { LanePart } from "./lane-part.ts";
import { Parking } from "./parking.ts";
import { PauseKeeper } from "./pause-keeper.ts";
import { Permissions } from "./permissions.ts";
import { Tally } from "./tally.ts";

export interface LanePartsGiven {
  readonly store: Store;
  readonly asker: PermissionAsker;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: BusinessEvents;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly scheduler: Scheduler;
}

export interface LaneParts {
  readonly health: HealthBook;
  readonly tally: Tally;
  readonly pauses: PauseKeeper;
  readonly permissions: Permissions;
  readonly parking: Parking;
  /** All that are gone through together, in this order. Whoever adds one adds it here. */
  readonly laneParts: readonly LanePart[];
}

/** Makes what is known of each lane beyond its queue. */
export function lanePartsOf(given: LanePartsGiven): LaneParts {
  const { scheduler } = given;
  const health = new HealthBook(given);
  const tally = new Tally(health, given.events, given.clock);
  // Pauses, rate or message of the lane moved.
  const changed = (lane: Lane): void => {
    scheduler.refresh(lane);
    health.changed(lane);
    health.notify(lane, "transition");
  };
  const pauses = new PauseKeeper({ ...given, changed });
  const permissions = new Permissions({ ...given, changed });
  const parking = new Parking(given);
  // Health first: a circuit that was open is restored with the failures that opened it.
  return { health, tally, pauses, permissions, parking, laneParts: [health, pauses, permissions, parking] };
}
