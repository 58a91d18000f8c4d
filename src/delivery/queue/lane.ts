import { Breaker } from "../../core/breaker.ts";
import { emptyRecord, type EndpointRecord, type EndpointVerdict } from "../../core/endpoint-health.ts";
import type { DeadLetterNote } from "../../core/dead-letter.ts";
import type { Event } from "../../core/event.ts";
import { fairMarks, type FairLane, type FairMarks, type WorkKind } from "../../core/fairness/fair-share.ts";
import type { Suspension } from "../../core/health.ts";
import { Line } from "../../core/line.ts";
import type { RateLimit } from "../../core/policy.ts";
import { TokenBucket } from "../../core/rate-limit.ts";
import type { Route } from "../../core/route-table.ts";
import type { SlotHold } from "../../core/fairness/slot-hold.ts";
import {
  SINGLE_OWNER_EPOCH,
  type DeliveryId,
  type PauseReason,
  type QueueCounters,
  type QueueState,
  type ReadyDelivery,
} from "../../store/store.ts";
import type { Wakeable } from "./wake-heap.ts";

/** Pauses that follow from the spec in force. They are never stored: derived, they are right again with the next route. */
export type SpecPause = Extract<PauseReason, "BySpec" | "RefsUnresolved">;
/** Pauses that the receiver brought about. */
export type ReceiverPause = Exclude<PauseReason, SpecPause>;

/** What becomes of the rest of a queue that nobody serves any more. */
export type EndHow = "dead-letter" | "discard";

/** A delivery the engine holds: fresh in memory, or a row of a loaded window. */
export interface Waiting {
  readonly id: DeliveryId;
  /** Attempts made so far that count. */
  readonly made: number;
  readonly crashes: number;
  readonly acceptedAtMs: number;
  readonly dueAtMs: number;
  readonly resent: boolean;
  /** Of one key only one is here at a time: the lowest unfinished. */
  readonly orderKey: string | undefined;
  /** Of a dead letter: what it tells. */
  readonly deadLetter?: DeadLetterNote | undefined;
  /** Fresh ones have it; of rows it comes with the claim. */
  readonly event: Event | undefined;
  /** Not in the due index: only memory knows it until it is claimed. */
  readonly isFresh: boolean;
}

/** An end that only an event can bring: a suspension, an unresolved reference. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;
/** Rows of the first window; a backlog is never loaded whole. */
export const WINDOW_MIN = 32;
/** Rows due this soon are loaded too, so that a stream of retries costs one read a second. */
export const LOOKAHEAD_MS = 1_000;

/**
 * Everything the engine knows of one subscription's queue. Rows stay in the store; only fresh deliveries (see intake-desk.ts), one window of due
 * rows and a few numbers are here. A crash loses nothing of it but the moving cap, the ramp and the rate tokens.
 */
export class Lane implements FairLane, Wakeable {
  readonly uid: string;
  readonly namespace: string;
  readonly fair: FairMarks = fairMarks();
  wakeAtMs = Number.POSITIVE_INFINITY;
  heapAt = -1;

  route: Route | undefined;
  /** The last route it had: what it was called. */
  lastRoute: Route | undefined;
  epoch = SINGLE_OWNER_EPOCH;
  /** The store makes a dead letter of each delivery that fails. */
  forwards = false;
  /** Being ended, and how: nothing is sent any more, and what an attempt under way leaves is ended too. */
  ending: EndHow | undefined;

  readonly fresh = new Line<Waiting>();
  /** Slots of deliveries that are being accepted, oldest first. */
  readonly reserved = new Line<SlotHold<Lane>>();
  /** Fresh ones held or promised room. */
  freshReserved = 0;
  /** Loaded rows never tried (or resent), and those tried before; oldest due first. */
  readonly rows: Record<WorkKind, Line<Waiting>> = { fresh: new Line(), retry: new Line() };
  /** Loaded rows with crashes behind them, by how many (see suspects.ts). */
  readonly suspects: readonly Line<Waiting>[] = SUSPECT_LEVELS.map(() => new Line<Waiting>());
  /** When the earliest row that is not loaded is due; Infinity = none is known. */
  indexDueAtMs = Number.POSITIVE_INFINITY;
  windowLimit = WINDOW_MIN;
  /** Waits for its turn to read a window. */
  wantsToLoad = false;
  /** A window is being read. */
  loading = false;
  /** Rows held: in the window, or on their way from claim to completion. */
  held = 0;
  /** Rows let go while a window was being read: what was read of them is old. */
  readonly letGo = new Set<DeliveryId>();

