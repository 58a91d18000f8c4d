import type { Event } from "../core/event.ts";
import { BUILT_IN_LIMITS, BUILT_IN_POLICY } from "../core/policy.ts";
import type { FilterError, Route, RouteTable } from "../core/route-table.ts";
import type { StepBudgets } from "../core/expression/step-budgets.ts";
import type { Clock } from "../lib/clock.ts";
import type { LongWork, Pieces } from "../lib/long-work.ts";
import type { Shares } from "../lib/shares.ts";
import type { BusinessEvents } from "../observe/events.ts";
import { type AcceptItem, type AcceptResult, type AcceptedItem, type NewDelivery, type Store, StoreError } from "../store/store.ts";
import { contentHash, eventOf, keyOf, keySpaceOf, NO_HASH } from "./accepted-event.ts";
import type { EventDraft } from "./event-draft.ts";
import { FilterBill } from "./filter-bill.ts";
import type { Intake } from "./intake.ts";
import type { RateGate } from "./rate-gate.ts";
import { sameMeaning } from "./same-meaning.ts";
import { type Checked, type Refusal, refuse, refused, RETRY_AFTER_SECONDS } from "./refusal.ts";
import { bytesToStore, type StorageQuota } from "./storage-quota.ts";

/** The routing table in force; not ready for a namespace until all it depends on was listed, or the last accepted routes were loaded. */
interface Routes {
  ready(namespace: string): boolean;
  table(): RouteTable;
  /** Why this installation serves nothing at all. */
  closed?(): string | undefined;
}

export interface AcceptanceParts {
  readonly store: Pick<Store, "accept" | "readEvent">;
  readonly routes: Routes;
  readonly intake: Intake;
  readonly events: BusinessEvents;
  readonly clock: Clock;
  /** Namespaces labelled `postrider.dev/strict` refuse types that no subscription names. */
  readonly isStrict: (namespace: string) => boolean;
  /** Deliveries that one request may make. */
  readonly deliveriesMax: number;
}

export interface AcceptanceGates {
  readonly rate: RateGate;
  /** Deliveries that are on their way into the store, by namespace. */
  readonly underWay: Shares;
  readonly storage: StorageQuota;
  readonly work: LongWork;
  /** What the filters of each namespace may take. */
  readonly steps: StepBudgets;
}

/** What the producer is told about one event. */
export interface Receipt {
  readonly id: string;
  readonly matched: number;
  readonly duplicate: boolean;
  /** Subscriptions whose filter failed for it, so that they do not get it; some of them where there are many. */
  readonly filterErrors?: readonly ToldFilterError[];
}

/** Told to whoever may publish in the namespace, and so sees the names of its subscriptions in results too. */
export interface ToldFilterError {
  readonly subscription: string;
  readonly message: string;
}

/** Who sends, and how they name the event. */
export interface Sender {
  /** Whose idempotency keys are meant; see Caller. */
  readonly producer: string;
  /** The header's; a batch has none. */
  readonly idempotencyKey: string | undefined;
}

/** An event and who gets it. */
interface Matched {
  readonly event: Event;
  readonly routes: readonly Route[];
  readonly key: string | undefined;
  /** What it is compared by; undefined = its own content. */
  readonly hash?: Uint8Array;
  readonly filterErrors?: readonly ToldFilterError[];
}

/** Which event of a request came before with other bytes, and under which id. */
interface Conflict {
  readonly index: number;
  readonly eventId: string;
}

/** A whole request, and the table by which it was matched. */
interface MatchedRequest {
  readonly table: RouteTable;
  readonly events: readonly Matched[];
}

const DISK_RETRY_AFTER_SECONDS = 30;
/** Filters that failed, told in one answer, and characters of each message: an answer must not grow with the subscriptions. */
const FILTER_ERRORS_TOLD_MAX = 10;
const FILTER_ERROR_CHARS_MAX = 256;
/** Events of one request that may be spelled in another way than when they came first: for each the store is asked once more. */
const SPELLINGS_MAX = 64;
/** Bytes that may be read to compare them, the stored ones included: 10 ms a MiB. */
const COMPARED_BYTES_MAX = 2 * 1024 * 1024;
/** Deliveries told to the engine in one piece: beginning an attempt costs 0.1 ms, the first to a receiver 1 ms and more. */
const DELIVERIES_A_PIECE = 4;

