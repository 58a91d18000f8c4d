import { FairLines, type NextUp } from "./fair-lines.ts";
import { FAILING, KINDS, mayBeTried, newShare, SLOW, TRIAL } from "./fair-share.ts";
import type { Door, FairLane, Share, WorkKind } from "./fair-share.ts";
import { costOf, LONG_MS } from "../hold-pace.ts";
import { YoungHolds, type SlotHold } from "./slot-hold.ts";
import { SlotLimits } from "./slot-limits.ts";

/** So many of every five picks are fresh while both wait. */
const FRESH_OF_FIVE = 4;

/** One whose turn it is, its slot taken. */
export interface FairTurn<L extends FairLane> {
  readonly lane: L;
  readonly kind: WorkKind;
  readonly hold: SlotHold<L>;
}

/**
 * Who sends next: on two levels, namespace then subscription, always the one that has used the least slot time. The time of a slot is charged
 * at its start by what is usual for the subscription, when it has become long, and at its end; between equals that is round robin.
 * What one may hold of `slotsMax` slots (every number at least 1):
 *   a namespace            half of them; a subscription as many as its cap says
 *   all failing together   30 %; of these one namespace half, one subscription an eighth, the last sixteenth for namespaces without one
 *   all slow together      three eighths; of these one namespace half, one subscription a quarter, the last sixteenth for namespaces without one
 *   the last quarter       only for namespaces that hold less than a sixteenth of all slots
 *   the last sixteenth     only for namespaces that hold none
 *   seats                  beside that sixteenth each known namespace has an equal part of what is kept, at least one, at most a sixteenth of
 *                          all: nobody else sits there. Kept in all: at most a quarter of the slots, or 64 but no more than half
 * Slow is whose attempts take 2 s and more (a moving average), or of which more than half have by now; and whoever has not answered yet. Of
 * the latter a namespace may try one at a time beyond that share (a sixty-fourth of all slots), 2 s each at most, while slow and failing ones
 * hold less than half of all slots (if it holds nothing: fifteen sixteenths) and less than seven eighths of its own half.
 * The last quarter, the last sixteenth and the seats (one each) hold again for the subscriptions within the half of their namespace, where it
 * has more than one. So whatever others hold, and for however long: a namespace that is known has its seats at once, one that is new its first
 * slot, unless dozens of new ones came with it; and a sixteenth of all slots goes through quick hands only.
 * Whoever may not send is in no line that is looked at: a pick searches through nobody, with 10,000 subscriptions too.
 * `nowMs` is any clock that never goes back, always the same.
 */
export class FairQueue<L extends FairLane> {
  readonly #limits: SlotLimits;
  readonly #lines: FairLines;
  readonly #young = new YoungHolds<L>();
  readonly #shares = new Map<string, Share>();
  #freshRun = 0;

  constructor(slotsMax: number) {
    this.#limits = new SlotLimits(slotsMax);
    this.#lines = new FairLines(this.#limits);
  }

  get inFlight(): number {
    return this.#limits.inFlight;
  }

  /** Attempts of failing subscriptions under way. */
  get failingInFlight(): number {
    return this.#limits.held(FAILING);
  }

  /** Attempts of slow subscriptions under way, and of those that are not known yet. */
  get slowInFlight(): number {
    return this.#limits.held(SLOW);
  }

  /** The lane has something of this kind to send, or its cap has grown. */
  offer(lane: L, kind: WorkKind): void {
    const { fair } = lane;
    if (fair.known && fair.wanted[kind] && fair.tickets[kind].heap !== undefined) return;
    fair.wanted[kind] = true;
    const share = this.#join(lane);
    this.#lines.placeLane(share, lane, kind);
    this.#lines.placeShare(share, kind);
  }

  /** It has nothing (more), or may not send now. */
  withdraw(lane: L, kind: WorkKind): void {
    if (!lane.fair.wanted[kind]) return;
    lane.fair.wanted[kind] = false;
    const share = this.#shares.get(lane.namespace);
    if (share === undefined) return;
    this.#lines.placeLane(share, lane, kind);
    this.#lines.placeShare(share, kind);
  }

  /** The subscription is gone. Slots that it still holds are given back as ever. */
  forget(lane: L): void {
    for (const kind of KINDS) this.withdraw(lane, kind);
    const share = this.#shares.get(lane.namespace);
    if (share === undefined || !lane.fair.known) return;
    this.#know(share, lane, false);
    this.#tidy(share);
  }

