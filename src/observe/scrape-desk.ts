import type { Clock } from "../lib/clock.ts";

export interface ScrapeParts {
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly make: () => Promise<string>;
}

/**
 * Makes the metrics' text, one at a time: whoever asks while one is being made gets the next, together with all who ask until that is begun, and the next begins
 * no sooner after the last than that took. So a crowd of scrapers costs half of the time at most, and nobody is shown anything older than his question.
 */
export class ScrapeDesk {
  readonly #parts: ScrapeParts;
  #next: Promise<Buffer> | undefined;
  /** When the next may begin, on the monotonic clock, ms. */
  #restsUntilMs = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: ScrapeParts) {
    this.#parts = parts;
  }

  /** Rejects with what making it threw. */
  text(): Promise<Buffer> {
    this.#next ??= this.#begin(this.#last);
    return this.#next;
  }

  async #begin(last: Promise<unknown>): Promise<Buffer> {
    await last;
    const { clock, make } = this.#parts;
    const restMs = this.#restsUntilMs - clock.monotonicMs();
    if (restMs > 0) await new Promise<void>((resolve) => void clock.after(restMs, resolve));
    // From here on others ask for the one after.
    const own = this.#next;
    this.#next = undefined;
    this.#last = own?.catch(() => undefined) ?? this.#last;
    const startedMs = clock.monotonicMs();
    try {
      return Buffer.from(await make());
    } finally {
      const endedMs = clock.monotonicMs();
      this.#restsUntilMs = endedMs + (endedMs - startedMs);
    }
  }
}
