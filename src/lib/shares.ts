/** Floors are granted in a full room until this many times its size is held: a crowd must not make it endless. */
const CROWDED = 2;

/**
 * Room that several use at once and that none may fill. Each may hold `floor`, even when the room is full, and more while there is room: at most half
 * of what the others leave. So nobody finds it full because of one who was there first.
 */
export class Shares {
  readonly max: number;
  readonly floor: number;
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(max: number, floor: number) {
    this.max = max;
    this.floor = floor;
  }

  get total(): number {
    return this.#total;
  }

  held(who: string): number {
    return this.#held.get(who) ?? 0;
  }

  /** Whether `amount` more would be let in. */
  fits(who: string, amount: number): boolean {
    const own = this.held(who);
    if (own + amount <= this.floor) return this.#total + amount <= this.max * CROWDED;
    return own + amount <= (this.max - (this.#total - own)) / 2;
  }

  /** Takes it if it fits; then it must be given back. */
  take(who: string, amount: number): boolean {
    if (!this.fits(who, amount)) return false;
    this.#held.set(who, this.held(who) + amount);
    this.#total += amount;
    return true;
  }

  give(who: string, amount: number): void {
    const left = this.held(who) - amount;
    if (left > 0) this.#held.set(who, left);
    else this.#held.delete(who);
    this.#total -= amount;
  }
}
