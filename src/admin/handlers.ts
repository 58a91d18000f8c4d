import { deadLetterOwner } from "../core/dead-letter.ts";
import { unreachable } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { AttemptRecord, DeliveryRecord, Store } from "../store/store.ts";
import { ok, problem, type ApiAnswer } from "./api-problem.ts";
import type { ApiRoute } from "./api-routes.ts";
import type { DeliveryActs, SubscriptionDirectory } from "./directory.ts";
import { cursorOf, readHistoryQuery, type HistoryQuery } from "./history-query.ts";
import { readTestRequest } from "./test-request.ts";
import { attemptView, deliveryView, eventView, summaryView, testView, type SubscriptionLabel } from "./views.ts";

/** Request bodies of one answer together, in bytes: the rest is left out and says so. */
export const BODIES_BYTES_MAX = 8 * 1024 * 1024;
/** Tests under way at once. */
export const TESTS_MAX = 16;
/** As the ingest says, s: room comes when a day of history is dropped, or a limit is raised. */
const QUOTA_RETRY_AFTER_SECONDS = 60;

export interface HandlerParts {
  readonly store: Pick<Store, "tell" | "history" | "readDelivery" | "attemptsOf" | "readEvent" | "readBody">;
  readonly clock: Clock;
  readonly directory: SubscriptionDirectory;
  readonly acts: DeliveryActs;
}

/** A call whose caller may make it. */
export interface ApiCall {
  readonly route: ApiRoute;
  readonly parameters: URLSearchParams;
  readonly body: Uint8Array;
}

const NO_SUCH_DELIVERY = problem({
  code: "delivery_not_found",
  detail: "There is no delivery of this id in the namespace, or it is past its retention (the policy's retention.history).",
});

