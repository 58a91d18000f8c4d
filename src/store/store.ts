/**
 * The store seam: one logical model, several engines (memory, SQLite, later PostgreSQL with several replicas). Every engine passes
 * test/conformance/store. All times are ms since the epoch on the caller's clock; the store has no clock of its own.
 *
 * Durability: a promise that resolved means the change survives a kill and a power loss (memory excepted). A rejection with
 * `StoreError.code === "unknown"` means the change may or may not be there.
 *
 * Epochs: with several replicas each subscription's queue is owned by one of them at a time; `epoch` grows with each change of owner and every claim
 * and completion is conditional on it, so a frozen owner changes nothing when it wakes. A single process owns all queues under epoch 1 and never
 * loses them; the calls are the same. How a replica comes by a queue is not part of this seam.
 */
import type { DeadLetterNote } from "../core/dead-letter.ts";
import type { DeliveryState, EndReason, TerminalState } from "../core/delivery.ts";
import type { Event } from "../core/event.ts";
import type { EventFilter, EventPage } from "./event-page.ts";
import type { OutcomeClass } from "../core/outcome.ts";
import type { ResultCounts } from "../core/result.ts";
import type { ClockFrame } from "../lib/clock.ts";
import type { StorageUsage } from "./usage-book.ts";

export type DeliveryId = number;

export interface Store {
  /**
   * Opens, migrates and checks (sync level asserted after a first write, no network file system, no second process, no newer
   * schema). Rows found `claimed` are turned back: each gets an attempt `unknown`, which uses up none of those it may have, and its crash is
   * counted. Engine time goes on from the clock that was kept (state `meta`, key CLOCK_KEY). @throws StoreError
   */
  open(options: OpenOptions): Promise<BootReport>;
  /** Finishes what was queued, then closes. Safe to call twice. */
  close(): Promise<void>;

  /** One transaction for the whole request: keys, events and all their deliveries, or nothing. */
  accept(request: AcceptRequest): Promise<AcceptResult>;

  /** Hands queues back (drain): with one owner nobody else takes them. */
  release(owner: string): Promise<void>;

  /**
   * Indexed rows of one queue due at `nowMs`, oldest due first; at most `limit` (window of 256). Bodies are not read. Rows that wait behind a
   * lower one of their order key are not among them, so they cannot fill a window.
   */
  due(subscription: string, nowMs: number, limit: number): Promise<readonly ReadyDelivery[]>;
  /** When each queue's earliest indexed row is due: the engine's wake-up table. Ascending by time, at most `limit`. */
  nextDue(limit: number): Promise<readonly { readonly subscription: string; readonly dueAtMs: number }[]>;
  /** Ready rows that are not in the due index, in windows by id: for the start, and to see whether any has been forgotten. */
  fresh(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]>;
  /** Claimed rows, in windows by id: to see whether any is under way nowhere. `attempt` is the one that was claimed. */
  claimed(afterId: DeliveryId, limit: number): Promise<readonly ReadyDelivery[]>;
  /** Puts fresh rows into the due index; any that is not fresh any more stays as it is. */
  index(ids: readonly DeliveryId[]): Promise<void>;

  /** Makes claims durable before a socket is touched. A claim whose row is not ready or whose epoch is old answers undefined. */
  claim(claims: readonly ClaimRequest[]): Promise<readonly (Claimed | undefined)[]>;
  /** Ends attempts: attempt row, next state, counters; conditional on the epoch. `false` = late, nothing changed. */
  complete(completions: readonly Completion[]): Promise<readonly boolean[]>;

  /** Ends the rest of a queue in bounded steps of `limit`; answers how many were ended. Claimed rows are left to their attempt. */
  endAll(request: EndAllRequest): Promise<number>;
  /** `delivered|failed` -> `ready` for exactly one extra attempt on the same delivery. */
  resend(id: DeliveryId, nowMs: number): Promise<Resent>;

