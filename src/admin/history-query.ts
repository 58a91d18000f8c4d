import { type DeliveryState, STATE_NAMES } from "../core/delivery.ts";
import { isDay } from "../core/instant.ts";
import { parseDuration } from "../lib/duration.ts";
import type { HistoryFilter, WantedState } from "../store/store.ts";
import type { ApiProblem } from "./api-problem.ts";

/** Rows on a page where none are asked for, and at most. */
export const PAGE_ROWS_DEFAULT = 50;
export const PAGE_ROWS_MAX = 500;
const TEXT_CHARS_MAX = 256;
/** As the API spells them, read in any case. `Pending` is both states of a delivery that has not ended. */
const STATES: ReadonlyMap<string, WantedState> = new Map([
  ["Pending", "pending"],
  ...Object.entries(STATE_NAMES).map(([state, name]) => [name, state as DeliveryState] as const),
]);
const STATES_IN_ANY_CASE = new Map([...STATES].map(([name, state]) => [name.toLowerCase(), state]));
const PARAMETERS = ["subscription", "state", "statusCode", "type", "recordID", "eventID", "since", "until", "limit", "cursor"] as const;
const LOG_PARAMETERS = [...PARAMETERS, "bodies"] as const;

/** What a list is asked for; `subscription` is a name, which the directory turns into the uids that had it. */
export interface HistoryQuery extends Omit<HistoryFilter, "namespace" | "subscriptions"> {
  readonly subscriptionName?: string;
}

/** Parameters that a call cannot be answered with. */
export interface Refused {
  readonly ok: false;
  readonly problem: ApiProblem;
}

export type QueryRead = { readonly ok: true; readonly query: HistoryQuery } | Refused;

/** What a query is read with: the cursors that this list's pages gave, and the wall's time. */
export interface QueryContext {
  readonly beforeIdOf: (cursor: string) => number | undefined;
  readonly nowMs: number;
}

/** Each parameter once, by name; or what is wrong. A parameter that is not known is refused: a misspelt filter must not answer with everything. */
export function readParameters(parameters: URLSearchParams, known: readonly string[]): ReadonlyMap<string, string> | string {
  const given = new Map<string, string>();
  for (const [name, value] of parameters) {
    if (!known.includes(name)) return unknownParameter(name, known);
    if (given.has(name)) return `${name} appears twice: give it once`;
    if (value.length === 0 || value.length > TEXT_CHARS_MAX) return `${name} must have 1 to ${TEXT_CHARS_MAX} characters`;
    given.set(name, value);
  }
  return given;
}

/** Which page of a list is asked for; or what is wrong. */
export function readPage(
  given: ReadonlyMap<string, string>,
  { beforeIdOf, nowMs }: QueryContext,
): { readonly limit: number; readonly before?: number; readonly sinceMs?: number; readonly untilMs?: number } | string {
  const limit = whole(given.get("limit") ?? String(PAGE_ROWS_DEFAULT), PAGE_ROWS_MAX);
  if (limit === undefined) return `limit must be a whole number from 1 to ${PAGE_ROWS_MAX}`;
  const times = readTimes(given, nowMs);
  if (typeof times === "string") return times;
  const cursor = given.get("cursor");
  const before = cursor === undefined ? undefined : beforeIdOf(cursor);
  if (cursor !== undefined && before === undefined) return "cursor is not a nextCursor of this list";
  return { limit, ...times, ...(before === undefined ? {} : { before }) };
}

/** Reads the parameters of a list of deliveries. */
export function readHistoryQuery(parameters: URLSearchParams, context: QueryContext): QueryRead {
  const given = readParameters(parameters, PARAMETERS);
  return typeof given === "string" ? refused(given) : readFilter(given, context);
}

/** Reads the parameters of the log, which may be asked for without bodies. */
export function readLogQuery(parameters: URLSearchParams, context: QueryContext): QueryRead & { readonly withBodies?: boolean } {
  const given = readParameters(parameters, LOG_PARAMETERS);
  if (typeof given === "string") return refused(given);
  const bodies = given.get("bodies") ?? "all";
  if (bodies !== "all" && bodies !== "none") return refused("bodies must be all or none");
  return { ...readFilter(given, context), withBodies: bodies === "all" };
}

function readFilter(given: ReadonlyMap<string, string>, context: QueryContext): QueryRead {
  const states = readStates(given.get("state"));
  if (states === undefined) return refused(`state must be one or several, with commas between them, of ${[...STATES.keys()].join(", ")}`);
  const statusCode = readStatusCode(given.get("statusCode"));
  if (statusCode === undefined) return refused("statusCode must be a status such as 503, or a class such as 5xx");
  const page = readPage(given, context);
  if (typeof page === "string") return refused(page);
  const { before, ...rest } = page;
  const query = { ...rest, ...states, ...statusCode, ...readTexts(given), ...(before === undefined ? {} : { beforeId: before }) };
  return { ok: true, query };
}

/** What is compared as it is. */
function readTexts(given: ReadonlyMap<string, string>): Pick<HistoryQuery, "subscriptionName" | "type" | "recordId" | "eventId"> {
  const names = { subscription: "subscriptionName", type: "type", recordID: "recordId", eventID: "eventId" } as const;
  const texts: Partial<Record<(typeof names)[keyof typeof names], string>> = {};
  for (const [parameter, name] of Object.entries(names)) {
    const text = given.get(parameter);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}

/** Undefined where one of them is no state. */
function readStates(text: string | undefined): Pick<HistoryQuery, "state"> | undefined {
  if (text === undefined) return {};
  const states = text.split(",").map((word) => STATES_IN_ANY_CASE.get(word.trim().toLowerCase()));
  return states.includes(undefined) ? undefined : { state: states.filter((state) => state !== undefined) };
}

/** Undefined for what is neither a status nor a class of them. */
function readStatusCode(text: string | undefined): Pick<HistoryQuery, "statusCode"> | undefined {
  if (text === undefined) return {};
  const match = /^([1-9])(?:(\d\d)|xx)$/i.exec(text);
  if (match === null) return undefined;
  const [, hundred = "", rest] = match;
  return { statusCode: { from: Number(`${hundred}${rest ?? "00"}`), to: Number(`${hundred}${rest ?? "99"}`) } };
}

function unknownParameter(name: string, known: readonly string[]): string {
  const meant = known.find((parameter) => parameter.toLowerCase() === name.toLowerCase());
  return `${name} is not a parameter of this call; ${meant === undefined ? `supported are ${known.join(", ")}` : `its name is ${meant}`}`;
}

function readTimes(given: ReadonlyMap<string, string>, nowMs: number): { sinceMs?: number; untilMs?: number } | string {
  const times: { sinceMs?: number; untilMs?: number } = {};
  for (const name of ["since", "until"] as const) {
    const text = given.get(name);
    if (text === undefined) continue;
    const agoMs = parseDuration(text);
    const ms = agoMs === undefined ? instantMs(text) : nowMs - agoMs;
    if (Number.isNaN(ms)) return `${name} must be a time such as 2026-01-02T03:04:05Z, or how long ago: 30m, 2h, 48h`;
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

/** `detail` without its full stop. */
export function refused(detail: string): Refused {
  return { ok: false, problem: { code: "parameter_invalid", detail: `${detail}.` } };
}