/**
 * From drafts to a durable commit: match, count, admit, store, in one transaction for the whole request. How many deliveries a request would make
 * is known before anything is reserved or stored for it, and whatever of this takes long is done in pieces, so that a large request holds up
 * nobody else. Resolves only after the commit returned; exactly one of `Intake.committed` and `Intake.abandoned` follows every `admit`.
 */
export class Acceptance {
  readonly #parts: AcceptanceParts;
  readonly #gates: AcceptanceGates;

  constructor(parts: AcceptanceParts, gates: AcceptanceGates) {
    this.#parts = parts;
    this.#gates = gates;
  }

  /** Why nothing can be accepted now; asked before a body is read and again before it is stored. */
  unready(namespace: string): Refusal | undefined {
    const retryAfterSeconds = RETRY_AFTER_SECONDS;
    if (!this.#parts.routes.ready(namespace)) {
      const isClosed = this.#parts.routes.closed?.() !== undefined;
      const why = isClosed
        ? "This installation does not serve its class now"
        : `Subscriptions of namespace ${namespace} have not been read yet`;
      const detail = `${why}: try again shortly. See /readyz on the metrics port.`;
      return refuse("not_ready", detail, { retryAfterSeconds });
    }
    if (!this.#parts.intake.accepting()) {
      return refuse("overloaded", "There is no room for more deliveries right now: try again shortly.", { retryAfterSeconds });
    }
    return undefined;
  }

  /** Why the namespace may not store anything more, if so; its numbers are for those who may publish there. */
  storageFull(namespace: string): Refusal | undefined {
    return this.#gates.storage.full(namespace);
  }

  async accept(namespace: string, drafts: readonly EventDraft[], sender: Sender): Promise<Checked<readonly Receipt[]>> {
    const { rate, work } = this.#gates;
    const { clock } = this.#parts;
    const waitSeconds = rate.waitSeconds(namespace, clock.monotonicMs());
    if (waitSeconds !== undefined) return tooFast(namespace, waitSeconds, rate.perSecond);
    const found = work.run(namespace, this.#match(namespace, drafts, sender));
    const matched = found instanceof Promise ? await found : found;
    if (!matched.ok) return matched;
    const { events } = matched.value;
    const deliveries = events.reduce((sum, { routes }) => sum + routes.length, 0);
    // An event costs one even when nobody wants it: it is stored, and can be asked for.
    const cost = events.reduce((sum, { routes }) => sum + Math.max(1, routes.length), 0);
    const debtSeconds = rate.take(namespace, cost, clock.monotonicMs());
    if (debtSeconds !== undefined) return tooFast(namespace, debtSeconds, rate.perSecond);
    return this.#withRoom(namespace, deliveries, () => this.#withinQuota(namespace, events, () => this.#store(namespace, matched.value)));
  }

  /** What is judged is what the whole request adds at once. */
  async #withinQuota<T>(namespace: string, events: readonly Matched[], work: () => Promise<Checked<T>>): Promise<Checked<T>> {
    const { storage } = this.#gates;
    const bytes = events.reduce((sum, { event, routes, key }) => sum + bytesToStore(event, routes.length, key !== undefined), 0);
    const refusal = storage.take(namespace, bytes);
    if (refusal !== undefined) return { ok: false, refusal };
    try {
      return await work();
    } finally {
      storage.give(namespace, bytes);
    }
  }

