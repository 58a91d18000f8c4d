import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Store } from "../store/store.ts";

/** A state entry of kind `meta`. */
const KEY = "starts";

interface Starts {
  readonly clean: number;
  readonly killed: number;
  /** A process has begun and has not ended in order. */
  readonly isRunning: boolean;
}

/**
 * Counts the starts of this store, and how the process before each had ended: a process that never lives through a scrape is seen all the same. A crash
 * before the first entry is stored counts as none; what cannot be stored is told, and is no reason not to start.
 */
export class StartsBook {
  readonly #store: Pick<Store, "listState" | "putState">;
  readonly #log: Log;
  #starts: Starts = { clean: 0, killed: 0, isRunning: false };

  constructor(store: Pick<Store, "listState" | "putState">, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Counts this start and shows all. @throws StoreError when the store cannot be read */
  async begin(metrics: Pick<Metrics, "starts">): Promise<void> {
    const kept = (await this.#store.listState("meta")).find(({ key }) => key === KEY);
    const before = parse(kept?.value);
    const how = before.isRunning ? "killed" : "clean";
    this.#starts = { ...before, [how]: before[how] + 1, isRunning: true };
    for (const each of ["clean", "killed"] as const) metrics.starts.inc({ how: each }, this.#starts[each]);
    await this.#put();
  }

  /** This process ends in order. */
  async end(): Promise<void> {
    this.#starts = { ...this.#starts, isRunning: false };
    await this.#put();
  }

  #put(): Promise<void> {
    return this.#store
      .putState([{ kind: "meta", key: KEY, value: JSON.stringify(this.#starts) }])
      .catch((error: unknown) =>
        this.#log.warn(
          { err: error },
          "the number of starts could not be stored: postrider_starts_total misses this one at the next start",
        ),
      );
  }
}

/** An entry that cannot be read is as good as none. */
function parse(text: string | undefined): Starts {
  let value: Partial<Starts> = {};
  try {
    if (text !== undefined) value = JSON.parse(text) as Partial<Starts>;
  } catch {
    // Counting begins again.
  }
  const number = (of: unknown): number => (Number.isSafeInteger(of) ? Number(of) : 0);
  return { clean: number(value.clean), killed: number(value.killed), isRunning: value.isRunning === true };
}
