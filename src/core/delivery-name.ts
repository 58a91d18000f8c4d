import { createCipheriv, createDecipheriv, hash } from "node:crypto";

export const DELIVERY_NAME_KEY_BYTES = 16;

const BLOCK_BYTES = 16;
const NAME = /^[0-9a-f]{32}$/;
/** Namespaces whose mark is remembered. Whoever asks may name any, so there must be an end. */
const MARKS_MAX = 4_096;
const WORD = 0x1_0000_0000;

/** What a name stands for. One is never taken for the other. */
type Use = "delivery" | "cursor";

/**
 * What people are shown instead of a row's number, which is one sequence for all namespaces: a block of AES-128 (FIPS 197) over the number and
 * a mark of the namespace, in hexadecimal. Without the key it tells neither number nor order, and cannot be made up: the mark of 64 bits has to
 * come out right, so what is foreign or invented is told apart before anybody asks the store. The same row always has the same name.
 */
export class DeliveryNames {
  readonly #cipher: ReturnType<typeof createCipheriv>;
  readonly #decipher: ReturnType<typeof createDecipheriv>;
  readonly #marks = new Map<string, Uint8Array>();
  readonly #block = Buffer.alloc(BLOCK_BYTES);

  /** `key`: DELIVERY_NAME_KEY_BYTES random bytes, kept in the store, or names would change with each start. */
  constructor(key: Uint8Array) {
    // One block is one permutation of its own: there is no second block that a mode could chain. The two are kept because making one costs ten blocks.
    this.#cipher = createCipheriv("aes-128-ecb", key, null).setAutoPadding(false);
    this.#decipher = createDecipheriv("aes-128-ecb", key, null).setAutoPadding(false);
  }

  nameOf(namespace: string, id: number): string {
    return this.#write("delivery", namespace, id);
  }

  /** The row's number; undefined for what is no name of a delivery of this namespace. */
  idOf(namespace: string, name: string): number | undefined {
    return this.#read("delivery", namespace, name);
  }

  /** Where a page of the namespace's history goes on: before this row, whosever it is. */
  cursorOf(namespace: string, beforeId: number): string {
    return this.#write("cursor", namespace, beforeId);
  }

  /** Undefined for what no page of this namespace gave. */
  beforeIdOf(namespace: string, cursor: string): number | undefined {
    return this.#read("cursor", namespace, cursor);
  }

  #write(use: Use, namespace: string, id: number): string {
    const block = this.#block;
    block.writeUInt32BE(Math.floor(id / WORD), 0);
    block.writeUInt32BE(id % WORD, 4);
    block.set(this.#mark(use, namespace), 8);
    return this.#cipher.update(block, undefined, "hex");
  }

  #read(use: Use, namespace: string, name: string): number | undefined {
    if (!NAME.test(name)) return undefined;
    const block = this.#decipher.update(Buffer.from(name, "hex"));
    if (!block.subarray(8).equals(this.#mark(use, namespace))) return undefined;
    const id = block.readUInt32BE(0) * WORD + block.readUInt32BE(4);
    return Number.isSafeInteger(id) ? id : undefined;
  }

  #mark(use: Use, namespace: string): Uint8Array {
    const whose = `${use} ${namespace}`;
    const known = this.#marks.get(whose);
    if (known !== undefined) return known;
    if (this.#marks.size >= MARKS_MAX) this.#marks.clear();
    const mark = hash("sha256", whose, "buffer").subarray(0, BLOCK_BYTES / 2);
    this.#marks.set(whose, mark);
    return mark;
  }
}
