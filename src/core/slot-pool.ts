/** The last quarter of the slots is for those that hold less than a sixteenth, the last sixteenth for those that hold none. */
const LAST_FOR_FEW_SHARE = 4;
const FEW_SHARE = 16;
const LAST_FOR_NONE_SHARE = 16;

/** How much somebody holds: none, a few, many. The more, the more slots must be free before the next one is given. */
export const TIERS = [0, 1, 2] as const;
export type Tier = (typeof TIERS)[number];

/** Slots that several share, with room that is always left for those who hold few or none of them. */
export class SlotPool {
  readonly size: number;
  readonly #few: number;
  /** Slots that must stay free after one of this tier was given one. */
  readonly #kept: readonly [number, number, number];

  constructor(size: number) {
    this.size = size;
    this.#few = part(size, FEW_SHARE);
    this.#kept = [0, part(size, LAST_FOR_NONE_SHARE), part(size, LAST_FOR_FEW_SHARE)];
  }

  tierOf(held: number): Tier {
    if (held === 0) return 0;
    return held < this.#few ? 1 : 2;
  }

  opens(tier: Tier, used: number): boolean {
    return this.size - used > this.#kept[tier];
  }
}

/** A share of a number of slots; never none, or whoever has it would wait for ever. */
export function part(size: number, share: number): number {
  return Math.max(1, Math.floor(size / share));
}
