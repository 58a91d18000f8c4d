import type { Clock } from "../lib/clock.ts";

/** Questions to the store that are answered at once. */
export const READS_MAX = 2;
/** Questions that wait behind them, of all callers and of one. */
export const READS_WAITING_MAX = 128;
export const READS_WAITING_EACH_MAX = 16;
/** One that has waited for so long is refused: whoever asked has given up, or asks again. */
export const READ_WAIT_MS_MAX = 10_000;

/** Who asks. Namespaces take turns, and within one its callers do. */
export interface Asker {
  readonly namespace: string;
  readonly caller: string;
}

/** The function must be called when the question is answered; undefined = it may not be asked now. */
export type Turn = (() => void) | undefined;

interface Waiting {
  readonly done: (turn: Turn) => void;
}

type Callers = Map<string, Waiting[]>;

/**
 * Lets few questions at once reach the store, in turns: one that scans the history a hundred times at once waits behind itself, not before the
 * single question of another. Nobody waits without end: not behind a full desk, not for longer than READ_WAIT_MS_MAX, not after hanging up.
 */
export class ReadDesk {
  readonly #clock: Pick<Clock, "after">;
  /** In the order of their turns; nothing empty is kept. */
  readonly #namespaces = new Map<string, Callers>();
  #running = 0;
  #waiting = 0;

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  enter(asker: Asker, signal: AbortSignal): Promise<Turn> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.#running < READS_MAX) return Promise.resolve(this.#begin());
    const { namespace, caller } = asker;
    const own = this.#namespaces.get(namespace)?.get(caller)?.length ?? 0;
    if (own >= READS_WAITING_EACH_MAX || (this.#waiting >= READS_WAITING_MAX && !this.#makeRoom(asker))) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const waiting: Waiting = {
        done: (turn) => {
          cancel();
          signal.removeEventListener("abort", giveUp);
          resolve(turn);
        },
      };
      const giveUp = (): void => {
        this.#remove(asker, waiting);
        waiting.done(undefined);
      };
      const cancel = this.#clock.after(READ_WAIT_MS_MAX, giveUp);
      signal.addEventListener("abort", giveUp, { once: true });
      this.#add(asker, waiting);
    });
  }

  #begin(): () => void {
    this.#running += 1;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#running -= 1;
      this.#next();
    };
  }

  #next(): void {
    for (const [namespace, callers] of this.#namespaces) {
      for (const [caller, line] of callers) {
        const [first] = line;
        if (first === undefined) continue;
        this.#remove({ namespace, caller }, first);
        // Behind the others.
        if (line.length > 0) {
          callers.delete(caller);
          callers.set(caller, line);
        }
        if (callers.size > 0) {
          this.#namespaces.delete(namespace);
          this.#namespaces.set(namespace, callers);
        }
        first.done(this.#begin());
        return;
      }
    }
  }

  /** The namespace that waits most gives up its newest place, if the one that asks has fewer. */
  #makeRoom({ namespace }: Asker): boolean {
    const counts = [...this.#namespaces].map(([name, callers]) => ({ name, callers, count: countOf(callers) }));
    const [longest] = counts.toSorted((a, b) => b.count - a.count);
    const own = counts.find(({ name }) => name === namespace)?.count ?? 0;
    if (longest === undefined || own + 1 >= longest.count) return false;
    const [line] = [...longest.callers].toSorted(([, a], [, b]) => b.length - a.length);
    const newest = line?.[1].at(-1);
    if (line === undefined || newest === undefined) return false;
    this.#remove({ namespace: longest.name, caller: line[0] }, newest);
    newest.done(undefined);
    return true;
  }

  #add({ namespace, caller }: Asker, waiting: Waiting): void {
    const callers = this.#namespaces.get(namespace) ?? new Map<string, Waiting[]>();
    const line = callers.get(caller) ?? [];
    line.push(waiting);
    callers.set(caller, line);
    this.#namespaces.set(namespace, callers);
    this.#waiting += 1;
  }

  #remove({ namespace, caller }: Asker, waiting: Waiting): void {
    const callers = this.#namespaces.get(namespace);
    const line = callers?.get(caller);
    const at = line?.indexOf(waiting) ?? -1;
    if (callers === undefined || line === undefined || at === -1) return;
    line.splice(at, 1);
    this.#waiting -= 1;
    if (line.length === 0) callers.delete(caller);
    if (callers.size === 0) this.#namespaces.delete(namespace);
  }
}

function countOf(callers: Callers): number {
  let count = 0;
  for (const line of callers.values()) count += line.length;
  return count;
}
