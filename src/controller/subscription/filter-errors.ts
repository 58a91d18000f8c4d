import type { FailedFilter } from "../../observe/events.ts";
import type { Clock } from "../../lib/clock.ts";
import { objectKey } from "../objects.ts";
import type { ResultSink, Resources, SubscriptionKey } from "../objects.ts";

/** A filter that fails may fail for every event: one Kubernetes Event a minute and subscription tells of it, the counter counts them all. */
const QUIET_MS = 60_000;
/** Longest message of an Event, in characters (the API server's own limit is 1,024). */
const MESSAGE_CHARS_MAX = 800;

/** What became of one filter at run time, since this process began to look. */
export interface FilterErrorCount {
  readonly filter: string | undefined;
  readonly sinceMs: number;
  count: number;
  lastAtMs: number;
  /** Of the newest. */
  message: string;
  /** Of the clock that never jumps: when an Event told of it. */
  toldAtMs: number;
}

/** Counts for each subscription the events for which its filter failed, and shows the first of each minute as an Event. */
export class FilterErrors {
  readonly #resources: Pick<Resources, "get">;
  readonly #sink: Pick<ResultSink, "recordEvent">;
  readonly #clock: Clock;
  /** At most one for each subscription that exists. */
  readonly #counts = new Map<SubscriptionKey, FilterErrorCount>();

  constructor(resources: Pick<Resources, "get">, sink: Pick<ResultSink, "recordEvent">, clock: Clock) {
    this.#resources = resources;
    this.#sink = sink;
    this.#clock = clock;
  }

  /** @returns whose status has changed; undefined where nobody knows the subscription any more */
  failed({ namespace, name, spec: { filter } }: FailedFilter, message: string): SubscriptionKey | undefined {
    const nowMs = this.#clock.monotonicMs();
    const key = objectKey({ kind: "WebhookSubscription", namespace, name });
    const known = this.#counts.get(key);
    const count = known?.filter === filter && known !== undefined ? known : this.#begin(filter, known?.toldAtMs);
    count.count += 1;
    count.lastAtMs = this.#clock.trueMs();
    count.message = message;
    if (known === count && nowMs - count.toldAtMs < QUIET_MS) return key;
    const object = this.#resources.get("WebhookSubscription", namespace, name);
    if (object === undefined) {
      this.#counts.delete(key);
      return undefined;
    }
    this.#counts.set(key, count);
    if (nowMs - count.toldAtMs < QUIET_MS) return key;
    count.toldAtMs = nowMs;
    const text = `The filter failed for an event, which counts as no match: ${message}`.slice(0, MESSAGE_CHARS_MAX);
    this.#sink.recordEvent(object, { type: "Warning", reason: "FilterFailed", message: text });
    return key;
  }

  /** What is known of the filter that is in force; another one begins anew. */
  of(key: SubscriptionKey, filter: string | undefined): FilterErrorCount | undefined {
    const known = this.#counts.get(key);
    return known?.filter === filter ? known : undefined;
  }

  forget(key: SubscriptionKey): void {
    this.#counts.delete(key);
  }

  #begin(filter: string | undefined, toldAtMs = Number.NEGATIVE_INFINITY): FilterErrorCount {
    const nowMs = this.#clock.trueMs();
    return { filter, sinceMs: nowMs, count: 0, lastAtMs: nowMs, message: "", toldAtMs };
  }
}
