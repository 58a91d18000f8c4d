import { Worker } from "node:worker_threads";
import type { Policy } from "../../../src/core/policy.ts";
import type { Outcome } from "../../../src/core/outcome.ts";

/** What an attempter in a thread of its own is told. */
export interface AttemptOrder {
  readonly url: string;
  readonly policy?: Partial<Policy>;
  readonly hosts?: readonly string[];
  /** Begun so much later, by a timer: one that is over within a stall fires before any socket is read. */
  readonly afterMs?: number;
}

export interface StallOrder {
  /** So much later, ms; 0: two turns of the loop later, when a connection is under way. */
  readonly afterMs: number;
  readonly forMs: number;
}

export interface StallingOptions {
  readonly ca?: readonly string[];
  readonly servers?: readonly string[];
  readonly dnsTimeoutMs?: number;
}

/** The real attempter in a thread whose event loop can be stopped, while receivers go on in this one. */
export class StallingAttempter {
  readonly #worker: Worker;
  #next = 0;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();

  constructor(options: StallingOptions = {}) {
    this.#worker = new Worker(new URL("stalling-worker.ts", import.meta.url), { workerData: options });
    this.#worker.on("message", ({ id, outcome }: { id: number; outcome: Outcome }) => this.#waiting.get(id)?.(outcome));
  }

  /** Attempts and stalls of one order begin together. */
  run(attempts: readonly AttemptOrder[], stalls: readonly StallOrder[]): Promise<Outcome[]> {
    const orders = attempts.map((attempt) => ({ ...attempt, id: this.#next++ }));
    const ends = orders.map(({ id }) => new Promise<Outcome>((resolve) => void this.#waiting.set(id, resolve)));
    this.#worker.postMessage({ orders, stalls });
    return Promise.all(ends);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
