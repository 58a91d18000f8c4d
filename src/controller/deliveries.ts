import type { SubscriptionHealth } from "../core/health.ts";

/** What the controller asks of the engine; the engine fulfils it, app/compose.ts joins the two. */
export interface Deliveries {
  /** False until what was owed at the start has been read: before that `pending` knows nothing, and nothing can be ended or resumed. */
  readonly ready: boolean;
  /** Undefined while nothing is known of the subscription. */
  health(uid: string): SubscriptionHealth | undefined;
  /**
   * Tells of changes. `transition`: a condition moved (written first, after a debounce); `counters`: only numbers moved.
   * The callback only notes a key; it must not throw.
   */
  onHealthChange(callback: (uid: string, kind: "transition" | "counters") => void): void;
  /** Lifts an automatic suspension (410 or autoSuspendAfter). Durable when it resolves. */
  resume(uid: string): Promise<void>;
  /** Rows of the subscription not ended yet. */
  pending(uid: string): number;
  /** The subscriptions to which anything is owed. */
  owing(): Iterable<string>;
  /** Ends what is left of a deleted subscription: to the dead-letter store, or thrown away. Answers how many. */
  end(uid: string, how: "dead-letter" | "discard"): Promise<number>;
}
