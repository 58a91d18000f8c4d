import type { DeadLetterNote } from "../../core/dead-letter.ts";
import type { Event } from "../../core/event.ts";
import type { WorkKind } from "../../core/fairness/fair-share.ts";
import { Line } from "../../core/line.ts";
import type { DeliveryId, ReadyDelivery } from "../../store/store.ts";

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
  readonly recordId?: string | undefined;
  /** Of a dead letter: what it says of the delivery that failed. */
  readonly deadLetter?: DeadLetterNote | undefined;
  /** Fresh ones have it; of rows it comes with the claim. */
  readonly event: Event | undefined;
  /** Not in the due index: only memory knows it until it is claimed. */
  readonly isFresh: boolean;
}

/** Rows of the first window; a backlog is never loaded whole. */
export const WINDOW_MIN = 32;
export const WORK_KINDS: readonly WorkKind[] = ["fresh", "retry"];

/** After one crash, after two, and after more. */
const SUSPECT_LEVELS = [0, 1, 2] as const;
export const LONE_LEVEL = 2;

/**
 * What waits in a lane: fresh deliveries that only memory knows, one window of the rows that are due, and when to read the next. A crash loses
 * nothing of it: all of it are rows of the store.
 */
export class LaneBacklog {
  readonly #fresh = new Line<Waiting>();
  /** Loaded rows never tried (or resent), and those tried before; oldest due first. */
  readonly #rows: Readonly<Record<WorkKind, Line<Waiting>>> = { fresh: new Line(), retry: new Line() };
  /** Loaded rows with crashes behind them, by how many (see suspects.ts). */
  readonly #suspects: readonly Line<Waiting>[] = SUSPECT_LEVELS.map(() => new Line<Waiting>());
  #freshReserved = 0;
  #indexDueAtMs = Number.POSITIVE_INFINITY;
  #windowLimit = WINDOW_MIN;
  #wantsToLoad = false;
  #loading = false;
  #held = 0;
  /** Rows let go while a window was being read: what was read of them is old. */
  readonly #letGo = new Set<DeliveryId>();
  #expiryCheckAtMs = 0;

  /** Fresh ones that wait. */
  get freshCount(): number {
    return this.#fresh.length;
  }

  /** The oldest of those. */
  get freshHead(): Waiting | undefined {
    return this.#fresh.peek();
  }

  /** Fresh ones held or promised room. */
  get freshReserved(): number {
    return this.#freshReserved;
  }

  /** When the earliest row that is not loaded is due; Infinity = none is known. */
  get indexDueAtMs(): number {
    return this.#indexDueAtMs;
  }

  /** Rows that the next window should have. */
  get windowLimit(): number {
    return this.#windowLimit;
  }

  /** Waits for its turn to read a window. */
  get wantsToLoad(): boolean {
    return this.#wantsToLoad;
  }

  /** A window is being read. */
  get loading(): boolean {
    return this.#loading;
  }

  /** Rows held: in the window, or on their way from claim to completion. */
  get held(): number {
    return this.#held;
  }

  /** When to look again for deliveries whose age is used up. */
  get expiryCheckAtMs(): number {
    return this.#expiryCheckAtMs;
  }

  /** Loaded rows that wait for their turn, suspects left out. */
  get windowRows(): number {
    return this.#rows.fresh.length + this.#rows.retry.length;
  }

  get hasSuspects(): boolean {
    return this.#suspects.some((line) => line.length > 0);
  }

