import { pause } from "../lib/abort.ts";
import { parseDuration } from "../lib/duration.ts";
import type { Clock } from "../lib/clock.ts";
import type { DeliveryId, Store } from "../store/store.ts";
import { type Refused, refused, readParameters } from "./history-query.ts";

/** As the ingest's `wait`: proxies give up at 60 s. */
export const RESEND_WAIT_MS_MAX = 55_000;
/** Calls that wait at once; one more is answered at once, as if it had waited. */
export const RESENDS_WAITING_MAX = 64;
/** The store is asked after so long, then after twice as long, up to the second. */
const FIRST_LOOK_MS = 50;
const LOOK_MS_MAX = 500;

export interface WaitOrder {
  readonly waitMs: number;
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal;
}

/** How long a caller of `resend` wants to wait, 0 = not at all. */
export function readResendWait(parameters: URLSearchParams): { readonly ok: true; readonly ms: number } | Refused {
  const given = readParameters(parameters, ["wait"]);
  if (typeof given === "string") return refused(given);
  const text = given.get("wait");
  if (text === undefined) return { ok: true, ms: 0 };
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1 || ms > RESEND_WAIT_MS_MAX)
    return refused(`wait must be a duration such as 10s, at most ${RESEND_WAIT_MS_MAX / 1_000}s`);
  return { ok: true, ms };
}

/** Waits for deliveries to end, by looking: few people wait, and what ends is told to nobody else. */
export class DeliveryEnds {
  readonly #store: Pick<Store, "readDelivery">;
  readonly #clock: Clock;
  #waiting = 0;

  constructor(store: Pick<Store, "readDelivery">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** True once it has ended, or is no more; false after the wait, when the caller has gone, and when too many wait. @throws StoreError */
  async of(id: DeliveryId, { waitMs, signal }: WaitOrder): Promise<boolean> {
    if (this.#waiting >= RESENDS_WAITING_MAX) return false;
    this.#waiting++;
    try {
      const untilMs = this.#clock.monotonicMs() + waitMs;
      for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(2 * lookMs, LOOK_MS_MAX)) {
        const leftMs = untilMs - this.#clock.monotonicMs();
        if (leftMs <= 0 || signal.aborted) return false;
        await pause(this.#clock, Math.min(lookMs, leftMs), signal);
        const record = await this.#store.readDelivery(id);
        if (record === undefined || (record.state !== "ready" && record.state !== "claimed")) return true;
      }
    } finally {
      this.#waiting--;
    }
  }
}
