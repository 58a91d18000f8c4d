import { scanJson } from "../../core/json-scan.ts";
import type { DataKind, Event } from "../../core/event.ts";
import { isJson, kindOfData, parseMediaType } from "../../ingest/media-type.ts";
import { type ApiClient, ApiRefusal } from "../api/api-client.ts";
import { pagesOf } from "../api/listing.ts";
import { rfc3339 } from "../api/moment.ts";
import type { Body, EventDetail, EventRow } from "../api/rows.ts";
import { pathOf } from "../history/list-commands.ts";
import { CommandFailure } from "../program.ts";

/** One event that really came. */
export interface PastEvent {
  readonly id: string;
  readonly type: string;
  /** Undefined: no subscription wanted it, so its data is not kept, or its retention has just ended. */
  readonly event: Event | undefined;
}

export interface EventWish {
  readonly last: number;
  readonly sinceMs: number | undefined;
  /** Events of other types are not fetched: nothing that is planned concerns them. */
  readonly concerns: (type: string) => boolean;
}

export interface PastEvents {
  readonly events: readonly PastEvent[];
  /** How many were listed, those that concern nothing too. */
  readonly listed: number;
}

/** The newest events of a namespace, with their data. One after the other: a plan may take its time, and deliveries come first. @throws CommandFailure */
export async function pastEvents(client: ApiClient, namespace: string, { last, sinceMs, concerns }: EventWish): Promise<PastEvents> {
  const events: PastEvent[] = [];
  let listed = 0;
  const parameters = { since: sinceMs === undefined ? undefined : rfc3339(sinceMs) };
  try {
    for await (const { items } of pagesOf<EventRow>({ client, path: pathOf(namespace, "events"), parameters }, last)) {
      listed += items.length;
      for (const row of items.filter(({ type }) => concerns(type))) events.push(await withData(client, namespace, row));
    }
  } catch (error) {
    if (error instanceof ApiRefusal && error.status === 404 && error.problem === "not_found")
      throw new CommandFailure("this operator has no list of events: plan needs a newer one");
    throw error;
  }
  return { events, listed };
}

async function withData(client: ApiClient, namespace: string, { id, type, dataKept }: EventRow): Promise<PastEvent> {
  if (!dataKept) return { id, type, event: undefined };
  try {
    const detail = JSON.parse(await client.get(pathOf(namespace, "events", id))) as EventDetail;
    return { id, type, event: detail.dataKept ? eventOfDetail(namespace, detail) : undefined };
  } catch (error) {
    if (error instanceof ApiRefusal && error.status === 404) return { id, type, event: undefined };
    throw error;
  }
}

/** The event as the ingest accepted it, made of what the API shows of it. */
export function eventOfDetail(namespace: string, detail: EventDetail): Event {
  const data = bytesOf(detail.data);
  const contentType = detail.dataContentType ?? undefined;
  return {
    id: detail.id,
    namespace,
    sourceId: detail.sourceID,
    source: detail.source,
    type: detail.type,
    subject: detail.subject ?? undefined,
    time: detail.time ?? undefined,
    dataContentType: contentType,
    dataKind: kindOf(data, contentType),
    data: data ?? new Uint8Array(0),
    extensions: detail.extensions,
    receivedAtMs: Date.parse(detail.receivedTime ?? "") || 0,
  };
}

function bytesOf(body: Body | null): Uint8Array | undefined {
  if (body === null) return undefined;
  return "text" in body ? Buffer.from(body.text, "utf8") : Buffer.from(body.base64, "base64");
}

/** As the ingest decides it: JSON is what says so and is; an event without data has neither bytes nor a type. */
function kindOf(data: Uint8Array | undefined, contentType: string | undefined): DataKind {
  if (data === undefined || (data.length === 0 && contentType === undefined)) return "none";
  const media = contentType === undefined ? undefined : parseMediaType(contentType);
  if (media === undefined || isJson(media.essence)) return scanJson(data).ok ? "json" : "binary";
  return kindOfData(media, data);
}
