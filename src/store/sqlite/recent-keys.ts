/** Bytes of a key. They are of a hash: any four of them are as evenly spread as one could wish. */
export const KEY_BYTES = 16;

const NOT_THERE = 0;
/** Places of the hash table for each key: the more, the fewer are looked at. */
const PLACES_EACH = 2;

/**
 * Which keys one generation holds and in which order they came: 30 bytes of memory a key, nothing for the collector to walk. Forgets the last
 * that came, or all of them.
 */
export class RecentKeys {
  readonly capacity: number;
  readonly #keys: Buffer;
  readonly #expires: Float64Array;
  /** Position + 1 of a key, by its first four bytes; linear probing. */
  readonly #places: Uint32Array;
  readonly #mask: number;
  #size = 0;
  /** Of keys that came again since `settle`: what stood at their place, by position. */
  readonly #replaced = new Map<number, number>();

  /** `capacity` is a power of two. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.#keys = Buffer.alloc(capacity * KEY_BYTES);
    this.#expires = new Float64Array(capacity);
    this.#places = new Uint32Array(capacity * PLACES_EACH);
    this.#mask = this.#places.length - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** When the last one that came expires; 0 = there is none. Those before it expire no later. */
  get lastExpiresMs(): number {
    return this.#size === 0 ? 0 : (this.#expires[this.#size - 1] ?? 0);
  }

  /** The key at a position: a view, for as long as it is not cleared. */
  at(position: number): Uint8Array {
    return this.#keys.subarray(position * KEY_BYTES, (position + 1) * KEY_BYTES);
  }

  expiresMs(position: number): number {
    return this.#expires[position] ?? 0;
  }

  /** Answers its position, counted from 0. A key that is there already is found at its new position from now on. @throws when it is full */
  add(key: Uint8Array, expiresMs: number): number {
    if (this.#size === this.capacity) throw new Error(`a generation holds ${this.capacity} keys`);
    const position = this.#size++;
    this.#keys.set(key, position * KEY_BYTES);
    this.#expires[position] = expiresMs;
    const place = this.#place(key);
    const before = this.#places[place];
    if (before !== undefined && before !== NOT_THERE) this.#replaced.set(position, before);
    this.#places[place] = position + 1;
    return position;
  }

  /** Forgets the keys that came last, as if they never had: at most those since `settle`. */
  truncate(size: number): void {
    // Last come, first gone: each finds the table as it was when it came, so that no chain of places is broken.
    for (let position = this.#size - 1; position >= size; position--) {
      const place = this.#place(this.at(position));
      this.#places[place] = this.#replaced.get(position) ?? NOT_THERE;
      this.#replaced.delete(position);
    }
    this.#size = Math.min(this.#size, size);
  }

  /** Those that are there stay. */
  settle(): void {
    if (this.#replaced.size > 0) this.#replaced.clear();
  }

  /** The position of a key; undefined = it is not here. */
  find(key: Uint8Array): number | undefined {
    const found = this.#places[this.#place(key)];
    return found === undefined || found === NOT_THERE ? undefined : found - 1;
  }

  /** All positions, in the order of their keys' first four bytes. */
  sorted(): Uint32Array {
    // As doubles: a native sort of numbers takes some milliseconds, one that compares keys a few hundred.
    const order = new Float64Array(this.#size);
    for (let i = 0; i < this.#size; i++) order[i] = this.#keys.readUInt32BE(i * KEY_BYTES) * this.capacity + i;
    return Uint32Array.from(order.sort(), (value) => value % this.capacity);
  }

  clear(): void {
    this.#places.fill(NOT_THERE);
    this.#replaced.clear();
    this.#size = 0;
  }

  /** Where the key stands, or where it would. */
  #place(key: Uint8Array): number {
    let at = readUInt32(key) & this.#mask;
    for (;;) {
      const found = this.#places[at];
      if (found === undefined || found === NOT_THERE || this.#isAt(key, found - 1)) return at;
      at = (at + 1) & this.#mask;
    }
  }

  #isAt(key: Uint8Array, position: number): boolean {
    const from = position * KEY_BYTES;
    for (let i = 0; i < KEY_BYTES; i++) if (this.#keys[from + i] !== key[i]) return false;
    return true;
  }
}

function readUInt32(key: Uint8Array): number {
  return (((key[0] ?? 0) << 24) | ((key[1] ?? 0) << 16) | ((key[2] ?? 0) << 8) | (key[3] ?? 0)) >>> 0;
}
