import { DOORS, heaps, KINDS, mayBeTried, SLOW, TRIAL } from "./fair-share.ts";
import type { Door, FairLane, LaneTicket, Payer, Share, ShareTicket, WorkKind } from "./fair-share.ts";
import type { SlotLimits } from "./slot-limits.ts";
import { TIERS, type Tier } from "./slot-pool.ts";
import { goesBefore, type Ticket, type TicketHeap } from "./ticket-heap.ts";

/** Nobody goes behind the others by more than this: whoever had long turns waits for its next one, but not for ever. */
const BEHIND_MAX_MS = 10_000;

/** Somebody whose turn it is, and by which share. */
export interface NextUp {
  readonly share: Share;
  readonly ticket: LaneTicket;
  readonly lane: FairLane;
  readonly door: Door;
}

/**
 * The lines in which lanes wait within their namespace, and namespaces among each other; in each goes first who has been charged the least
 * (start-time fair queueing: who begins to wait stands where whoever had the last turn stood, or behind it by what it was charged more).
 * There is a line for each door and tier, so that whoever may not send is in no line that is looked at. O(log n).
 */
export class FairLines {
  readonly #limits: SlotLimits;
  /** Namespaces with a lane that may send, by door, tier, and whether it would be their first by that door. */
  readonly #rings: Record<WorkKind, readonly TicketHeap<ShareTicket>[]> = {
    fresh: heaps(DOORS.length * TIERS.length * 2),
    retry: heaps(DOORS.length * TIERS.length * 2),
  };
  readonly #placed: Record<WorkKind, number> = { fresh: 0, retry: 0 };
  /** Virtual time among namespaces. */
  #clockMs = 0;
  #order = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Whose turn it is, if anybody may send. */
  next(kind: WorkKind): NextUp | undefined {
    const share = this.#placed[kind] === 0 ? undefined : this.#firstShare(kind);
    return share === undefined ? undefined : this.#firstLane(share, kind);
  }

  /** The turn of a lane has come: time goes on, and lane and namespace go behind their equals. Both are placed anew by the caller. */
  turned({ share, lane }: NextUp): void {
    this.#clockMs = Math.max(this.#clockMs, share.usedMs);
    share.clockMs = Math.max(share.clockMs, lane.fair.usedMs);
    share.order = ++this.#order;
    lane.fair.order = ++this.#order;
  }

  /** Charges lane and namespace for time held (or gives back what was too much). */
  charge(share: Share, { fair }: FairLane, ms: number): void {
    share.usedMs = charged(share.usedMs, ms, this.#clockMs);
    fair.usedMs = charged(fair.usedMs, ms, share.clockMs);
  }

  /** Where lane and namespace wait now. */
  place(share: Share, lane: FairLane): void {
    for (const kind of KINDS) {
      this.placeLane(share, lane, kind);
      this.placeShare(share, kind);
    }
  }

  placeLane(share: Share, lane: FairLane, kind: WorkKind): void {
    const { fair } = lane;
    const ticket = fair.tickets[kind];
    if (!fair.wanted[kind] && ticket.heap === undefined) return;
    const waits = fair.wanted[kind] && fair.inFlight < this.#limits.capOf(lane);
    const line = (door: Door): TicketHeap<LaneTicket> | undefined => share.lines[kind][door * TIERS.length + this.#limits.laneTierOf(lane)];
    const had = ticket.heap !== undefined;
    this.#moveLane(ticket, lane, waits ? line(fair.standing) : undefined, share.clockMs);
    share.waiting[kind] += (waits ? 1 : 0) - (had ? 1 : 0);
    this.#moveLane(fair.trials[kind], lane, waits && mayBeTried(fair) ? line(TRIAL) : undefined, share.clockMs);
  }

  placeShare(share: Share, kind: WorkKind): void {
    // None of its lanes waits, and it does not wait itself: so it is mostly.
    if (share.waiting[kind] === 0 && share.waits === 0) return;
    for (const door of DOORS) {
      const ticket = share.tickets[kind][door];
      if (ticket === undefined) continue;
      const waits = !(kind === "retry" && share.retriesHeld) && this.#opensWithin(share, kind, door);
      this.#moveShare(ticket, kind, waits ? this.#ringOf(share, kind, door) : undefined);
    }
  }

  #ringOf(share: Share, kind: WorkKind, door: Door): TicketHeap<ShareTicket> | undefined {
    return this.#rings[kind][(door * TIERS.length + this.#limits.tierOf(share)) * 2 + (isFirst(share, door) ? 0 : 1)];
  }

  /** Whether a lane that waits by this door may send, as far as the share of its namespace goes. */
  #opensWithin(share: Share, kind: WorkKind, door: Door): boolean {
    const waits = TIERS.some(
      (tier) => share.lines[kind][door * TIERS.length + tier]?.first !== undefined && this.#limits.ownOpens(share, tier),
    );
    return waits && this.#limits.opensWithin(share, door);
  }

  #firstShare(kind: WorkKind): Share | undefined {
    const rings = this.#rings[kind];
    let first: ShareTicket | undefined;
    for (let at = 0; at < rings.length; at++) {
      const ticket = rings[at]?.first;
      if (ticket === undefined || (first !== undefined && !goesBefore(ticket, first))) continue;
      if (this.#limits.opens(Math.floor(at / 2 / TIERS.length) as Door, ((at >> 1) % TIERS.length) as Tier, at % 2 === 0)) first = ticket;
    }
    return first?.share;
  }

  #firstLane(share: Share, kind: WorkKind): NextUp | undefined {
    let first: NextUp | undefined;
    for (const door of DOORS) {
      if (!this.#limits.opensWithin(share, door) || !this.#limits.opens(door, this.#limits.tierOf(share), isFirst(share, door))) continue;
      for (const tier of TIERS) {
        const ticket = share.lines[kind][door * TIERS.length + tier]?.first;
        if (ticket?.lane === undefined || !this.#limits.ownOpens(share, tier)) continue;
        if (first === undefined || goesBefore(ticket, first.ticket)) first = { share, ticket, lane: ticket.lane, door };
      }
    }
    return first;
  }

  #moveLane(ticket: LaneTicket, lane: FairLane, heap: TicketHeap<LaneTicket> | undefined, clockMs: number): void {
    ticket.lane = heap === undefined ? undefined : lane;
    this.#move(ticket, lane.fair, heap, clockMs);
  }

  #moveShare(ticket: ShareTicket, kind: WorkKind, heap: TicketHeap<ShareTicket> | undefined): void {
    if (ticket.heap === undefined && heap === undefined) return;
    this.#placed[kind] += (heap === undefined ? 0 : 1) - (ticket.heap === undefined ? 0 : 1);
    this.#move(ticket, ticket.share, heap, this.#clockMs);
  }

  #move<T extends Ticket>(ticket: T, payer: Payer, heap: TicketHeap<T> | undefined, clockMs: number): void {
    if (heap === undefined) {
      if (ticket.heap === undefined) return;
      ticket.heap.remove(ticket);
      payer.waits -= 1;
      return;
    }
    if (ticket.heap === undefined) {
      if (payer.waits === 0) {
        // Idle time earns nothing.
        payer.usedMs = Math.max(payer.usedMs, clockMs);
        payer.order = ++this.#order;
      }
      payer.waits += 1;
    } else if (ticket.heap === heap && ticket.number === payer.usedMs && ticket.order === payer.order) return;
    else ticket.heap.remove(ticket);
    ticket.number = payer.usedMs;
    ticket.order = payer.order;
    heap.add(ticket);
  }
}

function isFirst(share: Share, door: Door): boolean {
  return share.held[door === TRIAL ? SLOW : door] === 0;
}

/** What is added puts nobody further behind than the most; what is given back counts whole. */
function charged(usedMs: number, ms: number, clockMs: number): number {
  return ms <= 0 ? usedMs + ms : Math.max(usedMs, Math.min(usedMs + ms, clockMs + BEHIND_MAX_MS));
}
