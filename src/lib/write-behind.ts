import type { Clock } from "./clock.ts";

export interface WriteBehindOptions<T> {
  readonly clock: Pick<Clock, "after">;
  /** Writes some entries; where it rejects, all of them are written again. */
  readonly write: (entries: readonly (readonly [key: string, value: T])[]) => Promise<void>;
  /** A write failed. Answers whether its entries are kept for another one; false = nobody will ever take them. */
  readonly failed: (error: unknown, entries: number) => boolean;
  /** A failed write is made again after this long; undefined = with the next flush. */
  readonly retryMs?: number;
  /** Entries of one write, at most; all, where it is left out. */
  readonly batchMax?: number;
}

/**
 * Notes by key what has changed and writes it when asked: of each key what was noted last, one write at a time, again until it is taken. A crash
 * costs what was noted and not written; whoever uses it says what that means.
 */
export class WriteBehind<T> {
  readonly #options: WriteBehindOptions<T>;
  readonly #noted = new Map<string, T>();
  #writing: Promise<boolean> | undefined;

  constructor(options: WriteBehindOptions<T>) {
    this.#options = options;
  }

  note(key: string, value: T): void {
    this.#noted.set(key, value);
  }

  /** What was noted of the key needs no write; one that is under way goes on. */
  drop(key: string): void {
    this.#noted.delete(key);
  }

  /** Writes what was noted, and what is noted meanwhile. Resolves when all of it is written; without `retryMs` also when a write has failed. Never rejects. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined || this.#noted.size > 0) {
      this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
      if (!(await this.#writing) && this.#options.retryMs === undefined) return;
    }
  }

  /** One write; false = it failed, and what it should have written is noted again. */
  async #write(): Promise<boolean> {
    const { clock, write, failed, retryMs, batchMax } = this.#options;
    const entries = [...this.#noted].slice(0, batchMax);
    for (const [key] of entries) this.#noted.delete(key);
    try {
      await write(entries);
      return true;
    } catch (error) {
      if (!failed(error, entries.length)) return true;
      // What was noted meanwhile is newer.
      for (const [key, value] of entries) if (!this.#noted.has(key)) this.#noted.set(key, value);
    }
    if (retryMs !== undefined) await new Promise<void>((resolve) => void clock.after(retryMs, resolve));
    return false;
  }
}
