import type { Clock } from "../lib/clock.ts";

export interface ScrapeParts<K, T> {
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly make: (page: K) => Promise<T>;
}

/**
 * Makes pages of metrics, one at a time: whoever asks while one is being made gets the next of the page that he wants, together with all who ask for it until
 * that is begun, and the next begins no sooner after the last than that took. So a crowd of scrapers costs half of the time at most, and nobody
 * is shown anything older than his question.
 */
export class ScrapeDesk<K, T> {
  readonly #parts: ScrapeParts<K, T>;
  /** Asked for and not begun: at most one of each page. */
  readonly #next = new Map<K, Promise<T>>();
  /** When the next may begin, on the monotonic clock, ms. */
  #restsUntilMs = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: ScrapeParts<K, T>) {
    this.#parts = parts;
  }

  /** Rejects with what making it threw. */
  page(page: K): Promise<T> {
    let next = this.#next.get(page);
    if (next === undefined) {
      next = this.#begin(page, this.#last);
      this.#next.set(page, next);
      this.#last = next.catch(() => undefined);
    }
    return next;
  }

  async #begin(page: K, last: Promise<unknown>): Promise<T> {
    await last;
    const { clock, make } = this.#parts;
    const restMs = this.#restsUntilMs - clock.monotonicMs();
    if (restMs > 0) await new Promise<void>((resolve) => void clock.after(restMs, resolve));
    // From here on others ask for the one after.
    this.#next.delete(page);
    const startedMs = clock.monotonicMs();
    try {
      return await make(page);
    } finally {
      const endedMs = clock.monotonicMs();
      this.#restsUntilMs = endedMs + (endedMs - startedMs);
    }
  }
}
