import type { Metrics } from "../../observe/metrics.ts";
import { refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";

/** Shows as a metric which subscriptions can send. */
export class ReadyGauge {
  readonly #metrics: Metrics | undefined;

  constructor(metrics: Metrics | undefined) {
    this.#metrics = metrics;
  }

  /** `ready` is undefined when the subscription is not there (any more). */
  show(key: SubscriptionKey, ready: boolean | undefined, hasFilter: boolean): void {
    if (this.#metrics === undefined) return;
    const subscription = refOfKey(key);
    if (ready !== undefined) this.#metrics.showSubscription(subscription, hasFilter);
    this.#metrics.perSubscription.readyIs(subscription, ready);
  }
}
