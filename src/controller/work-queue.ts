import type { Clock } from "../lib/clock.ts";

/** A key that keeps failing is tried again after these delays: 100 ms, doubled each time, at most a minute. */
export const RETRY_DELAY_MIN_MS = 100;
export const RETRY_DELAY_MAX_MS = 60_000;
/** Keys worked on at the same time; most wait for nothing, some for the API server. */
export const WORKERS = 32;
/** Of these for one namespace: what the API server does not answer there must not hold up the others. */
export const WORKERS_PER_NAMESPACE = 8;
/** After this much work in one go the event loop gets its turn: deliveries must not wait for ten thousand subscriptions. */
const SLICE_MS = 8;

export interface WorkQueueOptions<K extends string> {
  readonly clock: Clock;
  /** A key's namespace: namespaces take turns, and none may have all workers. */
  readonly namespaceOf: (key: K) => string;
  readonly work: (key: K) => Promise<void>;
  /** Called when `work` rejects; the key is tried again. */
  readonly onFailure: (key: K, error: unknown) => void;
}

/**
 * Keys to look at, namespaces in turn, each at most once: a key that is added while it waits is there already, one that is added while it is worked on is
 * looked at again afterwards. Owns its timers; nothing is kept over a restart, because everything is looked at then.
 */
export class WorkQueue<K extends string> {
  readonly #clock: Clock;
  readonly #namespaceOf: (key: K) => string;
  readonly #work: (key: K) => Promise<void>;
  readonly #onFailure: (key: K, error: unknown) => void;
  /** By namespace, the next one first. */
  readonly #waiting = new Map<string, Set<K>>();
  readonly #working = new Set<K>();
  readonly #workers = new Map<string, number>();
  readonly #again = new Set<K>();
  readonly #failures = new Map<K, number>();
  readonly #timers = new Map<K, { readonly dueMs: number; readonly cancel: () => void }>();
  readonly #idle: (() => void)[] = [];
  #stopped = true;
  #pumping = false;

  constructor({ clock, namespaceOf, work, onFailure }: WorkQueueOptions<K>) {
    this.#clock = clock;
    this.#namespaceOf = namespaceOf;
    this.#work = work;
    this.#onFailure = onFailure;
  }

  start(): void {
    this.#stopped = false;
    this.#pump();
  }

  /** Settles when the keys under way are done; the others stay. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { cancel } of this.#timers.values()) cancel();
    this.#timers.clear();
    if (this.#working.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  add(key: K): void {
    this.#dropTimer(key);
    if (this.#working.has(key)) this.#again.add(key);
    else this.#wait(key);
    this.#pump();
  }

  /** Adds the key after a delay, unless it is to come sooner anyway. */
  addAfter(key: K, delayMs: number): void {
    if (this.#waiting.get(this.#namespaceOf(key))?.has(key) === true || this.#stopped) return;
    const dueMs = this.#clock.monotonicMs() + delayMs;
    const before = this.#timers.get(key);
    if (before !== undefined && before.dueMs <= dueMs) return;
    before?.cancel();
    this.#timers.set(key, { dueMs, cancel: this.#clock.after(delayMs, () => this.add(key)) });
  }

  /** Adds the key after a delay that grows with each failure since the last `forget`. */
  retry(key: K): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.addAfter(key, Math.min(RETRY_DELAY_MIN_MS * 2 ** failures, RETRY_DELAY_MAX_MS));
  }

  /** The key is well again. */
  forget(key: K): void {
    this.#failures.delete(key);
  }

  #dropTimer(key: K): void {
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
  }

  #pump(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#slice();
    });
  }

  #slice(): void {
    const untilMs = this.#clock.monotonicMs() + SLICE_MS;
    while (!this.#stopped && this.#working.size < WORKERS) {
      if (this.#clock.monotonicMs() > untilMs) return this.#pump();
      const key = this.#next();
      if (key === undefined) return;
      this.#working.add(key);
      void this.#run(key);
    }
  }

  #wait(key: K): void {
    const namespace = this.#namespaceOf(key);
    const keys = this.#waiting.get(namespace);
    if (keys === undefined) this.#waiting.set(namespace, new Set([key]));
    else keys.add(key);
  }

  /** Takes a key of the namespace whose turn it is, which then goes behind all others. */
  #next(): K | undefined {
    for (const [namespace, keys] of this.#waiting) {
      const workers = this.#workers.get(namespace) ?? 0;
      if (workers >= WORKERS_PER_NAMESPACE) continue;
      this.#waiting.delete(namespace);
      const [key] = keys;
      if (key === undefined) continue;
      this.#workers.set(namespace, workers + 1);
      keys.delete(key);
      if (keys.size > 0) this.#waiting.set(namespace, keys);
      return key;
    }
    return undefined;
  }

  #rest(key: K): void {
    const namespace = this.#namespaceOf(key);
    const workers = (this.#workers.get(namespace) ?? 1) - 1;
    if (workers === 0) this.#workers.delete(namespace);
    else this.#workers.set(namespace, workers);
  }

  async #run(key: K): Promise<void> {
    try {
      await this.#work(key);
    } catch (error) {
      this.#onFailure(key, error);
      this.retry(key);
    }
    this.#working.delete(key);
    this.#rest(key);
    if (this.#again.delete(key)) this.#wait(key);
    if (this.#working.size === 0 && this.#stopped) for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#waiting.size > 0) this.#pump();
  }
}