  /**
   * The next lane, its slot taken. `retries` false leaves the retries where they are; a function is asked once for each namespace whose
   * turn it would be, and where it says no its retries are held back until `allowRetries`.
   */
  take(nowMs: number, retries: boolean | ((namespace: string) => boolean)): FairTurn<L> | undefined {
    this.#age(nowMs);
    const order: readonly WorkKind[] = this.#freshRun >= FRESH_OF_FIVE ? RETRY_FIRST : KINDS;
    for (const kind of order) {
      if (kind === "retry" && retries === false) continue;
      const next = this.#next(kind, typeof retries === "function" ? retries : undefined);
      if (next === undefined) continue;
      this.#freshRun = kind === "retry" ? 0 : this.#freshRun + 1;
      this.#lines.turned(next);
      // Every lane in here came through `offer`, which takes L only.
      const lane = next.lane as L;
      return { lane, kind, hold: this.#occupy(next.share, lane, next.door, nowMs) };
    }
    return undefined;
  }

  /**
   * Takes a slot for this very lane, out of turn, if every bound allows it; the caller has asked `freshWaits`. With `retriesAllowed` the
   * retries that wait keep their one of five.
   */
  takeNow(lane: L, nowMs: number, retriesAllowed = false): SlotHold<L> | undefined {
    this.#age(nowMs);
    if (retriesAllowed && this.#freshRun >= FRESH_OF_FIVE && this.retriesWait) return undefined;
    const share = this.#join(lane);
    const { standing } = lane.fair;
    if (lane.fair.inFlight >= this.#limits.capOf(lane) || !this.#limits.ownOpens(share, this.#limits.laneTierOf(lane))) return undefined;
    const isOpen = (door: Door): boolean => {
      const isFirst = share.held[door === TRIAL ? SLOW : door] === 0;
      return this.#limits.opensWithin(share, door) && this.#limits.opens(door, this.#limits.tierOf(share), isFirst);
    };
    const door = isOpen(standing) ? standing : mayBeTried(lane.fair) && isOpen(TRIAL) ? TRIAL : undefined;
    if (door === undefined) return undefined;
    this.#freshRun += 1;
    return this.#occupy(share, lane, door, nowMs);
  }

  /** Gives a slot back. `tookMs`: how long the receiver took; undefined = the slot was held for something that says nothing of it. */
  release(hold: SlotHold<L>, nowMs: number, tookMs?: number): void {
    this.#age(nowMs);
    const { lane } = hold;
    const { fair } = lane;
    const share = this.#share(lane.namespace);
    if (hold.isLong) fair.long -= 1;
    else this.#young.remove(hold);
    if (hold.isTrial) share.trials -= 1;
    if (tookMs !== undefined) fair.pace.ended(tookMs);
    this.#limits.count(share, lane, -1);
    this.#limits.judge(share, lane);
    this.#lines.charge(share, lane, costOf(nowMs - hold.startedAtMs) - hold.chargedMs);
    this.#lines.place(share, lane);
    this.#tidy(share);
  }

  /** Marks a subscription as failing or not; its slots move with it. */
  setFailing(lane: L, failing: boolean): void {
    if (lane.fair.failing === failing) return;
    lane.fair.failing = failing;
    this.#judge(lane);
  }

  /** The retries of a namespace that were held back may go again. */
  allowRetries(namespace: string): void {
    const share = this.#shares.get(namespace);
    if (share === undefined) return;
    share.retriesHeld = false;
    this.#lines.placeShare(share, "retry");
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
  #next(kind: WorkKind, mayRetry?: (namespace: string) => boolean): NextUp | undefined {
    for (let next = this.#lines.next(kind); next !== undefined; next = this.#lines.next(kind)) {
      const { share, lane } = next;
      if (lane.fair.inFlight >= this.#limits.capOf(lane)) this.#lines.placeLane(share, lane, kind);
      else if (kind === "fresh" || mayRetry === undefined || mayRetry(share.name)) return next;
      else share.retriesHeld = true;
      this.#lines.placeShare(share, kind);
    }
    return undefined;
  }

  #occupy(share: Share, lane: L, door: Door, nowMs: number): SlotHold<L> {
    const chargedMs = lane.fair.pace.costMs;
    const isTrial = door === TRIAL;
    const hold: SlotHold<L> = { lane, startedAtMs: nowMs, isTrial, chargedMs, isLong: false, older: undefined, newer: undefined };
    this.#young.push(hold);
    if (isTrial) share.trials += 1;
    this.#limits.count(share, lane, 1);
    this.#limits.judge(share, lane);
    this.#lines.charge(share, lane, chargedMs);
    this.#lines.place(share, lane);
    return hold;
  }

  /** Those that have become long count as such from now on. */
  #age(nowMs: number): void {
    for (let hold = this.#young.takeUntil(nowMs - LONG_MS); hold !== undefined; hold = this.#young.takeUntil(nowMs - LONG_MS)) {
      const { fair } = hold.lane;
      const share = this.#share(hold.lane.namespace);
      hold.isLong = true;
      fair.long += 1;
      // That is all that a trial is for, and the next one may be tried.
      if (hold.isTrial) share.trials -= 1;
      hold.isTrial = false;
      if (fair.pace.isUntried) fair.pace.ended(LONG_MS);
      this.#lines.charge(share, hold.lane, LONG_MS - hold.chargedMs);
      hold.chargedMs = LONG_MS;
      this.#limits.judge(share, hold.lane);
      this.#lines.place(share, hold.lane);
    }
  }

  #judge(lane: L): void {
    const share = this.#shares.get(lane.namespace);
    if (this.#limits.judge(share, lane) && share !== undefined) this.#lines.place(share, lane);
  }

  /** The namespace of a lane, which counts among its subscriptions from now on. */
  #join(lane: L): Share {
    const share = this.#share(lane.namespace);
    if (!lane.fair.known) this.#know(share, lane, true);
    return share;
  }

  #know(share: Share, lane: L, known: boolean): void {
    this.#limits.know(share, lane, known);
    // The second of a namespace makes the first leave room; one more namespace may leave each fewer seats.
    const moved = this.#limits.deal(this.#shares.values()) ? this.#shares.values() : [share];
    for (const one of moved) for (const kind of KINDS) this.#lines.placeShare(one, kind);
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

const RETRY_FIRST: readonly WorkKind[] = ["retry", "fresh"];
