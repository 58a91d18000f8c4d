const DAY_MS = 86_400_000;
/** More days than a retention may have; what a broken snapshot has beyond them is left out. */
const DAYS_MAX = 4_000;

/** Failed deliveries that are kept until one day, and when the first of them may be deleted. */
interface Day {
  count: number;
  firstMs: number;
}

/** As it is stored: by the number of the day. */
export type KeptLetters = Readonly<Record<string, readonly [count: number, firstMs: number]>>;

/**
 * How many failed deliveries of a queue lie in the store, by the day on which they are deleted. The store is never asked, because it would have to read
 * every delivery that has ended. What failed before this was counted is not in it; a crash loses what was counted since the last snapshot.
 */
export class LetterCount {
  readonly #days = new Map<number, Day>();

  get kept(): KeptLetters {
    return Object.fromEntries([...this.#days].map(([day, { count, firstMs }]) => [day, [count, firstMs]]));
  }

  /** At a start: what the last process had. */
  restore(kept: unknown): void {
    this.#days.clear();
    if (typeof kept !== "object" || kept === null) return;
    for (const [day, value] of Object.entries(kept).slice(0, DAYS_MAX)) {
      const [count, firstMs] = Array.isArray(value) ? (value as unknown[]) : [];
      if (Number.isSafeInteger(Number(day)) && Number.isSafeInteger(count) && Number(count) > 0 && typeof firstMs === "number")
        this.#days.set(Number(day), { count: Number(count), firstMs });
    }
  }

  /** One has failed, and is kept until then. */
  failed(expiresAtMs: number): void {
    const day = Math.floor(expiresAtMs / DAY_MS);
    const known = this.#days.get(day);
    if (known === undefined) this.#days.set(day, { count: 1, firstMs: expiresAtMs });
    else {
      known.count += 1;
      known.firstMs = Math.min(known.firstMs, expiresAtMs);
    }
  }

  /** One of them is sent again. */
  resent(expiresAtMs: number): void {
    const day = Math.floor(expiresAtMs / DAY_MS);
    const known = this.#days.get(day);
    if (known === undefined) return;
    known.count -= 1;
    if (known.count === 0) this.#days.delete(day);
  }

  /** How many there are, and when the first of them is deleted; days that are over go. */
  at(nowMs: number): { readonly count: number; readonly oldestExpiryMs: number | undefined } {
    let [count, oldestExpiryMs]: [number, number | undefined] = [0, undefined];
    for (const [day, { count: ofDay, firstMs }] of this.#days) {
      if ((day + 1) * DAY_MS <= nowMs) {
        this.#days.delete(day);
        continue;
      }
      count += ofDay;
      oldestExpiryMs = Math.min(oldestExpiryMs ?? firstMs, firstMs);
    }
    return { count, oldestExpiryMs };
  }
}
