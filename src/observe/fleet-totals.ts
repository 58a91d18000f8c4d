import { setImmediate as nextTurn } from "node:timers/promises";
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
  readonly deadLetters: number;
  readonly oldestAgeSeconds: number;
  readonly dueAgeSeconds: number;
  readonly inFlightOf: ReadonlyMap<string, number>;
}

/** These end by themselves: a subscription that is held by one is failing, not waiting for anyone. */
const PASSING: ReadonlySet<HeldReason> = new Set(["CircuitOpen", "RetryAfter"]);

/** Queues added up before others have their turn: about 5 ms. */
const QUEUES_A_TURN = 2_500;

/** Adds up the queues and the subscriptions; one without a queue has sent nothing yet. Between pieces of it others have their turn. */
export async function totalsOf(
  queues: Iterable<QueueSeen>,
  known: Iterable<SubscriptionName & { readonly ready: boolean }>,
): Promise<FleetTotals> {
  const sum = new FleetSum();
  let added = 0;
  for (const queue of queues) {
    sum.add(queue);
    if (++added % QUEUES_A_TURN === 0) await nextTurn();
  }
  for (const subscription of known) {
    sum.addSubscription(subscription);
    if (++added % QUEUES_A_TURN === 0) await nextTurn();
  }
  return sum;
}

class FleetSum implements FleetTotals {
  readonly deliveries = zeros(QUEUE_STATES);
  readonly held = zeros(HELD_REASONS);
  readonly subscriptions = zeros(SUBSCRIPTION_STATES);
  readonly inFlightOf = new Map<string, number>();
  late = 0;
  deadLetters = 0;
  oldestAgeSeconds = 0;
  dueAgeSeconds = 0;
  /** By namespace and name. */
  readonly #troubled = new Map<string, Map<string, "held" | "failing">>();

  add(queue: QueueSeen): void {
    const { namespace, pending, inFlight, held } = queue;
    const oldestAgeSeconds = queue.oldestAgeSeconds ?? 0;
    this.deliveries.in_flight += inFlight;
    if (pending > inFlight) this.#addWaiting(queue, held, pending - inFlight);
    if (held !== undefined) this.held[held] += 1;
    if (inFlight > 0) this.inFlightOf.set(namespace, (this.inFlightOf.get(namespace) ?? 0) + inFlight);
    this.oldestAgeSeconds = Math.max(this.oldestAgeSeconds, oldestAgeSeconds);
    this.deadLetters += queue.deadLetters ?? 0;
    if (queue.isDeadLetters) return;
    if (oldestAgeSeconds > LATE_SECONDS) this.late += 1;
    const trouble = troubleOf(held, queue.failingSinceSeconds);
    if (trouble === undefined) return;
    let below = this.#troubled.get(namespace);
    if (below === undefined) this.#troubled.set(namespace, (below = new Map()));
    below.set(queue.name, trouble);
  }

  addSubscription({ namespace, name, ready }: SubscriptionName & { readonly ready: boolean }): void {
    this.subscriptions[ready ? (this.#troubled.get(namespace)?.get(name) ?? "ready") : "not_ready"] += 1;
  }

  #addWaiting(queue: QueueSeen, held: HeldReason | undefined, waiting: number): void {
    const dueAgeSeconds = held === undefined ? queue.dueAgeSeconds : undefined;
    this.deliveries[held !== undefined ? "held" : dueAgeSeconds === undefined ? "waiting" : "due"] += waiting;
    this.dueAgeSeconds = Math.max(this.dueAgeSeconds, dueAgeSeconds ?? 0);
  }
}

function troubleOf(held: HeldReason | undefined, failingSinceSeconds: number | undefined): "held" | "failing" | undefined {
  if (held !== undefined && !PASSING.has(held)) return "held";
  return failingSinceSeconds === undefined && held === undefined ? undefined : "failing";
}

function zeros<const T extends string>(words: readonly T[]): Record<T, number> {
  return Object.fromEntries(words.map((word) => [word, 0])) as Record<T, number>;
}
