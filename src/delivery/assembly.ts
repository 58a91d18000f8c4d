import type { RecordKept } from "../core/storage-share.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { Soon } from "../lib/soon.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";
import type { Attempter, PermissionAsker } from "./attempter.ts";
import { ExpirySweep } from "./expiry-sweep.ts";
import { Aftermath } from "./flight/aftermath.ts";
import { ClaimLoop } from "./flight/claim-loop.ts";
import { FlightDesk } from "./flight/flight-desk.ts";
import { Landing } from "./flight/landing.ts";
import { ForgottenRows } from "./forgotten-rows.ts";
import { Housekeeping } from "./housekeeping.ts";
import { DeadLetters } from "./lane-state/dead-letters.ts";
import { lanePartsOf, type LaneParts } from "./lane-state/lane-parts.ts";
import { Lifetime } from "./lifetime.ts";
import { QueueActs } from "./queue-acts.ts";
import { QueueEnding } from "./queue-ending.ts";
import { ENGINE_BOUNDS, type EngineBounds } from "./queue/bounds.ts";
import { FreshMemory } from "./queue/fresh-memory.ts";
import { IntakeDesk } from "./queue/intake-desk.ts";
import { queuesSeen } from "./queue/queue-sight.ts";
import { Scheduler } from "./queue/scheduler.ts";
import { RouteWatch } from "./route-watch.ts";
import { RoutesInForce } from "./routes-in-force.ts";

export interface EngineParts {
  readonly store: Store;
  readonly attempter: Attempter;
  /** Asks receivers that must give permission first. */
  readonly asker: PermissionAsker;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: BusinessEvents;
  /** How dead letters name the deliveries that failed. */
  readonly deliveryNames: Pick<DeliveryNames, "nameOf">;
  readonly metrics: Metrics;
  readonly log: Log;
  /** As given to `Store.open`. */
  readonly owner: string;
  readonly slotsMax: number;
  /** How long attempts under way may take to finish once it is stopped, unless `drain` has said so, ms. */
  readonly graceMs?: number;
  /** How long nobody ran before this start, ms (BootReport). */
  readonly awayMs?: number;
  /** What may be kept of attempts of a namespace; all, where nobody says. */
  readonly recordKept?: (namespace: string) => RecordKept;
  /** Tests make bounds small, so that they are reached. */
  readonly bounds?: Partial<EngineBounds>;
}

/** What the engine is made of, as far as it speaks to it. */
export interface Assembly extends LaneParts {
  readonly life: Lifetime;
  readonly inForce: RoutesInForce;
  readonly fresh: FreshMemory;
  readonly scheduler: Scheduler;
  readonly routes: RouteWatch;
  readonly landing: Landing;
  readonly flights: FlightDesk;
  readonly desk: IntakeDesk;
  readonly forgotten: ForgottenRows;
  readonly acts: QueueActs;
  readonly housekeeping: Housekeeping;
  readonly bounds: EngineBounds;
}

/**
 * Makes the engine's parts, each of those before it: none knows of one that is made later, so whoever reads a part finds all that it needs above it.
 * Two things go the other way, and are only asked for: `soon` (work waits) and `landing.onEnded` (a delivery has ended).
 */
export function assemble(given: EngineParts): Assembly {
  const ground = {
    ...given,
    bounds: { ...ENGINE_BOUNDS, ...given.bounds },
    life: new Lifetime(given.clock.nowMs()),
    soon: new Soon(),
    inForce: new RoutesInForce(),
  };
  const fresh = new FreshMemory(ground.bounds);
  const scheduler = new Scheduler({ ...ground, fresh });
  given.metrics.inFlightLimit.set(given.slotsMax);
  given.metrics.readQueues(() => queuesSeen(scheduler.lanes.values(), given.clock));
  const queues = { ...ground, fresh, scheduler };
  const known = { ...queues, ...lanePartsOf(queues) };
  const ending = new QueueEnding(known);
  const deadLetters = new DeadLetters({ ...known, ending });
  const routes = new RouteWatch({ ...known, deadLetters });
  const served = { ...known, ending, deadLetters, routes };
  const landing = new Landing(served);
  const flights = new FlightDesk({ ...served, landing, aftermath: new Aftermath(served) });
  const sent = { ...served, landing, flights };
  const desk = new IntakeDesk(sent);
  const forgotten = new ForgottenRows(sent);
  // Nobody speaks to it: it is asked through `soon`.
  void new ClaimLoop({ ...sent, forgotten });
  const sweep = new ExpirySweep(sent);
  return { ...sent, desk, forgotten, acts: new QueueActs(sent), housekeeping: new Housekeeping({ ...sent, sweep, forgotten }) };
}
