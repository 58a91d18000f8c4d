import { part, SlotPool, TIERS, type Tier } from "./slot-pool.ts";
import { blankTicket, TicketHeap, type Ticket } from "./ticket-heap.ts";

/** First sends and backlog are `fresh`, further attempts `retry`: so many of every five picks are fresh while both wait. */
export type WorkKind = "fresh" | "retry";
const FRESH_OF_FIVE = 4;
/** One namespace may hold half of all slots. */
const NAMESPACE_PERCENT = 50;
/** Failing subscriptions together may hold 30 % of all slots: hanging receivers cannot take the rest. */
const FAILING_PERCENT = 30;
/** Of those, one namespace may hold half, and one subscription an eighth. */
const FAILING_NAMESPACE_SHARE = 2;
const FAILING_LANE_SHARE = 8;

/** What the queue keeps for one subscription; make it with `fairMarks`, touch it nowhere else. */
export interface FairMarks {
  inFlight: number;
  failing: boolean;
  /** Counted among the subscriptions of its namespace. */
  known: boolean;
  readonly wanted: Record<WorkKind, boolean>;
  readonly tickets: Record<WorkKind, LaneTicket>;
}

interface LaneTicket extends Ticket {
  lane: FairLane | undefined;
}

/** One subscription as the queue sees it. */
export interface FairLane {
  readonly namespace: string;
  /** Most attempts at once; the owner may change it at any time, and offers the lane again when it has grown. */
  readonly capNow: number;
  readonly fair: FairMarks;
}

export function fairMarks(): FairMarks {
  const ticket = (): LaneTicket => ({ ...blankTicket(), lane: undefined });
  return {
    inFlight: 0,
    failing: false,
    known: false,
    wanted: { fresh: false, retry: false },
    tickets: { fresh: ticket(), retry: ticket() },
  };
}

interface Share {
  readonly name: string;
  inFlight: number;
  failing: number;
  /** Subscriptions heard of and not forgotten. */
  known: number;
  /** Its retries are held back until they are allowed. */
  retriesHeld: boolean;
  /** Lanes that want a slot and are under their own cap: by tier, healthy ones before failing ones. */
  readonly lines: Record<WorkKind, readonly TicketHeap<LaneTicket>[]>;
  readonly tickets: Record<WorkKind, ShareTicket>;
}

interface ShareTicket extends Ticket {
  readonly share: Share;
}

/** What the turn of a namespace needs beside a slot: nothing, its first slot of the failing ones, one more of those. */
const NEEDS = [0, 1, 2] as const;
type Need = (typeof NEEDS)[number];

/**
 * Who sends next: round robin on two levels, namespace then subscription, one delivery a turn. Each keeps its ticket until its turn has come.
 * What one may hold of `slotsMax` slots (every number at least 1):
 *   a namespace            half of them; a subscription as many as its cap says
 *   all failing together   30 %; of these one namespace half, one subscription an eighth, the last sixteenth for namespaces without one
 *   the last quarter       only for namespaces that hold less than a sixteenth of all slots
 *   the last sixteenth     only for namespaces that hold none
 * The last two lines hold again for the subscriptions within the half of their namespace, where it has more than one. So two that hang
 * hold three quarters at most: the third gets its first slot at once, and many more after it. Where all slots are held by those that hold
 * few, the next slot that is given back goes to one that holds none.
 * Whoever may not send is in no heap that is looked at: a pick searches through nobody, with 10,000 subscriptions too.
 */
export class FairQueue<L extends FairLane> {
  readonly #slots: SlotPool;
  readonly #failingSlots: SlotPool;
  /** The slots of one namespace. */
  readonly #own: SlotPool;
  readonly #failingOfNamespace: number;
  readonly #failingOfLane: number;
  readonly #shares = new Map<string, Share>();
  /** Namespaces with a lane that may send, by tier and need. */
  readonly #rings: Record<WorkKind, readonly TicketHeap<ShareTicket>[]> = { fresh: heaps(9), retry: heaps(9) };
  #inFlight = 0;
  #failing = 0;
  #freshRun = 0;
  #ticket = 0;

