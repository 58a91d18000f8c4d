import type { Event } from "../core/event.ts";

export interface EventFilter {
  readonly namespace: string;
  readonly type?: string;
  /** The CloudEvents id that the event came with. */
  readonly sourceId?: string;
  /** True: only events that at least one subscription wanted; false: only those that none did. */
  readonly matched?: boolean;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** `nextBefore` of the page before. */
  readonly before?: number;
  readonly limit: number;
}

/** An event without its data, and how many deliveries it was accepted with. */
export interface EventSummary {
  readonly event: Omit<Event, "data">;
  readonly dataBytes: number;
  readonly deliveries: number;
}

export interface EventPage {
  readonly events: readonly EventSummary[];
  /** Where the next page begins; undefined on the last one. */
  readonly nextBefore: number | undefined;
}
