/** First sends and backlog are `fresh`, further attempts `retry`: so many of every five picks are fresh while both wait. */
export type WorkKind = "fresh" | "retry";
const FRESH_OF_FIVE = 4;
/** One namespace may hold half of all slots. */
const NAMESPACE_PERCENT = 50;
/** Failing subscriptions together may hold 30 % of all slots: hanging receivers cannot take the rest. */
const FAILING_PERCENT = 30;

/** What the queue keeps for one subscription; make it with `fairMarks`, touch it nowhere else. */
export interface FairMarks {
  inFlight: number;
  failing: boolean;
  readonly wanted: Record<WorkKind, boolean>;
  readonly queued: Record<WorkKind, boolean>;
}

/** One subscription as the queue sees it. */
export interface FairLane {
  readonly namespace: string;
  /** Most attempts at once; the owner may change it at any time. */
  readonly capNow: number;
  readonly fair: FairMarks;
}

export function fairMarks(): FairMarks {
  return { inFlight: 0, failing: false, wanted: { fresh: false, retry: false }, queued: { fresh: false, retry: false } };
}

interface Share<L> {
  readonly name: string;
  inFlight: number;
  readonly lanes: Record<WorkKind, Line<L>>;
  readonly queued: Record<WorkKind, boolean>;
}

/**
 * Who sends next: deficit round robin on two levels, namespace then subscription, with unit cost (so each turn is one delivery).
 * Whoever is at a cap leaves the ring and comes back when one of its slots is given back: a pick never searches through those
 * who may not send, which keeps it O(1) with 10,000 subscriptions.
 */
export class FairQueue<L extends FairLane> {
  readonly #slotsMax: number;
  readonly #namespaceMax: number;
  readonly #failingMax: number;
  readonly #shares = new Map<string, Share<L>>();
  readonly #rings: Record<WorkKind, Line<Share<L>>> = { fresh: new Line(), retry: new Line() };
  /** Failing lanes that wait for one of the failing slots. */
  readonly #parked: Record<WorkKind, Line<L>> = { fresh: new Line(), retry: new Line() };
  #inFlight = 0;
  #failing = 0;
  #freshRun = 0;