  breaker = new Breaker();
  /** What the receiver brought about, each reason with its end. What the spec says is not here: see `specPause`. */
  readonly pauses: Partial<Record<ReceiverPause, number>> = {};
  /** An automatic suspension. */
  suspended: Suspension | undefined;
  /** Since when `spec.suspend` has been seen. */
  #suspendedBySpec: Suspension | undefined;
  /** Why a receiver that must give permission first has not given it; told instead of the verdict. */
  permission: EndpointVerdict | undefined;
  /** Digest of the endpoint that was suspended: another endpoint lifts it. */
  suspendedEndpoint: string | undefined;
  expiryCheckAtMs = 0;

  /** Accepts (and resends), and results, that are on their way to the store; and how often a number has moved. */
  offered = 0;
  unwritten = 0;
  moves = 0;
  pending = 0;
  oldestAcceptedAtMs: number | undefined;
  counters: { -readonly [K in keyof QueueCounters]: number };
  record: EndpointRecord = emptyRecord();
  verdict: EndpointVerdict | undefined;

  #cap = Number.POSITIVE_INFINITY;
  #bucket: TokenBucket | undefined;
  /** The receiver's own limit, beside the policy's. */
  #obeyed: TokenBucket | undefined;
  #obeyedPerMs = 0;

  constructor(uid: string, namespace: string, nowMs: number) {
    this.uid = uid;
    this.namespace = namespace;
    this.counters = { sinceMs: nowMs, accepted: 0, delivered: 0, retried: 0, failed: 0, discarded: 0 };
  }

  /** What the store knows of its queue. */
  restore(queue: QueueState): void {
    this.epoch = queue.epoch;
    this.forwards = queue.forwards;
    this.recount(queue);
  }

  /** Takes the store's numbers. */
  recount(queue: Pick<QueueState, "pending" | "oldestAcceptedAtMs" | "counters">): void {
    this.pending = queue.pending;
    this.oldestAcceptedAtMs = queue.oldestAcceptedAtMs;
    this.counters = { ...queue.counters };
  }

  /** Nothing is on its way to the store: its numbers are those of memory, or memory is wrong. */
  get isQuiet(): boolean {
    return this.offered === 0 && this.unwritten === 0 && this.fair.inFlight === 0 && this.ending === undefined;
  }