  /** Pauses never touch rows: per reason an end time; `untilMs` null lifts that reason. The latest end wins. */
  setPause(subscription: string, reason: PauseReason, untilMs: number | null): Promise<void>;
  /**
   * From now on (durably) every delivery of the queue that ends `failed`, quarantined ones included, puts a dead letter into the queue
   * `deadLetterQueue(subscription)` in the same transaction: a row of its own on the same event, due at once, with a note of what failed.
   * A dead letter belongs to no event's results (`deliveriesOf`), makes none itself and cannot be resent.
   */
  setForwarding(subscription: string, on: boolean): Promise<void>;
  /** Which queues hold rows that wait for another spec, and under which marks: a mark may still be named after its last row has gone. */
  parked(): Promise<readonly ParkedQueue[]>;
  /**
   * Makes due at once the rows of a queue that wait for another spec than the one with this mark. Looks at most at `limit`; answers at how
   * many, so fewer than `limit` means that none is left.
   */
  unpark(request: UnparkRequest): Promise<number>;
  /** All queues with what is known of them: counts, pauses, epoch. */
  queues(): Promise<readonly QueueState[]>;
  /** Forgets a queue that has nothing left. */
  forgetQueue(subscription: string): Promise<void>;

  /** Time goes on although nothing is written: reads that take no time themselves hide what is past its retention at the latest that was told. */
  advanceTo(nowMs: number): void;
  /**
   * How engine time stands to the wall now. Where the wall was put back behind it (it had been ahead by mistake), what is past its retention is hidden and
   * dropped as of the wall: shown for longer rather than never again.
   */
  setClock(frame: Pick<ClockFrame, "offsetMs">): void;
  readEvent(namespace: string, eventId: string): Promise<Event | undefined>;
  /** One page of what a namespace has sent, newest first, whether anybody wanted it or not. Bounded as `history` is; `nextBefore` goes on from there. */
  events(filter: EventFilter): Promise<EventPage>;
  /**
   * What became of an event, by its id alone, for whoever may ask in `namespace`: undefined when the id never was or is of another namespace.
   * It answers for at least RESULT_TOMBSTONE_MS after the last delivery has been forgotten, with counts that do not reach `matched` any more.
   */
  result(namespace: string, eventId: string, nowMs: number): Promise<StoredResult | undefined>;
  /** The event of a claimed delivery; undefined when its body is gone. */
  readBody(id: DeliveryId): Promise<Event | undefined>;
  readDelivery(id: DeliveryId): Promise<DeliveryRecord | undefined>;
  /** All that is still known of an event, whoever may see it. No room asks for it: suites see by it what a store holds. */
  deliveriesOf(eventId: string): Promise<readonly DeliveryRecord[]>;
  attemptsOf(id: DeliveryId): Promise<readonly AttemptRecord[]>;
  /** Newest first; pages by `beforeId`. No room asks for it, but suites: what it leaves out of a page is a fault, which of `history` it need not be. */
  listDeliveries(filter: DeliveryFilter): Promise<readonly DeliveryRecord[]>;
  /**
   * One page of what was and is owed, newest first, each with its first and last attempt. A page may hold fewer rows than its limit although
   * there are more: about HISTORY_SCAN_ROWS_MAX rows of all tables together are looked at for one answer, and `nextBeforeId` goes on from there.
   */
  history(filter: HistoryFilter): Promise<HistoryPage>;

  /** Small durable values that are not deliveries: last accepted specs, health snapshots, suspensions. */
  putState(entries: readonly StateEntry[]): Promise<void>;
  listState(kind: StateKind): Promise<readonly { readonly key: string; readonly value: string }[]>;
  deleteState(kind: StateKind, key: string): Promise<void>;

  /**
   * Drops days past their retention (bodies still owed are copied first), a short piece of it with each call, so that accepts are not held up;
   * idempotent. Answers what this piece dropped, and whether there is more to do.
   */
  dropExpired(nowMs: number): Promise<Dropped>;
  /** Size, free space and whether writes are taken now. */
  health(): Promise<StoreHealth>;
  /** What each namespace holds as of the last write that was answered; the object stays true while the store is open. */
  usage(): StorageUsage;
}

/** What became of a wish to send one again. */
export type Resent = "resent" | "not_found" | "body_gone" | "not_ended";

export interface Dropped {
  readonly tables: number;
  readonly idempotencyKeys: number;
  readonly more: boolean;
}

export interface OpenOptions {
  /** Unique to this process run. */
  readonly owner: string;
  /** The machine's wall clock now: the report says where engine time goes on. */
  readonly nowMs: number;
  /** How long idempotency keys are remembered. */
  readonly idempotencyTtlMs: number;
  /** Called once for every commit with its duration; feeds `store_commit_duration_seconds`. */
  readonly onCommit?: (seconds: number, operations: number) => void;
  /** The engine cannot go on (EIO on fsync, lost lock): the process must exit and reopen. */
  readonly onFatal?: (error: Error) => void;
}

