import { deadLetterOwner } from "../core/dead-letter.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import { unreachable } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { AttemptRecord, DeliveryRecord, Store } from "../store/store.ts";
import { StreamedList } from "./answer-text.ts";
import { ok, problem, type ApiAnswer } from "./api-problem.ts";
import type { ApiRoute } from "./api-routes.ts";
import type { DeliveryActs, KnownSubscription, SubscriptionDirectory } from "./directory.ts";
import { readHistoryQuery, type HistoryQuery } from "./history-query.ts";
import { TestPots } from "./test-pots.ts";
import { readTestRequest } from "./test-request.ts";
import { attemptView, eventView, summaryView, testView, type DeliveryLabel } from "./views.ts";

/** Bodies of one page of the log together, in bytes: the page ends before the delivery that goes beyond. */
const PAGE_BODIES_BYTES_MAX = 1024 * 1024;
/** Bodies of the attempts of a single delivery, in bytes: the rest is left out. */
const DELIVERY_BODIES_BYTES_MAX = 8 * 1024 * 1024;
/** As the ingest says, s: room comes when a day of history is dropped, or a limit is raised. */
const QUOTA_RETRY_AFTER_SECONDS = 60;

export interface HandlerParts {
  readonly store: Pick<Store, "advanceTo" | "history" | "readDelivery" | "attemptsOf" | "readEvent" | "readBody">;
  readonly clock: Clock;
  readonly deliveryNames: DeliveryNames;
  readonly directory: SubscriptionDirectory;
  readonly acts: DeliveryActs;
}

/** Where the page that is being written ends. */
interface PageEnd {
  beforeId: number | undefined;
}

/** A call whose caller may make it. */
export interface ApiCall {
  readonly route: ApiRoute;
  readonly parameters: URLSearchParams;
  readonly body: Uint8Array;
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal;
}

const NO_SUCH_DELIVERY = problem({
  code: "delivery_not_found",
  detail: "The namespace has no delivery with this id, or its retention is over (retention.history of the policy).",
});

