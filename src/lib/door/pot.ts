interface Place {
  readonly address: string;
  readonly weight: number;
}

/** What one address has in it: the oldest first. */
interface Holder<T> {
  readonly items: Set<T>;
  weight: number;
}

/**
 * Room for those whom nobody owes a place: who have yet to show who they are, or let others wait. Whoever comes gets in: when it is full, the address that
 * holds most of it gives up what has been there for longest. So one who needs his place for a moment always has it, and those who sit in it hinder each other.
 * "Address" is whatever the places are to be shared by.
 */
export class Pot<T extends object> {
  readonly max: number;
  readonly #holders = new Map<string, Holder<T>>();
  readonly #places = new Map<T, Place>();
  #weight = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** Of all that is there. */
  get weight(): number {
    return this.#weight;
  }

  has(item: T): boolean {
    return this.#places.has(item);
  }

  /** @returns whose places were given up for it; alone it gets in whatever it weighs. */
  enter(item: T, address: string, weight = 1): readonly T[] {
    const given: T[] = [];
    while (this.#weight + weight > this.max) {
      const oldest = this.#oldestOfMost(address, weight);
      if (oldest === undefined) break;
      this.leave(oldest);
      given.push(oldest);
    }
    const holder = this.#holders.get(address) ?? { items: new Set<T>(), weight: 0 };
    holder.items.add(item);
    holder.weight += weight;
    this.#holders.set(address, holder);
    this.#places.set(item, { address, weight });
    this.#weight += weight;
    return given;
  }

  /** Takes out what has been there for longest of one address; the next time it is another address's turn. */
  take(): T | undefined {
    for (const [address, holder] of this.#holders) {
      const [oldest] = holder.items;
      if (oldest === undefined) continue;
      this.leave(oldest);
      if (this.#holders.delete(address)) this.#holders.set(address, holder);
      return oldest;
    }
    return undefined;
  }

  /** Whether it was there. */
  leave(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    const { address, weight } = place;
    this.#places.delete(item);
    this.#weight -= weight;
    const holder = this.#holders.get(address);
    if (holder === undefined) return true;
    holder.items.delete(item);
    holder.weight -= weight;
    if (holder.items.size === 0) this.#holders.delete(address);
    return true;
  }

  /** The newcomer counts for his address: where several have as much, it is his own that gives way. */
  #oldestOfMost(newcomer: string, weight: number): T | undefined {
    let most: { readonly items: Set<T>; readonly weight: number } | undefined;
    for (const [address, holder] of this.#holders) {
      const held = holder.weight + (address === newcomer ? weight : 0);
      if (most === undefined || held > most.weight) most = { items: holder.items, weight: held };
    }
    const [oldest] = most?.items ?? [];
    return oldest;
  }
}