export interface BootReport {
  /** Deliveries that were in flight when the last process ended uncleanly. */
  readonly interrupted: number;
  readonly pending: number;
  /** Anything the operator should know, as sentences. */
  readonly warnings: readonly string[];
  /** Where engine time goes on, and how long nobody ran (see core/clock-frame.ts). */
  readonly clock: ClockFrame & { readonly awayMs: number };
}

export interface AcceptRequest {
  readonly namespace: string;
  readonly items: readonly AcceptItem[];
  readonly nowMs: number;
}

export interface AcceptItem {
  readonly event: Event;
  /** Deduplicates within the namespace; undefined = never deduplicated. */
  readonly idempotencyKey: string | undefined;
  /** SHA-256 (32 bytes) over type, subject, datacontenttype and data bytes. */
  readonly contentHash: Uint8Array;
  readonly deliveries: readonly NewDelivery[];
  /** Longest retention of the bodies among the matched subscriptions, in ms. */
  readonly bodyRetentionMs: number;
  readonly historyRetentionMs: number;
  /** How old a delivery of it may grow before it is given up, ms; the memory of its id lasts longer by that. 0 when left out. */
  readonly maxAgeMs?: number;
}

export interface NewDelivery {
  readonly subscription: string;
  readonly namespace: string;
  /**
   * Order key value; undefined = unordered. Of one key in one queue only the lowest unfinished row is due or can be claimed; the end of it
   * makes the next one due, in the same transaction. Such a row is stored `indexed` whatever `as` says. Resent rows stand outside the order.
   */
  readonly orderKey: string | undefined;
  /** Value of `history.recordIDField` in the event, by which people find the delivery, tried or not. */
  readonly recordId?: string | undefined;
  /** First send is due then. */
  readonly dueAtMs: number;
  /**
   * `claimed`: this transaction also writes the first claim (attempt 1), the caller sends right after the commit.
   * `fresh`: ready, kept in the caller's memory. `indexed`: ready, found through the due index.
   */
  readonly as: "claimed" | "fresh" | "indexed";
  readonly epoch: number;
}

export type AcceptResult =
  | { readonly ok: true; readonly items: readonly AcceptedItem[] }
  /** The same key came with other content: nothing of the request was stored. */
  | { readonly ok: false; readonly conflict: { readonly index: number; readonly eventId: string } };

export interface AcceptedItem {
  readonly eventId: string;
  readonly matched: number;
  readonly duplicate: boolean;
  /** Ids in the order of `AcceptItem.deliveries`; empty for a duplicate. */
  readonly deliveryIds: readonly DeliveryId[];
}

export interface ReadyDelivery {
  readonly id: DeliveryId;
  readonly eventId: string;
  readonly subscription: string;
  readonly namespace: string;
  readonly dueAtMs: number;
  /** Attempts made so far. */
  readonly attempt: number;
  /** Those of them that the end of a process cut off: they use up none of the attempts that it may have. */
  readonly cutOff: number;
  /** Crashes behind it since its last attempt that came to an end: > 0 is tried in a group, then alone. */
  readonly crashes: number;
  readonly acceptedAtMs: number;
  readonly orderKey: string | undefined;
  /** As it was accepted with. */
  readonly recordId?: string | undefined;
  /** Of a dead letter: what it tells. */
  readonly deadLetter?: DeadLetterNote | undefined;
  /** Set by `resend`: the next attempt is the one extra, whatever the limits say; it ends the delivery either way. */
  readonly resent?: boolean;
}

export interface ClaimRequest {
  readonly id: DeliveryId;
  readonly epoch: number;
  /** Tried alone: only such a crash counts on towards quarantine. */
  readonly lone: boolean;
  /** The event is wanted back (retries; fresh deliveries have it in memory). */
  readonly withEvent: boolean;
}

export interface Claimed {
  readonly id: DeliveryId;
  /** The number of the attempt that may now be made (1 = first). */
  readonly attempt: number;
  /** Deliveries of one event that are claimed together may share it. */
  readonly event: Event | undefined;
}

