import type { Store } from "../store/store.ts";
import { WINDOW_ROWS_MAX } from "../store/store.ts";
import type { LanePart } from "./lane-state/lane-part.ts";
import type { FreshMemory } from "./queue/fresh-memory.ts";
import { waitingOf } from "./queue/lane-backlog.ts";
import type { Scheduler } from "./queue/scheduler.ts";

export interface BootParts {
  readonly store: Store;
  readonly scheduler: Scheduler;
  readonly fresh: FreshMemory;
  readonly laneParts: readonly LanePart[];
}

/**
 * What the engine must know before it may send: queues with pauses, health, when each is due next, and the fresh rows that only memory knew.
 * The backlog itself stays where it is. `awayMs`: how long nobody ran before this start.
 */
export async function bootEngine({ store, scheduler, fresh, laneParts }: BootParts, awayMs: number): Promise<void> {
  const queues = await store.queues();
  const laneOf = (uid: string) => scheduler.lanes.get(uid);
  for (const queue of queues) scheduler.lane(queue.subscription, queue.namespace).restore(queue);
  const laneFor = (uid: string, namespace: string) => scheduler.lane(uid, namespace);
  for (const part of laneParts) await part.restore({ queues, laneOf, laneFor, awayMs });
  for (const { subscription, dueAtMs } of await store.nextDue(queues.length)) laneOf(subscription)?.backlog.noteDue(dueAtMs);
  await loadFresh(store, scheduler, fresh);
}

async function loadFresh(store: Pick<Store, "fresh">, scheduler: Scheduler, fresh: FreshMemory): Promise<void> {
  let afterId = 0;
  for (;;) {
    const rows = await store.fresh(afterId, WINDOW_ROWS_MAX);
    for (const row of rows) {
      fresh.restored(scheduler.lane(row.subscription, row.namespace), waitingOf(row, undefined, true));
      afterId = Math.max(afterId, row.id);
    }
    if (rows.length < WINDOW_ROWS_MAX) return;
  }
}
