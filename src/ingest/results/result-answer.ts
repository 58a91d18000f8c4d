import { STATE_NAMES } from "../../core/delivery.ts";
import { type ResultStatus, resultStatus } from "../../core/result.ts";
import type { ResultDelivery, StoredResult } from "../../store/store.ts";
import type { Receipt } from "../acceptance.ts";
import { endText } from "./end-text.ts";
import type { ResultWish } from "./result-wish.ts";

/** A whole answer; `headers` in the flat form of `writeHead`. */
export interface Answer {
  readonly status: number;
  readonly headers: string[];
  /** Bytes where many are answered the same. */
  readonly text: string | Uint8Array;
}

/** Which call is answered: it decides the HTTP status of `processing`. */
export type AnswerForm = "event" | "hook" | "batch" | "poll";

/** Somebody who wants to hear how it ended. */
export interface ResultOrder {
  readonly namespace: string;
  readonly form: AnswerForm;
  /** Several of a batch, else one. */
  readonly receipts: readonly Receipt[];
  readonly wish: ResultWish;
  /** Goes into the address of a redirect, where tokens in the query are switched on and this caller's was there. */
  readonly queryToken: string | undefined;
  /** False when the token was in the body, which the request after a redirect has not. */
  readonly mayRedirect: boolean;
  /** Whether this caller may read what every receiver answered; of subscriptions that opt in each caller may. */
  readonly seesAnswers: boolean;
}

/** What is known of subscriptions by their uid. */
export interface SubscriptionsKnown {
  /** The name, also once it is gone. */
  nameOf(uid: string): string | undefined;
  /** Whether it lets everybody who may publish see its receiver's answers; one that is gone lets nobody. */
  showsAnswers(uid: string): boolean;
}

/** Whether this call answers by redirect while nothing is known. */
export function isRedirecting({ form, wish, mayRedirect }: ResultOrder): boolean {
  return wish.redirects && mayRedirect && form !== "batch";
}

/** Not all ended yet. */
export function processingAnswer(order: ResultOrder): Answer {
  const status = order.form === "hook" || order.form === "poll" ? 200 : 202;
  return answer(order, status, processingText(order, status, isRedirecting(order)));
}

/** To the result's address, one hop further (RFC 9110 15.4.4: the client goes on with GET). */
export function redirectAnswer(order: ResultOrder): Answer {
  const { namespace, receipts, wish, queryToken } = order;
  const query = new URLSearchParams({ pollingRedirectEnabled: "true", hop: String(wish.hop + 1) });
  if (wish.waitMs !== undefined) query.set("wait", `${wish.waitMs}ms`);
  if (queryToken !== undefined) query.set("token", queryToken);
  const redirect = answer(order, 303, processingText(order, 303, true));
  redirect.headers.push("Location", `/v1/namespaces/${namespace}/results/${receipts[0]?.id}?${query.toString()}`);
  return redirect;
}

/** All ended: `results` in the order of the receipts, none of them `gone`. */
export function endedAnswer(
  order: ResultOrder,
  results: readonly StoredResult[],
  parts: { readonly known: SubscriptionsKnown; readonly nowMs: number },
): Answer {
  const states = results.map((result) => resultStatus(result, parts.nowMs));
  const status = states.includes("failed") ? "failed" : "ok";
  const values = (): Value[][] =>
    results.map((result) => result.deliveries.map((delivery) => valueOf(delivery, parts.known, order.seesAnswers)));
  const view = { status, redirecting: isRedirecting(order), states } as const;
  const [only] = results;
  if (order.form === "batch" || only === undefined) return answer(order, 200, batchText(order, 200, { ...view, values: values() }));
  // What is told of filters is this caller's alone.
  if (order.receipts[0]?.filterErrors !== undefined) return answer(order, 200, singleText(order, 200, { ...view, values: values() }));
  const key = `${status} ${view.redirecting} ${order.receipts[0]?.duplicate} ${order.seesAnswers}`;
  return answer(
    order,
    200,
    sharedText(only, key, () => singleText(order, 200, { ...view, values: values() })),
  );
}

/**
 * Texts of results, as long as somebody holds the result: thousands may wait for the same one, and it may be a mebibyte long. Made once and
 * written from the same bytes, for to make it for each of them would take seconds in which nobody else is answered.
 */
const SHARED = new WeakMap<StoredResult, Map<string, Uint8Array>>();

function sharedText(result: StoredResult, key: string, make: () => string): Uint8Array {
  const texts = SHARED.get(result) ?? new Map<string, Uint8Array>();
  SHARED.set(result, texts);
  const text = texts.get(key) ?? Buffer.from(make());
  texts.set(key, text);
  return text;
}

interface ResultView {
  readonly status: "processing" | "ok" | "failed";
  readonly redirecting: boolean;
  readonly values: readonly (readonly Value[])[] | undefined;
  readonly states?: readonly ResultStatus[];
}