export interface Completion {
  readonly id: DeliveryId;
  readonly epoch: number;
  /** Undefined when no attempt was made (age used up while paused). */
  readonly attempt: AttemptRecord | undefined;
  readonly next:
    | {
        readonly state: "ready";
        readonly dueAtMs: number;
        /** The try does not count (blocked by an operator's fault). */
        readonly uncounted?: boolean;
        /** It waits for another spec than the one with this mark, see `unpark`; its due time only bounds the wait. */
        readonly parked?: string;
      }
    | { readonly state: TerminalState; readonly reason: EndReason };
  readonly nowMs: number;
  readonly historyRetentionMs: number;
  /** How long the attempt's request and answer are shown; never longer than the attempt. Default: as long as it. */
  readonly bodiesRetentionMs?: number;
}

export interface EndAllRequest {
  readonly subscription: string;
  readonly state: "failed" | "discarded";
  readonly reason: EndReason;
  readonly nowMs: number;
  readonly historyRetentionMs: number;
  readonly limit: number;
}

export interface ParkedQueue {
  readonly subscription: string;
  readonly mark: string;
}

export interface UnparkRequest extends ParkedQueue {
  readonly nowMs: number;
  readonly limit: number;
}

export type PauseReason =
  | "BySpec"
  | "Paused"
  | "AutoSuspended"
  | "EndpointGone"
  | "RetryAfter"
  | "CircuitOpen"
  | "RefsUnresolved"
  | "HandshakePending";

export interface QueueState {
  readonly subscription: string;
  readonly namespace: string;
  readonly epoch: number;
  readonly owner: string | undefined;
  readonly pauses: Readonly<Partial<Record<PauseReason, number>>>;
  /** ready + claimed rows. */
  readonly pending: number;
  readonly oldestAcceptedAtMs: number | undefined;
  /** See `setForwarding`. */
  readonly forwards: boolean;
  readonly counters: QueueCounters;
}

/** Monotonic since the queue first appeared; `sinceMs` says when. */
export interface QueueCounters {
  readonly sinceMs: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly retried: number;
  readonly failed: number;
  readonly discarded: number;
}

export interface DeliveryRecord {
  readonly id: DeliveryId;
  readonly eventId: string;
  readonly eventType: string;
  readonly subscription: string;
  readonly namespace: string;
  readonly state: DeliveryState;
  /** Why it ended; `PayloadInvalid` on a ready one: it waits for another spec. */
  readonly reason: EndReason | undefined;
  readonly attempts: number;
  readonly crashes: number;
  readonly acceptedAtMs: number;
  /** Ready rows only, and of those only what waits for its time. */
  readonly dueAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  /** As it was accepted with; of a page of history else that of its last attempt, else of its first. */
  readonly recordId: string | undefined;
}

/** An event's deliveries together; `deliveries` are the first RESULT_ROWS_MAX that are known, by id. */
export interface StoredResult extends ResultCounts {
  readonly deliveries: readonly ResultDelivery[];
}

export interface ResultDelivery extends DeliveryRecord {
  /** Of the last attempt that is still known; of ended deliveries only. */
  readonly lastAttempt: Pick<AttemptRecord, "statusCode" | "message" | "responseHeaders" | "responseBody"> | undefined;
  /** There was more to say than RESULT_BYTES_MAX: the answer's headers and body are left out. */
  readonly answerLeftOut: boolean;
}

/** `pending`: what has not ended, ready or claimed. */
export type WantedState = DeliveryState | "pending";

export interface DeliveryFilter {
  readonly namespace: string;
  /** Of any of these (uids): a name may have belonged to several, one after another. */
  readonly subscriptions?: readonly string[];
  /** Any of these. */
  readonly state?: WantedState | readonly WantedState[];
  readonly type?: string;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly beforeId?: DeliveryId;
  readonly limit: number;
}

/** Whether a delivery is in a state that a filter asks for. */
export function isOfState(state: DeliveryState, wanted: DeliveryFilter["state"]): boolean {
  return wanted === undefined || wantedStates(wanted).has(state);
}

/** The states that a filter asks for, `pending` as the two that it stands for. */
export function wantedStates(wanted: NonNullable<DeliveryFilter["state"]>): ReadonlySet<DeliveryState> {
  const all = typeof wanted === "string" ? [wanted] : wanted;
  return new Set(all.flatMap((state) => (state === "pending" ? (["ready", "claimed"] as const) : state)));
}

