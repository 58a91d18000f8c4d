import { fairMarks, type FairLane, type FairMarks } from "../../core/fairness/fair-share.ts";
import type { SlotHold } from "../../core/fairness/slot-hold.ts";
import { LetterCount } from "../../core/letter-count.ts";
import { Line } from "../../core/line.ts";
import type { Route } from "../../core/route-table.ts";
import { assert } from "../../lib/assert.ts";
import { SINGLE_OWNER_EPOCH, type QueueState } from "../../store/store.ts";
import { LaneBacklog } from "./lane-backlog.ts";
import { LaneCount } from "./lane-count.ts";
import { LaneGate } from "./lane-gate.ts";
import { LaneKeys } from "./lane-keys.ts";
import { LaneStanding } from "./lane-standing.ts";
import type { Wakeable } from "./wake-heap.ts";

/** What becomes of the rest of a queue that nobody serves any more. */
export type EndHow = "dead-letter" | "discard";

/**
 * Everything the engine knows of one subscription's queue, in five parts that alone write what is theirs: what waits (`backlog`), when one more may
 * be sent (`gate`), how the receiver is doing (`standing`), the numbers (`count`), and what events are ordered and found by (`keys`). Rows stay in the store; only fresh deliveries, one window of
 * due rows and a few numbers are here. A crash loses nothing of it but the moving cap, the ramp and the rate tokens.
 */
export class Lane implements FairLane, Wakeable {
  readonly uid: string;
  readonly namespace: string;
  readonly backlog = new LaneBacklog();
  readonly gate = new LaneGate();
  readonly standing = new LaneStanding();
  readonly keys = new LaneKeys();
  readonly count: LaneCount;
  /** Made with the first that fails: most queues have none. */
  #letters: LetterCount | undefined;
  /** The fair queue's marks: it alone writes them. */
  readonly fair: FairMarks = fairMarks();
  /** The wake heap's marks: it alone writes them. */
  wakeAtMs = Number.POSITIVE_INFINITY;
  heapAt = -1;

  #freeSinceMs: number;
  #route: Route | undefined;
  #lastRoute: Route | undefined;
  #epoch = SINGLE_OWNER_EPOCH;
  #forwards = false;
  #ending: EndHow | undefined;
  /** Slots of deliveries that are being accepted, oldest first. */
  readonly #reserved = new Line<SlotHold<Lane>>();

  constructor(uid: string, namespace: string, nowMs: number) {
    this.uid = uid;
    this.namespace = namespace;
    this.count = new LaneCount(nowMs);
    this.#freeSinceMs = nowMs;
  }

  get route(): Route | undefined {
    return this.#route;
  }

  /** The last route it had: what it was called. */
  get lastRoute(): Route | undefined {
    return this.#lastRoute;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** The store makes a dead letter of each delivery that fails. */
  get forwards(): boolean {
    return this.#forwards;
  }

  /** Being ended, and how: nothing is sent any more, and what an attempt under way leaves is ended too. */
  get ending(): EndHow | undefined {
    return this.#ending;
  }

  /** Being ended, and nothing is left. */
  get isOver(): boolean {
    return this.#ending !== undefined && this.count.pending === 0 && this.fair.inFlight === 0;
  }

  /** Nothing is on its way to the store: its numbers are those of memory, or memory is wrong. */
  get isQuiet(): boolean {
    return this.count.isSettled && this.fair.inFlight === 0 && this.#ending === undefined;
  }

  /** Most attempts at once now. */
  get capNow(): number {
    return this.gate.capNow;
  }

  /** Since when one more might have been sent, as far as the subscription and its receiver go; in the future while it may not. */
  get freeSinceMs(): number {
    return this.#freeSinceMs;
  }

  /** It may send nothing before then; Infinity = until something happens. */
  closedUntil(atMs: number): void {
    this.#freeSinceMs = atMs;
  }

  /** It may send now: it has been free since the time that was known, if that is over. */
  opened(nowMs: number): void {
    if (this.#freeSinceMs > nowMs) this.#freeSinceMs = nowMs;
  }

  /** One of its attempts ends: where it had as many in flight as it may, what waits has waited for the receiver. */
  roomMade(nowMs: number): void {
    if (this.fair.inFlight >= this.capNow && this.#freeSinceMs < nowMs) this.#freeSinceMs = nowMs;
  }

  /** Failed deliveries that lie in the store; undefined while none is known. */
  get letters(): LetterCount | undefined {
    return this.#letters;
  }

  /** The same, made where there is none yet. */
  lettersMade(): LetterCount {
    return (this.#letters ??= new LetterCount());
  }

  /** What the store knows of its queue. */
  restore(queue: QueueState): void {
    this.#epoch = queue.epoch;
    this.#forwards = queue.forwards;
    this.count.recount(queue);
  }

  /** A new route: policies and pauses of the spec apply at once. */
  adopt(route: Route | undefined, nowMs: number): void {
    this.#route = route;
    this.#lastRoute = route ?? this.#lastRoute;
    this.gate.adopt(route, nowMs);
    this.standing.adopt(route, nowMs);
    this.keys.adopt(route, nowMs);
    // Back (a manifest that was away for a moment) while its last attempts are under way: what comes in must find an open lane.
    if (route?.draining === false) this.#ending = undefined;
  }

  /** From now on nothing of it is sent, until it has a route again that matches. */
  end(how: EndHow): void {
    this.#ending = how;
  }

  /** Whether the store makes dead letters is durable. */
  forwardingStored(forwards: boolean): void {
    this.#forwards = forwards;
  }

  /** A slot for a delivery that is being accepted. */
  reserve(hold: SlotHold<Lane>): void {
    this.#reserved.push(hold);
  }

  /** The slot that a claimed delivery was accepted with: which of several makes no difference. */
  takeReserved(): SlotHold<Lane> {
    const hold = this.#reserved.shift();
    assert(hold !== undefined, "a delivery is stored as claimed only with a slot");
    return hold;
  }

  /** When one more may be sent: `nowMs` = now, a later time, or Infinity = only after something happened. */
  openAtMs(nowMs: number): number {
    return this.#ending === undefined ? this.gate.openAtMs(nowMs) : Number.POSITIVE_INFINITY;
  }
}
