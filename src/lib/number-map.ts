/** Numbers that share an array. */
const CHUNK = 256;

interface Chunk<T> {
  readonly items: (T | undefined)[];
  count: number;
}

/**
 * Values by number, for numbers that are given out one after the other and dropped about in that order: a Map of arrays, so that what passes
 * through is not kept by the Map's old tables (see slots.ts).
 */
export class NumberMap<T extends object> {
  readonly #chunks = new Map<number, Chunk<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): T | undefined {
    return this.#chunks.get(Math.floor(key / CHUNK))?.items[key % CHUNK];
  }

  set(key: number, value: T): void {
    const index = Math.floor(key / CHUNK);
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = { items: Array.from({ length: CHUNK }, () => undefined), count: 0 };
      this.#chunks.set(index, chunk);
    }
    if (chunk.items[key % CHUNK] === undefined) {
      chunk.count += 1;
      this.#size += 1;
    }
    chunk.items[key % CHUNK] = value;
  }

  delete(key: number): void {
    const index = Math.floor(key / CHUNK);
    const chunk = this.#chunks.get(index);
    if (chunk?.items[key % CHUNK] === undefined) return;
    chunk.items[key % CHUNK] = undefined;
    this.#size -= 1;
    chunk.count -= 1;
    if (chunk.count === 0) this.#chunks.delete(index);
  }

  clear(): void {
    this.#chunks.clear();
    this.#size = 0;
  }
}
