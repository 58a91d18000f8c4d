import type { ParkedQueue, UnparkRequest } from "../store.ts";
import type { DeliveryRow } from "./memory-row.ts";

/** See `Store.parked`. */
export function parkedQueues(rows: Iterable<DeliveryRow>): ParkedQueue[] {
  const found = new Map<string, ParkedQueue>();
  for (const { subscription, parked: mark } of rows) {
    if (mark !== undefined) found.set(`${subscription} ${mark}`, { subscription, mark });
  }
  return [...found.values()];
}

/** See `Store.unpark`. */
export function unparkRows(rows: Iterable<DeliveryRow>, { subscription, mark, nowMs, limit }: UnparkRequest): number {
  const others = [...rows].filter((row) => row.subscription === subscription && row.parked !== undefined && row.parked !== mark);
  for (const row of others.slice(0, limit)) Object.assign(row, { parked: undefined, dueAtMs: nowMs });
  return Math.min(others.length, limit);
}
