import type { IncomingMessage } from "node:http";
import { isUndecided } from "../core/verdict.ts";
import type { Verification } from "../core/verdict.ts";
import type { ForwardAnswer } from "./forwarding.ts";

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
export function receiptJson({ number, request, body, verdict, status, answer }: Receipt, nowMs: number): string {
  return `${JSON.stringify({
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
  })}\n`;
}

/** Lines for people. `shows.headers`: every header too. */
export function receiptText(receipt: Receipt, shows: { readonly colour: boolean; readonly headers: boolean }): string {
  const { number, request, body, verdict, status, answer } = receipt;
  const paint = (code: number, text: string): string => (shows.colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const id = printable(String(request.headers["webhook-id"] ?? "no webhook-id"));
  const shownStatus = status < 300 ? String(status) : paint(33, String(status));
  const lines = [
    `#${number} ${printable(request.method ?? "")} ${printable(request.url ?? "")} ${id} ${judged(verdict, paint)} -> ${shownStatus}`,
  ];
  if (verdict?.ok === false) lines.push(`   ${printable(verdict.message)}`);
  if (verdict?.ok === false && verdict.hint !== undefined) lines.push(`   hint: ${printable(verdict.hint)}`);
  if (shows.headers)
    for (const [name, value] of pairs(request.rawHeaders)) lines.push(`   ${paint(2, `${printable(name)}:`)} ${printable(value)}`);
  const type = request.headers["content-type"] === undefined ? "" : `${printable(request.headers["content-type"])}, `;
  lines.push(`   ${type}${body.length} bytes`, `   ${printable(body.toString("utf8"))}`);
  if (answer !== undefined) lines.push(...answerLines(answer, paint));
  return `${lines.join("\n")}\n`;
}

function judged(verdict: Verification | undefined, paint: (code: number, text: string) => string): string {
  if (verdict === undefined) return "not verified";
  if (verdict.ok) return paint(32, "verified");
  return isUndecided(verdict) ? paint(33, `not verified (${verdict.reason})`) : paint(31, `NOT genuine (${verdict.reason})`);
}

function answerLines({ status, tookMs, failure, body }: ForwardAnswer, paint: (code: number, text: string) => string): string[] {
  if (failure !== undefined) return [`   ${paint(31, "app:")} ${printable(failure)} -> ${status}`];
  const text = body.toString("utf8").trimEnd();
  const cut = text.length > ANSWER_CHARS_MAX ? `${text.slice(0, ANSWER_CHARS_MAX)}… (${body.length} bytes)` : text;
  const head = `   app: ${status < 300 ? paint(32, String(status)) : paint(33, String(status))} in ${Math.round(tookMs)} ms`;
  return cut === "" ? [`${head}, no body`] : [head, `   ${printable(cut)}`];
}

function pairs(raw: readonly string[]): (readonly [string, string])[] {
  return raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? ""] as const] : []));
}

/** What strangers sent never moves the cursor or colours the terminal. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- removing control characters is the point
  return text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "\u00b7").replaceAll("\n", "\n   ");
}
