import { KEY_BYTES } from "./recent-keys.ts";

/** Keys that the first part is made for; each further part is made for twice as many as the one before. */
const FIRST_KEYS = 65_536;
/** With four bits set for each key, one new key in 400 passes a part that is full. Two bytes of memory a key. */
const BITS_EACH = 16;
const WORD_BITS = 32;

/**
 * Says of a key that a table does not have it, without asking the table: a Bloom filter over keys that are of a hash. What it says is right once it is
 * complete; that it may have a key is sometimes wrong. Grows by parts, so that no key need be known again.
 */
export class KeySieve {
  readonly #parts: Uint32Array[] = [];
  #room = 0;
  #isComplete: boolean;
  #readUpTo: Uint8Array = new Uint8Array();

  /** Complete: the table has no keys yet. */
  constructor({ isComplete }: { readonly isComplete: boolean }) {
    this.#isComplete = isComplete;
  }

  /** Whether all keys of the table are known. Until then it says no of none. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The last key that was read, in the order of keys. */
  get readUpTo(): Uint8Array {
    return this.#readUpTo;
  }

  /** Keys that the table has behind `readUpTo`; `isAll`: there are no more. */
  read(keys: readonly Uint8Array[], isAll: boolean): void {
    for (const key of keys) this.add(key);
    this.#readUpTo = keys.at(-1) ?? this.#readUpTo;
    this.#isComplete = isAll;
  }

  add(key: Uint8Array): void {
    if (this.#room === 0) {
      this.#room = FIRST_KEYS * 2 ** this.#parts.length;
      this.#parts.push(new Uint32Array((this.#room * BITS_EACH) / WORD_BITS));
    }
    this.#room -= 1;
    const part = this.#parts.at(-1)!;
    const mask = part.length - 1;
    for (let at = 0; at < KEY_BYTES; at += 4) {
      const place = readUInt32(key, at);
      part[(place >>> 5) & mask]! |= 1 << (place & 31);
    }
  }

  mayHave(key: Uint8Array): boolean {
    if (!this.#isComplete) return true;
    for (const part of this.#parts) if (isIn(part, key)) return true;
    return false;
  }
}

function isIn(part: Uint32Array, key: Uint8Array): boolean {
  const mask = part.length - 1;
  for (let at = 0; at < KEY_BYTES; at += 4) {
    const place = readUInt32(key, at);
    if ((part[(place >>> 5) & mask]! & (1 << (place & 31))) === 0) return false;
  }
  return true;
}

function readUInt32(key: Uint8Array, at: number): number {
  return ((key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!) >>> 0;
}