  constructor(slotsMax: number) {
    this.#slots = new SlotPool(slotsMax);
    this.#own = new SlotPool(percent(slotsMax, NAMESPACE_PERCENT));
    this.#failingSlots = new SlotPool(percent(slotsMax, FAILING_PERCENT));
    this.#failingOfNamespace = part(this.#failingSlots.size, FAILING_NAMESPACE_SHARE);
    this.#failingOfLane = part(this.#failingSlots.size, FAILING_LANE_SHARE);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Attempts of failing subscriptions under way. */
  get failingInFlight(): number {
    return this.#failing;
  }

  /** The lane has something of this kind to send, or its cap has grown. */
  offer(lane: L, kind: WorkKind): void {
    const { fair } = lane;
    if (fair.known && fair.wanted[kind] && fair.tickets[kind].heap !== undefined) return;
    fair.wanted[kind] = true;
    const share = this.#join(lane);
    this.#placeLane(share, lane, kind);
    this.#placeShare(share, kind);
  }

  /** It has nothing (more), or may not send now. */
  withdraw(lane: L, kind: WorkKind): void {
    if (!lane.fair.wanted[kind]) return;
    lane.fair.wanted[kind] = false;
    const share = this.#shares.get(lane.namespace);
    if (share === undefined) return;
    this.#placeLane(share, lane, kind);
    this.#placeShare(share, kind);
  }

  /** The subscription is gone. Slots that it still holds are given back as ever. */
  forget(lane: L): void {
    for (const kind of KINDS) this.withdraw(lane, kind);
    const share = this.#shares.get(lane.namespace);
    if (share === undefined || !lane.fair.known) return;
    lane.fair.known = false;
    share.known -= 1;
    for (const kind of KINDS) this.#placeShare(share, kind);
    this.#tidy(share);
  }

  /**
   * The next lane, its slot taken. `retries` false leaves the retries where they are; a function is asked once for each namespace whose
   * turn it would be, and where it says no its retries are held back until `allowRetries`.
   */
  take(retries: boolean | ((namespace: string) => boolean)): { readonly lane: L; readonly kind: WorkKind } | undefined {
    const order: readonly WorkKind[] = this.#freshRun >= FRESH_OF_FIVE ? RETRY_FIRST : FRESH_FIRST;
    for (const kind of order) {
      if (kind === "retry" && retries === false) continue;
      const lane = this.#next(kind, typeof retries === "function" ? retries : undefined);
      if (lane === undefined) continue;
      this.#freshRun = kind === "retry" ? 0 : this.#freshRun + 1;
      this.#occupy(lane, kind);
      return { lane, kind };
    }
    return undefined;
  }

  /**
   * Takes a slot for this very lane, out of turn, if every bound allows it; the caller has asked `freshWaits`. With `retriesAllowed` the
   * retries that wait keep their one of five.
   */
  takeNow(lane: L, retriesAllowed = false): boolean {
    if (retriesAllowed && this.#freshRun >= FRESH_OF_FIVE && this.retriesWait) return false;
    const share = this.#join(lane);
    const { failing, inFlight } = lane.fair;
    if (inFlight >= this.#capOf(lane) || !this.#ownOpens(share, this.#own.tierOf(inFlight))) return false;
    if (failing && share.failing >= this.#failingOfNamespace) return false;
    if (share.inFlight >= this.#own.size || !this.#opens(this.#slots.tierOf(share.inFlight), failing ? needOf(share) : 0)) return false;
    this.#freshRun += 1;
    this.#occupy(lane, undefined);
    return true;
  }

  /** Gives a slot back. */
  release(lane: L): void {
    const share = this.#share(lane.namespace);
    this.#count(share, lane, -1);
    this.#place(share, lane);
    this.#tidy(share);
  }

  /** Marks a subscription as failing or not; its slots move with it. */
  setFailing(lane: L, failing: boolean): void {
    if (lane.fair.failing === failing) return;
    lane.fair.failing = failing;
    const share = this.#shares.get(lane.namespace);
    if (share === undefined) return;
    const moved = failing ? lane.fair.inFlight : -lane.fair.inFlight;
    this.#failing += moved;
    share.failing += moved;
    this.#place(share, lane);
  }

  /** The retries of a namespace that were held back may go again. */
  allowRetries(namespace: string): void {
    const share = this.#shares.get(namespace);
    if (share === undefined) return;
    share.retriesHeld = false;
    this.#placeShare(share, "retry");
  }

  /** Whether a retry could be sent now if it were allowed; those held back are not counted. */
  get retriesWait(): boolean {
    return this.#next("retry") !== undefined;
  }

  /** Whether anybody could be given a slot now. */
  get hasWaiting(): boolean {
    return this.freshWaits || this.retriesWait;
  }

  /** Whether anybody could send something fresh now: nobody may overtake then. */
  get freshWaits(): boolean {
    return this.#next("fresh") !== undefined;
  }

  /** Namespaces that something is kept of. */
  get namespaces(): number {
    return this.#shares.size;
  }

  /** Whose turn it is. Drops on its way whoever's cap has shrunk since it was placed. */
  #next(kind: WorkKind, mayRetry?: (namespace: string) => boolean): L | undefined {
    for (let share = this.#firstShare(kind); share !== undefined; share = this.#firstShare(kind)) {
      const ticket = this.#firstLane(share, kind);
      const lane = ticket?.lane;
      if (ticket !== undefined && lane !== undefined && lane.fair.inFlight < this.#capOf(lane)) {
        // Every lane in here came through `offer`, which takes L only.
        if (kind === "fresh" || mayRetry === undefined || mayRetry(share.name)) return lane as L;
        share.retriesHeld = true;
      } else ticket?.heap?.remove(ticket);
      this.#placeShare(share, kind);
    }
    return undefined;
  }

  #firstShare(kind: WorkKind): Share | undefined {
    const rings = this.#rings[kind];
    let first: ShareTicket | undefined;
    for (let at = 0; at < rings.length; at++) {
      const ticket = rings[at]?.first;
      if (ticket === undefined || (first !== undefined && ticket.number > first.number)) continue;
      if (this.#opens(TIERS[Math.floor(at / 3)] ?? 2, NEEDS[at % 3] ?? 2)) first = ticket;
    }
    return first?.share;
  }

  #firstLane(share: Share, kind: WorkKind): LaneTicket | undefined {
    const lines = share.lines[kind];
    const mayFail = share.failing < this.#failingOfNamespace && this.#failingOpens(needOf(share));
    let first: LaneTicket | undefined;
    for (let at = 0; at < lines.length; at++) {
      const ticket = lines[at]?.first;
      if (ticket === undefined || (first !== undefined && ticket.number > first.number)) continue;
      if ((at % 2 === 0 || mayFail) && this.#ownOpens(share, TIERS[at >> 1] ?? 2)) first = ticket;
    }
    return first;
  }

  #opens(tier: Tier, need: Need): boolean {
    return this.#slots.opens(tier, this.#inFlight) && this.#failingOpens(need);
  }

  #failingOpens(need: Need): boolean {
    return need === 0 || this.#failingSlots.opens(need === 1 ? 0 : 1, this.#failing);
  }

  /** Whether a lane of this tier may have one more slot of its namespace; one that is alone there need not leave room. */
  #ownOpens(share: Share, tier: Tier): boolean {
    return share.known > 1 ? this.#own.opens(tier, share.inFlight) : share.inFlight < this.#own.size;
  }

  #capOf(lane: FairLane): number {
    return lane.fair.failing ? Math.min(lane.capNow, this.#failingOfLane) : lane.capNow;
  }

  /** A slot is taken; whoever had a turn goes to the end of its lines. */
  #occupy(lane: L, turnOf: WorkKind | undefined): void {
    const share = this.#share(lane.namespace);
    this.#count(share, lane, 1);
    if (turnOf !== undefined) {
      for (const ticket of [lane.fair.tickets[turnOf], share.tickets[turnOf]]) ticket.heap?.remove(ticket);
    }
    this.#place(share, lane);
  }