  async #withRoom<T>(namespace: string, deliveries: number, work: () => Promise<Checked<T>>): Promise<Checked<T>> {
    const { underWay } = this.#gates;
    if (!underWay.take(namespace, deliveries)) {
      const detail = `Namespace ${namespace} has ${underWay.held(namespace)} uncommitted deliveries and would add ${deliveries}, more than its share of ${underWay.max}: try again shortly.`;
      return refused("overloaded", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    try {
      return await work();
    } finally {
      underWay.give(namespace, deliveries);
    }
  }

  /** The store compares bytes. Where those differ, an event that says the same as the one it has is sent again as a duplicate of that. */
  async #store(namespace: string, matched: MatchedRequest): Promise<Checked<readonly Receipt[]>> {
    let request = matched;
    const left = { spellings: SPELLINGS_MAX, bytes: COMPARED_BYTES_MAX };
    for (;;) {
      const stored = await this.#storeAsIs(namespace, request);
      if (!("conflict" in stored)) return stored;
      const respelled = await this.#asStored(request, stored.conflict, left);
      if (respelled === undefined) {
        this.#parts.events.idempotencyConflict(namespace);
        return conflict(stored.conflict, request.events.length > 1);
      }
      request = respelled;
    }
  }

  /** Undefined where the event that is stored says something else, where its data are gone, or where too much would have to be compared. */
  async #asStored(
    { table, events }: MatchedRequest,
    { index, eventId }: Conflict,
    left: { spellings: number; bytes: number },
  ): Promise<MatchedRequest | undefined> {
    const matched = events[index];
    if (matched === undefined || left.spellings-- === 0) return undefined;
    const { namespace } = matched.event;
    const known = await this.#parts.store.readEvent(namespace, eventId).catch(() => undefined);
    if (known === undefined) return undefined;
    left.bytes -= matched.event.data.length + known.data.length;
    const same = left.bytes >= 0 && (await this.#gates.work.run(namespace, compared(matched.event, known)));
    if (!same) return undefined;
    return { table, events: events.with(index, { ...matched, hash: contentHash(known) }) };
  }

  async #storeAsIs(namespace: string, matched: MatchedRequest): Promise<Checked<readonly Receipt[]> | { readonly conflict: Conflict }> {
    const { work } = this.#gates;
    const { events } = matched;
    const items: AcceptItem[] = [];
    let result: AcceptResult;
    try {
      const admitting = work.run(namespace, this.#admitAll(matched, items));
      if (admitting instanceof Promise) await admitting;
      result = await this.#parts.store.accept({ namespace, items, nowMs: events[0]!.event.receivedAtMs });
    } catch (error) {
      // A commit that did not say whether it happened may have left rows that nobody holds.
      await work.run(namespace, this.#abandoned(items, error instanceof StoreError && error.code === "unknown"));
      return { ok: false, refusal: storeRefusal(error) };
    }
    if (result.ok) return { ok: true, value: withFilterErrors(await work.run(namespace, this.#committed(items, result.items)), events) };
    await work.run(namespace, this.#abandoned(items));
    return { conflict: result.conflict };
  }

  /** Who gets what; stops as soon as the answer can only be no. */
  *#match(namespace: string, drafts: readonly EventDraft[], sender: Sender): Pieces<Checked<MatchedRequest>> {
    const { clock, deliveriesMax, routes } = this.#parts;
    const table = routes.table();
    const strict = this.#strictRefusal(namespace, drafts, table);
    if (strict !== undefined) return { ok: false, refusal: strict };
    const all: Matched[] = [];
    const space = keySpaceOf(sender.producer);
    const bill = new FilterBill(namespace, this.#gates.steps, clock);
    let deliveries = 0;
    let told = 0;
    for (const [index, draft] of drafts.entries()) {
      const event = eventOf(namespace, draft, clock);
      const match = yield* table.matching(event, bill.next());
      for (const { route, message } of match.filterErrors) this.#parts.events.filterFailed(route.subscription, message);
      const tooCostly = bill.paid(match, { index, events: drafts.length });
      if (tooCostly !== undefined) return { ok: false, refusal: tooCostly };
      const tooWide = fanOutRefusal(match.routes, drafts.length > 1 ? { index } : {});
      if (tooWide !== undefined) return { ok: false, refusal: tooWide };
      deliveries += match.routes.length;
      if (deliveries > deliveriesMax) return tooManyDeliveries({ deliveries, deliveriesMax, looked: index + 1, events: drafts.length });
      const filterErrors = toldOf(match.filterErrors, FILTER_ERRORS_TOLD_MAX - told);
      told += filterErrors?.length ?? 0;
      all.push({ event, routes: match.routes, key: keyOf(draft, sender.idempotencyKey, space), ...(filterErrors && { filterErrors }) });
      yield undefined;
    }
    return { ok: true, value: { table, events: all } };
  }

  #strictRefusal(namespace: string, drafts: readonly EventDraft[], table: RouteTable): Refusal | undefined {
    if (!this.#parts.isStrict(namespace)) return undefined;
    const index = drafts.findIndex((draft) => !table.names(namespace, draft.type));
    const draft = drafts[index];
    if (draft === undefined) return undefined;
    const detail = `No subscription in namespace ${namespace} names this event's type, and the namespace is strict: check the spelling, or add a subscription.`;
    return refuse("type_unknown", detail, drafts.length > 1 ? { index } : {});
  }

  /** Fills `items` as it goes, so that whoever gives up knows what has been admitted. */
  *#admitAll({ table, events }: MatchedRequest, items: AcceptItem[]): Pieces<void> {
    for (const { event, routes, key, hash } of events) {
      const deliveries: NewDelivery[] = [];
      items.push({
        event,
        idempotencyKey: key,
        contentHash: key === undefined ? NO_HASH : (hash ?? contentHash(event)),
        deliveries,
        bodyRetentionMs: longest(routes, "bodiesMs"),
        historyRetentionMs: longest(routes, "historyMs"),
        maxAgeMs: oldest(routes),
      });
      for (const some of pieces(routes)) {
        // Since then the table may have become another: the engine must not be given back a route that it has let go.
        const latest = this.#parts.routes.table();
        const current = latest === table ? some : inForce(some, latest);
        deliveries.push(...this.#parts.intake.admit(event, current, event.receivedAtMs));
        yield undefined;
      }
    }
  }

  *#committed(items: readonly AcceptItem[], stored: readonly AcceptedItem[]): Pieces<Receipt[]> {
    const receipts: Receipt[] = [];
    for (const [index, item] of items.entries()) {
      const answer = stored[index]!;
      if (answer.duplicate) this.#parts.events.eventDuplicate(item.event.namespace);
      else this.#parts.events.eventAccepted(item.event.namespace, answer.matched);
      let at = 0;
      for (const some of pieces(item.deliveries)) {
        if (answer.duplicate) this.#parts.intake.abandoned(item.event, some);
        else this.#parts.intake.committed(item.event, some, answer.deliveryIds.slice(at, at + some.length));
        at += some.length;
        yield undefined;
      }
      receipts.push({ id: answer.eventId, matched: answer.matched, duplicate: answer.duplicate });
    }
    return receipts;
  }

  *#abandoned(items: readonly AcceptItem[], isDoubtful = false): Pieces<void> {
    for (const item of items) {
      for (const some of pieces(item.deliveries)) {
        this.#parts.intake.abandoned(item.event, some, isDoubtful);
        yield undefined;
      }
    }
  }
}

/** Undefined where there are none: hardly any event has some. */
function toldOf(errors: readonly FilterError[], max: number): readonly ToldFilterError[] | undefined {
  if (errors.length === 0 || max <= 0) return undefined;
  return errors
    .slice(0, max)
    .map(({ route, message }) => ({ subscription: route.subscription.name, message: message.slice(0, FILTER_ERROR_CHARS_MAX) }));
}

/** An event that was stored before went to those that wanted it then. */
function withFilterErrors(receipts: readonly Receipt[], events: readonly Matched[]): readonly Receipt[] {
  if (events.every(({ filterErrors }) => filterErrors === undefined)) return receipts;
  return receipts.map((receipt, index) => {
    const filterErrors = events[index]?.filterErrors;
    return filterErrors === undefined || receipt.duplicate ? receipt : { ...receipt, filterErrors };
  });
}

/** At least one, for an event that nobody wants is told of too. */
function* pieces<T>(all: readonly T[]): Generator<readonly T[]> {
  if (all.length <= DELIVERIES_A_PIECE) yield all;
  else for (let at = 0; at < all.length; at += DELIVERIES_A_PIECE) yield all.slice(at, at + DELIVERIES_A_PIECE);
}

/** All routes of one event are of one namespace, so they share one cluster policy's limit. */
function fanOutRefusal(routes: readonly Route[], at: { readonly index?: number }): Refusal | undefined {
  const max = routes[0]?.subscription.fanOutMax ?? BUILT_IN_LIMITS.fanOut;
  if (routes.length <= max) return undefined;
  const detail = `The event matches ${routes.length} subscriptions, more than the ${max} that limits.fanOut of the cluster policy allows. Nothing was stored: narrow the subscriptions or raise the limit.`;
  return refuse("fan_out_exceeded", detail, at);
}

/** The same subscriptions as they are in force now. */
function inForce(routes: readonly Route[], table: RouteTable): readonly Route[] {
  return routes.flatMap(({ subscription }) => table.byUid(subscription.uid) ?? []).filter(({ draining }) => !draining);
}

function tooManyDeliveries(found: {
  readonly deliveries: number;
  readonly deliveriesMax: number;
  readonly looked: number;
  readonly events: number;
}): Checked<never> {
  const { deliveries, deliveriesMax, looked, events } = found;
  if (events === 1) {
    const detail = `The event would make ${deliveries} deliveries; at most ${deliveriesMax} are allowed in one request. Nothing was stored: narrow the subscriptions, or raise --ingest-deliveries-max.`;
    return refused("too_many_deliveries", detail);
  }
  const fitting = Math.max(1, Math.floor((deliveriesMax * looked) / deliveries));
  const detail = `The first ${looked} of ${events} events would make ${deliveries} deliveries; at most ${deliveriesMax} are allowed in one request. Nothing was stored: send fewer events per request, about ${fitting}.`;
  return refused("too_many_deliveries", detail);
}

function tooFast(namespace: string, waitSeconds: number, perSecond: number): Checked<never> {
  const detail = `Namespace ${namespace} publishes more than its ${perSecond} deliveries per second: wait ${waitSeconds} s.`;
  return refused("rate_limited", detail, { retryAfterSeconds: waitSeconds });
}

function longest(routes: readonly Route[], what: "bodiesMs" | "historyMs"): number {
  let most = 0;
  for (const { subscription } of routes) most = Math.max(most, subscription.policy.retention[what]);
  return most === 0 ? BUILT_IN_POLICY.retention[what] : most;
}

/** Long work of its own: its turn comes when others have had theirs. */
function* compared(event: Event, known: Event): Pieces<boolean> {
  yield undefined;
  return sameMeaning(event, known);
}

function oldest(routes: readonly Route[]): number {
  let most = 0;
  for (const { subscription } of routes) most = Math.max(most, subscription.policy.retry.maxAgeMs);
  return most;
}

function conflict(found: Conflict, isBatch: boolean): Checked<never> {
  const { index, eventId } = found;
  const detail =
    "You used this idempotency key (the Idempotency-Key header, else source and id) for other content: send a new key for a new event. Nothing of this request was stored.";
  return refused("idempotency_conflict", detail, isBatch ? { index, eventID: eventId } : { eventID: eventId });
}

function storeRefusal(error: unknown): Refusal {
  const code = error instanceof StoreError ? error.code : "unknown";
  if (code === "disk_full") return diskLow();
  const retryAfterSeconds = RETRY_AFTER_SECONDS;
  if (code === "unknown") {
    const detail = "The commit was not confirmed: send the same event again with the same idempotency key; it will be stored once.";
    return refuse("outcome_unknown", detail, { retryAfterSeconds });
  }
  return refuse("store_unavailable", "Nothing was stored: try again shortly.", { retryAfterSeconds });
}

export function diskLow(): Refusal {
  const detail = "The store's disk is nearly full. Nothing was stored: free space (see store_free_bytes), then try again.";
  return refuse("disk_low", detail, { retryAfterSeconds: DISK_RETRY_AFTER_SECONDS });
}