  constructor(slotsMax: number) {
    this.#slotsMax = slotsMax;
    this.#namespaceMax = Math.max(1, Math.floor((slotsMax * NAMESPACE_PERCENT) / 100));
    this.#failingMax = Math.max(1, Math.floor((slotsMax * FAILING_PERCENT) / 100));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Attempts of failing subscriptions under way. */
  get failingInFlight(): number {
    return this.#failing;
  }

  /** The lane has something of this kind to send. */
  offer(lane: L, kind: WorkKind): void {
    lane.fair.wanted[kind] = true;
    this.#enqueue(lane, kind);
  }

  /** It has nothing (more), or may not send now. */
  withdraw(lane: L, kind: WorkKind): void {
    lane.fair.wanted[kind] = false;
  }

  /** The next lane, its slot taken. `retryAllowed` false leaves the retries where they are. */
  take(retryAllowed: boolean): { readonly lane: L; readonly kind: WorkKind } | undefined {
    if (this.#inFlight >= this.#slotsMax) return undefined;
    const retryFirst = this.#freshRun >= FRESH_OF_FIVE;
    const order: readonly WorkKind[] = retryFirst ? RETRY_FIRST : FRESH_FIRST;
    for (const kind of order) {
      if (kind === "retry" && !retryAllowed) continue;
      const lane = this.#pick(kind);
      if (lane === undefined) continue;
      this.#freshRun = kind === "retry" ? 0 : this.#freshRun + 1;
      this.#occupy(lane);
      return { lane, kind };
    }
    return undefined;
  }

  /** Takes a slot for this very lane if every cap allows it and nobody waits for slots. */
  takeNow(lane: L): boolean {
    const share = this.#share(lane.namespace);
    const { fair } = lane;
    if (this.#inFlight >= this.#slotsMax || share.inFlight >= this.#namespaceMax || fair.inFlight >= lane.capNow) return false;
    if (fair.failing && this.#failing >= this.#failingMax) return false;
    this.#occupy(lane);
    return true;
  }

  /** Gives a slot back. */
  release(lane: L): void {
    const share = this.#share(lane.namespace);
    lane.fair.inFlight -= 1;
    share.inFlight -= 1;
    this.#inFlight -= 1;
    if (lane.fair.failing) this.#failing -= 1;
    for (const kind of KINDS) {
      if (lane.fair.wanted[kind]) this.#enqueue(lane, kind);
      this.#enqueueShare(share, kind);
      this.#unpark(kind);
    }
    if (share.inFlight === 0 && share.lanes.fresh.length === 0 && share.lanes.retry.length === 0) this.#shares.delete(share.name);
  }

  /** Marks a subscription as failing or not; its slots move with it. */
  setFailing(lane: L, failing: boolean): void {
    if (lane.fair.failing === failing) return;
    lane.fair.failing = failing;
    this.#failing += failing ? lane.fair.inFlight : -lane.fair.inFlight;
    if (failing) return;
    for (const kind of KINDS) {
      if (lane.fair.wanted[kind]) this.#enqueue(lane, kind);
      this.#unpark(kind);
    }
  }

  /** Whether retries wait that could be sent if they were allowed. */
  get retriesWait(): boolean {
    return this.#rings.retry.length > 0;
  }

  /** Whether anybody is in a ring. */
  get hasWaiting(): boolean {
    return this.#rings.fresh.length > 0 || this.#rings.retry.length > 0;
  }

  /** Whether anybody waits to send something fresh: nobody may overtake then. */
  get freshWaits(): boolean {
    return this.#rings.fresh.length > 0;
  }

  #occupy(lane: L): void {
    lane.fair.inFlight += 1;
    this.#share(lane.namespace).inFlight += 1;
    this.#inFlight += 1;
    if (lane.fair.failing) this.#failing += 1;
  }

  #pick(kind: WorkKind): L | undefined {
    const ring = this.#rings[kind];
    for (let share = ring.shift(); share !== undefined; share = ring.shift()) {
      share.queued[kind] = false;
      // At its cap: `release` brings it back.
      if (share.inFlight >= this.#namespaceMax) continue;
      const lane = this.#pickLane(share.lanes[kind], kind);
      this.#enqueueShare(share, kind);
      if (lane !== undefined) return lane;
    }
    return undefined;
  }

  #pickLane(line: Line<L>, kind: WorkKind): L | undefined {
    for (let lane = line.shift(); lane !== undefined; lane = line.shift()) {
      const { fair } = lane;
      fair.queued[kind] = false;
      if (!fair.wanted[kind] || fair.inFlight >= lane.capNow) continue;
      if (fair.failing && this.#failing >= this.#failingMax) {
        this.#parked[kind].push(lane);
        fair.queued[kind] = true;
        continue;
      }
      line.push(lane);
      fair.queued[kind] = true;
      return lane;
    }
    return undefined;
  }

  #enqueue(lane: L, kind: WorkKind): void {
    const share = this.#share(lane.namespace);
    if (!lane.fair.queued[kind]) {
      lane.fair.queued[kind] = true;
      share.lanes[kind].push(lane);
    }
    this.#enqueueShare(share, kind);
  }

  #enqueueShare(share: Share<L>, kind: WorkKind): void {
    if (share.queued[kind] || share.lanes[kind].length === 0 || share.inFlight >= this.#namespaceMax) return;
    share.queued[kind] = true;
    this.#rings[kind].push(share);
  }

  /** Lets parked lanes back as long as failing slots are free. */
  #unpark(kind: WorkKind): void {
    for (let room = this.#failingMax - this.#failing; room > 0; room--) {
      const lane = this.#parked[kind].shift();
      if (lane === undefined) return;
      lane.fair.queued[kind] = false;
      if (lane.fair.wanted[kind]) this.#enqueue(lane, kind);
    }
  }

  #share(namespace: string): Share<L> {
    let share = this.#shares.get(namespace);
    if (share === undefined) {
      share = {
        name: namespace,
        inFlight: 0,
        lanes: { fresh: new Line(), retry: new Line() },
        queued: { fresh: false, retry: false },
      };
      this.#shares.set(namespace, share);
    }
    return share;
  }
}

const KINDS: readonly WorkKind[] = ["fresh", "retry"];
const FRESH_FIRST: readonly WorkKind[] = ["fresh", "retry"];
const RETRY_FIRST: readonly WorkKind[] = ["retry", "fresh"];

/** First in, first out, both ends O(1): an array with a moving head. */
export class Line<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Back to where it was taken from. */
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  shift(): T | undefined {
    if (this.#head >= this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