function processingText(order: ResultOrder, status: number, redirecting: boolean): string {
  const view: ResultView = { status: "processing", redirecting, values: undefined };
  return order.form === "batch" ? batchText(order, status, view) : singleText(order, status, view);
}

function answer(order: ResultOrder, status: number, text: string | Uint8Array): Answer {
  const headers = ["Content-Type", "application/json", "Content-Length", String(Buffer.byteLength(text))];
  // What is true of a result now may not be in a minute: nobody on the way may keep it.
  if (order.form === "poll" || status === 303) headers.push("Cache-Control", "no-store");
  if (order.form !== "batch") headers.push("postrider-result-correlationid", order.receipts[0]?.id ?? "");
  if (order.wish.preferred) headers.push("Preference-Applied", `wait=${Math.floor((order.wish.waitMs ?? 0) / 1_000)}`);
  return { status, headers, text };
}

/** Put together by hand because every accepted event comes by. */
function singleText({ receipts }: ResultOrder, status: number, view: ResultView): string {
  const value = view.values === undefined ? "null" : JSON.stringify(view.values[0] ?? []);
  return `{"statusCode":${status},"status":"${view.status}","value":${value},"pollingRedirectEnabled":${view.redirecting},${receiptFields(receipts[0]!)}}`;
}

function batchText({ receipts }: ResultOrder, status: number, view: ResultView): string {
  let matched = 0;
  for (const receipt of receipts) matched += receipt.matched;
  const items = receipts.map((receipt, i) => {
    const ended = view.values === undefined ? "" : `,"status":"${view.states?.[i]}","value":${JSON.stringify(view.values[i])}`;
    return `{${receiptFields(receipt)}${ended}}`;
  });
  return `{"statusCode":${status},"status":"${view.status}","value":null,"pollingRedirectEnabled":false,"correlationId":null,"id":null,"matched":${matched},"duplicate":false,"items":[${items.join(",")}]}`;
}

/** Ids are ours (hexadecimal and dashes): nothing to escape. */
function receiptFields({ id, matched, duplicate, filterErrors }: Receipt): string {
  const failed = filterErrors === undefined ? "" : `,"filterErrors":${JSON.stringify(filterErrors)}`;
  return `"correlationId":"${id}","id":"${id}","matched":${matched},"duplicate":${duplicate}${failed}`;
}

/** What one subscription's delivery came to. */
interface Value {
  /** Null where nobody knows the name any more. */
  readonly subscription: string | null;
  readonly outcome: (typeof STATE_NAMES)[ResultDelivery["state"]];
  readonly reason: string | null;
  /** Why, as a sentence; null where it was delivered. */
  readonly message: string | null;
  readonly statusCode: number | null;
  readonly attempts: number;
  /** Null where nothing was captured. */
  readonly answer: CapturedAnswer | null;
  /** There, and true, when the answers together were too long to tell. */
  readonly answerLeftOut?: true;
  /** There, and true, when an answer was captured that this caller may not see. */
  readonly answerHidden?: true;
}

interface CapturedAnswer {
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: { readonly text: string } | { readonly base64: string } | null;
}

function valueOf(delivery: ResultDelivery, known: SubscriptionsKnown, seesAnswers: boolean): Value {
  const { lastAttempt: last } = delivery;
  const sees = seesAnswers || known.showsAnswers(delivery.subscription);
  const hidden = !sees && hasAnswer(delivery);
  return {
    subscription: known.nameOf(delivery.subscription) ?? null,
    outcome: STATE_NAMES[delivery.state],
    reason: delivery.state === "delivered" ? null : (delivery.reason ?? null),
    message: endText(delivery, sees),
    statusCode: last?.statusCode ?? null,
    attempts: delivery.attempts,
    answer: hidden ? null : captured(last),
    ...(delivery.answerLeftOut && !hidden ? { answerLeftOut: true } : {}),
    ...(hidden ? { answerHidden: true } : {}),
  };
}

function hasAnswer({ lastAttempt: last, answerLeftOut }: ResultDelivery): boolean {
  return answerLeftOut || (last !== undefined && (last.responseHeaders.length > 0 || last.responseBody !== undefined));
}

function captured(last: ResultDelivery["lastAttempt"]): CapturedAnswer | null {
  if (last === undefined || (last.responseHeaders.length === 0 && last.responseBody === undefined)) return null;
  return { headers: last.responseHeaders.map(([name, value]) => ({ name, value })), body: bodyOf(last.responseBody) };
}

/** Text where it is UTF-8, else base64: as on the API port. */
function bodyOf(bytes: Uint8Array | undefined): CapturedAnswer["body"] {
  if (bytes === undefined) return null;
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
  }
}
