import { FAILING, SLOW, standingOf, TRIAL, WELL } from "./fair-share.ts";
import type { Door, FairLane, Share, Standing } from "./fair-share.ts";
import { part, SlotPool, type Tier } from "./slot-pool.ts";

/** One namespace may hold half of all slots. */
const NAMESPACE_SHARE = 2;
/** Failing subscriptions together may hold 30 % of all slots, slow ones three eighths: what hangs cannot take the rest. */
const FAILING_PERCENT = 30;
const SLOW_PERCENT = 37.5;
/** Of those, one namespace may hold half, and one subscription an eighth of the failing ones', a quarter of the slow ones'. */
const POOR_NAMESPACE_SHARE = 2;
const FAILING_LANE_SHARE = 8;
const SLOW_LANE_SHARE = 4;
/** Trials of one namespace at once: a sixty-fourth. */
const TRIALS_SHARE = 64;
/** A trial is given while failing and slow ones together hold less than half; to a namespace that holds nothing, fifteen sixteenths. */
const TRIAL_SHARE = 2;
const NOT_FOR_TRIALS_SHARE = 16;
/** And while those of the namespace hold less than seven eighths of its own slots. */
const NOT_FOR_OWN_TRIALS_SHARE = 8;

/** Slots that those of one standing share. */
interface Part {
  readonly slots: SlotPool;
  readonly ofNamespace: number;
  readonly ofLane: number;
}

/** Who holds how many slots, and who may have one more. */
export class SlotLimits {
  readonly #slots: SlotPool;
  /** The slots of one namespace. */
  readonly #own: SlotPool;
  readonly #parts: Record<typeof FAILING | typeof SLOW, Part>;
  readonly #trialsOfNamespace: number;
  readonly #trialBelow: number;
  readonly #firstTrialBelow: number;
  readonly #ownTrialBelow: number;
  #inFlight = 0;
  readonly #held: Record<Standing, number> = { [WELL]: 0, [FAILING]: 0, [SLOW]: 0 };
  /** Namespaces that are known, the seats of each, and on how many of these nobody sits. */
  #known = 0;
  #seats: number;
  #empty = 0;

  constructor(slotsMax: number) {
    this.#slots = new SlotPool(slotsMax);
    this.#seats = this.#slots.seatsOf(0);
    this.#own = new SlotPool(part(slotsMax, NAMESPACE_SHARE));
    this.#parts = {
      [FAILING]: partOf(slotsMax, FAILING_PERCENT, FAILING_LANE_SHARE),
      [SLOW]: partOf(slotsMax, SLOW_PERCENT, SLOW_LANE_SHARE),
    };
    this.#trialsOfNamespace = part(slotsMax, TRIALS_SHARE);
    this.#trialBelow = part(slotsMax, TRIAL_SHARE);
    this.#firstTrialBelow = slotsMax - Math.floor(slotsMax / NOT_FOR_TRIALS_SHARE);
    this.#ownTrialBelow = this.#own.size - Math.floor(this.#own.size / NOT_FOR_OWN_TRIALS_SHARE);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  held(standing: Standing): number {
    return this.#held[standing];
  }

  /** The tier of a namespace among all, and of a subscription within its namespace. */
  tierOf(share: Share): Tier {
    return this.#slots.tierOf(share.inFlight, this.#seats);
  }

  laneTierOf({ fair }: FairLane): Tier {
    return this.#own.tierOf(fair.inFlight);
  }

  /** Most slots that the lane may hold. */
  capOf(lane: FairLane): number {
    const { standing } = lane.fair;
    return standing === WELL ? lane.capNow : Math.min(lane.capNow, this.#parts[standing].ofLane);
  }

  /** Whether a namespace of this tier may have one more by this door; `isFirst`: it holds none by this door. */
  opens(door: Door, tier: Tier, isFirst: boolean): boolean {
    if (!this.#slots.opens(tier, this.#inFlight, this.#empty)) return false;
    if (door === WELL) return true;
    if (door !== TRIAL) return this.#parts[door].slots.opens(isFirst ? 0 : 1, this.#held[door]);
    return this.#held[FAILING] + this.#held[SLOW] < (tier === 0 ? this.#firstTrialBelow : this.#trialBelow);
  }

  /** Whether the namespace may have one more by this door, as far as its own share goes. */
  opensWithin(share: Share, door: Door): boolean {
    if (share.inFlight >= this.#own.size) return false;
    if (door === WELL) return true;
    if (door !== TRIAL) return share.held[door] < this.#parts[door].ofNamespace;
    return share.trials < this.#trialsOfNamespace && share.held[FAILING] + share.held[SLOW] < this.#ownTrialBelow;
  }

  /** Whether a lane of this tier may have one more slot of its namespace; one that is alone there need not leave room. */
  ownOpens(share: Share, tier: Tier): boolean {
    return share.known > 1 ? this.#own.opens(tier, share.inFlight, share.idle) : share.inFlight < this.#own.size;
  }

  /** A slot of the lane is taken or given back. */
  count(share: Share, { fair }: FairLane, slots: 1 | -1): void {
    this.#empty -= this.#emptyOf(share);
    if (fair.known && fair.inFlight === 0) share.idle -= 1;
    fair.inFlight += slots;
    share.inFlight += slots;
    this.#inFlight += slots;
    this.#move(share, fair.standing, slots);
    if (fair.known && fair.inFlight === 0) share.idle += 1;
    this.#empty += this.#emptyOf(share);
  }

  /** The lane is one of its namespace from now on, or no longer. */
  know(share: Share, { fair }: FairLane, known: boolean): void {
    this.#empty -= this.#emptyOf(share);
    const before = share.known;
    fair.known = known;
    share.known += known ? 1 : -1;
    if (fair.inFlight === 0) share.idle += known ? 1 : -1;
    if (before === 0) this.#known += 1;
    else if (share.known === 0) this.#known -= 1;
    this.#empty += this.#emptyOf(share);
  }

  /** Deals the seats out anew where the number of namespaces makes another number of it; answers whether it did. */
  deal(shares: Iterable<Share>): boolean {
    const seats = this.#slots.seatsOf(this.#known);
    if (seats === this.#seats) return false;
    this.#seats = seats;
    this.#empty = 0;
    for (const share of shares) this.#empty += this.#emptyOf(share);
    return true;
  }

  /** Judges the lane anew; its slots move with it. Answers whether it changed. */
  judge(share: Share | undefined, { fair }: FairLane): boolean {
    const standing = standingOf(fair);
    if (standing === fair.standing) return false;
    if (share !== undefined) {
      this.#move(share, fair.standing, -fair.inFlight);
      this.#move(share, standing, fair.inFlight);
    }
    fair.standing = standing;
    return true;
  }

  /** Seats of a namespace on which nobody sits. */
  #emptyOf(share: Share): number {
    return share.known === 0 ? 0 : Math.max(0, this.#seats - share.inFlight);
  }

  #move(share: Share, standing: Standing, slots: number): void {
    share.held[standing] += slots;
    this.#held[standing] += slots;
  }
}

function partOf(slotsMax: number, percent: number, laneShare: number): Part {
  const size = Math.max(1, Math.floor((slotsMax * percent) / 100));
  return { slots: new SlotPool(size), ofNamespace: part(size, POOR_NAMESPACE_SHARE), ofLane: part(size, laneShare) };
}
