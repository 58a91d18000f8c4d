/** Something that can be made again from what its maker keeps: held while there is room. */
export interface Held<T> {
  /** Undefined once it has been let go of. */
  readonly value: T | undefined;
  /** Used just now, by whom. Whoever used a thing first has it counted as theirs. */
  used(owner: string): void;
}

/** Owner of what nobody has used yet. */
const NOBODY = "";

interface Entry<T> extends Held<T> {
  value: T | undefined;
  readonly bytes: number;
  owner: string;
  wasUsed: boolean;
}

interface Share<T> {
  bytes: number;
  /** The longest held first. */
  readonly entries: Set<Entry<T>>;
}

/**
 * Holds things that can be made again, up to a weight. Beyond it whoever holds most lets go first, of what they have not used for longest: so one owner
 * with thousands of them takes no room from those who hold less.
 */
export class WeighedStore<T> {
  readonly bytesMax: number;
  readonly #shares = new Map<string, Share<T>>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** What all that is held weighs. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Holds a value, and lets go of others for it. */
  hold(value: T, bytes: number, owner = NOBODY): Held<T> {
    const entry: Entry<T> = {
      value,
      bytes,
      owner,
      wasUsed: false,
      used: (by) => {
        entry.wasUsed = true;
        if (entry.owner === NOBODY && entry.value !== undefined) this.#move(entry, by);
      },
    };
    this.#add(entry);
    this.#makeRoom(entry);
    return entry;
  }

  #move(entry: Entry<T>, owner: string): void {
    this.#remove(entry);
    entry.owner = owner;
    this.#add(entry);
  }

  #add(entry: Entry<T>): void {
    const share = this.#shares.get(entry.owner) ?? { bytes: 0, entries: new Set() };
    this.#shares.set(entry.owner, share);
    share.entries.add(entry);
    share.bytes += entry.bytes;
    this.#bytes += entry.bytes;
  }

  #remove(entry: Entry<T>): void {
    const share = this.#shares.get(entry.owner);
    if (share?.entries.delete(entry) !== true) return;
    share.bytes -= entry.bytes;
    this.#bytes -= entry.bytes;
    if (share.entries.size === 0) this.#shares.delete(entry.owner);
  }

  #makeRoom(newest: Entry<T>): void {
    while (this.#bytes > this.bytesMax) {
      const gone = this.#leastUsed(this.#largest(), newest);
      if (gone === undefined) return;
      this.#remove(gone);
      gone.value = undefined;
    }
  }

  #largest(): Share<T> | undefined {
    let largest: Share<T> | undefined;
    for (const share of this.#shares.values()) if (largest === undefined || share.bytes > largest.bytes) largest = share;
    return largest;
  }

  /** The first that was not used since it was last looked at; those that were go behind all others. */
  #leastUsed(share: Share<T> | undefined, newest: Entry<T>): Entry<T> | undefined {
    if (share === undefined) return undefined;
    for (let left = 2 * share.entries.size; left > 0; left--) {
      const [first] = share.entries;
      if (first === undefined) return undefined;
      if (!first.wasUsed && first !== newest) return first;
      first.wasUsed = false;
      share.entries.delete(first);
      share.entries.add(first);
    }
    return undefined;
  }
}
