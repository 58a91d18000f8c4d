import type { Event } from "../../core/event.ts";
import { parseClock, startingFrame } from "../../core/clock-frame.ts";
import type { ClockFrame } from "../../lib/clock.ts";
import {
  CLOCK_KEY,
  SINGLE_OWNER_EPOCH,
  StoreError,
  WINDOW_ROWS_MAX,
  type AcceptItem,
  type AcceptRequest,
  type AcceptResult,
  type AcceptedItem,
  type AttemptRecord,
  type BootReport,
  type ClaimRequest,
  type Claimed,
  type Completion,
  type DeliveryFilter,
  type DeliveryId,
  type DeliveryRecord,
  type Dropped,
  type HistoryFilter,
  type HistoryPage,
  type EndAllRequest,
  type OpenOptions,
  type ParkedQueue,
  type PauseReason,
  type QueueState,
  type ReadyDelivery,
  type Resent,
  type StateEntry,
  type StateKind,
  type Store,
  type StoreHealth,
  type StoredResult,
  type UnparkRequest,
} from "../store.ts";
import {
  bump,
  earliestDue,
  idempotencyKeyOf,
  isPending,
  matches,
  pageOf,
  queueStates,
  sameBytes,
  toReady,
  toRecord,
  type IdempotencyRow,
  shown,
  type StoredEvent,
} from "./memory-row.ts";
import { keptOf } from "../unmatched.ts";
import { ToldTime } from "../told-time.ts";
import type { StorageUsage } from "../usage-book.ts";
import { DeliveryBook } from "./delivery-book.ts";
import { MemoryUsage } from "./memory-usage.ts";
import { parkedQueues, unparkRows } from "./parked-rows.ts";
import { ResultBook } from "./result-book.ts";

export interface MemoryStoreOptions {
  /** Called before every write with its name: an error that is answered fails the call and nothing is changed. For tests. */
  readonly fault?: (operation: "accept" | "claim" | "complete" | "endAll" | "putState") => StoreError | undefined;
}

/**
 * The whole store in memory: plain maps and scans, no cleverness, so that it can be believed at sight. It forgets everything with the
 * process, but `open` on the same instance acts as a restart (claimed rows are turned back), so simulated crashes are truthful.
 */
export class MemoryStore implements Store {
  readonly #options: MemoryStoreOptions;
  readonly #time = new ToldTime();
  readonly #usage = new MemoryUsage();
  readonly #book = new DeliveryBook(this.#usage, this.#time);
  readonly #events = new Map<string, StoredEvent>();
  readonly #results = new ResultBook();
  readonly #idempotency = new Map<string, IdempotencyRow>();
  readonly #state = new Map<string, StateEntry>();
  #open = false;
  #opened: OpenOptions = { owner: "", nowMs: 0, idempotencyTtlMs: 0 };

  constructor(options: MemoryStoreOptions = {}) {
    this.#options = options;
  }

