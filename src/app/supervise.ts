import { pause } from "../lib/abort.ts";
import type { Service } from "../lib/service.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";

const RESTART_DELAY_MIN_MS = 200;
const RESTART_DELAY_MAX_MS = 30_000;

/**
 * Runs services in order and stops them in reverse, each only when those after it have stopped (the ingest before the engine, the engine
 * before the store). A service that rejects is started anew with backoff; its neighbours go on.
 */
export class Supervisor {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #running: { readonly name: string; readonly abort: AbortController; readonly done: Promise<void> }[] = [];
  #stopping: Promise<void> | undefined;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  start(service: Service): void {
    const abort = new AbortController();
    this.#running.push({ name: service.name, abort, done: this.#keepRunning(service, abort.signal) });
  }

  /** Drains and stops all, last started first; settles when the last has stopped. Safe to call twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (const { name, abort, done } of this.#running.toReversed()) {
      abort.abort();
      await done;
      this.#log.debug({ service: name }, "stopped");
    }
  }

  async #keepRunning(service: Service, signal: AbortSignal): Promise<void> {
    let delayMs = RESTART_DELAY_MIN_MS;
    while (!signal.aborted) {
      const startedMs = this.#clock.monotonicMs();
      try {
        await service.run(signal);
        if (signal.aborted) return;
        this.#log.error({ service: service.name }, "service ended although nobody stopped it: starting it again");
      } catch (error) {
        this.#log.error({ service: service.name, err: error }, `service failed: starting it again in ${delayMs} ms`);
      }
      if (this.#clock.monotonicMs() - startedMs > RESTART_DELAY_MAX_MS) delayMs = RESTART_DELAY_MIN_MS;
      await pause(this.#clock, delayMs, signal);
      delayMs = Math.min(delayMs * 2, RESTART_DELAY_MAX_MS);
    }
  }
}
