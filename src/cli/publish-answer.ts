import { CommandFailure } from "./program.ts";
import { linesOf, shown, type Shown } from "./terminal.ts";

/** What became of an event, for people. */
export interface AnswerLines {
  readonly text: Shown;
  /** A delivery has failed for good. */
  readonly failed: boolean;
}

/** The ingest's answer in words: stored for whom and, where it was waited for, what each receiver said. @throws CommandFailure */
export function answerLines(text: string, waited: boolean): AnswerLines {
  const answer = jsonObject(text);
  if (typeof answer?.["id"] !== "string") throw new CommandFailure(`this is not an ingest: it answered ${text.slice(0, 200)}`);
  const matched = Number(answer["matched"]);
  const filters = failedFilters(answer["filterErrors"]);
  const none = filters.length === 0 ? "no subscription wants it" : "no subscription gets it";
  const who = matched === 0 ? none : matched === 1 ? "1 subscription gets it" : `${matched} subscriptions get it`;
  const head = shown`${answer["id"]} ${answer["duplicate"] === true ? "already stored (duplicate)" : "stored"}: ${who}`;
  if (!waited) return { text: linesOf([head, ...filters]), failed: false };
  const { value, status } = answer;
  const entries = Array.isArray(value) ? (value as Readonly<Record<string, unknown>>[]) : [];
  const open = status === "processing" ? [shown`  still in progress: follow it in the log or the API`] : [];
  return { text: linesOf([head, ...filters, ...entries.map(entryLine), ...open]), failed: status === "failed" };
}

/** Filters that failed: their subscriptions do not get the event, which nobody meant. */
function failedFilters(errors: unknown): Shown[] {
  if (!Array.isArray(errors)) return [];
  return (errors as Readonly<Record<string, unknown>>[]).map(
    ({ subscription, message }) => shown`  ${String(subscription)}: does not get it, because its filter failed: ${String(message)}`,
  );
}

function entryLine({ subscription, outcome, reason, message, statusCode, attempts }: Readonly<Record<string, unknown>>): Shown {
  const status = typeof statusCode === "number" ? `, HTTP ${statusCode}` : "";
  const times = attempts === 1 ? "1 attempt" : `${String(attempts)} attempts`;
  const why = [reason, message].filter((word) => typeof word === "string" && word !== "").join(": ");
  return shown`  ${String(subscription)}: ${String(outcome).toLowerCase()}${status} after ${times}${why === "" ? "" : ` (${why})`}`;
}

/** A JSON object; undefined for anything else. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