/** Answers calls. What belongs to another namespace is not there. */
export class ApiHandlers {
  readonly #parts: HandlerParts;
  readonly #tests: TestPots;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
    this.#tests = new TestPots(parts.clock);
  }

  /** @throws StoreError when the store cannot be read. */
  async answer(call: ApiCall): Promise<ApiAnswer> {
    const { namespace, action } = call.route;
    this.#parts.store.advanceTo(this.#parts.clock.nowMs());
    switch (action.kind) {
      case "subscriptions":
        return ok(new StreamedList(this.#parts.directory.list(namespace)));
      case "subscription": {
        const found = this.#parts.directory.get(namespace, action.name);
        return found === undefined ? this.#noSuchSubscription(namespace, action.name) : ok(found);
      }
      case "event":
        return this.#event(namespace, action.id);
      case "deliveries":
        return this.#deliveries(namespace, call.parameters);
      case "attempts":
        return this.#attempts(namespace, call.parameters);
      case "delivery":
        return this.#delivery(namespace, action.deliveryName);
      case "deliveryAttempts":
        return this.#attemptsOfOne(namespace, action.deliveryName);
      case "resend":
        return this.#resend(namespace, action.deliveryName);
      case "test":
        return this.#test(call, action.name);
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
      detail: "The namespace has no event with this id, or the retention of its body is over.",
    });
  }

  async #deliveries(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const asked = this.#query(namespace, parameters);
    if ("status" in asked) return asked;
    const page = await this.#parts.store.history(asked);
    const items = page.deliveries.map((summary) => summaryView(summary, this.#label(summary), this.#parts.clock));
    return ok({ items, nextCursor: this.#cursor(namespace, page.nextBeforeId) });
  }

  /** The log: attempts of the deliveries that fit, newest delivery first, each delivery's attempts in their order; a delivery is never split. */
  async #attempts(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const asked = this.#query(namespace, parameters);
    if ("status" in asked) return asked;
    const page = await this.#parts.store.history(asked);
    const end: PageEnd = { beforeId: page.nextBeforeId };
    return ok(new StreamedList(this.#pageOfLog(page.deliveries, asked.limit, end), () => this.#cursor(namespace, end.beforeId)));
  }

  /** A delivery whose bodies would not fit any more begins the next page, unless it is the first of this one: then what does not fit is left out. */
  async *#pageOfLog(deliveries: readonly DeliveryRecord[], limit: number, end: PageEnd): AsyncGenerator {
    let leftBytes = PAGE_BODIES_BYTES_MAX;
    let items = 0;
    let before: DeliveryRecord | undefined;
    for (const delivery of deliveries) {
      const budget = { bytes: leftBytes };
      const views: unknown[] = [];
      const isFull = items >= limit;
      if (!isFull) for await (const view of this.#attemptViews(delivery, budget)) views.push(view);
      if (before !== undefined && (isFull || budget.bytes < 0)) {
        end.beforeId = before.id;
        return;
      }
      yield* views;
      items += views.length;
      leftBytes = budget.bytes;
      before = delivery;
    }
  }

  async #delivery(namespace: string, deliveryName: string): Promise<ApiAnswer> {
    const id = this.#parts.deliveryNames.idOf(namespace, deliveryName);
    if (id === undefined) return NO_SUCH_DELIVERY;
    // The row of the list: the newest one before the next.
    const { deliveries } = await this.#parts.store.history({ namespace, beforeId: id + 1, limit: 1 });
    const summary = deliveries.find((one) => one.id === id);
    return summary === undefined ? NO_SUCH_DELIVERY : ok(summaryView(summary, this.#label(summary), this.#parts.clock));
  }

  async #attemptsOfOne(namespace: string, deliveryName: string): Promise<ApiAnswer> {
    const record = await this.#own(namespace, deliveryName);
    if (record === undefined) return NO_SUCH_DELIVERY;
    return ok(new StreamedList(this.#attemptViews(record, { bytes: DELIVERY_BODIES_BYTES_MAX })));
  }

  async #resend(namespace: string, deliveryName: string): Promise<ApiAnswer> {
    const record = await this.#own(namespace, deliveryName);
    if (record === undefined) return NO_SUCH_DELIVERY;
    const full = this.#parts.acts.storageFull(namespace);
    if (full !== undefined) return problem({ code: "quota_exceeded", detail: full, retryAfterSeconds: QUOTA_RETRY_AFTER_SECONDS });
    const result = await this.#parts.acts.resend(record.id);
    switch (result) {
      case "resent":
        return ok({ id: deliveryName, state: "ready" }, 202);
      case "not_found":
        return NO_SUCH_DELIVERY;
      case "body_gone":
        return problem({
          code: "body_gone",
          detail: "The retention of the event's body is over (retention.bodies of the policy): publish the event again.",
        });
      case "subscription_gone":
        return problem({ code: "subscription_gone", detail: "The delivery's subscription has been deleted." });
      case "not_ended":
        return problem({
          code: "delivery_not_ended",
          detail: "The delivery has not ended: Postrider retries it by itself (see nextAttemptTime).",
        });
      default:
        return unreachable(result);
    }
  }

  async #test({ route: { namespace }, body, signal }: ApiCall, name: string): Promise<ApiAnswer> {
    const found = this.#parts.directory.get(namespace, name);
    if (found === undefined) return this.#noSuchSubscription(namespace, name);
    const read = readTestRequest(body);
    if (!read.ok) return problem(read.problem);
    const entered = this.#tests.enter({ namespace, uid: found.uid });
    if (!entered.ok) return problem(entered.problem);
    try {
      const result = await this.#parts.acts.test({ namespace, uid: found.uid, ...read.request }, signal);
      if (result.kind === "held") {
        const code = result.what === "rate" ? "tests_too_fast" : "tests_busy";
        return problem({ code, detail: result.message, retryAfterSeconds: Math.max(1, Math.ceil(result.retryAfterMs / 1_000)) });
      }
      if (result.kind === "blocked") return problem({ code: "subscription_not_ready", detail: result.message });
      const { event, url, outcome } = result;
      return ok(testView({ eventId: event.id, eventType: event.type, url, outcome }));
    } finally {
      entered.leave();
    }
  }

  async #resume(namespace: string, name: string): Promise<ApiAnswer> {
    const found = this.#parts.directory.get(namespace, name);
    if (found === undefined) return this.#noSuchSubscription(namespace, name);
    if (isSuspendedBySpec(found)) {
      const detail = `spec.suspend of subscription ${name} is true, which this call cannot change: set it to false in the manifest, or with kubectl patch webhooksubscription ${name} -n ${namespace} --type merge -p '{"spec":{"suspend":false}}'`;
      return problem({ code: "suspended_by_spec", detail });
    }
    await this.#parts.acts.resume(found.uid);
    return ok({ namespace, name, resumed: true });
  }

  /** The filter of a list, a name in it turned into the uids that had it; or the answer that stands in its way. */
  #query(
    namespace: string,
    parameters: URLSearchParams,
  ): (Omit<HistoryQuery, "subscriptionName"> & { namespace: string; subscriptions?: readonly string[] }) | ApiAnswer {
    const read = readHistoryQuery(parameters, {
      beforeIdOf: (cursor) => this.#parts.deliveryNames.beforeIdOf(namespace, cursor),
      nowMs: this.#parts.clock.shownMs(this.#parts.clock.nowMs()),
    });
    if (!read.ok) return problem(read.problem);
    const { subscriptionName, ...asked } = read.query;
    const query = { ...asked, ...this.#engineTimes(asked) };
    if (subscriptionName === undefined) return { ...query, namespace };
    // The text may also be a uid: of several subscriptions that had one name, that shows one.
    return { ...query, namespace, subscriptions: [...this.#parts.directory.uidsOf(namespace, subscriptionName), subscriptionName] };
  }

  /** Callers give times as they read them; the store counts in engine time. */
  #engineTimes({ sinceMs, untilMs }: Pick<HistoryQuery, "sinceMs" | "untilMs">): Pick<HistoryQuery, "sinceMs" | "untilMs"> {
    const offsetMs = this.#parts.clock.shownMs(0);
    return {
      ...(sinceMs === undefined ? {} : { sinceMs: sinceMs - offsetMs }),
      ...(untilMs === undefined ? {} : { untilMs: untilMs - offsetMs }),
    };
  }

  /** The store is not asked about what this namespace was never told: how long an answer takes says nothing of others either. */
  async #own(namespace: string, deliveryName: string): Promise<DeliveryRecord | undefined> {
    const id = this.#parts.deliveryNames.idOf(namespace, deliveryName);
    const record = id === undefined ? undefined : await this.#parts.store.readDelivery(id);
    return record?.namespace === namespace ? record : undefined;
  }

  async *#attemptViews(record: DeliveryRecord, budget: { bytes: number }): AsyncGenerator {
    const { store, acts } = this.#parts;
    const attempts = await store.attemptsOf(record.id);
    const event = attempts.length === 0 ? undefined : await store.readBody(record.id);
    const label = this.#label(record);
    for (const attempt of attempts) {
      const body = budget.bytes > 0 ? acts.bodyOf(attempt, event) : undefined;
      budget.bytes -= (body?.length ?? 0) + (attempt.responseBody?.length ?? 0);
      yield attemptView(bounded(attempt, budget.bytes), label, budget.bytes >= 0 ? body : undefined, this.#parts.clock);
    }
  }

  #cursor(namespace: string, nextBeforeId: number | undefined): string | null {
    return nextBeforeId === undefined ? null : this.#parts.deliveryNames.cursorOf(namespace, nextBeforeId);
  }

  #label({ id, namespace, subscription }: DeliveryRecord): DeliveryLabel {
    const owner = deadLetterOwner(subscription);
    const uid = owner ?? subscription;
    return {
      id: this.#parts.deliveryNames.nameOf(namespace, id),
      uid,
      name: this.#parts.directory.nameOf(uid),
      isDeadLetter: owner !== undefined,
      hold: this.#parts.acts.heldBack(subscription),
    };
  }

  #noSuchSubscription(namespace: string, name: string): ApiAnswer {
    const refusal = this.#parts.directory.refusalOf?.(namespace, name);
    const detail =
      refusal === undefined
        ? `There is no subscription ${name} in namespace ${namespace}. Check with: kubectl get webhooksubscriptions -n ${namespace}`
        : `There is no subscription ${name} in namespace ${namespace}, because its manifest was rejected: ${refusal}`;
    return problem({ code: "subscription_not_found", detail });
  }
}

function bounded(attempt: AttemptRecord, bytesLeft: number): AttemptRecord {
  return bytesLeft >= 0 ? attempt : { ...attempt, responseBody: undefined };
}

function isSuspendedBySpec({ spec }: KnownSubscription): boolean {
  return typeof spec === "object" && spec !== null && "suspend" in spec && spec.suspend === true;
}
