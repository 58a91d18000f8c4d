import type { EventFilter } from "../store/event-page.ts";
import { type QueryContext, type Refused, readPage, readParameters, refused } from "./history-query.ts";

const PARAMETERS = ["type", "sourceID", "matched", "since", "until", "limit", "cursor"] as const;

export type EventQueryRead = { readonly ok: true; readonly query: Omit<EventFilter, "namespace"> } | Refused;

/** Reads the parameters of the list of events. */
export function readEventQuery(parameters: URLSearchParams, context: QueryContext): EventQueryRead {
  const given = readParameters(parameters, PARAMETERS);
  if (typeof given === "string") return refused(given);
  const page = readPage(given, context);
  if (typeof page === "string") return refused(page);
  const { type, sourceID: sourceId, matched } = Object.fromEntries(given) as Partial<Record<(typeof PARAMETERS)[number], string>>;
  if (matched !== undefined && matched !== "true" && matched !== "false") return refused("matched must be true or false");
  const query = {
    ...page,
    ...(type === undefined ? {} : { type }),
    ...(sourceId === undefined ? {} : { sourceId }),
    ...(matched === undefined ? {} : { matched: matched === "true" }),
  };
  return { ok: true, query };
}
