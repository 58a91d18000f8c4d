/** Bytes of events, deliveries, attempts and keys, as core/stored-bytes.ts counts them; a day's go when the whole day has been dropped. */
export interface StorageUsage {
  readonly totalBytes: number;
  /** Deliveries, of all namespaces, that are owed. */
  readonly totalOwed: number;
  of(namespace: string): number;
  owed(namespace: string): number;
  /** Namespaces that hold something. */
  namespaces(): Iterable<string>;
}

/** What a namespace holds, or by how much that changes. */
export interface Held {
  readonly bytes: number;
  /** Deliveries that are owed. */
  readonly owed: number;
}

const NOTHING: Held = { bytes: 0, owed: 0 };

/** What each namespace holds; one that holds nothing is not in it. */
export class UsageBook implements StorageUsage {
  readonly #held = new Map<string, Held>();
  #totalBytes = 0;
  #totalOwed = 0;

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get totalOwed(): number {
    return this.#totalOwed;
  }

  of(namespace: string): number {
    return this.held(namespace).bytes;
  }

  owed(namespace: string): number {
    return this.held(namespace).owed;
  }

  held(namespace: string): Held {
    return this.#held.get(namespace) ?? NOTHING;
  }

  namespaces(): Iterable<string> {
    return this.#held.keys();
  }

  add(namespace: string, bytes: number, owed = 0): void {
    const before = this.held(namespace);
    this.set(namespace, { bytes: before.bytes + bytes, owed: before.owed + owed });
  }

  set(namespace: string, held: Held): void {
    const before = this.held(namespace);
    this.#totalBytes += held.bytes - before.bytes;
    this.#totalOwed += held.owed - before.owed;
    if (held.bytes === 0 && held.owed === 0) this.#held.delete(namespace);
    else this.#held.set(namespace, held);
  }

  clear(): void {
    this.#held.clear();
    this.#totalBytes = 0;
    this.#totalOwed = 0;
  }
}
