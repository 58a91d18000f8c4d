/** The last quarter of the slots is for those that hold less than a sixteenth, the last sixteenth for those that hold none. */
const LAST_FOR_FEW_SHARE = 4;
const FEW_SHARE = 16;
const LAST_FOR_NONE_SHARE = 16;
/** So many seats may be kept, even where that takes half of the slots; beyond, seats take no more than the last quarter. */
const SEATS_MAX = 64;

/** How much somebody holds: none, less than its seats, a few, many. The more, the more slots must be free before the next one is given. */
export const TIERS = [0, 1, 2, 3] as const;
export type Tier = (typeof TIERS)[number];

/** Slots that several share, with room that is always left for those who hold few or none of them. */
export class SlotPool {
  readonly size: number;
  readonly #few: number;
  /** Left for those who hold none and have not been heard of. */
  readonly #forNone: number;
  readonly #forFew: number;
  readonly #seatsMax: number;

  constructor(size: number) {
    this.size = size;
    this.#few = part(size, FEW_SHARE);
    this.#forNone = part(size, LAST_FOR_NONE_SHARE);
    this.#forFew = part(size, LAST_FOR_FEW_SHARE);
    this.#seatsMax = Math.max(this.#forFew, Math.min(Math.floor(size / 2), SEATS_MAX));
  }

  /** How many slots each of so many has for itself: an equal part of what is kept, at least one, and never more than few. */
  seatsOf(known: number): number {
    return Math.max(1, Math.min(this.#few, Math.floor((this.#seatsMax - this.#forNone) / Math.max(1, known))));
  }

  tierOf(held: number, seats = 1): Tier {
    if (held === 0) return 0;
    if (held < seats) return 1;
    return held < this.#few ? 2 : 3;
  }

  /** Whether one of this tier may have one more while `used` are held; `empty`: seats of all that are known on which nobody sits. */
  opens(tier: Tier, used: number, empty = 0): boolean {
    return this.size - used > this.#keptFrom(tier, empty);
  }

  /** Slots that must stay free after one of this tier was given one. */
  #keptFrom(tier: Tier, empty: number): number {
    if (tier === 0) return 0;
    // Their own seats are kept from the others already.
    if (tier === 1) return this.#forNone;
    const kept = Math.min(this.#forNone + empty, this.#seatsMax);
    return tier === 2 ? kept : Math.max(kept, this.#forFew);
  }
}

/** A share of a number of slots; never none, or whoever has it would wait for ever. */
export function part(size: number, share: number): number {
  return Math.max(1, Math.floor(size / share));
}