  /** Most attempts at once now: the policy's, halved by each sign of overload, one more with each success. */
  get capNow(): number {
    return Math.min(this.#cap, this.route?.subscription.policy.maxInFlight ?? 1);
  }

  slowDown(): void {
    this.#cap = Math.max(1, Math.floor(this.capNow / 2));
  }

  speedUp(): void {
    if (this.#cap !== Number.POSITIVE_INFINITY) this.#cap = Math.min(this.#cap + 1, this.route?.subscription.policy.maxInFlight ?? 1);
  }

  /** A new route: policies apply at once, the bucket is made anew only if its limit changed. */
  adopt(route: Route | undefined, nowMs: number): void {
    const before = this.route?.subscription.policy.rateLimit;
    this.route = route;
    this.lastRoute = route ?? this.lastRoute;
    const bySpec = { reason: "BySpec", message: "spec.suspend is true", sinceMs: nowMs } as const;
    this.#suspendedBySpec = route?.subscription.spec.suspend === true ? (this.#suspendedBySpec ?? bySpec) : undefined;
    const limit = route?.subscription.policy.rateLimit;
    const same = before?.requests === limit?.requests && before?.perMs === limit?.perMs && before?.burst === limit?.burst;
    if (!same) this.#bucket = limit === undefined ? undefined : new TokenBucket(limit, nowMs);
  }

  /** The receiver allows this much and no more; undefined = any. */
  obey(limit: RateLimit | undefined, nowMs: number): void {
    const perMs = limit === undefined ? 0 : limit.requests / limit.perMs;
    if (perMs === this.#obeyedPerMs) return;
    this.#obeyedPerMs = perMs;
    this.#obeyed = limit === undefined ? undefined : new TokenBucket(limit, nowMs);
  }

  /** Why deliveries are not going out although the subscription is accepted. */
  get suspension(): Suspension | undefined {
    return this.suspended ?? this.#suspendedBySpec;
  }

  /** Why the spec holds everything back. Worked out from the route in force and kept nowhere, so it cannot outlive what it comes from. */
  get specPause(): SpecPause | undefined {
    const subscription = this.route?.subscription;
    if (subscription === undefined) return undefined;
    if (subscription.spec.suspend) return "BySpec";
    return subscription.target === undefined ? "RefsUnresolved" : undefined;
  }

  /** Why and until when nothing may be sent; the latest end wins. */
  pausedUntil(nowMs: number, but?: PauseReason): { readonly reason: PauseReason; readonly untilMs: number } | undefined {
    const bySpec = this.specPause;
    if (bySpec !== undefined) return { reason: bySpec, untilMs: FOREVER_MS };
    let latest: { readonly reason: PauseReason; readonly untilMs: number } | undefined;
    for (const reason in this.pauses) {
      if (reason === but) continue;
      const untilMs = this.pauses[reason as ReceiverPause] ?? 0;
      if (untilMs > nowMs && untilMs > (latest?.untilMs ?? 0)) latest = { reason: reason as ReceiverPause, untilMs };
    }
    return latest;
  }

  /** When one more may be sent: `nowMs` = now, a later time, or Infinity = only after something happened. */
  openAtMs(nowMs: number): number {
    const { route } = this;
    if (route?.subscription.target === undefined || this.ending !== undefined) return Number.POSITIVE_INFINITY;
    // How long the circuit is open the breaker knows best: its pause may have been stored under a longer policy.
    const pausedUntilMs = this.pausedUntil(nowMs, "CircuitOpen")?.untilMs ?? nowMs;
    if (pausedUntilMs === FOREVER_MS) return Number.POSITIVE_INFINITY;
    const breakerAtMs = this.breaker.readyAtMs(nowMs, route.subscription.policy.circuitBreaker);
    return Math.max(pausedUntilMs, breakerAtMs, this.#bucket?.readyAtMs(nowMs) ?? nowMs, this.#obeyed?.readyAtMs(nowMs) ?? nowMs);
  }

  /** One is sent now; what it answers the breaker wants back at its end. */
  started(nowMs: number): number {
    this.#bucket?.take(nowMs);
    this.#obeyed?.take(nowMs);
    return this.breaker.started(nowMs);
  }

  /** When the rate allows one more that is no delivery; it takes its place among them if that is now. */
  takeRate(nowMs: number): number {
    const atMs = this.#bucket?.readyAtMs(nowMs) ?? nowMs;
    if (atMs <= nowMs) this.#bucket?.take(nowMs);
    return atMs;
  }

  hasReady(kind: WorkKind, nowMs: number): boolean {
    if (kind === "fresh" && this.fresh.length > 0) return true;
    const head = this.rows[kind].peek();
    return head !== undefined && head.dueAtMs <= nowMs;
  }

  /** Takes the oldest that is ready. */
  take(kind: WorkKind, nowMs: number): Waiting | undefined {
    const row = this.rows[kind].peek();
    const rowReady = row !== undefined && row.dueAtMs <= nowMs;
    const fresh = kind === "fresh" ? this.fresh.peek() : undefined;
    if (fresh !== undefined && !(rowReady && row.acceptedAtMs < fresh.acceptedAtMs)) return this.fresh.shift();
    return rowReady ? this.rows[kind].shift() : undefined;
  }

  /** Gives a delivery back to where it came from (its claim was not written). */
  putBack(waiting: Waiting): void {
    if (waiting.isFresh) this.fresh.unshift(waiting);
    else if (waiting.crashes > 0) this.suspectsOf(waiting).unshift(waiting);
    else this.rows[kindOf(waiting)].unshift(waiting);
  }

  /** Whether due rows are in the store while none that is loaded could go now; `retriesHeld` = the retry budget is used up. */
  wantsRows(nowMs: number, retriesHeld: boolean): boolean {
    if (this.loading || this.wantsToLoad || this.indexDueAtMs > nowMs || this.#headIsDue("fresh", nowMs)) return false;
    return retriesHeld || !this.#headIsDue("retry", nowMs);
  }

  /** Loaded rows that wait for their turn, suspects left out. */
  get windowRows(): number {
    return this.rows.fresh.length + this.rows.retry.length;
  }

  /** The line in which a row with crashes behind it waits. */
  suspectsOf(waiting: Pick<Waiting, "crashes">): Line<Waiting> {
    return this.suspects[suspectLevel(waiting.crashes)] as Line<Waiting>;
  }

  get hasSuspects(): boolean {
    return this.suspects.some((line) => line.length > 0);
  }

  /** When the next row is due that is not due now. */
  nextRowAtMs(nowMs: number): number {
    let atMs = this.indexDueAtMs > nowMs ? this.indexDueAtMs : Number.POSITIVE_INFINITY;
    for (const kind of WORK_KINDS) {
      const head = this.rows[kind].peek();
      if (head !== undefined && head.dueAtMs > nowMs) atMs = Math.min(atMs, head.dueAtMs);
    }
    return atMs;
  }

  /** A row with this due time was written to the index. */
  noteDue(dueAtMs: number): void {
    if (dueAtMs < this.indexDueAtMs) this.indexDueAtMs = dueAtMs;
  }

  /** Adds rows of a window, oldest due first, behind or between those that wait. */
  addRows(rows: readonly ReadyDelivery[]): void {
    let resort = false;
    for (const row of rows) {
      const waiting = waitingOf(row, undefined, false);
      if (waiting.crashes > 0) this.suspectsOf(waiting).push(waiting);
      else {
        const line = this.rows[kindOf(waiting)];
        resort ||= line.length > 0;
        line.push(waiting);
      }
    }
    if (!resort) return;
    for (const kind of WORK_KINDS) {
      const line = this.rows[kind];
      const sorted = emptied(line).toSorted((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id);
      for (const waiting of sorted) line.push(waiting);
    }
  }

  /** Forgets the loaded rows (they stay in the store); answers their ids. */
  dropWindow(): DeliveryId[] {
    const dropped = [...emptied(this.rows.fresh), ...emptied(this.rows.retry), ...this.suspects.flatMap((line) => emptied(line))];
    for (const waiting of dropped) this.noteDue(waiting.dueAtMs);
    return dropped.map((waiting) => waiting.id);
  }

  #headIsDue(kind: WorkKind, nowMs: number): boolean {
    const head = this.rows[kind].peek();
    return head !== undefined && head.dueAtMs <= nowMs;
  }
}

export const WORK_KINDS: readonly WorkKind[] = ["fresh", "retry"];

/** After one crash, after two, and after more. */
const SUSPECT_LEVELS = [0, 1, 2] as const;
export const LONE_LEVEL = 2;

/** Which of the three groups a delivery with `crashes` (>= 1) behind it is tried in. */
export function suspectLevel(crashes: number): number {
  return Math.min(Math.max(1, crashes), LONE_LEVEL + 1) - 1;
}

export function waitingOf(row: ReadyDelivery, event: Event | undefined, isFresh: boolean): Waiting {
  const { id, crashes, acceptedAtMs, dueAtMs, resent, orderKey, deadLetter } = row;
  return {
    id,
    made: row.attempt - row.cutOff,
    crashes,
    acceptedAtMs,
    dueAtMs,
    resent: resent === true,
    orderKey,
    deadLetter,
    event,
    isFresh,
  };
}

/** A first try, however late, and a resend are no retries. */
function kindOf(waiting: Waiting): WorkKind {
  return waiting.made === 0 || waiting.resent ? "fresh" : "retry";
}

function emptied<T>(line: Line<T>): T[] {
  const items: T[] = [];
  for (let item = line.shift(); item !== undefined; item = line.shift()) items.push(item);
  return items;
}
