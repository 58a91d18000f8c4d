import type { Clock } from "../lib/clock.ts";
import type { RestartReason, RetryPace } from "./reflector.ts";

/** Retries of all watches together, while the API server is in trouble. */
export const RETRIES_PER_SECOND = 5;

/** Hands out places in one queue of retries, evenly spaced; a place not taken is lost. */
export class SharedRetryPace implements RetryPace {
  readonly #clock: Clock;
  #nextMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  reserve(): number {
    const nowMs = this.#clock.monotonicMs();
    const placeMs = Math.max(nowMs, this.#nextMs);
    this.#nextMs = placeMs + 1_000 / RETRIES_PER_SECOND;
    return placeMs - nowMs;
  }
}

/**
 * Two queues in one: what is closed or not there stays so until a person mends it, and is asked for ever; it must not hold up what comes back
 * by itself.
 */
export class PartedRetryPace implements RetryPace {
  readonly #open: SharedRetryPace;
  readonly #closed: SharedRetryPace;

  constructor(clock: Clock) {
    this.#open = new SharedRetryPace(clock);
    this.#closed = new SharedRetryPace(clock);
  }

  reserve(reason: RestartReason): number {
    return (reason === "forbidden" || reason === "not_found" ? this.#closed : this.#open).reserve();
  }
}
