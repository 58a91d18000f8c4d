import type { SubscriptionName } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import { objectKey } from "../objects.ts";
import type { ResultSink, Resources, SubscriptionKey } from "../objects.ts";

/** A filter that fails may fail for every event: one Kubernetes Event a minute and subscription tells of it, the counter counts them all. */
const QUIET_MS = 60_000;
/** Longest message of an Event, in characters (the API server's own limit is 1,024). */
const MESSAGE_CHARS_MAX = 800;

/** Shows on the subscription that its filter failed at run time. */
export class FilterErrors {
  readonly #resources: Pick<Resources, "get">;
  readonly #sink: Pick<ResultSink, "recordEvent">;
  readonly #clock: Clock;
  readonly #toldAtMs = new Map<SubscriptionKey, number>();

  constructor(resources: Pick<Resources, "get">, sink: Pick<ResultSink, "recordEvent">, clock: Clock) {
    this.#resources = resources;
    this.#sink = sink;
    this.#clock = clock;
  }

  failed({ namespace, name }: SubscriptionName, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    const key = objectKey({ kind: "WebhookSubscription", namespace, name });
    if (nowMs - (this.#toldAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    for (const [other, atMs] of this.#toldAtMs) {
      if (nowMs - atMs < QUIET_MS) break;
      this.#toldAtMs.delete(other);
    }
    // Behind all others: those told longest ago come first.
    this.#toldAtMs.delete(key);
    this.#toldAtMs.set(key, nowMs);
    const object = this.#resources.get("WebhookSubscription", namespace, name);
    if (object === undefined) return;
    const text = `The filter failed for an event, which counts as no match: ${message}`.slice(0, MESSAGE_CHARS_MAX);
    this.#sink.recordEvent(object, { type: "Warning", reason: "FilterFailed", message: text });
  }
}
