import { deadLetterQueue, type DeadLetterNote } from "../../core/dead-letter.ts";
import { SINGLE_OWNER_EPOCH } from "../store.ts";
import { INDEXED, type End } from "./delivery-table.ts";
import type { Hot } from "./generated/rows.ts";
import type { Queue } from "./queue-table.ts";
import type { WrittenTables } from "./written-tables.ts";

/** How deliveries end, whoever ends them: the row moves to its day, its mark goes, its queue counts it, and a failed one may leave a dead letter. */
export class Endings {
  readonly #tables: WrittenTables;

  constructor(tables: WrittenTables) {
    this.#tables = tables;
  }

  end(row: Hot, end: End): void {
    const { deliveries, parked, queues } = this.#tables;
    deliveries.end(row, end);
    parked.remove(row.id);
    const queue = queues.byNumber(row.queue);
    if (queue === undefined) return;
    queues.count(queue, end.state, -1);
    if (end.state === "failed" && queue.forwards) this.#forward(row, queue, end);
  }

  /** A dead letter for a delivery that failed: waits in a queue of its own, on the same event. */
  #forward(row: Hot, failed: Queue, end: End): void {
    const { nowMs, reason } = end;
    const last = row.attempt === 0 ? undefined : this.#tables.deliveries.lastAttempt(row.id);
    const times = { acceptedAtMs: row.accepted, endedAtMs: nowMs };
    const note: DeadLetterNote = { deliveryId: row.id, reason, attempts: row.attempt, ...last, ...times };
    const queue = this.#tables.queues.of(deadLetterQueue(failed.subscription), failed.namespace, nowMs);
    this.#tables.queues.count(queue, "accepted", 1);
    const { event, eventDay, eventId, type, historyMs, recordId } = row;
    const zero = { cut: 0, attempt: 0, crashes: 0, loneCrashes: 0, lone: 0, resent: 0, epoch: SINGLE_OWNER_EPOCH };
    const place = { id: ++this.#tables.lastId, queue: queue.queue, state: INDEXED, due: nowMs, orderKey: null, accepted: nowMs };
    this.#tables.deliveries.insert({ ...place, ...zero, event, eventDay, eventId, type, historyMs, recordId, note: JSON.stringify(note) });
  }
}
