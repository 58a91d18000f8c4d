/** Bytes of events, deliveries, attempts and keys, as core/stored-bytes.ts counts them; a day's go when the whole day has been dropped. */
export interface StorageUsage {
  readonly totalBytes: number;
  of(namespace: string): number;
  /** Namespaces that hold something. */
  entries(): Iterable<readonly [namespace: string, bytes: number]>;
}

/** What each namespace holds, bytes; one that holds nothing is not in it. */
export class UsageBook implements StorageUsage {
  readonly #held = new Map<string, number>();
  #totalBytes = 0;

  get totalBytes(): number {
    return this.#totalBytes;
  }

  of(namespace: string): number {
    return this.#held.get(namespace) ?? 0;
  }

  entries(): Iterable<readonly [namespace: string, bytes: number]> {
    return this.#held;
  }

  add(namespace: string, bytes: number): void {
    this.set(namespace, this.of(namespace) + bytes);
  }

  set(namespace: string, bytes: number): void {
    this.#totalBytes += bytes - this.of(namespace);
    if (bytes === 0) this.#held.delete(namespace);
    else this.#held.set(namespace, bytes);
  }

  clear(): void {
    this.#held.clear();
    this.#totalBytes = 0;
  }
}
