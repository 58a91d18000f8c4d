import type { Clock } from "../lib/clock.ts";
import type { AttemptRecord, DeliveryRecord, Store } from "../store/store.ts";
import type { DeliveryActs } from "./directory.ts";
import { attemptView, type DeliveryLabel } from "./views.ts";

/** Bodies of one page of the log together, in bytes: the page ends before the delivery that goes beyond. */
const PAGE_BODIES_BYTES_MAX = 1024 * 1024;
/** Bodies of the attempts of a single delivery, in bytes: the rest is left out. */
const DELIVERY_BODIES_BYTES_MAX = 8 * 1024 * 1024;

/** Where the page that is being written ends. */
export interface PageEnd {
  beforeId: number | undefined;
}

export interface LogWish {
  /** Attempts on the page; the deliveries that it holds are never split. */
  readonly limit: number;
  readonly withBodies: boolean;
}

export interface LogParts {
  readonly store: Pick<Store, "attemptsOf" | "readBody">;
  readonly clock: Clock;
  readonly acts: Pick<DeliveryActs, "bodyOf">;
}

/** The log of attempts as the API shows it, made while it is written: no answer holds more bodies than one page may. */
export class AttemptLog {
  readonly #parts: LogParts;
  readonly #label: (record: DeliveryRecord) => DeliveryLabel;

  constructor(parts: LogParts, label: (record: DeliveryRecord) => DeliveryLabel) {
    this.#parts = parts;
    this.#label = label;
  }

  /** All attempts of one delivery, in their order. */
  of(record: DeliveryRecord): AsyncGenerator {
    return this.#views(record, { bytes: DELIVERY_BODIES_BYTES_MAX });
  }

  /** A delivery whose bodies would not fit any more begins the next page, unless it is the first of this one: then what does not fit is left out. */
  async *page(deliveries: readonly DeliveryRecord[], { limit, withBodies }: LogWish, end: PageEnd): AsyncGenerator {
    let leftBytes = PAGE_BODIES_BYTES_MAX;
    let items = 0;
    let before: DeliveryRecord | undefined;
    for (const delivery of deliveries) {
      const budget = { bytes: leftBytes };
      const views: unknown[] = [];
      const isFull = items >= limit;
      if (!isFull) for await (const view of this.#views(delivery, withBodies ? budget : undefined)) views.push(view);
      if (before !== undefined && (isFull || budget.bytes < 0)) {
        end.beforeId = before.id;
        return;
      }
      yield* views;
      items += views.length;
      leftBytes = budget.bytes;
      before = delivery;
    }
  }

  /** Without a budget there are no bodies at all. */
  async *#views(record: DeliveryRecord, budget: { bytes: number } | undefined): AsyncGenerator {
    const { store, acts, clock } = this.#parts;
    const attempts = await store.attemptsOf(record.id);
    const event = attempts.length === 0 || budget === undefined ? undefined : await store.readBody(record.id);
    const label = this.#label(record);
    for (const attempt of attempts) {
      if (budget === undefined) {
        yield attemptView({ ...attempt, responseBody: undefined }, label, undefined, clock);
        continue;
      }
      const body = budget.bytes > 0 ? acts.bodyOf(attempt, event) : undefined;
      budget.bytes -= (body?.length ?? 0) + (attempt.responseBody?.length ?? 0);
      yield attemptView(bounded(attempt, budget.bytes), label, budget.bytes >= 0 ? body : undefined, clock);
    }
  }
}

function bounded(attempt: AttemptRecord, bytesLeft: number): AttemptRecord {
  return bytesLeft >= 0 ? attempt : { ...attempt, responseBody: undefined };
}
