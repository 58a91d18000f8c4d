import { withoutData, type EventData } from "../core/event.ts";
import type { AcceptItem } from "./store.ts";

/** How long an event that nobody wanted can be looked at, its data left out, ms: nothing is owed for which they would be needed. */
export const UNMATCHED_KEPT_MS = 86_400_000;

/** What an engine keeps of an event, and for how long: of one without deliveries all but its data, for a day at most. */
export function keptOf<E extends EventData>(
  item: Pick<AcceptItem, "deliveries" | "bodyRetentionMs"> & { readonly event: E },
): { readonly event: E; readonly retentionMs: number } {
  const { event, bodyRetentionMs } = item;
  if (item.deliveries.length > 0) return { event, retentionMs: bodyRetentionMs };
  return { event: withoutData(event), retentionMs: Math.min(bodyRetentionMs, UNMATCHED_KEPT_MS) };
}
