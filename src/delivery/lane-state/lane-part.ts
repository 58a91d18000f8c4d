import type { QueueState, StateKind } from "../../store/store.ts";
import type { Lane } from "../queue/lane.ts";

/** What a start knows of the queues. */
export interface LaneStart {
  readonly queues: readonly QueueState[];
  readonly laneOf: (uid: string) => Lane | undefined;
  /** The same, made where there is none yet. */
  readonly laneFor: (uid: string, namespace: string) => Lane;
  /** How long nobody ran before this start, ms: it counts in no age. */
  readonly awayMs: number;
}

/**
 * Something that is known of each lane beyond its queue. One list of them (lane-parts.ts) is gone through at a start, when the route of a lane
 * changes, when a lane is over, and when what is left in the store of subscriptions that are gone is dropped.
 */
export interface LanePart {
  /** The kind of state under which the store keeps it, by queue; undefined = the store keeps it elsewhere. */
  readonly stateKind: StateKind | undefined;
  /** At a start: what the last process left. A start that failed half-way is made again. @throws when the store cannot be read */
  restore(start: LaneStart): Promise<void>;
  /** The lane has another route, or none. What follows in memory follows before this returns. */
  routeChanged(lane: Lane): void;
  /**
   * The lane is over. Memory forgets before this returns; the promise settles when the store has forgotten too, where that must be waited for.
   * It may be back meanwhile: what comes after the call stays.
   */
  forget(lane: Lane): Promise<void>;
}