  #count(share: Share, lane: L, slots: 1 | -1): void {
    lane.fair.inFlight += slots;
    share.inFlight += slots;
    this.#inFlight += slots;
    if (!lane.fair.failing) return;
    share.failing += slots;
    this.#failing += slots;
  }

  #place(share: Share, lane: L): void {
    for (const kind of KINDS) {
      this.#placeLane(share, lane, kind);
      this.#placeShare(share, kind);
    }
  }

  /** Where the lane waits now; its ticket stays while it waits. */
  #placeLane(share: Share, lane: L, kind: WorkKind): void {
    const { fair } = lane;
    const ticket = fair.tickets[kind];
    if (!fair.wanted[kind] && ticket.heap === undefined) return;
    const waits = fair.wanted[kind] && fair.inFlight < this.#capOf(lane);
    ticket.lane = waits ? lane : undefined;
    const at = this.#own.tierOf(fair.inFlight) * 2 + (fair.failing ? 1 : 0);
    this.#move(ticket, waits ? share.lines[kind][at] : undefined);
  }

  /** Where the namespace waits now, by what its next lane needs. */
  #placeShare(share: Share, kind: WorkKind): void {
    const need = kind === "retry" && share.retriesHeld ? undefined : this.#needOf(share, kind);
    const ring = need === undefined ? undefined : this.#rings[kind][this.#slots.tierOf(share.inFlight) * 3 + need];
    this.#move(share.tickets[kind], ring);
  }

  /** Undefined = none of its lanes may send, whatever is free elsewhere. */
  #needOf(share: Share, kind: WorkKind): Need | undefined {
    if (share.inFlight >= this.#own.size) return undefined;
    const lines = share.lines[kind];
    let failing = false;
    for (let at = 0; at < lines.length; at++) {
      if (lines[at]?.first === undefined || !this.#ownOpens(share, TIERS[at >> 1] ?? 2)) continue;
      if (at % 2 === 0) return 0;
      failing = true;
    }
    return failing && share.failing < this.#failingOfNamespace ? needOf(share) : undefined;
  }

  #move<T extends Ticket>(ticket: T, heap: TicketHeap<T> | undefined): void {
    if (heap === undefined) ticket.heap?.remove(ticket);
    else {
      if (ticket.heap === undefined) ticket.number = ++this.#ticket;
      heap.add(ticket);
    }
  }

  /** The namespace of a lane, which counts among its subscriptions from now on. */
  #join(lane: L): Share {
    const share = this.#share(lane.namespace);
    if (!lane.fair.known) {
      lane.fair.known = true;
      share.known += 1;
      // The second of a namespace makes the first leave room.
      for (const kind of KINDS) this.#placeShare(share, kind);
    }
    return share;
  }

  #tidy(share: Share): void {
    if (share.inFlight === 0 && share.known === 0) this.#shares.delete(share.name);
  }

  #share(namespace: string): Share {
    let share = this.#shares.get(namespace);
    if (share === undefined) {
      share = newShare(namespace);
      this.#shares.set(namespace, share);
    }
    return share;
  }
}

function newShare(name: string): Share {
  const tickets = {} as Record<WorkKind, ShareTicket>;
  const lines = { fresh: heaps<LaneTicket>(6), retry: heaps<LaneTicket>(6) };
  const share: Share = { name, inFlight: 0, failing: 0, known: 0, retriesHeld: false, lines, tickets };
  for (const kind of KINDS) tickets[kind] = { ...blankTicket(), share };
  return share;
}

function needOf(share: Share): Need {
  return share.failing === 0 ? 1 : 2;
}

function percent(slots: number, share: number): number {
  return Math.max(1, Math.floor((slots * share) / 100));
}

function heaps<T extends Ticket>(count: number): TicketHeap<T>[] {
  return Array.from({ length: count }, () => new TicketHeap<T>());
}

const KINDS: readonly WorkKind[] = ["fresh", "retry"];
const FRESH_FIRST: readonly WorkKind[] = ["fresh", "retry"];
const RETRY_FIRST: readonly WorkKind[] = ["retry", "fresh"];
