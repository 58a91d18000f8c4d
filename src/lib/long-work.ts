import type { Clock } from "./clock.ts";

/** Every piece of work may begin with so much at once, ms: most of it is done by then. */
const QUICK_MS = 1;
/** All that takes longer shares so much of each turn of the event loop, ms. */
export const TURN_MS = 10;

/** Work that may be interrupted where it yields, and goes on in a later turn of the event loop. */
export type Pieces<T> = Generator<undefined, T, undefined>;

interface Job {
  /** True when it is over, settled either way. */
  readonly step: () => boolean;
}

/**
 * Work on the main thread that may be long and must hold up nobody: TURN_MS of it a turn, all of it together, by turns among those who have some.
 * However many ask for a lot at once, everybody else waits for one such slice.
 */
export class LongWork {
  readonly #clock: Pick<Clock, "monotonicMs" | "afterPoll">;
  readonly #queues = new Map<string, Job[]>();
  #pumping = false;
  /** What was done at once in this turn of the event loop, ms. */
  #quickMs = 0;
  #isCounting = false;

  constructor(clock: Pick<Clock, "monotonicMs" | "afterPoll">) {
    this.#clock = clock;
  }

  /**
   * Its result at once when it is short, else a promise of it. What the work throws is thrown, or rejects. When TURN_MS have been spent on work that was begun
   * at once, more of it waits for its turn: many requests that come in together are many short pieces, and some are not short.
   */
  run<T>(who: string, work: Pieces<T>): T | Promise<T> {
    const begun = this.#quickMs < TURN_MS ? this.#begin(work) : undefined;
    if (begun !== undefined) return begun.value;
    return new Promise<T>((resolve, reject) => this.#enqueue(who, { step: () => stepped(work, resolve, reject) }));
  }

  /** Work in one piece that is known to be long: done when its turn comes, as the only one of its turn of the event loop. */
  later<T>(who: string, work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) =>
      this.#enqueue(who, {
        step: () => {
          try {
            resolve(work());
          } catch (error) {
            reject(error);
          }
          return true;
        },
      }),
    );
  }

  /** Its result, when it comes to its end in QUICK_MS. */
  #begin<T>(work: Pieces<T>): { readonly value: T } | undefined {
    const startedMs = this.#clock.monotonicMs();
    try {
      do {
        const step = work.next();
        if (step.done === true) return { value: step.value };
      } while (this.#clock.monotonicMs() < startedMs + QUICK_MS);
      return undefined;
    } finally {
      this.#count(this.#clock.monotonicMs() - startedMs);
    }
  }

  #count(ms: number): void {
    this.#quickMs += ms;
    if (this.#isCounting) return;
    this.#isCounting = true;
    this.#clock.afterPoll(() => {
      this.#isCounting = false;
      this.#quickMs = 0;
    });
  }

  #enqueue(who: string, job: Job): void {
    const queue = this.#queues.get(who);
    if (queue === undefined) this.#queues.set(who, [job]);
    else queue.push(job);
    this.#pumpSoon();
  }

  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#clock.afterPoll(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    const untilMs = this.#clock.monotonicMs() + TURN_MS;
    for (const [who, queue] of this.#queues) {
      // Behind the others, whether it comes to its end or not.
      this.#queues.delete(who);
      const job = queue[0]!;
      let over = job.step();
      while (!over && this.#clock.monotonicMs() < untilMs) over = job.step();
      if (over) queue.shift();
      if (queue.length > 0) this.#queues.set(who, queue);
      if (this.#clock.monotonicMs() >= untilMs) break;
    }
    if (this.#queues.size > 0) this.#pumpSoon();
  }
}

function stepped<T>(work: Pieces<T>, resolve: (value: T) => void, reject: (error: unknown) => void): boolean {
  try {
    const step = work.next();
    if (step.done === true) resolve(step.value);
    return step.done === true;
  } catch (error) {
    reject(error);
    return true;
  }
}
