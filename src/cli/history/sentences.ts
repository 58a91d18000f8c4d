import { lengthText, timeText } from "../api/moment.ts";
import type { DeliveryRow } from "../api/rows.ts";
import { lastAnswer } from "./kinds.ts";

/** When people read it, and how they read times. */
export interface Reading {
  readonly nowMs: number;
  readonly utc: boolean;
  readonly namespace: string;
}

/** What makes deliveries wait in addition to their schedule, in words; `NAME` is the subscription. */
const WAITS: Readonly<Record<string, string>> = {
  BySpec: "spec.suspend of NAME is true",
  Paused: "NAME is paused through the API: postrider resume",
  AutoSuspended: "NAME is suspended, because its receiver failed for too long: postrider resume",
  EndpointGone: "the receiver answered 410 Gone: postrider resume, once it is back",
  CircuitOpen: "the circuit of NAME is open, because its receiver fails",
  RetryAfter: "the receiver asked for a pause (Retry-After)",
  RateLimit: "the rate limit of NAME is used up",
  RefsUnresolved: "something that NAME names does not exist, or may not be read: postrider status",
  HandshakePending: "the receiver has not given its permission yet",
  PayloadInvalid: "payload.body of NAME fails for this event: change the spec",
};

/** What happened to a delivery, why, and what to do, in one sentence or two. */
export function deliverySentence(row: DeliveryRow, reading: Reading): string {
  const who = row.subscription ?? "a deleted subscription";
  const kind = row.deadLetter === true ? `the dead-letter endpoint of ${who}` : who;
  const answer = lastAnswer(row.lastAttempt);
  const tries = row.attempts === 1 ? "1 attempt" : `${row.attempts} attempts`;
  switch (row.state) {
    case "Delivered":
      return `delivered to ${kind}${timeOf(row.endedTime, reading)} after ${tries} (${answerText(answer)})`;
    case "Failed":
    case "Discarded": {
      const why = [row.reason, row.lastAttempt?.message].filter((part) => part !== null && part !== undefined && part !== "").join(": ");
      const again = row.subscription === null ? "" : `. Send it again: postrider resend -n ${reading.namespace} ${row.id}`;
      return `${row.state === "Failed" ? "failed" : "discarded"} for ${kind}${timeOf(row.endedTime, reading)} after ${tries}${why === "" ? "" : ` (${why})`}${again}`;
    }
    case "Claimed":
      return `in flight to ${kind} now, attempt ${row.attempts + 1}`;
    default:
      return `waits for ${kind}, ${row.attempts === 0 ? "not tried yet" : `${tries}${answer === "" ? "" : `, the last one ${answerText(answer)}`}`}: ${waitText(row, reading)}`;
  }
}

function answerText(answer: string): string {
  return /^\d+$/.test(answer) ? `HTTP ${answer}` : answer === "" ? "the attempt is not kept" : answer;
}

function timeOf(time: string | null, { utc }: Reading): string {
  return time === null ? "" : ` at ${timeText(time, utc)}`;
}

/** Why it waits, and until when. */
export function waitText({ waitingFor, nextAttemptTime, reason, subscription }: DeliveryRow, reading: Reading): string {
  const because = waitingFor?.reason ?? reason;
  const words = because === null ? "it is its turn soon" : (WAITS[because] ?? because).replace("NAME", subscription ?? "its subscription");
  const until = waitingFor?.untilTime ?? nextAttemptTime;
  if (until === null) return words;
  const inMs = Date.parse(until) - reading.nowMs;
  const when = inMs > 0 ? `in ${lengthText(inMs)}, at ${timeText(until, reading.utc)}` : "now";
  return because === null ? `next attempt ${when}` : `${words}; next attempt ${when}`;
}