  async open(options: OpenOptions): Promise<BootReport> {
    this.#open = true;
    this.#opened = options;
    const clock = startingFrame(parseClock(this.#state.get(`meta ${CLOCK_KEY}`)?.value), options.nowMs);
    this.#time.advanceTo(clock.nowMs);
    this.#time.setClock(clock);
    const claimed = this.#book.claimed();
    for (const row of claimed) this.#book.interrupt(row, clock.nowMs);
    return { interrupted: claimed.length, pending: this.#book.pending(), warnings: [], clock };
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  async accept(request: AcceptRequest): Promise<AcceptResult> {
    this.#writable("accept");
    this.#time.advanceTo(request.nowMs);
    const seen = new Map<string, IdempotencyRow>();
    for (const [index, item] of request.items.entries()) {
      const key = idempotencyKeyOf(request, item);
      if (key === undefined) continue;
      const known = this.#known(key, request.nowMs) ?? seen.get(key);
      if (known === undefined) {
        seen.set(key, { eventId: item.event.id, matched: item.deliveries.length, contentHash: item.contentHash, expiresAtMs: 0 });
      } else if (!sameBytes(known.contentHash, item.contentHash)) {
        return { ok: false, conflict: { index, eventId: known.eventId } };
      }
    }
    const result: AcceptResult = { ok: true, items: request.items.map((item) => this.#acceptItem(request, item)) };
    this.#opened.onCommit?.(0, 1);
    return result;
  }

  async release(_owner: string): Promise<void> {
    this.#check();
  }

  async due(subscription: string, nowMs: number, limit: number): Promise<readonly ReadyDelivery[]> {
    this.#check();
    return this.#book
      .indexed()
      .filter((row) => row.subscription === subscription && row.dueAtMs <= nowMs)
      .toSorted((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id)
      .slice(0, Math.min(limit, WINDOW_ROWS_MAX))
      .map(toReady);
  }

  async nextDue(limit: number): Promise<readonly { readonly subscription: string; readonly dueAtMs: number }[]> {
    this.#check();
    return earliestDue(this.#book.indexed()).slice(0, limit);
  }

  async fresh(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]> {
    this.#check();
    return this.#book.byId((row) => row.state === "ready" && !row.indexed, afterId, limit);
  }

  async claimed(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]> {
    this.#check();
    return this.#book.byId((row) => row.state === "claimed", afterId, limit);
  }

  async index(ids: readonly DeliveryId[]): Promise<void> {
    this.#check();
    for (const id of ids) {
      const row = this.#book.rows.get(id);
      if (row?.state === "ready") row.indexed = true;
    }
  }

  async claim(claims: readonly ClaimRequest[]): Promise<readonly (Claimed | undefined)[]> {
    this.#writable("claim");
    return claims.map((request) => {
      const row = this.#book.rows.get(request.id);
      if (row?.state !== "ready" || request.epoch !== SINGLE_OWNER_EPOCH || this.#book.isBehind(row)) return undefined;
      row.state = "claimed";
      row.epoch = request.epoch;
      row.lone = request.lone;
      row.attempt += 1;
      row.parked = undefined;
      return { id: row.id, attempt: row.attempt, event: request.withEvent ? this.#events.get(row.eventId)?.event : undefined };
    });
  }

  async complete(completions: readonly Completion[]): Promise<readonly boolean[]> {
    this.#writable("complete");
    return completions.map((completion) => this.#completeOne(completion));
  }

  async endAll(request: EndAllRequest): Promise<number> {
    this.#writable("endAll");
    this.#time.advanceTo(request.nowMs);
    const rows = [...this.#book.rows.values()].filter((row) => row.subscription === request.subscription && row.state === "ready");
    const ended = rows.toSorted((a, b) => a.id - b.id).slice(0, request.limit);
    for (const row of ended) {
      this.#book.end(row, { state: request.state, reason: request.reason, nowMs: request.nowMs, retentionMs: request.historyRetentionMs });
    }
    return ended.length;
  }

  async resend(id: DeliveryId, nowMs: number): Promise<Resent> {
    this.#writable("complete");
    this.#time.advanceTo(nowMs);
    const row = this.#book.findVisible(id);
    if (row === undefined || row.state === "discarded" || row.deadLetter !== undefined) return "not_found";
    if (isPending(row)) return "not_ended";
    if (!this.#bodyReadable(row.eventId)) return "body_gone";
    Object.assign(row, { state: "ready", indexed: true, dueAtMs: nowMs, resent: true, reason: undefined, endedAtMs: undefined });
    row.expiresAtMs = undefined;
    this.#book.queueOf(row.subscription, row.namespace).pending += 1;
    this.#usage.add(row.namespace, 0, 1);
    return "resent";
  }

  async setPause(subscription: string, reason: PauseReason, untilMs: number | null): Promise<void> {
    this.#check();
    const queue = this.#book.queueOf(subscription, "");
    const { [reason]: _lifted, ...others } = queue.pauses;
    queue.pauses = untilMs === null ? others : { ...others, [reason]: untilMs };
  }

  async setForwarding(subscription: string, on: boolean): Promise<void> {
    this.#check();
    this.#book.queueOf(subscription, "").forwards = on;
  }

  async parked(): Promise<readonly ParkedQueue[]> {
    this.#check();
    return parkedQueues(this.#book.rows.values());
  }

  async unpark(request: UnparkRequest): Promise<number> {
    this.#check();
    this.#time.advanceTo(request.nowMs);
    return unparkRows(this.#book.rows.values(), request);
  }

  async queues(): Promise<readonly QueueState[]> {
    this.#check();
    return queueStates(this.#book.queues.values(), this.#book.rows.values(), this.#opened.owner);
  }

  async forgetQueue(subscription: string): Promise<void> {
    this.#check();
    if (this.#book.queues.get(subscription)?.pending === 0) this.#book.queues.delete(subscription);
  }

  async readEvent(namespace: string, eventId: string): Promise<Event | undefined> {
    this.#check();
    const stored = this.#events.get(eventId);
    return stored?.event.namespace === namespace && this.#bodyReadable(eventId) ? stored.event : undefined;
  }

  async result(namespace: string, eventId: string, nowMs: number): Promise<StoredResult | undefined> {
    this.#check();
    this.#time.advanceTo(nowMs);
    const rows = this.#book.visible().filter((row) => row.eventId === eventId && row.deadLetter === undefined);
    return this.#results.read(namespace, eventId, { rows, nowMs: this.#time.asOfMs });
  }

  async readBody(id: DeliveryId): Promise<Event | undefined> {
    this.#check();
    const row = this.#book.findVisible(id);
    if (row === undefined) return undefined;
    return isPending(row) || this.#bodyReadable(row.eventId) ? this.#events.get(row.eventId)?.event : undefined;
  }

  async readDelivery(id: DeliveryId): Promise<DeliveryRecord | undefined> {
    this.#check();
    const row = this.#book.findVisible(id);
    return row === undefined ? undefined : toRecord(row);
  }

  async deliveriesOf(eventId: string): Promise<readonly DeliveryRecord[]> {
    this.#check();
    return this.#book
      .visible()
      .filter((row) => row.eventId === eventId && row.deadLetter === undefined)
      .toSorted((a, b) => a.id - b.id)
      .map(toRecord);
  }

  async attemptsOf(id: DeliveryId): Promise<readonly AttemptRecord[]> {
    this.#check();
    const row = this.#book.rows.get(id);
    if (row === undefined) return [];
    return row.history.filter((stored) => stored.expiresAtMs > this.#time.asOfMs).map((one) => shown(one, row, this.#time.asOfMs));
  }

  async listDeliveries(filter: DeliveryFilter): Promise<readonly DeliveryRecord[]> {
    this.#check();
    return this.#book
      .visible()
      .filter((row) => matches(row, filter))
      .toSorted((a, b) => b.id - a.id)
      .slice(0, Math.min(filter.limit, WINDOW_ROWS_MAX))
      .map(toRecord);
  }

  async history(filter: HistoryFilter): Promise<HistoryPage> {
    this.#check();
    return pageOf(this.#book.visible(), filter, this.#time.asOfMs);
  }

  async putState(entries: readonly StateEntry[]): Promise<void> {
    this.#writable("putState");
    for (const entry of entries) this.#state.set(`${entry.kind} ${entry.key}`, { ...entry });
  }

  async listState(kind: StateKind): Promise<readonly { readonly key: string; readonly value: string }[]> {
    this.#check();
    const entries = [...this.#state.values()].filter((entry) => entry.kind === kind).map(({ key, value }) => ({ key, value }));
    return entries.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  async deleteState(kind: StateKind, key: string): Promise<void> {
    this.#check();
    this.#state.delete(`${kind} ${key}`);
  }

  async dropExpired(nowMs: number): Promise<Dropped> {
    this.#check();
    this.#time.advanceTo(nowMs);
    const asOfMs = this.#time.asOfMs;
    const owed = new Set([...this.#book.rows.values()].filter(isPending).map((row) => row.eventId));
    const dropped = new Set<string>();
    this.#results.drop(asOfMs, owed);
    for (const [id, stored] of this.#events) {
      if (stored.expiresAtMs <= asOfMs && !owed.has(id) && this.#events.delete(id)) dropped.add("event");
    }
    for (const [id, row] of this.#book.rows) {
      row.history = row.history.filter((stored) => stored.expiresAtMs > asOfMs);
      if (row.expiresAtMs !== undefined && row.expiresAtMs <= asOfMs && this.#book.rows.delete(id)) dropped.add("outcome");
    }
    const expired = [...this.#idempotency].filter(([, known]) => known.expiresAtMs <= asOfMs);
    for (const [key] of expired) this.#idempotency.delete(key);
    this.#usage.recount({ events: this.#events, rows: this.#book.rows, keys: this.#idempotency, results: this.#results.namespaces() });
    return { tables: dropped.size, idempotencyKeys: expired.length, more: false };
  }

  async health(): Promise<StoreHealth> {
    const sizeBytes = this.#usage.totalBytes;
    return {
      writable: this.#open,
      sizeBytes,
      freeBytes: Number.MAX_SAFE_INTEGER,
      capacityBytes: Number.MAX_SAFE_INTEGER,
      freeBytesMin: 0,
      logBytes: 0,
      oldestWriteMs: 0,
    };
  }

  usage(): StorageUsage {
    return this.#usage;
  }

  #acceptItem(request: AcceptRequest, item: AcceptItem): AcceptedItem {
    const key = idempotencyKeyOf(request, item);
    const known = key === undefined ? undefined : this.#known(key, request.nowMs);
    if (known !== undefined) return { eventId: known.eventId, matched: known.matched, duplicate: true, deliveryIds: [] };
    const { event, deliveries, contentHash } = item;
    if (key !== undefined) {
      const expiresAtMs = request.nowMs + this.#opened.idempotencyTtlMs;
      this.#idempotency.set(key, { eventId: event.id, matched: deliveries.length, contentHash, expiresAtMs });
    }
    this.#results.add(item, request.nowMs);
    const kept = keptOf(item);
    this.#events.set(event.id, { event: kept.event, expiresAtMs: request.nowMs + kept.retentionMs });
    this.#usage.accepted(kept.event, key !== undefined);
    const deliveryIds = deliveries.map((delivery) => this.#book.accept(item, delivery, request.nowMs));
    return { eventId: event.id, matched: deliveries.length, duplicate: false, deliveryIds };
  }

  #completeOne(completion: Completion): boolean {
    this.#time.advanceTo(completion.nowMs);
    const row = this.#book.rows.get(completion.id);
    const held =
      row?.state === "claimed"
        ? row.epoch === completion.epoch
        : row?.state === "ready" && completion.attempt === undefined && completion.epoch === SINGLE_OWNER_EPOCH;
    if (row === undefined || !held || (completion.next.state === "ready" && this.#book.isBehind(row))) return false;
    const { attempt, historyRetentionMs: historyMs, bodiesRetentionMs: bodiesMs = historyMs } = completion;
    if (attempt !== undefined) this.#book.log(row, attempt, completion.nowMs + historyMs, completion.nowMs + bodiesMs);
    const { next } = completion;
    if (next.state === "ready") {
      if (next.uncounted === true) row.attempt -= 1;
      else bump(this.#book.queueOf(row.subscription, row.namespace), "retried");
      // An attempt that came to an end clears the suspicion that this delivery kills the process.
      Object.assign(row, { state: "ready", indexed: true, dueAtMs: next.dueAtMs, crashes: 0, loneCrashes: 0, lone: false });
      row.parked = next.parked;
      return true;
    }
    this.#book.end(row, { ...next, nowMs: completion.nowMs, retentionMs: completion.historyRetentionMs });
    return true;
  }

  #bodyReadable(eventId: string): boolean {
    const stored = this.#events.get(eventId);
    return stored !== undefined && stored.expiresAtMs > this.#time.asOfMs;
  }

  #known(key: string, nowMs: number): IdempotencyRow | undefined {
    const known = this.#idempotency.get(key);
    return known !== undefined && known.expiresAtMs > nowMs ? known : undefined;
  }

  advanceTo(nowMs: number): void {
    this.#time.advanceTo(nowMs);
  }

  setClock(frame: Pick<ClockFrame, "offsetMs">): void {
    this.#time.setClock(frame);
  }

  #check(): void {
    if (!this.#open) throw new StoreError("closed", "the store is closed");
  }

  #writable(operation: Parameters<NonNullable<MemoryStoreOptions["fault"]>>[0]): void {
    this.#check();
    const error = this.#options.fault?.(operation);
    if (error !== undefined) throw error;
  }
}
