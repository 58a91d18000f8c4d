import type { IncomingMessage } from "node:http";
import { isUndecided } from "../core/signing/verdict.ts";
import type { Verification } from "../core/signing/verdict.ts";
import type { ForwardAnswer } from "./forwarding.ts";
import { type Colour, linesOf, painted, shown, type Shown, shownJson } from "./terminal.ts";

/** One request as `listen` saw it. */
export interface Receipt {
  readonly number: number;
  readonly request: IncomingMessage;
  readonly body: Buffer;
  /** Undefined: nobody asked for one. */
  readonly verdict: Verification | undefined;
  readonly status: number;
  /** What the app behind --forward-to said; undefined where it was not asked. */
  readonly answer: ForwardAnswer | undefined;
}

/** Longest body shown of the app's answer, characters. */
const ANSWER_CHARS_MAX = 1_000;

/** One JSON object. */
export function receiptJson({ number, request, body, verdict, status, answer }: Receipt, nowMs: number): Shown {
  return shownJson({
    number,
    time: new Date(nowMs).toISOString(),
    method: request.method,
    path: request.url,
    headers: request.headers,
    body: body.toString("utf8"),
    verified: verdict === undefined || isUndecided(verdict) ? undefined : verdict.ok,
    scheme: verdict?.ok === true ? verdict.scheme : undefined,
    failure: verdict?.ok === false ? { reason: verdict.reason, message: verdict.message, hint: verdict.hint } : undefined,
    status,
    forwarded: answer && { status: answer.status, tookMs: answer.tookMs, failure: answer.failure, body: answer.body.toString("utf8") },
  });
}

type Paint = (colour: Colour, text: Shown) => Shown;

/** Lines for people. `shows.headers`: every header too. */
export function receiptText(receipt: Receipt, shows: { readonly colour: boolean; readonly headers: boolean }): Shown {
  const { number, request, body, verdict, status, answer } = receipt;
  const paint: Paint = (colour, text) => painted(colour, text, shows.colour);
  const id = String(request.headers["webhook-id"] ?? "no webhook-id");
  const lines = [
    shown`#${number} ${request.method ?? ""} ${request.url ?? ""} ${id} ${judged(verdict, paint)} -> ${statusOf(status, paint)}`,
  ];
  if (verdict?.ok === false) lines.push(shown`   ${verdict.message}`);
  if (verdict?.ok === false && verdict.hint !== undefined) lines.push(shown`   hint: ${verdict.hint}`);
  if (shows.headers) for (const [name, value] of pairs(request.rawHeaders)) lines.push(shown`   ${paint("dim", shown`${name}:`)} ${value}`);
  const type = request.headers["content-type"] === undefined ? "" : shown`${request.headers["content-type"]}, `;
  lines.push(shown`   ${type}${body.length} bytes`, shown`   ${body.toString("utf8")}`);
  if (answer !== undefined) lines.push(...answerLines(answer, paint));
  return linesOf(lines);
}

function statusOf(status: number, paint: Paint): Shown {
  return status < 300 ? shown`${status}` : paint("yellow", shown`${status}`);
}

function judged(verdict: Verification | undefined, paint: Paint): Shown {
  if (verdict === undefined) return shown`not verified`;
  if (verdict.ok) return paint("green", shown`verified`);
  return isUndecided(verdict)
    ? paint("yellow", shown`not verified (${verdict.reason})`)
    : paint("red", shown`NOT genuine (${verdict.reason})`);
}

function answerLines({ status, tookMs, failure, body }: ForwardAnswer, paint: Paint): Shown[] {
  if (failure !== undefined) return [shown`   ${paint("red", shown`app:`)} ${failure} -> ${status}`];
  const text = body.toString("utf8").trimEnd();
  const cut = text.length > ANSWER_CHARS_MAX ? `${text.slice(0, ANSWER_CHARS_MAX)}… (${body.length} bytes)` : text;
  const head = shown`   app: ${status < 300 ? paint("green", shown`${status}`) : statusOf(status, paint)} in ${Math.round(tookMs)} ms`;
  return cut === "" ? [shown`${head}, no body`] : [head, shown`   ${cut}`];
}

function pairs(raw: readonly string[]): (readonly [string, string])[] {
  return raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? ""] as const] : []));
}
