import { celList, celMap } from "@bufbuild/cel";
import type { CelInput } from "@bufbuild/cel";
import type { Event } from "./event.ts";
import { JSON_DEPTH_MAX } from "./event.ts";
import { asBuffer, dataAsJson } from "./event-data.ts";
import { jsonString, scanJson } from "./json-scan.ts";
import type { JsonNode } from "./json-scan.ts";

/** The `event` variable of an expression. */
export type EventBinding = CelInput;

interface Parsed {
  readonly binding: EventBinding;
  readonly json: Uint8Array;
  readonly root: JsonNode | undefined;
}

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** Read once per event, however many filters and bodies look at it; gone with the event. */
const parsedEvents = new WeakMap<Event, Parsed>();
/** Maps and lists that came from an event's data, with the bytes they were read from. */
const rawOf = new WeakMap<object, Uint8Array>();

/** The event as CEL sees it: id, source, type, subject, time, dataContentType, data, extensions; absent attributes are absent. */
export function eventBinding(event: Event): EventBinding {
  return parsedOf(event).binding;
}

/** The bytes of `data.<path>` as received; undefined when the path leads nowhere (or through a list). */
export function jsonBytesAt(event: Event, path: readonly string[]): Uint8Array | undefined {
  const { root, json } = parsedOf(event);
  let node = root;
  for (const name of path) {
    node = node?.members.find(({ key }) => key === name)?.value;
  }
  return node === undefined ? undefined : slice(json, node);
}

/** The bytes a map or list of an event's data was read from; undefined for one the expression made. */
export function rawJsonOf(value: unknown): Uint8Array | undefined {
  return typeof value === "object" && value !== null ? rawOf.get(value) : undefined;
}

function parsedOf(event: Event): Parsed {
  const known = parsedEvents.get(event);
  if (known !== undefined) return known;
  const json = dataAsJson(event);
  const scan = scanJson(json, JSON_DEPTH_MAX + 1);
  const root = scan.ok ? scan.root : undefined;
  const fields = new Map<string, CelInput>([
    ["id", event.id],
    ["source", event.source],
    ["type", event.type],
    ["data", root === undefined ? null : toInput(json, root)],
    ["extensions", celMap(new Map(Object.entries(event.extensions)))],
  ]);
  if (event.subject !== undefined) fields.set("subject", event.subject);
  if (event.time !== undefined) fields.set("time", event.time);
  if (event.dataContentType !== undefined) fields.set("dataContentType", event.dataContentType);
  const parsed = { binding: celMap(fields), json, root };
  parsedEvents.set(event, parsed);
  return parsed;
}

function toInput(json: Uint8Array, node: JsonNode): CelInput {
  switch (node.kind) {
    case "object":
      return remembered(json, node, celMap(new Map(node.members.map(({ key, value }) => [key, toInput(json, value)]))));
    case "array":
      return remembered(json, node, celList(node.items.map((item) => toInput(json, item))));
    case "string":
      return jsonString(json, node);
    case "number":
      return toNumber(asBuffer(slice(json, node)).toString("latin1"));
    default:
      return node.kind === "null" ? null : node.kind === "true";
  }
}

/** Written without point or exponent and within 64 bits: an int, exact; else a double. */
function toNumber(text: string): CelInput {
  if (!/^-?\d{1,19}$/.test(text)) return Number(text);
  const integer = BigInt(text);
  return integer >= INT64_MIN && integer <= INT64_MAX ? integer : Number(text);
}

function remembered<T extends object>(json: Uint8Array, node: JsonNode, value: T): T {
  rawOf.set(value, slice(json, node));
  return value;
}

function slice(json: Uint8Array, node: JsonNode): Uint8Array {
  return json.subarray(node.start, node.end);
}
