import type { Clock } from "../lib/clock.ts";
import type { Store } from "../store/store.ts";
import type { HealthBook } from "./lane-state/health-book.ts";
import type { IntakeDesk } from "./queue/intake-desk.ts";
import { waitingOf } from "./queue/lane.ts";
import { WINDOW_ROWS_MAX } from "../store/store.ts";
import type { Parking } from "./lane-state/parking.ts";
import type { PauseKeeper } from "./lane-state/pause-keeper.ts";
import type { Scheduler } from "./queue/scheduler.ts";

export interface BootParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly desk: IntakeDesk;
  readonly pauses: PauseKeeper;
  readonly parking: Parking;
  readonly health: HealthBook;
  /** How long nobody ran before this start, ms: it counts in no age. */
  readonly awayMs: number;
}

/**
 * What the engine must know before it may send: queues with pauses, health, when each is due next, and the fresh rows that only memory knew.
 * The backlog itself stays where it is.
 */
export async function bootEngine(parts: BootParts): Promise<void> {
  const { store, clock, scheduler, pauses, health, parking } = parts;
  const queues = await store.queues();
  const laneOf = (uid: string) => scheduler.lanes.get(uid);
  for (const queue of queues) {
    scheduler.lane(queue.subscription, queue.namespace).restore(queue);
  }
  await health.restore(laneOf, parts.awayMs);
  const nowMs = clock.nowMs();
  for (const queue of queues) {
    const lane = laneOf(queue.subscription);
    if (lane !== undefined) pauses.restore(lane, queue, nowMs);
  }
  await pauses.restoreSuspensions(laneOf);
  for (const { subscription, dueAtMs } of await store.nextDue(queues.length)) laneOf(subscription)?.noteDue(dueAtMs);
  for (const { subscription, mark } of await store.parked()) {
    const lane = laneOf(subscription);
    if (lane !== undefined) parking.parked(lane, mark);
  }
  await loadFresh(parts);
}

async function loadFresh({ store, scheduler, desk }: BootParts): Promise<void> {
  let afterId = 0;
  for (;;) {
    const rows = await store.fresh(afterId, WINDOW_ROWS_MAX);
    for (const row of rows) {
      desk.restored(scheduler.lane(row.subscription, row.namespace), waitingOf(row, undefined, true));
      afterId = Math.max(afterId, row.id);
    }
    if (rows.length < WINDOW_ROWS_MAX) return;
  }
}
