import { celMap } from "@bufbuild/cel";
import type { CelInput } from "@bufbuild/cel";
import type { Event, ExtensionValue } from "../event.ts";
import { eventTime } from "../event-time.ts";
import { asBuffer, dataAsJson } from "../event-data.ts";
import { EventList, EventMap, EventNumber, rawAt, valueAt } from "../event-values.ts";
import { indexJson, type JsonIndex } from "../json-index.ts";

/** The `event` variable of an expression. */
export type EventBinding = CelInput;

/** Finding where the values of data lie, bytes in a step. */
const BYTES_READ_PER_STEP = 8;

interface Parsed {
  readonly binding: EventBinding;
  readonly index: JsonIndex | undefined;
  readonly data: CelInput;
}

/** Read once per event, however many filters and bodies look at it; gone with the event. */
const parsedEvents = new WeakMap<Event, Parsed>();

/** The event as CEL sees it: id, source, type, subject, time, dataContentType, data, extensions; subject and dataContentType are absent where the event has none. */
export function eventBinding(event: Event): EventBinding {
  return parsedOf(event).binding;
}

/** Reads an event for its expressions unless it has been. @returns what that takes, in steps, whether it was done now or before */
export function readEvent(event: Event): number {
  parsedOf(event);
  return Math.ceil(event.data.length / BYTES_READ_PER_STEP);
}

/** The bytes of `data.<path>` as received; undefined when the path leads nowhere (or through a list). */
export function jsonBytesAt(event: Event, path: readonly string[]): Uint8Array | undefined {
  const { index, data } = parsedOf(event);
  if (index === undefined) return undefined;
  let value: unknown = data;
  let place: number | undefined = 0;
  for (const [at, name] of path.entries()) {
    place = value instanceof EventMap ? value.placeOf(name) : undefined;
    if (place === undefined) return undefined;
    if (at < path.length - 1) value = (value as EventMap).get(name);
  }
  return rawAt(index, place);
}

/** The bytes a map or list of an event's data was read from; undefined for one the expression made. */
export function rawJsonOf(value: unknown): Uint8Array | undefined {
  return value instanceof EventMap || value instanceof EventList ? value.raw : undefined;
}

/** How a number of an event's data is spelled; undefined for anything else. */
export function numberTextOf(value: unknown): string | undefined {
  return value instanceof EventNumber ? value.text : undefined;
}

/** CloudEvents' integers are CEL's. */
function celValue(value: ExtensionValue): CelInput {
  return typeof value === "number" ? BigInt(value) : value;
}

function parsedOf(event: Event): Parsed {
  const known = parsedEvents.get(event);
  if (known !== undefined) return known;
  const index = indexJson(asBuffer(dataAsJson(event)));
  const data = index === undefined ? null : (valueAt(index, 0) as CelInput);
  const fields = new Map<string, CelInput>([
    ["id", event.id],
    ["source", event.source],
    ["type", event.type],
    ["time", eventTime(event)],
    ["data", data],
    ["extensions", celMap(new Map(Object.entries(event.extensions).map(([name, value]) => [name, celValue(value)])))],
  ]);
  if (event.subject !== undefined) fields.set("subject", event.subject);
  if (event.dataContentType !== undefined) fields.set("dataContentType", event.dataContentType);
  const parsed = { binding: celMap(fields), index, data };
  parsedEvents.set(event, parsed);
  return parsed;
}
