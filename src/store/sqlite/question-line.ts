import type { Clock } from "../../lib/clock.ts";
import { StoreError } from "../store.ts";
import type { AnswerTo, Call, ReadCalls } from "./calls.ts";
import type { ReadChannel } from "./read-channel.ts";

/** Questions that the thread has at once: one more than it answers, so that it never waits for the main thread. */
const RUNNING_MAX = 2;
/** Of these, other ones than short ones: a short one waits for one of them at most. */
const LONG_RUNNING_MAX = 1;
/** Questions that wait; whoever asks bounds them more tightly. */
const WAITING_MAX = 4_096;
/** A page that took so long is followed by as long a rest, up to the second: no more than half of a processor goes into pages, whoever asks. */
const REST_FROM_MS = 5;
const REST_MS_MAX = 100;
/** A few range reads each, and somebody waits on the line for them. */
const SHORT: ReadonlySet<keyof ReadCalls> = new Set(["result"]);

/** Of one call: `resolve` takes what its method answers. */
interface Question {
  readonly call: Call<ReadCalls>;
  resolve(this: void, value: unknown): void;
  readonly reject: (error: unknown) => void;
}

/**
 * People's questions, on a thread of their own that starts with the first: results before pages of history. Whatever happens to that thread,
 * deliveries go on: who waits gets an error, and the next question starts another.
 */
export class QuestionLine {
  readonly #start: () => ReadChannel;
  readonly #clock: Pick<Clock, "monotonicMs" | "after">;
  #channel: ReadChannel | undefined;
  #closed: StoreError | undefined;
  readonly #short: Question[] = [];
  readonly #long: Question[] = [];
  #running = 0;
  #longRunning = 0;

  constructor(start: () => ReadChannel, clock: Pick<Clock, "monotonicMs" | "after">) {
    this.#start = start;
    this.#clock = clock;
  }

  ask<C extends Call<ReadCalls>>(call: C): Promise<AnswerTo<ReadCalls, C>> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const line = SHORT.has(call.method) ? this.#short : this.#long;
    if (line.length >= WAITING_MAX)
      return Promise.reject(new StoreError("unavailable", `${WAITING_MAX} reads of the store are already waiting: try again shortly`));
    return new Promise((resolve, reject) => {
      line.push({ call, resolve, reject });
      this.#next();
    });
  }

  /** The thread is gone: what it was asked is not answered any more. */
  lost(error: StoreError): void {
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.break(error);
  }

  /** No question is taken any more, and none that waits is answered. */
  close(error: StoreError): void {
    this.#closed = error;
    for (const { reject } of [...this.#short.splice(0), ...this.#long.splice(0)]) reject(error);
    this.lost(error);
  }

  #next(): void {
    while (this.#running < RUNNING_MAX) {
      const short = this.#short.shift();
      const question = short ?? (this.#longRunning < LONG_RUNNING_MAX ? this.#long.shift() : undefined);
      if (question === undefined) return;
      if (short === undefined) void this.#runLong(question);
      else void this.#run(question);
    }
  }

  async #runLong(question: Question): Promise<void> {
    this.#longRunning += 1;
    const startedAtMs = this.#clock.monotonicMs();
    await this.#run(question);
    const tookMs = this.#clock.monotonicMs() - startedAtMs;
    const rested = (): void => {
      this.#longRunning -= 1;
      this.#next();
    };
    if (tookMs < REST_FROM_MS) rested();
    else this.#clock.after(Math.min(tookMs, REST_MS_MAX), rested);
  }

  async #run({ call, resolve, reject }: Question): Promise<void> {
    this.#running += 1;
    try {
      this.#channel ??= this.#start();
      resolve(await this.#channel.ask(call));
    } catch (error) {
      reject(error);
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }
}
