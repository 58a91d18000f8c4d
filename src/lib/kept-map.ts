/** Where a KeptMap writes behind; calls may reject. */
export interface Keep {
  load(): Promise<readonly { readonly key: string; readonly value: string }[]>;
  put(entries: readonly { readonly key: string; readonly value: string }[]): Promise<void>;
  remove(key: string): Promise<void>;
}

export interface KeptMapOptions<V> {
  readonly keep: Keep;
  /** How long an entry that is no longer in use is remembered, ms. */
  readonly keptMs: number;
  /** How many of those are remembered at most: the ones that left first go first. */
  readonly leftMax: number;
  readonly equal: (known: V, now: V) => boolean;
  /** An entry was forgotten. */
  readonly forgot?: (key: string, value: V) => void;
  /** A write behind failed; it is made again with the next `note` or `tidy`. */
  readonly failed: (error: unknown) => void;
}

interface Entry<V> {
  readonly value: V;
  /** When it left; undefined while it is in use. */
  leftAtMs: number | undefined;
  isKept: boolean;
}

/** Removals under way at once. */
const REMOVING_MAX = 50;

/**
 * Remembers things that come and go for a while after they have gone, over restarts too: when each of them left is kept with it. A crash before a
 * write costs what was not written: a thing is unknown until it is noted again, or remembered for longer.
 */
export class KeptMap<V> {
  readonly #options: KeptMapOptions<V>;
  readonly #entries = new Map<string, Entry<V>>();
  #inUse: ReadonlySet<string> | undefined;

  constructor(options: KeptMapOptions<V>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What earlier processes have remembered. @throws when it cannot be read */
  async load(): Promise<void> {
    for (const { key, value } of await this.#options.keep.load()) {
      this.#entries.set(key, { ...(parsed(value) as { value: V; leftAtMs: number | undefined }), isKept: true });
    }
  }

  *entries(): Generator<readonly [key: string, value: V], undefined> {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Everything that is in use now, and nothing else. Of equal keys the first counts. */
  note(entries: Iterable<readonly [key: string, value: V]>): void {
    const inUse = new Set<string>();
    const changed: string[] = [];
    for (const [key, value] of entries) {
      if (inUse.has(key)) continue;
      inUse.add(key);
      const known = this.#entries.get(key);
      if (known?.isKept === true && known.leftAtMs === undefined && this.#options.equal(known.value, value)) continue;
      this.#entries.set(key, { value, leftAtMs: undefined, isKept: false });
      changed.push(key);
    }
    this.#inUse = inUse;
    if (changed.length > 0) void this.#write(changed);
  }

  /** Once in a while: notes what has left, and forgets what left long ago. Never rejects. */
  async tidy(nowMs: number): Promise<void> {
    const inUse = this.#inUse;
    if (inUse === undefined) return;
    const changed = this.#noteLeft(inUse, nowMs);
    const gone = this.#overdue(nowMs);
    for (const key of gone) this.#forget(key);
    await this.#write(changed.filter((key) => this.#entries.has(key)));
    for (let i = 0; i < gone.length; i += REMOVING_MAX) await this.#remove(gone.slice(i, i + REMOVING_MAX));
  }

  #forget(key: string): void {
    const entry = this.#entries.get(key);
    if (this.#entries.delete(key) && entry !== undefined) this.#options.forgot?.(key, entry.value);
  }

  /** @returns the keys to write: of those that have just left, or could not be written before. */
  #noteLeft(inUse: ReadonlySet<string>, nowMs: number): string[] {
    const changed: string[] = [];
    for (const [key, entry] of this.#entries) {
      // A clock that was ahead once must not keep it for ever.
      const isNoted = entry.leftAtMs !== undefined && entry.leftAtMs <= nowMs && entry.isKept;
      if (inUse.has(key) || isNoted) continue;
      entry.leftAtMs = Math.min(entry.leftAtMs ?? nowMs, nowMs);
      entry.isKept = false;
      changed.push(key);
    }
    return changed;
  }

  /** What left too long ago, or is too much: the ones that left first. */
  #overdue(nowMs: number): string[] {
    const { keptMs, leftMax } = this.#options;
    const left = [...this.#entries].flatMap(([key, { leftAtMs }]) => (leftAtMs === undefined ? [] : [[key, leftAtMs] as const]));
    left.sort(([, a], [, b]) => a - b);
    const tooMany = left.length - leftMax;
    return left.filter(([, leftAtMs], i) => i < tooMany || nowMs - leftAtMs >= keptMs).map(([key]) => key);
  }

  async #write(keys: readonly string[]): Promise<void> {
    const entries = keys.flatMap((key) => {
      const entry = this.#entries.get(key);
      return entry === undefined ? [] : [{ key, entry }];
    });
    if (entries.length === 0) return;
    for (const { entry } of entries) entry.isKept = true;
    try {
      await this.#options.keep.put(entries.map(({ key, entry }) => ({ key, value: textOf(entry) })));
    } catch (error) {
      for (const { entry } of entries) entry.isKept = false;
      this.#options.failed(error);
    }
  }

  async #remove(keys: readonly string[]): Promise<void> {
    try {
      // One that is back meanwhile has been written anew.
      await Promise.all(keys.filter((key) => !this.#entries.has(key)).map((key) => this.#options.keep.remove(key)));
    } catch (error) {
      this.#options.failed(error);
    }
  }
}

function textOf<V>({ value, leftAtMs }: Entry<V>): string {
  return JSON.stringify(leftAtMs === undefined ? value : { value, leftAtMs });
}

/** What is in use is written bare, what has left together with its time. No value of ours is an object with these two fields. */
function parsed(text: string): { readonly value: unknown; readonly leftAtMs: number | undefined } {
  const read: unknown = JSON.parse(text);
  if (typeof read === "object" && read !== null && "value" in read && "leftAtMs" in read && typeof read.leftAtMs === "number") {
    return { value: read.value, leftAtMs: read.leftAtMs };
  }
  return { value: read, leftAtMs: undefined };
}
