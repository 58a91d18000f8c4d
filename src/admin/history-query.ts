import { isDay } from "../core/instant.ts";
import type { HistoryFilter } from "../store/store.ts";
import type { ApiProblem } from "./api-problem.ts";

/** Rows on a page where none are asked for, and at most. */
export const PAGE_ROWS_DEFAULT = 50;
export const PAGE_ROWS_MAX = 500;
const TEXT_CHARS_MAX = 256;
/** `pending` is both states of a delivery that has not ended. */
const STATES: ReadonlySet<string> = new Set<NonNullable<HistoryFilter["state"]>>([
  "pending",
  "ready",
  "claimed",
  "delivered",
  "failed",
  "discarded",
]);
const PARAMETERS = ["subscription", "state", "type", "recordId", "since", "until", "limit", "cursor"] as const;

/** What a list is asked for; `subscription` is a name, which the directory turns into the uids that had it. */
export interface HistoryQuery extends Omit<HistoryFilter, "namespace" | "subscriptions"> {
  readonly subscriptionName?: string;
}

export type QueryRead = { readonly ok: true; readonly query: HistoryQuery } | { readonly ok: false; readonly problem: ApiProblem };

/** Reads the parameters of a list; `beforeIdOf` knows the cursors that its pages gave. A parameter that is not known is refused: a misspelt filter must not answer with everything. */
export function readHistoryQuery(parameters: URLSearchParams, beforeIdOf: (cursor: string) => number | undefined): QueryRead {
  const given = new Map<string, string>();
  for (const [name, value] of parameters) {
    if (!(PARAMETERS as readonly string[]).includes(name))
      return refused(`${name} is not a parameter of this list; supported are ${PARAMETERS.join(", ")}`);
    if (given.has(name)) return refused(`${name} appears twice: give it once`);
    if (value.length === 0 || value.length > TEXT_CHARS_MAX) return refused(`${name} must have 1 to ${TEXT_CHARS_MAX} characters`);
    given.set(name, value);
  }
  const limit = whole(given.get("limit") ?? String(PAGE_ROWS_DEFAULT), PAGE_ROWS_MAX);
  if (limit === undefined) return refused(`limit must be a whole number from 1 to ${PAGE_ROWS_MAX}`);
  const state = given.get("state");
  if (state !== undefined && !STATES.has(state)) return refused(`state must be one of ${[...STATES].join(", ")}`);
  const times = readTimes(given);
  if (typeof times === "string") return refused(times);
  const cursor = given.get("cursor");
  const beforeId = cursor === undefined ? undefined : beforeIdOf(cursor);
  if (cursor !== undefined && beforeId === undefined) return refused("cursor is not a nextCursor of this list");
  const [subscriptionName, type, recordId] = [given.get("subscription"), given.get("type"), given.get("recordId")];
  return {
    ok: true,
    query: {
      limit,
      ...times,
      ...(subscriptionName === undefined ? {} : { subscriptionName }),
      ...(state === undefined ? {} : { state: state as NonNullable<HistoryFilter["state"]> }),
      ...(type === undefined ? {} : { type }),
      ...(recordId === undefined ? {} : { recordId }),
      ...(beforeId === undefined ? {} : { beforeId }),
    },
  };
}

function readTimes(given: ReadonlyMap<string, string>): { sinceMs?: number; untilMs?: number } | string {
  const times: { sinceMs?: number; untilMs?: number } = {};
  for (const name of ["since", "until"] as const) {
    const text = given.get(name);
    if (text === undefined) continue;
    const ms = instantMs(text);
    if (Number.isNaN(ms)) return `${name} must be a time such as 2026-01-02T03:04:05Z`;
    times[`${name}Ms`] = ms;
  }
  return times;
}

/** NaN for what is no time. A `+` that was not percent-encoded has become a space on its way, and can have been nothing else. */
function instantMs(text: string): number {
  const match = /^(\d{4})-(\d\d)-(\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+ -]\d\d:\d\d)$/.exec(text);
  if (match === null) return Number.NaN;
  const [, year = "", month = "", day = "", time = "", zone = ""] = match;
  if (!isDay(Number(year), Number(month), Number(day))) return Number.NaN;
  return Date.parse(`${year}-${month}-${day}${time}${zone.replace(" ", "+")}`);
}

function whole(text: string, max: number): number | undefined {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= max ? value : undefined;
}

function refused(detail: string): QueryRead {
  return { ok: false, problem: { code: "parameter_invalid", detail: `${detail}.` } };
}
