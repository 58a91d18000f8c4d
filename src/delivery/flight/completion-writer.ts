import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../observe/log.ts";
import { StoreError, type Completion, type Store } from "../../store/store.ts";

/** Completions of one call to the store. */
const BATCH_MAX = 256;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

export interface CompletionWriterParts<T> {
  readonly store: Pick<Store, "complete">;
  readonly clock: Clock;
  readonly log: Log;
  /** The store has it durably; `changed` false = it came late and changed nothing. */
  readonly written: (subject: T, completion: Completion, changed: boolean) => void;
}

interface Entry<T> {
  readonly subject: T;
  readonly completion: Completion;
  /** A write of it did not say whether it happened: if the next finds nothing to change, it had. */
  isDoubtful?: boolean;
}

/**
 * Writes what attempts came to. Never gives up while the process lives: a completion is conditional on its claim, so writing one again
 * after an unknown commit is harmless. A crash before the commit leaves the row claimed: the next start counts the attempt `unknown`.
 */
export class CompletionWriter<T> {
  readonly #parts: CompletionWriterParts<T>;
  #queue: Entry<T>[] = [];
  #writing = 0;
  #retryDelayMs = 0;
  #waiting: Entry<T>[] = [];

  constructor(parts: CompletionWriterParts<T>) {
    this.#parts = parts;
  }

  /** Not yet durable. */
  get backlog(): number {
    return this.#queue.length + this.#writing + this.#waiting.length;
  }

  /** The last write failed: nothing new should be started. */
  get isStuck(): boolean {
    return this.#waiting.length > 0;
  }

  push(subject: T, completion: Completion): void {
    this.#queue.push({ subject, completion });
  }

  /** Hands what has gathered to the store, which commits it together with whatever else waits there. */
  flush(): void {
    while (this.#queue.length > 0) {
      const batch = this.#queue.length <= BATCH_MAX ? this.#queue : this.#queue.slice(0, BATCH_MAX);
      this.#queue = batch === this.#queue ? [] : this.#queue.slice(BATCH_MAX);
      this.#writing += batch.length;
      void this.#write(batch);
    }
  }

  async #write(batch: readonly Entry<T>[]): Promise<void> {
    let changed: readonly boolean[];
    try {
      changed = await this.#parts.store.complete(batch.map((entry) => entry.completion));
    } catch (error) {
      this.#writing -= batch.length;
      this.#failed(batch, error);
      return;
    }
    this.#writing -= batch.length;
    this.#retryDelayMs = 0;
    for (const [i, entry] of batch.entries()) this.#landed(entry, changed[i] === true || entry.isDoubtful === true);
  }

  /** What follows from one result must not undo what the store has taken of the others. */
  #landed({ subject, completion }: Entry<T>, changed: boolean): void {
    try {
      this.#parts.written(subject, completion, changed);
    } catch (error) {
      this.#parts.log.error(
        { err: error, eventId: completion.attempt?.eventId },
        "follow-up work after an attempt failed; its result is stored",
      );
    }
  }

  #failed(batch: readonly Entry<T>[], error: unknown): void {
    if (error instanceof StoreError && error.code === "closed") return;
    this.#parts.log.error({ err: error, completions: batch.length }, "attempt results could not be stored: retrying");
    const isFirst = this.#waiting.length === 0;
    const isDoubtful = error instanceof StoreError && error.code === "unknown";
    for (const entry of batch) {
      entry.isDoubtful ||= isDoubtful;
      this.#waiting.push(entry);
    }
    if (!isFirst) return;
    this.#retryDelayMs = Math.min(Math.max(RETRY_MIN_MS, this.#retryDelayMs * 2), RETRY_MAX_MS);
    this.#parts.clock.after(this.#retryDelayMs, () => {
      this.#queue = [...this.#waiting, ...this.#queue];
      this.#waiting = [];
      this.flush();
    });
  }
}
