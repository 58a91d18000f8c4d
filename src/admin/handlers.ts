import { deadLetterOwner } from "../core/dead-letter.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import { unreachable } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import type { DeliveryRecord, Store } from "../store/store.ts";
import { StreamedList } from "./answer-text.ts";
import { ok, problem, type ApiAnswer } from "./api-problem.ts";
import type { ApiRoute } from "./api-routes.ts";
import type { DeliveryActs, KnownSubscription, SubscriptionDirectory } from "./directory.ts";
import { AttemptLog, type PageEnd } from "./attempt-log.ts";
import { DeliveryEnds, readResendWait, type WaitOrder } from "./delivery-ends.ts";
import { readEventQuery } from "./event-query.ts";
import { readHistoryQuery, readLogQuery, type HistoryQuery, type QueryContext, type QueryRead } from "./history-query.ts";
import { TestPots } from "./test-pots.ts";
import { readPauseRequest } from "./pause-request.ts";
import { readTestRequest } from "./test-request.ts";
import { eventRowView, eventView, summaryView, testView, type DeliveryLabel } from "./views.ts";

/** As the ingest says, s: room comes when a day of history is dropped, or a limit is raised. */
const QUOTA_RETRY_AFTER_SECONDS = 60;

export interface HandlerParts {
  readonly store: Pick<Store, "advanceTo" | "events" | "history" | "readDelivery" | "attemptsOf" | "readEvent" | "readBody">;
  readonly clock: Clock;
  readonly deliveryNames: DeliveryNames;
  readonly directory: SubscriptionDirectory;
  readonly acts: DeliveryActs;
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
  readonly #ends: DeliveryEnds;
  readonly #log: AttemptLog;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
    this.#tests = new TestPots(parts.clock);
    this.#ends = new DeliveryEnds(parts.store, parts.clock);
    this.#log = new AttemptLog(parts, (record) => this.#label(record));
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
      case "events":
        return this.#events(namespace, call.parameters);
      case "deliveries":
        return this.#deliveries(namespace, call.parameters);
      case "attempts":
        return this.#attempts(namespace, call.parameters);
      case "delivery":
        return this.#delivery(namespace, action.deliveryName);
      case "deliveryAttempts":
        return this.#attemptsOfOne(namespace, action.deliveryName);
      case "resend":
        return this.#resend(call, action.deliveryName);
      case "test":
        return this.#test(call, action.name);
      case "pause":
        return this.#pause(call, action.name);
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

  async #events(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const read = readEventQuery(parameters, this.#context(namespace));
    if (!read.ok) return problem(read.problem);
    const page = await this.#parts.store.events({ ...read.query, ...this.#engineTimes(read.query), namespace });
    const items = page.events.map((event) => eventRowView(event, this.#parts.clock));
    return ok({ items, nextCursor: this.#cursor(namespace, page.nextBefore) });
  }

  async #deliveries(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const asked = this.#query(namespace, readHistoryQuery(parameters, this.#context(namespace)));
    if ("status" in asked) return asked;
    const page = await this.#parts.store.history(asked);
    const items = page.deliveries.map((summary) => summaryView(summary, this.#label(summary), this.#parts.clock));
    return ok({ items, nextCursor: this.#cursor(namespace, page.nextBeforeId) });
  }

  /** The log: attempts of the deliveries that fit, newest delivery first, each delivery's attempts in their order; a delivery is never split. */
  async #attempts(namespace: string, parameters: URLSearchParams): Promise<ApiAnswer> {
    const read = readLogQuery(parameters, this.#context(namespace));
    const asked = this.#query(namespace, read);
    if ("status" in asked) return asked;
    const page = await this.#parts.store.history(asked);
    const end: PageEnd = { beforeId: page.nextBeforeId };
    const views = this.#log.page(page.deliveries, { limit: asked.limit, withBodies: read.withBodies !== false }, end);
    return ok(new StreamedList(views, () => this.#cursor(namespace, end.beforeId)));
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
    return ok(new StreamedList(this.#log.of(record)));
  }

  async #resend({ route: { namespace }, parameters, signal }: ApiCall, deliveryName: string): Promise<ApiAnswer> {
    const wait = readResendWait(parameters);
    if (!wait.ok) return problem(wait.problem);
    const record = await this.#own(namespace, deliveryName);
    if (record === undefined) return NO_SUCH_DELIVERY;
    const full = this.#parts.acts.storageFull(namespace);
    if (full !== undefined) return problem({ code: "quota_exceeded", detail: full, retryAfterSeconds: QUOTA_RETRY_AFTER_SECONDS });
    const result = await this.#parts.acts.resend(record.id);
    switch (result) {
      case "resent":
        return wait.ms === 0 ? ok({ id: deliveryName, state: "Ready" }, 202) : this.#resent(record, { waitMs: wait.ms, signal });
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

  /** The row as it stands when the extra attempt has ended, or after the wait: 200 then, else 202. */
  async #resent(record: DeliveryRecord, order: WaitOrder): Promise<ApiAnswer> {
    const { store, clock } = this.#parts;
    const hasEnded = await this.#ends.of(record.id, order);
    const { deliveries } = await store.history({ namespace: record.namespace, beforeId: record.id + 1, limit: 1 });
    const summary = deliveries.find((one) => one.id === record.id);
    return summary === undefined ? NO_SUCH_DELIVERY : ok(summaryView(summary, this.#label(summary), clock), hasEnded ? 200 : 202);
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

  async #pause({ route: { namespace }, body }: ApiCall, name: string): Promise<ApiAnswer> {
    const found = this.#parts.directory.get(namespace, name);
    if (found === undefined) return this.#noSuchSubscription(namespace, name);
    const read = readPauseRequest(body);
    if (!read.ok) return problem(read.problem);
    if (isSuspendedBySpec(found)) return suspendedBySpec(found);
    const message = `paused through the API${read.reason === undefined ? "" : `: ${read.reason}`}; ends with resume`;
    if (await this.#parts.acts.pause(found.uid, message)) return ok({ namespace, name, paused: true });
    return problem({
      code: "subscription_not_ready",
      detail: "The subscription has not been accepted, so nothing is sent: see its conditions.",
    });
  }

  async #resume(namespace: string, name: string): Promise<ApiAnswer> {
    const found = this.#parts.directory.get(namespace, name);
    if (found === undefined) return this.#noSuchSubscription(namespace, name);
    if (isSuspendedBySpec(found)) return suspendedBySpec(found);
    await this.#parts.acts.resume(found.uid);
    return ok({ namespace, name, resumed: true });
  }

  #context(namespace: string): QueryContext {
    const { clock, deliveryNames } = this.#parts;
    return { beforeIdOf: (cursor) => deliveryNames.beforeIdOf(namespace, cursor), nowMs: clock.shownMs(clock.nowMs()) };
  }

  /** The filter of a list, a name in it turned into the uids that had it; or the answer that stands in its way. */
  #query(
    namespace: string,
    read: QueryRead,
  ): (Omit<HistoryQuery, "subscriptionName"> & { namespace: string; subscriptions?: readonly string[] }) | ApiAnswer {
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

function suspendedBySpec({ namespace, name }: KnownSubscription): ApiAnswer {
  const detail = `spec.suspend of subscription ${name} is true, which this call cannot change: set it to false in the manifest, or with kubectl patch webhooksubscription ${name} -n ${namespace} --type merge -p '{"spec":{"suspend":false}}'`;
  return problem({ code: "suspended_by_spec", detail });
}

function isSuspendedBySpec({ spec }: KnownSubscription): boolean {
  return typeof spec === "object" && spec !== null && "suspend" in spec && spec.suspend === true;
}
