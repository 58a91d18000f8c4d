/**
 * Room for a few who have yet to show who they are. Whoever comes gets in: when it is full, the address that holds most of it gives up what has been there
 * for longest. So one who needs his place for a moment always has it, and those who sit in it hinder each other.
 */
export class Pot<T extends object> {
  readonly max: number;
  readonly #addresses = new Map<string, Set<T>>();
  readonly #addressOf = new Map<T, string>();

  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.#addressOf.size;
  }

  has(item: T): boolean {
    return this.#addressOf.has(item);
  }

  /** @returns whose place was given up for it, if so. */
  enter(item: T, address: string): T | undefined {
    const given = this.size < this.max ? undefined : this.#oldestOfMost(address);
    if (given !== undefined) this.leave(given);
    const items = this.#addresses.get(address) ?? new Set<T>();
    items.add(item);
    this.#addresses.set(address, items);
    this.#addressOf.set(item, address);
    return given;
  }

  /** Whether it was there. */
  leave(item: T): boolean {
    const address = this.#addressOf.get(item);
    if (address === undefined) return false;
    this.#addressOf.delete(item);
    const items = this.#addresses.get(address);
    items?.delete(item);
    if (items?.size === 0) this.#addresses.delete(address);
    return true;
  }

  /** The newcomer counts for his address: where several have as much, it is his own that gives way. */
  #oldestOfMost(newcomer: string): T | undefined {
    let most: { readonly items: Set<T>; readonly count: number } | undefined;
    for (const [address, items] of this.#addresses) {
      const count = items.size + (address === newcomer ? 1 : 0);
      if (most === undefined || count > most.count) most = { items, count };
    }
    const [oldest] = most?.items ?? [];
    return oldest;
  }
}
