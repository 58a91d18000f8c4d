import { HoldPace } from "../hold-pace.ts";
import { TIERS } from "./slot-pool.ts";
import { blankTicket, TicketHeap, type Ticket } from "./ticket-heap.ts";

/** First sends and backlog are `fresh`, further attempts `retry`. */
export type WorkKind = "fresh" | "retry";
export const KINDS: readonly WorkKind[] = ["fresh", "retry"];

/** What a subscription is like: quick, failing, or slow (and one that is not known yet counts as slow). */
export const WELL = 0;
export const FAILING = 1;
export const SLOW = 2;
export type Standing = typeof WELL | typeof FAILING | typeof SLOW;
/** By which share a slot is given: by that of its standing, or as a trial of one that is not known yet. */
export const TRIAL = 3;
export type Door = Standing | typeof TRIAL;
export const DOORS: readonly Door[] = [WELL, FAILING, SLOW, TRIAL];

/** Somebody who is charged for the time that slots are held. */
export interface Payer {
  /** Virtual time: what it has been charged, ms. Whoever has the least goes first. */
  usedMs: number;
  /** Among equals the lower goes first: since when it waits, or has had no turn. */
  order: number;
  /** In how many heaps it waits. */
  waits: number;
}

/** What the queue keeps for one subscription; make it with `fairMarks`, touch it nowhere else. */
export interface FairMarks extends Payer {
  inFlight: number;
  /** Of these, held for long. */
  long: number;
  failing: boolean;
  standing: Standing;
  readonly pace: HoldPace;
  /** Counted among the subscriptions of its namespace. */
  known: boolean;
  readonly wanted: Record<WorkKind, boolean>;
  readonly tickets: Record<WorkKind, LaneTicket>;
  /** Beside those, while it may be tried. */
  readonly trials: Record<WorkKind, LaneTicket>;
}

export interface LaneTicket extends Ticket {
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
  const tickets = (): Record<WorkKind, LaneTicket> => ({
    fresh: { ...blankTicket(), lane: undefined },
    retry: { ...blankTicket(), lane: undefined },
  });
  return {
    usedMs: 0,
    order: 0,
    waits: 0,
    inFlight: 0,
    long: 0,
    failing: false,
    standing: SLOW,
    pace: new HoldPace(),
    known: false,
    wanted: { fresh: false, retry: false },
    tickets: tickets(),
    trials: tickets(),
  };
}

/** What a subscription is like, by what is known of it. */
export function standingOf({ failing, pace, long, inFlight }: FairMarks): Standing {
  if (failing) return FAILING;
  return pace.isUntried || pace.isSlow || long * 2 > inFlight ? SLOW : WELL;
}

/** Not known yet, and nothing of it is under way: one attempt would tell. */
export function mayBeTried({ standing, pace, inFlight }: FairMarks): boolean {
  return standing === SLOW && pace.isUntried && inFlight === 0;
}

/** One namespace as the queue sees it. */
export interface Share extends Payer {
  readonly name: string;
  inFlight: number;
  /** Of these, by standing of their subscription. */
  readonly held: Record<Standing, number>;
  /** Of these, given as trials. */
  trials: number;
  /** Subscriptions heard of and not forgotten; of these, those that hold no slot. */
  known: number;
  idle: number;
  /** Its retries are held back until they are allowed. */
  retriesHeld: boolean;
  /** Virtual time among its subscriptions: where whoever had the last turn stood. */
  clockMs: number;
  /** Lanes that want a slot and are under their own cap, by door and tier; how many; and the namespace's own tickets, by door. */
  readonly lines: Record<WorkKind, readonly TicketHeap<LaneTicket>[]>;
  readonly waiting: Record<WorkKind, number>;
  readonly tickets: Record<WorkKind, readonly ShareTicket[]>;
}

export interface ShareTicket extends Ticket {
  readonly share: Share;
}

export function newShare(name: string): Share {
  const lines = { fresh: heaps<LaneTicket>(DOORS.length * TIERS.length), retry: heaps<LaneTicket>(DOORS.length * TIERS.length) };
  const tickets: Record<WorkKind, ShareTicket[]> = { fresh: [], retry: [] };
  const counts = { inFlight: 0, held: { [WELL]: 0, [FAILING]: 0, [SLOW]: 0 }, trials: 0, known: 0, idle: 0 };
  const waiting = { fresh: 0, retry: 0 };
  const share: Share = { name, ...counts, waiting, usedMs: 0, order: 0, waits: 0, retriesHeld: false, clockMs: 0, lines, tickets };
  for (const kind of KINDS) for (const _ of DOORS) tickets[kind].push({ ...blankTicket(), share });
  return share;
}

export function heaps<T extends Ticket>(count: number): TicketHeap<T>[] {
  return Array.from({ length: count }, () => new TicketHeap<T>());
}
