import { isDeepStrictEqual } from "node:util";
import { TokenBucket } from "../core/rate-limit.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import type { ReportedObject, ResultSink, WriteResult } from "./objects.ts";

/** A condition that moves back and forth within this time is written once. */
export const TRANSITION_DEBOUNCE_MS = 1_000;
export const TRANSITIONS_PER_SECOND = 50;
export const TRANSITIONS_BURST = 100;
/** Counters of one object are written at most this often. */
export const COUNTERS_EVERY_MS = 30_000;
export const COUNTERS_PER_SECOND = 5;
export const COUNTERS_BURST = 5;
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const WRITES_AT_ONCE = 16;

export type StatusLane = "transition" | "counters";

/** An object and the status it should have now. */
export interface DueStatus {
  readonly object: ReportedObject;
  /** As the object has it (or as last written); equal means nothing to do. */
  readonly current: object | undefined;
  readonly status: object;
}

export interface StatusSource<K extends string> {
  /** Composed when it is written, not when it was asked for; undefined when the object is gone. */
  compose(key: K): DueStatus | undefined;
  /** Called once a status is there. */
  written(key: K, status: object): void;
}

export interface StatusReporterOptions<K extends string> {
  readonly clock: Clock;
  readonly log: Log;
  readonly sink: ResultSink;
  readonly source: StatusSource<K>;
}

interface Waiting {
  readonly lane: StatusLane;
  readonly dueMs: number;
}

/**
 * Writes statuses without flooding the API server: transitions after a debounce and first, counters seldom, each lane from its own
 * bucket, nothing that is right already. Nothing is kept over a restart: everything is composed anew then.
 */
export class StatusReporter<K extends string> {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sink: ResultSink;
  readonly #source: StatusSource<K>;
  readonly #buckets: Readonly<Record<StatusLane, TokenBucket>>;
  readonly #waiting: Readonly<Record<StatusLane, Map<K, Waiting>>> = { transition: new Map(), counters: new Map() };
  readonly #writing = new Map<K, Promise<void>>();
  readonly #failures = new Map<K, number>();
  readonly #countersAtMs = new Map<K, number>();
  #cancel: (() => void) | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #stopped = true;

  constructor({ clock, log, sink, source }: StatusReporterOptions<K>) {
    this.#clock = clock;
    this.#log = log;
    this.#sink = sink;
    this.#source = source;
    const nowMs = clock.monotonicMs();
    this.#buckets = {
      transition: new TokenBucket({ requests: TRANSITIONS_PER_SECOND, perMs: 1_000, burst: TRANSITIONS_BURST }, nowMs),
      counters: new TokenBucket({ requests: COUNTERS_PER_SECOND, perMs: 1_000, burst: COUNTERS_BURST }, nowMs),
    };
  }

  start(): void {
    this.#stopped = false;
    this.#wake(0);
  }

  /** Writes no more; settles when the writes under way are done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await Promise.all(this.#writing.values());
  }

  /** Asks for the status of an object to be written. */
  report(key: K, lane: StatusLane): void {
    const nowMs = this.#clock.monotonicMs();
    if (lane === "counters") {
      if (this.#waiting.transition.has(key) || this.#waiting.counters.has(key)) return;
      const dueMs = Math.max(nowMs, (this.#countersAtMs.get(key) ?? nowMs - COUNTERS_EVERY_MS) + COUNTERS_EVERY_MS);
      this.#enqueue(key, { lane, dueMs });
    } else if (!this.#waiting.transition.has(key)) {
      this.#waiting.counters.delete(key);
      this.#enqueue(key, { lane, dueMs: nowMs + TRANSITION_DEBOUNCE_MS });
    }
  }

  forget(key: K): void {
    this.#waiting.transition.delete(key);
    this.#waiting.counters.delete(key);
    this.#failures.delete(key);
    this.#countersAtMs.delete(key);
  }

  #enqueue(key: K, waiting: Waiting): void {
    this.#waiting[waiting.lane].set(key, waiting);
    this.#wake(waiting.dueMs - this.#clock.monotonicMs());
  }

  #wake(delayMs: number): void {
    if (this.#stopped) return;
    const atMs = this.#clock.monotonicMs() + Math.max(0, delayMs);
    if (atMs >= this.#wakeAtMs) return;
    this.#cancel?.();
    this.#wakeAtMs = atMs;
    this.#cancel = this.#clock.after(Math.max(0, delayMs), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  #pump(): void {
    for (const lane of ["transition", "counters"] as const) {
      const nowMs = this.#clock.monotonicMs();
      let nextMs = Number.POSITIVE_INFINITY;
      for (const [key, { dueMs }] of this.#waiting[lane]) {
        if (dueMs > nowMs) {
          nextMs = Math.min(nextMs, dueMs);
          continue;
        }
        // The end of a write pumps again.
        if (this.#stopped || this.#writing.size >= WRITES_AT_ONCE) return;
        if (this.#writing.has(key)) continue;
        const due = this.#source.compose(key);
        if (due === undefined || isDeepStrictEqual(due.current, due.status)) {
          this.#waiting[lane].delete(key);
          continue;
        }
        const readyAtMs = this.#buckets[lane].readyAtMs(nowMs);
        if (readyAtMs > nowMs) {
          nextMs = readyAtMs;
          break;
        }
        this.#buckets[lane].take(nowMs);
        this.#waiting[lane].delete(key);
        this.#begin(key, due);
      }
      if (nextMs < Number.POSITIVE_INFINITY) this.#wake(nextMs - nowMs);
    }
  }

  #begin(key: K, due: DueStatus): void {
    this.#countersAtMs.set(key, this.#clock.monotonicMs());
    const write = this.#sink
      .writeStatus(due.object, due.status)
      .catch((error: unknown): WriteResult => ({ kind: "failed", message: String(error) }))
      .then((result) => this.#ended(key, due, result));
    this.#writing.set(key, write);
  }

  #ended(key: K, due: DueStatus, result: WriteResult): void {
    this.#writing.delete(key);
    if (result.kind === "done") {
      this.#failures.delete(key);
      this.#source.written(key, due.status);
    } else if (result.kind !== "gone") this.#again(key, due, result);
    this.#pump();
  }

  /** A conflict waits for the newer object to be seen; a failure waits longer each time. */
  #again(key: K, due: DueStatus, result: WriteResult): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    let delayMs = Math.min(RETRY_MS * 2 ** (failures - 1), RETRY_MAX_MS);
    if (result.kind === "failed") {
      delayMs = Math.max(delayMs, result.retryAfterMs ?? 0);
      const { kind, metadata } = due.object;
      this.#log.warn({ event: "status.failed", kind, namespace: metadata.namespace, name: metadata.name, delayMs }, result.message);
    }
    this.#enqueue(key, { lane: "transition", dueMs: this.#clock.monotonicMs() + delayMs });
  }
}
