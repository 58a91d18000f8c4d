import type { SubscriptionName } from "../core/subscription.ts";
import { HELD_REASONS, type HeldReason, type QueueSeen } from "./queue-seen.ts";

/** A subscription whose oldest delivery is older than this is late, seconds. */
export const LATE_SECONDS = 300;
export const QUEUE_STATES = ["in_flight", "due", "waiting", "held"] as const;
export type QueueState = (typeof QUEUE_STATES)[number];
export const SUBSCRIPTION_STATES = ["ready", "not_ready", "held", "failing"] as const;
export type SubscriptionState = (typeof SUBSCRIPTION_STATES)[number];

/** What all queues come to together. */
export interface FleetTotals {
  readonly subscriptions: Readonly<Record<SubscriptionState, number>>;
  readonly held: Readonly<Record<HeldReason, number>>;
  readonly deliveries: Readonly<Record<QueueState, number>>;
  readonly late: number;
  readonly oldestAgeSeconds: number;
  readonly dueAgeSeconds: number;
  readonly inFlightOf: ReadonlyMap<string, number>;
}

/** These end by themselves: a subscription that is held by one is failing, not waiting for anyone. */
const PASSING: ReadonlySet<HeldReason> = new Set(["CircuitOpen", "RetryAfter"]);

/** Adds up the queues and the subscriptions; one without a queue has sent nothing yet. */
export function totalsOf(queues: Iterable<QueueSeen>, known: Iterable<SubscriptionName & { readonly ready: boolean }>): FleetTotals {
  const deliveries = zeros(QUEUE_STATES);
  const held = zeros(HELD_REASONS);
  const subscriptions = zeros(SUBSCRIPTION_STATES);
  const inFlightOf = new Map<string, number>();
  const troubled = new Map<string, "held" | "failing">();
  let [late, oldestAgeSeconds, dueAgeSeconds] = [0, 0, 0];
  for (const queue of queues) {
    const waiting = Math.max(0, queue.pending - queue.inFlight);
    deliveries.in_flight += queue.inFlight;
    deliveries[stateOf(queue)] += waiting;
    if (queue.held !== undefined) held[queue.held] += 1;
    if (queue.inFlight > 0) inFlightOf.set(queue.namespace, (inFlightOf.get(queue.namespace) ?? 0) + queue.inFlight);
    oldestAgeSeconds = Math.max(oldestAgeSeconds, queue.oldestAgeSeconds ?? 0);
    dueAgeSeconds = Math.max(dueAgeSeconds, queue.dueAgeSeconds ?? 0);
    if (queue.isDeadLetters) continue;
    if ((queue.oldestAgeSeconds ?? 0) > LATE_SECONDS) late += 1;
    const trouble = troubleOf(queue);
    if (trouble !== undefined) troubled.set(keyOf(queue), trouble);
  }
  for (const subscription of known) {
    const trouble = troubled.size === 0 ? undefined : troubled.get(keyOf(subscription));
    subscriptions[subscription.ready ? (trouble ?? "ready") : "not_ready"] += 1;
  }
  return { subscriptions, held, deliveries, late, oldestAgeSeconds, dueAgeSeconds, inFlightOf };
}

function stateOf({ held, dueAgeSeconds }: QueueSeen): QueueState {
  if (held !== undefined) return "held";
  return dueAgeSeconds === undefined ? "waiting" : "due";
}

function troubleOf({ held, failingSinceSeconds }: QueueSeen): "held" | "failing" | undefined {
  if (held !== undefined && !PASSING.has(held)) return "held";
  return failingSinceSeconds === undefined && held === undefined ? undefined : "failing";
}

function keyOf({ namespace, name }: SubscriptionName): string {
  return `${namespace}/${name}`;
}

function zeros<const T extends string>(words: readonly T[]): Record<T, number> {
  return Object.fromEntries(words.map((word) => [word, 0])) as Record<T, number>;
}
