import { uuidv7Ms } from "../lib/random.ts";
import type { Event } from "./event.ts";

/**
 * When the event happened as its producer said it, else when we received it by the wall clock of that moment. That is in the id: it must be the same in
 * every attempt's body, also once the clock has been put right.
 */
export function eventTime(event: Event): string {
  return event.time ?? instantText(uuidv7Ms(event.id) ?? event.receivedAtMs);
}

/** The last instant spelled: under load many events share their millisecond. */
const lastInstant = { atMs: Number.NaN, text: "" };

function instantText(atMs: number): string {
  if (lastInstant.atMs !== atMs) {
    lastInstant.text = new Date(atMs).toISOString();
    lastInstant.atMs = atMs;
  }
  return lastInstant.text;
}