/** Answers calls. What belongs to another namespace is not there. */
export class ApiHandlers {
  readonly #parts: HandlerParts;
  #tests = 0;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
  }

  /** @throws StoreError when the store cannot be read. */
  async answer(call: ApiCall): Promise<ApiAnswer> {
    const { namespace, action } = call.route;
    this.#parts.store.tell(this.#parts.clock.nowMs());
    switch (action.kind) {
      case "subscriptions":
        return ok({ items: this.#parts.directory.list(namespace), nextCursor: null });
      case "subscription": {
        const found = this.#parts.directory.get(namespace, action.name);
        return found === undefined ? noSuchSubscription(namespace, action.name) : ok(found);
      }
      case "event":
        return this.#event(namespace, action.id);
      case "deliveries":
        return this.#deliveries(namespace, call.parameters);
      case "attempts":
        return this.#attempts(namespace, call.parameters);
      case "delivery":
        return this.#delivery(namespace, action.id);
      case "deliveryAttempts":
        return this.#attemptsOfOne(namespace, action.id);
      case "resend":
        return this.#resend(namespace, action.id);
      case "test":
        return this.#test(namespace, action.name, call.body);
      case "resume":
        return this.#resume(namespace, action.name);
      default:
        return unreachable(action);
    }
  }

  async #event(namespace: string, id: string): Promise<ApiAnswer> {
    const event = await this.#parts.store.readEvent(namespace, id);
    if (event !== undefined) return ok(eventView(event, this.#parts.clock));
    return problem({
      code: "event_not_found",
      detail: "There is no event of this id in the namespace, or its body is past its retention.",
    });
  }

  async #deliveries(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const asked = this.#query(namespace, parameters);
    if ("status" in asked) return asked;
    const page = await this.#parts.store.history(asked);
    const items = page.deliveries.map((summary) => summaryView(summary, this.#label(summary), this.#parts.clock));
    return ok({ items, nextCursor: cursorOf(page.nextBeforeId) });
  }

  /** The log: attempts of the deliveries that fit, newest delivery first, each delivery's attempts in their order; a delivery is never split. */
  async #attempts(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const asked = this.#query(namespace, parameters);
    if ("status" in asked) return asked;
    const page = await this.#parts.store.history(asked);
    const budget = { bytes: BODIES_BYTES_MAX };
    const items: unknown[] = [];
    let nextBeforeId = page.nextBeforeId;
    for (const delivery of page.deliveries) {
      items.push(...(await this.#attemptViews(delivery, budget)));
      if (items.length >= asked.limit && delivery !== page.deliveries.at(-1)) {
        nextBeforeId = delivery.id;
        break;
      }
    }
    return ok({ items, nextCursor: cursorOf(nextBeforeId) });
  }

  async #delivery(namespace: string, id: number): Promise<ApiAnswer> {
    const record = await this.#own(namespace, id);
    return record === undefined ? NO_SUCH_DELIVERY : ok(deliveryView(record, this.#label(record), this.#parts.clock));
  }

  async #attemptsOfOne(namespace: string, id: number): Promise<ApiAnswer> {
    const record = await this.#own(namespace, id);
    if (record === undefined) return NO_SUCH_DELIVERY;
    return ok({ items: await this.#attemptViews(record, { bytes: BODIES_BYTES_MAX }), nextCursor: null });
  }

  async #resend(namespace: string, id: number): Promise<ApiAnswer> {
    if ((await this.#own(namespace, id)) === undefined) return NO_SUCH_DELIVERY;
    const full = this.#parts.acts.storageFull(namespace);
    if (full !== undefined) return problem({ code: "quota_exceeded", detail: full, retryAfterSeconds: QUOTA_RETRY_AFTER_SECONDS });
    const result = await this.#parts.acts.resend(id);
    switch (result) {
      case "resent":
        return ok({ id: String(id), state: "ready" }, 202);
      case "not_found":
        return NO_SUCH_DELIVERY;
      case "body_gone":
        return problem({
          code: "body_gone",
          detail: "The event's body is past its retention (the policy's retention.bodies): publish the event again.",
        });
      case "subscription_gone":
        return problem({ code: "subscription_gone", detail: "The delivery's subscription is deleted: nobody would take it any more." });
      case "not_ended":
        return problem({
          code: "delivery_not_ended",
          detail: "The delivery is still owed: it will be tried again by itself (see nextAttemptTime).",
        });
      default:
        return unreachable(result);
    }
  }

  async #test(namespace: string, name: string, body: Uint8Array): Promise<ApiAnswer> {
    const found = this.#parts.directory.get(namespace, name);
    if (found === undefined) return noSuchSubscription(namespace, name);
    const read = readTestRequest(body);
    if (!read.ok) return problem(read.problem);
    if (this.#tests >= TESTS_MAX) {
      return problem({ code: "tests_busy", detail: `${TESTS_MAX} tests are under way: try again shortly.`, retryAfterSeconds: 5 });
    }
    this.#tests++;
    try {
      const result = await this.#parts.acts.test({ namespace, uid: found.uid, ...read.request });
      if (result.kind === "blocked") return problem({ code: "subscription_not_ready", detail: result.message });
      const { event, url, outcome } = result;
      return ok(testView({ eventId: event.id, eventType: event.type, url, outcome }));
    } finally {
      this.#tests--;
    }
  }

  async #resume(namespace: string, name: string): Promise<ApiAnswer> {
    const found = this.#parts.directory.get(namespace, name);
    if (found === undefined) return noSuchSubscription(namespace, name);
    await this.#parts.acts.resume(found.uid);
    return ok({ namespace, name, resumed: true });
  }

  /** The filter of a list, a name in it turned into the uid; or the answer that stands in its way. */
  #query(
    namespace: string,
    parameters: URLSearchParams,
  ): (Omit<HistoryQuery, "subscriptionName"> & { namespace: string; subscription?: string }) | ApiAnswer {
    const read = readHistoryQuery(parameters);
    if (!read.ok) return problem(read.problem);
    const { subscriptionName, ...asked } = read.query;
    const query = { ...asked, ...this.#engineTimes(asked) };
    if (subscriptionName === undefined) return { ...query, namespace };
    const found = this.#parts.directory.get(namespace, subscriptionName);
    // The uid is taken as well: a deleted subscription has no name any more.
    return { ...query, namespace, subscription: found?.uid ?? subscriptionName };
  }

  /** Callers give times as they read them; the store counts in engine time. */
  #engineTimes({ sinceMs, untilMs }: Pick<HistoryQuery, "sinceMs" | "untilMs">): Pick<HistoryQuery, "sinceMs" | "untilMs"> {
    const offsetMs = this.#parts.clock.shownMs(0);
    return {
      ...(sinceMs === undefined ? {} : { sinceMs: sinceMs - offsetMs }),
      ...(untilMs === undefined ? {} : { untilMs: untilMs - offsetMs }),
    };
  }

  async #own(namespace: string, id: number): Promise<DeliveryRecord | undefined> {
    const record = await this.#parts.store.readDelivery(id);
    return record?.namespace === namespace ? record : undefined;
  }

  async #attemptViews(record: DeliveryRecord, budget: { bytes: number }): Promise<unknown[]> {
    const { store, acts } = this.#parts;
    const attempts = await store.attemptsOf(record.id);
    const event = attempts.length === 0 ? undefined : await store.readBody(record.id);
    const label = this.#label(record);
    return attempts.map((attempt) => {
      const body = budget.bytes > 0 ? acts.bodyOf(attempt, event) : undefined;
      budget.bytes -= (body?.length ?? 0) + (attempt.responseBody?.length ?? 0);
      return attemptView(bounded(attempt, budget.bytes), label, budget.bytes >= 0 ? body : undefined, this.#parts.clock);
    });
  }

  #label({ subscription }: DeliveryRecord): SubscriptionLabel {
    const owner = deadLetterOwner(subscription);
    const uid = owner ?? subscription;
    return { uid, name: this.#parts.directory.nameOf(uid), isDeadLetter: owner !== undefined };
  }
}

function bounded(attempt: AttemptRecord, bytesLeft: number): AttemptRecord {
  return bytesLeft >= 0 ? attempt : { ...attempt, responseBody: undefined };
}

function noSuchSubscription(namespace: string, name: string): ApiAnswer {
  return problem({
    code: "subscription_not_found",
    detail: `There is no subscription ${name} in namespace ${namespace}. Check with: kubectl get webhooksubscriptions -n ${namespace}`,
  });
}
