import type { Metrics } from "../../observe/metrics.ts";
import { refOfKey } from "../objects.ts";
import type { SubscriptionKey } from "../objects.ts";

/** Shows as a metric which subscriptions can send, where metrics by subscription are wanted. */
export class ReadyGauge {
  readonly #metrics: Metrics | undefined;
  /** Keys whose counters are there to be read. */
  readonly #shown = new Set<SubscriptionKey>();

  constructor(metrics: Metrics | undefined) {
    this.#metrics = metrics?.perSubscription === "off" ? undefined : metrics;
  }

  /** `ready` is undefined when the subscription is not there (any more). */
  show(key: SubscriptionKey, ready: boolean | undefined): void {
    if (this.#metrics === undefined) return;
    const { namespace, name: subscription } = refOfKey(key);
    if (ready === undefined) {
      this.#shown.delete(key);
      this.#metrics.subscriptionReady.remove({ namespace, subscription });
      return;
    }
    if (!this.#shown.has(key)) this.#metrics.showSubscription(namespace, subscription);
    this.#shown.add(key);
    this.#metrics.subscriptionReady.set({ namespace, subscription }, ready ? 1 : 0);
  }
}