export interface HistoryFilter extends DeliveryFilter {
  /** Value of `history.recordIDField`, as the delivery was accepted with; of one accepted by an older version that of an attempt. */
  readonly recordId?: string;
  /** Only deliveries of this event. */
  readonly eventId?: string;
  /** Only deliveries whose last attempt was answered with a status between these two, both included. */
  readonly statusCode?: { readonly from: number; readonly to: number };
}

/** Whether the last attempt's status is one that a filter asks for. */
export function isOfStatus({ lastAttempt }: Pick<DeliverySummary, "lastAttempt">, wanted: HistoryFilter["statusCode"]): boolean {
  if (wanted === undefined) return true;
  const status = lastAttempt?.statusCode;
  return status !== undefined && status >= wanted.from && status <= wanted.to;
}

export interface HistoryPage {
  readonly deliveries: readonly DeliverySummary[];
  /** Where the next page begins; undefined on the last one. */
  readonly nextBeforeId: DeliveryId | undefined;
}

export interface DeliverySummary extends DeliveryRecord {
  readonly firstAttemptAtMs: number | undefined;
  readonly lastAttempt:
    | Pick<AttemptRecord, "attempt" | "startedAtMs" | "durationMs" | "outcome" | "statusCode" | "url" | "message">
    | undefined;
}

/** One firing, with all that the attempt log shows. */
export interface AttemptRecord {
  readonly deliveryId: DeliveryId;
  readonly eventId: string;
  readonly subscription: string;
  readonly namespace: string;
  readonly eventType: string;
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** `unknown`: the process ended while it was under way. */
  readonly outcome: OutcomeClass | "unknown";
  readonly statusCode: number | undefined;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly message: string;
  /** Redacted. */
  readonly url: string;
  /** The delivery's own where it has one: then it need not be given here. */
  readonly recordId: string | undefined;
  /** Redacted. */
  readonly requestHeaders: readonly (readonly [string, string])[];
  /** Only where the bytes cannot be rendered again (a token in the body); redacted. */
  readonly requestBody: Uint8Array | undefined;
  readonly responseHeaders: readonly (readonly [string, string])[];
  readonly responseBody: Uint8Array | undefined;
  /** Key of the state entry of kind `payload` that says how the body was made of the event; with it the bytes can be rendered again. */
  readonly payloadKey?: string | undefined;
}

export type StateKind = "route" | "health" | "suspension" | "handshake" | "meta" | "payload" | "name";

export interface StateEntry {
  readonly kind: StateKind;
  readonly key: string;
  /** JSON. */
  readonly value: string;
}

export interface StoreHealth {
  readonly writable: boolean;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  /** Below this the ingest answers 507. */
  readonly freeBytesMin: number;
  /** Of `sizeBytes`, the write-ahead log; 0 where there is none. */
  readonly logBytes: number;
  /** For how long the oldest write that is not answered yet has waited, ms; 0 = none waits. Grows without end when the disk does not answer. */
  readonly oldestWriteMs: number;
}

/** Where the clock is kept: a state entry of kind `meta`. */
export const CLOCK_KEY = "clock";

/** Every single-owner engine holds all its queues under this epoch; a claim or completion under another is late. */
export const SINGLE_OWNER_EPOCH = 1;

/** A window of `due`, `fresh` and `listDeliveries` is at most this long, whatever the caller asks. */
export const WINDOW_ROWS_MAX = 1_000;

/** Rows of all tables together that one page of history looks at, so that a filter that matches nothing cannot hold the store's reader. */
export const HISTORY_SCAN_ROWS_MAX = 20_000;

/** How long an id is known after its result has been forgotten, ms. */
export const RESULT_TOMBSTONE_MS = 30 * 86_400_000;
/** Deliveries that one result lists. */
export const RESULT_ROWS_MAX = 1_000;
/** Bytes of receivers' answers in one result, headers and bodies together. */
export const RESULT_BYTES_MAX = 1024 * 1024;

/**
 * Why a store call failed. `disk_full`: 507, nothing was written. `unavailable`: 503, nothing was written. `unknown`: 503, the
 * commit may have happened (a retry with the same idempotency key is harmless). `refused`: the store refuses to open; the message says what
 * to do. `closed`: called after close.
 */
export type StoreErrorCode = "disk_full" | "unavailable" | "unknown" | "refused" | "closed";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
