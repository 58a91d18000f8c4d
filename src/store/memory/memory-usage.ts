import { attemptBytes, deliveryBytes, eventBytes, KEY_ROW_BYTES, RESULT_ROW_BYTES } from "../../core/stored-bytes.ts";
import type { Event } from "../../core/event.ts";
import type { AttemptRecord } from "../store.ts";
import { UsageBook } from "../usage-book.ts";
import { isPending, type DeliveryRow } from "./memory-row.ts";

interface Held {
  readonly events: ReadonlyMap<string, { readonly event: Event }>;
  readonly rows: ReadonlyMap<number, DeliveryRow>;
  /** A key begins with its namespace and a zero character. */
  readonly keys: ReadonlyMap<string, unknown>;
  /** Of each result, the namespace it is of. */
  readonly results: Iterable<string>;
}

/** What the namespaces hold: added to by each write, and counted anew when something has been let go. A delivery counts as one owed until it is forgotten. */
export class MemoryUsage extends UsageBook {
  accepted(event: Event, hasKey: boolean): void {
    this.add(event.namespace, bytesOf(event) + RESULT_ROW_BYTES + (hasKey ? KEY_ROW_BYTES : 0));
  }

  row(row: DeliveryRow): void {
    const { namespace, eventType: type, orderKey, recordId, deadLetter } = row;
    const note = deadLetter === undefined ? undefined : JSON.stringify(deadLetter);
    this.add(namespace, deliveryBytes({ type, orderKey, recordId, note }), isPending(row) ? 1 : 0);
  }

  attempt(namespace: string, attempt: AttemptRecord): void {
    const requestHeadersText = JSON.stringify(attempt.requestHeaders);
    this.add(namespace, attemptBytes({ ...attempt, requestHeadersText, responseHeadersText: JSON.stringify(attempt.responseHeaders) }));
  }

  recount({ events, rows, keys, results }: Held): void {
    this.clear();
    for (const { event } of events.values()) this.add(event.namespace, bytesOf(event));
    for (const key of keys.keys()) this.add(key.slice(0, key.indexOf("\0")), KEY_ROW_BYTES);
    for (const namespace of results) this.add(namespace, RESULT_ROW_BYTES);
    for (const row of rows.values()) {
      this.row(row);
      for (const { attempt } of row.history) this.attempt(row.namespace, attempt);
    }
  }
}

function bytesOf(event: Event): number {
  return eventBytes(event, JSON.stringify(event.extensions));
}
