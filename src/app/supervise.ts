import { pause } from "../lib/abort.ts";
import type { Service } from "../lib/service.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";

const RESTART_DELAY_MIN_MS = 200;
const RESTART_DELAY_MAX_MS = 30_000;

interface Running {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

/**
 * Runs services: one that rejects is started anew with backoff, its neighbours go on. In which order they stop, and how long they may take, is for
 * whoever stops them to say (app/shut-down.ts).
 */
export class Supervisor {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #running = new Map<Service, Running>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  start(service: Service): void {
    const abort = new AbortController();
    this.#running.set(service, { abort, done: this.#keepRunning(service, abort.signal) });
  }

  /** Stops these, all at once, or all that still run; answers the names of those that have not stopped within `withinMs`. They are not waited for any more. */
  async stop(withinMs: number, services: Iterable<Service> = this.#running.keys()): Promise<readonly string[]> {
    const left = new Set<string>();
    const waited: Promise<unknown>[] = [];
    for (const service of services) {
      const running = this.#running.get(service);
      if (running === undefined) continue;
      this.#running.delete(service);
      running.abort.abort();
      left.add(service.name);
      waited.push(running.done.then(() => left.delete(service.name)));
    }
    await atMost(this.#clock, withinMs, Promise.all(waited));
    return [...left];
  }

  async #keepRunning(service: Service, signal: AbortSignal): Promise<void> {
    let delayMs = RESTART_DELAY_MIN_MS;
    while (!signal.aborted) {
      const startedMs = this.#clock.monotonicMs();
      try {
        await service.run(signal);
        if (signal.aborted) return;
        this.#log.error({ service: service.name }, "service ended unexpectedly: restarting it");
      } catch (error) {
        this.#log.error({ service: service.name, err: error }, `service failed: restarting it in ${delayMs} ms`);
      }
      if (this.#clock.monotonicMs() - startedMs > RESTART_DELAY_MAX_MS) delayMs = RESTART_DELAY_MIN_MS;
      await pause(this.#clock, delayMs, signal);
      delayMs = Math.min(delayMs * 2, RESTART_DELAY_MAX_MS);
    }
  }
}

/** Waits for `work`, but no longer than `ms`; answers whether it is done. Rejects when it does in time. */
export async function atMost(clock: Pick<Clock, "after">, ms: number, work: Promise<unknown>): Promise<boolean> {
  let cancel = (): void => undefined;
  const late = new Promise<false>((resolve) => (cancel = clock.after(ms, () => resolve(false))));
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    cancel();
  }
}
