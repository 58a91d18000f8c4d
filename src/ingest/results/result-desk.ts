import { resultStatus } from "../../core/result.ts";
import type { Clock } from "../../lib/clock.ts";
import type { StoredResult } from "../../store/store.ts";
import { type Checked, refused, RETRY_AFTER_SECONDS } from "../refusal.ts";
import {
  type Answer,
  endedAnswer,
  isRedirecting,
  processingAnswer,
  redirectAnswer,
  type ResultOrder,
  type SubscriptionsKnown,
} from "./result-answer.ts";
import type { Known, PollEnd, ResultHub, Wait, Waiter } from "./result-hub.ts";
import { HOPS_MAX, REDIRECT_WAIT_MS } from "./result-wish.ts";

export interface ResultDeskParts {
  readonly hub: ResultHub;
  readonly known: SubscriptionsKnown;
  readonly clock: Clock;
}

/** Who asked. */
export interface Client {
  readonly isOpen: boolean;
  settle(answer: Checked<Answer>): void;
}

/** Of all that a request was, no more than this is kept while it waits. */
class WaitingClient implements Waiter {
  readonly #desk: ResultDesk;
  readonly #order: ResultOrder;
  readonly #client: Client;

  constructor(desk: ResultDesk, order: ResultOrder, client: Client) {
    this.#desk = desk;
    this.#order = order;
    this.#client = client;
  }

  get namespace(): string {
    return this.#order.namespace;
  }

  done(end: PollEnd): void {
    this.#client.settle(this.#desk.answerTo(this.#order, end));
  }
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Seconds after which there may be room for another wait. */
const POLLS_RETRY_AFTER_SECONDS = 5;

/** Answers whoever wants a result: at once, or when it is there, or when the time is over. One way for events, batches, hooks and polls. */
export class ResultDesk {
  readonly #parts: ResultDeskParts;

  constructor(parts: ResultDeskParts) {
    this.#parts = parts;
  }

  /** Settles the client once, at once or later; what it returns must be cancelled if the client goes away. */
  serve(order: ResultOrder, client: Client): Wait | undefined {
    const { hub } = this.#parts;
    const waitMs = waitOf(order);
    if (order.form === "poll" && !UUID.test(order.receipts[0]?.id ?? "")) {
      client.settle(unknownResult(order));
    } else if (waitMs === 0) {
      if (order.form !== "poll") client.settle({ ok: true, value: late(order) });
      else this.#readOnce(order, client);
    } else {
      const full = hub.full(order.namespace);
      if (full === undefined) {
        const awaited = order.receipts.map(({ id, matched, duplicate }) => ({ id, owed: owedOf(order, matched, duplicate) }));
        return hub.wait(new WaitingClient(this, order, client), awaited, waitMs);
      }
      // What has been accepted is accepted: it is only not waited for.
      if (order.form !== "poll") client.settle({ ok: true, value: late(order) });
      else
        client.settle(
          refused("overloaded", `${full}: ask again later, or without wait.`, { retryAfterSeconds: POLLS_RETRY_AFTER_SECONDS }),
        );
    }
    return undefined;
  }

  /** Everybody who waits is told that it is still processing. */
  stop(): void {
    this.#parts.hub.stop();
  }

  #readOnce(order: ResultOrder, client: Client): void {
    const settle = (answer: Checked<Answer>): void => {
      if (client.isOpen) client.settle(answer);
    };
    const reading = this.#parts.hub.read(order.namespace, order.receipts[0]?.id ?? "");
    if (reading === "busy") {
      settle(
        refused("overloaded", "Too many requests wait for results right now: try again shortly.", {
          retryAfterSeconds: RETRY_AFTER_SECONDS,
        }),
      );
    } else {
      reading.then(
        (known) => settle(this.#known(order, [known])),
        () => settle(unreadable()),
      );
    }
  }

  /** How an end of waiting is put to whoever ordered it. */
  answerTo(order: ResultOrder, end: PollEnd): Checked<Answer> {
    switch (end.kind) {
      case "ended":
        return this.#known(order, end.known);
      case "late":
        if (isUnread(order, end.matched) && !isRedirecting(order)) return unreadable();
        return { ok: true, value: late(withMatched(order, end.matched)) };
      case "stopped":
        if (isUnread(order, end.matched)) return unreadable();
        return { ok: true, value: processingAnswer(withMatched(order, end.matched)) };
      default:
        // The event is stored all the same; that nothing can be said of its end is no reason to have it sent again.
        return order.form === "poll" ? unreadable() : { ok: true, value: processingAnswer(order) };
    }
  }

  #known(order: ResultOrder, known: readonly Known[]): Checked<Answer> {
    const nowMs = this.#parts.clock.nowMs();
    const results = known.filter((each): each is StoredResult => each !== undefined);
    const states = results.map((each) => resultStatus(each, nowMs));
    if (order.form === "poll") {
      if (results[0] === undefined) return unknownResult(order);
      if (states[0] === "gone") return goneResult();
    }
    const counted = withMatched(order, order.form === "poll" ? results[0]?.matched : undefined);
    if (results.length < known.length || states.includes("processing") || states.includes("gone"))
      return { ok: true, value: late(counted) };
    return { ok: true, value: endedAnswer(counted, results, { known: this.#parts.known, nowMs }) };
  }
}

/** How long this call waits, ms. A poll that is redirected waits even where nobody said so. */
function waitOf(order: ResultOrder): number {
  return order.wish.waitMs ?? (order.form === "poll" && isRedirecting(order) ? REDIRECT_WAIT_MS : 0);
}

/** Nothing of an event just stored can have ended; of a duplicate and of a poll's the store must be asked. */
function owedOf(order: ResultOrder, matched: number, duplicate: boolean): number | undefined {
  return order.form === "poll" || duplicate ? undefined : matched;
}

function late(order: ResultOrder): Answer {
  return isRedirecting(order) && order.wish.hop < HOPS_MAX ? redirectAnswer(order) : processingAnswer(order);
}

/** The store had not answered yet: whether there is such a result at all is not known, so `processing` may not be said. */
function isUnread(order: ResultOrder, matched: number | undefined): boolean {
  return order.form === "poll" && matched === undefined;
}

function withMatched(order: ResultOrder, matched: number | undefined): ResultOrder {
  const [receipt] = order.receipts;
  if (order.form !== "poll" || receipt === undefined || matched === undefined) return order;
  return { ...order, receipts: [{ ...receipt, matched }] };
}

function unknownResult({ namespace }: ResultOrder): Checked<never> {
  return refused(
    "result_unknown",
    `Namespace ${namespace} has no result with this id: use the correlationId from the answer to your event.`,
  );
}

function goneResult(): Checked<never> {
  return refused("result_gone", "The result has been deleted: retention.history of the delivery policy sets when.");
}

function unreadable(): Checked<never> {
  return refused("store_unavailable", "The result cannot be read right now: try again shortly.", {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
