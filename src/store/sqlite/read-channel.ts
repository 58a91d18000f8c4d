import type { Worker } from "node:worker_threads";
import { StoreError } from "../store.ts";
import type { AnswerTo, Call, ReadCalls } from "./calls.ts";
import type { FromReader, ToReader } from "./worker-message.ts";

/** Of one call: `resolve` takes what its method answers. */
interface Waiting {
  resolve(this: void, value: unknown): void;
  readonly reject: (error: Error) => void;
}

/** The main thread's end of the reader: one question, one answer. */
export class ReadChannel {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastCall = 0;
  #broken: StoreError | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  ask<C extends Call<ReadCalls>>(call: C): Promise<AnswerTo<ReadCalls, C>> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const callId = ++this.#lastCall;
    this.#worker.postMessage({ type: "read", callId, call } satisfies ToReader);
    return new Promise((resolve, reject) => this.#waiting.set(callId, { resolve, reject }));
  }

  answered(message: Extract<FromReader, { readonly callId: number }>): void {
    const waiting = this.#waiting.get(message.callId);
    this.#waiting.delete(message.callId);
    if (message.type === "value") waiting?.resolve(message.value);
    else waiting?.reject(new StoreError("unavailable", `the store could not be read: ${message.message}`));
  }

  break(error: StoreError): void {
    this.#broken = error;
    for (const each of this.#waiting.values()) each.reject(error);
    this.#waiting.clear();
  }
}
