import type { Clock } from "../lib/clock.ts";
import type { RestartReason, RetryPace } from "./reflector.ts";

/** Retries of all watches together, while the API server is in trouble. */
export const RETRIES_PER_SECOND = 5;
/** The same once it answers again: 1,000 watches come back within 20 s. */
export const RETURNS_PER_SECOND = 50;

/** One line of retries; each turn comes a little after the last. Who waits when the API server answers again waits no longer than that pace asks. */
export class SharedRetryPace implements RetryPace {
  readonly #clock: Clock;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #perSecond = RETRIES_PER_SECOND;
  #lastTurnMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Who is aborted leaves the line; with the last one the timer goes. */
  turn(_reason: RestartReason, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener("abort", go);
        this.#waiting.delete(go);
        if (this.#waiting.size === 0) this.#cancelTimer();
        resolve();
      };
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", go, { once: true });
      this.#waiting.add(go);
      this.#arm();
    });
  }

  answered(): void {
    if (this.#perSecond === RETURNS_PER_SECOND) return;
    this.#perSecond = RETURNS_PER_SECOND;
    this.#cancelTimer();
    this.#arm();
  }

  unanswered(): void {
    this.#perSecond = RETRIES_PER_SECOND;
  }

  #arm(): void {
    const [first] = this.#waiting;
    if (this.#cancel !== undefined || first === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    const waitMs = this.#lastTurnMs + 1_000 / this.#perSecond - nowMs;
    if (waitMs > 0) {
      this.#cancel = this.#clock.after(waitMs, () => {
        this.#cancel = undefined;
        this.#arm();
      });
      return;
    }
    this.#lastTurnMs = nowMs;
    first();
    this.#arm();
  }

  #cancelTimer(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

/**
 * Two lines in one: what is closed or does not exist stays so until a person changes it, and is asked for again and again; it must not delay
 * what comes back by itself.
 */
export class PartedRetryPace implements RetryPace {
  readonly #open: SharedRetryPace;
  readonly #closed: SharedRetryPace;

  constructor(clock: Clock) {
    this.#open = new SharedRetryPace(clock);
    this.#closed = new SharedRetryPace(clock);
  }

  turn(reason: RestartReason, signal: AbortSignal): Promise<void> {
    return (reason === "forbidden" || reason === "not_found" ? this.#closed : this.#open).turn(reason, signal);
  }

  answered(): void {
    this.#open.answered();
  }

  unanswered(): void {
    this.#open.unanswered();
  }
}