  hasReady(kind: WorkKind, nowMs: number): boolean {
    if (kind === "fresh" && this.#fresh.length > 0) return true;
    const head = this.#rows[kind].peek();
    return head !== undefined && head.dueAtMs <= nowMs;
  }

  /** Takes the oldest that is ready. */
  take(kind: WorkKind, nowMs: number): Waiting | undefined {
    const row = this.#rows[kind].peek();
    const rowReady = row !== undefined && row.dueAtMs <= nowMs;
    const fresh = kind === "fresh" ? this.#fresh.peek() : undefined;
    if (fresh !== undefined && !(rowReady && row.acceptedAtMs < fresh.acceptedAtMs)) return this.#fresh.shift();
    return rowReady ? this.#rows[kind].shift() : undefined;
  }

  addFresh(waiting: Waiting): void {
    this.#fresh.push(waiting);
  }

  /** Takes the oldest fresh one, ready or not. */
  takeFresh(): Waiting | undefined {
    return this.#fresh.shift();
  }

  /** The oldest with crashes behind it of this level (see suspects.ts). */
  suspectHead(level: number): Waiting | undefined {
    return this.#suspects[level]?.peek();
  }

  takeSuspect(level: number): Waiting | undefined {
    return this.#suspects[level]?.shift();
  }

  /** Gives a delivery back to where it came from (its claim was not written). */
  putBack(waiting: Waiting): void {
    if (waiting.isFresh) this.#fresh.unshift(waiting);
    else if (waiting.crashes > 0) this.#suspectsOf(waiting).unshift(waiting);
    else this.#rows[kindOf(waiting)].unshift(waiting);
  }

  /** Room for one more fresh one is promised. */
  reserveFresh(): void {
    this.#freshReserved += 1;
  }

  /** A fresh one left, or will not come. */
  releaseFresh(): void {
    this.#freshReserved -= 1;
  }

  /** Whether due rows are in the store while none that is loaded could go now; `retriesHeld` = the retry budget is used up. */
  wantsRows(nowMs: number, retriesHeld: boolean): boolean {
    if (this.#loading || this.#wantsToLoad || this.#indexDueAtMs > nowMs || this.#headIsDue("fresh", nowMs)) return false;
    return retriesHeld || !this.#headIsDue("retry", nowMs);
  }

  /** Since when the oldest has been due, of those that are; undefined while none is. */
  dueSinceMs(nowMs: number): number | undefined {
    let atMs = Math.min(this.#indexDueAtMs, this.#fresh.peek()?.acceptedAtMs ?? Number.POSITIVE_INFINITY);
    for (const kind of WORK_KINDS) atMs = Math.min(atMs, this.#rows[kind].peek()?.dueAtMs ?? Number.POSITIVE_INFINITY);
    return atMs <= nowMs ? atMs : undefined;
  }

  /** When the next row is due that is not due now. */
  nextRowAtMs(nowMs: number): number {
    let atMs = this.#indexDueAtMs > nowMs ? this.#indexDueAtMs : Number.POSITIVE_INFINITY;
    for (const kind of WORK_KINDS) {
      const head = this.#rows[kind].peek();
      if (head !== undefined && head.dueAtMs > nowMs) atMs = Math.min(atMs, head.dueAtMs);
    }
    return atMs;
  }

  /** A row with this due time was written to the index. */
  noteDue(dueAtMs: number): void {
    if (dueAtMs < this.#indexDueAtMs) this.#indexDueAtMs = dueAtMs;
  }

  /** A window will show what is due: what was noted before is not needed. */
  forgetDue(): void {
    this.#indexDueAtMs = Number.POSITIVE_INFINITY;
  }

  /** It waits for its turn to read a window. */
  loadWanted(): void {
    this.#wantsToLoad = true;
  }

  /** It is its turn. */
  loadGranted(): void {
    this.#wantsToLoad = false;
  }

  loadBegins(): void {
    this.#letGo.clear();
    this.#loading = true;
  }

  loadEnds(): void {
    this.#letGo.clear();
    this.#loading = false;
  }

  /** The window that was read showed as many rows as it could, or fewer. */
  windowWas(full: boolean, windowMax: number): void {
    this.#windowLimit = full ? windowMax : Math.max(WINDOW_MIN, this.#windowLimit >> 1);
  }

  /** So many rows more are held. */
  hold(rows: number): void {
    this.#held += rows;
  }

  /** A row that was held is ready in the store again, or ended. */
  letGo(id: DeliveryId): void {
    this.#held -= 1;
    if (this.#loading) this.#letGo.add(id);
  }

  /** Whether the row was let go since the read under way began. */
  wasLetGo(id: DeliveryId): boolean {
    return this.#letGo.has(id);
  }

  /** Deliveries whose age is used up are looked for again from then on. */
  checkExpiryAt(atMs: number): void {
    this.#expiryCheckAtMs = atMs;
  }

  /** Adds rows of a window, oldest due first, behind or between those that wait. */
  addRows(rows: readonly ReadyDelivery[]): void {
    let resort = false;
    for (const row of rows) {
      const waiting = waitingOf(row, undefined, false);
      if (waiting.crashes > 0) this.#suspectsOf(waiting).push(waiting);
      else {
        const line = this.#rows[kindOf(waiting)];
        resort ||= line.length > 0;
        line.push(waiting);
      }
    }
    if (!resort) return;
    for (const kind of WORK_KINDS) {
      const line = this.#rows[kind];
      const sorted = emptied(line).toSorted((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id);
      for (const waiting of sorted) line.push(waiting);
    }
  }

  /** Forgets the loaded rows (they stay in the store); answers their ids. */
  dropWindow(): DeliveryId[] {
    const dropped = [...emptied(this.#rows.fresh), ...emptied(this.#rows.retry), ...this.#suspects.flatMap((line) => emptied(line))];
    for (const waiting of dropped) this.noteDue(waiting.dueAtMs);
    return dropped.map((waiting) => waiting.id);
  }

  /** The line in which a row with crashes behind it waits. */
  #suspectsOf({ crashes }: Waiting): Line<Waiting> {
    return this.#suspects[suspectLevel(crashes)] as Line<Waiting>;
  }

  #headIsDue(kind: WorkKind, nowMs: number): boolean {
    const head = this.#rows[kind].peek();
    return head !== undefined && head.dueAtMs <= nowMs;
  }
}

/** Which of the three groups a delivery with `crashes` (>= 1) behind it is tried in. */
function suspectLevel(crashes: number): number {
  return Math.min(Math.max(1, crashes), LONE_LEVEL + 1) - 1;
}

export function waitingOf(row: ReadyDelivery, event: Event | undefined, isFresh: boolean): Waiting {
  const { id, crashes, acceptedAtMs, dueAtMs, resent, orderKey, recordId, deadLetter } = row;
  return {
    id,
    made: row.attempt - row.cutOff,
    crashes,
    acceptedAtMs,
    dueAtMs,
    resent: resent === true,
    orderKey,
    recordId,
    deadLetter,
    event,
    isFresh,
  };
}

/** A first try, however late, and a resend are no retries. */
export function kindOf(waiting: Waiting): WorkKind {
  return waiting.made === 0 || waiting.resent ? "fresh" : "retry";
}

function emptied<T>(line: Line<T>): T[] {
  const items: T[] = [];
  for (let item = line.shift(); item !== undefined; item = line.shift()) items.push(item);
  return items;
}
