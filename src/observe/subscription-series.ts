import type { TerminalState } from "../core/delivery.ts";
import type { OutcomeClass } from "../core/outcome.ts";
import type { SubscriptionName } from "../core/subscription.ts";
import { SUBSCRIPTION_ATTEMPT_BUCKETS as BUCKETS } from "./buckets.ts";
import { type Family, type MetricKind, PageText, boundText, escaped, type PageForm } from "./exposition.ts";
import type { QueueSeen } from "./queue-seen.ts";

/** How much is shown per subscription: clusters with tens of thousands of them turn it down. */
export type PerSubscriptionMetrics = "full" | "counters" | "off";

const SUBSCRIPTION = ["namespace", "subscription"] as const;
export const OUTCOMES: readonly OutcomeClass[] = [
  "success",
  "client_error",
  "server_error",
  "timeout",
  "connect_error",
  "dns_error",
  "tls_error",
  "blocked",
];
export const ENDS: readonly TerminalState[] = ["delivered", "failed", "discarded"];
const OUTCOME_AT = Object.fromEntries(OUTCOMES.map((outcome, i) => [outcome, i])) as Readonly<Record<OutcomeClass, number>>;
const END_AT = Object.fromEntries(ENDS.map((end, i) => [end, i])) as Readonly<Record<TerminalState, number>>;
const FAILED_AT = END_AT.failed;

/** What is counted of one subscription. Each list is made with its first count: thousands of subscriptions may never send anything. */
interface Counted {
  ready: boolean | undefined;
  /** By outcome; 0 = no series yet, but for failed deliveries. */
  attempts: number[] | undefined;
  ended: number[] | undefined;
  /** Failed deliveries are shown before the first: an increase that begins at 1 is none for an alert. */
  isShown: boolean;
  filterErrors: number | undefined;
  /** By bucket, not summed up; the last one is above all bounds. */
  durations: number[] | undefined;
  durationSum: number;
}

export interface SubscriptionFamily extends Family {
  readonly labelNames: readonly string[];
  readonly lines: (page: PageText, queues: readonly QueueSeen[]) => Iterable<undefined>;
}

/**
 * What is shown per subscription. An attempt costs two look-ups and a few additions; states are read from the queues when a page is made and
 * kept nowhere.
 */
export class SubscriptionSeries {
  readonly level: PerSubscriptionMetrics;
  readonly #counted = new Map<string, Map<string, Counted>>();
  #queues: () => Iterable<QueueSeen> = () => [];

  constructor(level: PerSubscriptionMetrics) {
    this.level = level;
  }

  /** Asked for each page. */
  readQueues(queues: () => Iterable<QueueSeen>): void {
    this.#queues = queues;
  }

  /** The subscription is known; its alerts need counters that begin at 0. */
  show({ namespace, name }: SubscriptionName, hasFilter: boolean): void {
    if (this.level === "off") return;
    const counted = this.#of(namespace, name);
    counted.isShown = true;
    if (hasFilter) counted.filterErrors ??= 0;
  }

  /** Whether it is ready; undefined = it is not there any more. Needed at every level: the number of those that are ready is shown at all. */
  readyIs({ namespace, name }: SubscriptionName, ready: boolean | undefined): void {
    if (ready !== undefined) this.#of(namespace, name).ready = ready;
    else {
      const counted = this.#counted.get(namespace)?.get(name);
      if (counted !== undefined) counted.ready = undefined;
    }
  }

  attempted({ namespace, name }: SubscriptionName, outcome: OutcomeClass, seconds: number): void {
    if (this.level === "off") return;
    const counted = this.#of(namespace, name);
    counted.attempts ??= OUTCOMES.map(() => 0);
    counted.attempts[OUTCOME_AT[outcome]]! += 1;
    if (this.level !== "full") return;
    counted.durations ??= Array.from({ length: BUCKETS.length + 1 }, () => 0);
    let at = 0;
    while (at < BUCKETS.length && seconds > BUCKETS[at]!) at++;
    counted.durations[at]! += 1;
    counted.durationSum += seconds;
  }

  ended({ namespace, name }: SubscriptionName, state: TerminalState): void {
    if (this.level === "off") return;
    const counted = this.#of(namespace, name);
    counted.ended ??= ENDS.map(() => 0);
    counted.ended[END_AT[state]]! += 1;
  }

  filterFailed({ namespace, name }: SubscriptionName): void {
    if (this.level === "off") return;
    const counted = this.#of(namespace, name);
    counted.filterErrors = (counted.filterErrors ?? 0) + 1;
  }

  /** Forgets all of a subscription, so that deleted ones do not stay for ever. */
  forget({ namespace, name }: SubscriptionName): void {
    const below = this.#counted.get(namespace);
    below?.delete(name);
    if (below?.size === 0) this.#counted.delete(namespace);
  }

  /** Every subscription of which it is known whether it is ready. */
  *known(): Iterable<SubscriptionName & { readonly ready: boolean }> {
    for (const [namespace, below] of this.#counted)
      for (const [name, { ready }] of below) if (ready !== undefined) yield { namespace, name, ready };
  }

  /** The page, in pieces of text; between them others may have their turn. Families that have nothing to show have their head all the same. */
  *page(form: PageForm): Generator<string, void, undefined> {
    const page = new PageText(form);
    if (this.level !== "off") yield* this.#pieces(page);
    yield page.end();
  }

  *#pieces(page: PageText): Generator<string, void, undefined> {
    const queues: QueueSeen[] = [];
    for (const queue of this.#queues()) if (queues.push(queue) % SEEN_A_PIECE === 0) yield "";
    for (const family of this.families()) {
      page.head(family);
      for (const _ of family.lines(page, queues)) if (page.isFull) yield page.take();
    }
  }

  families(): readonly SubscriptionFamily[] {
    return [...this.#states(), ...this.#counters(), ...(this.level === "full" ? [this.#durations()] : [])];
  }

  #states(): SubscriptionFamily[] {
    const gauge = (name: string, help: string, value: (queue: QueueSeen) => number | undefined): SubscriptionFamily =>
      familyOf({ name, help, kind: "gauge" }, (page, full, queues) => linesOf(page, full, queues, value));
    return [
      familyOf({ name: "subscription_ready", help: "1 when the subscription's Ready condition is True.", kind: "gauge" }, (page, full) =>
        this.#each(({ ready }, labels) => {
          if (ready !== undefined) page.line(full, labels, ready ? 1 : 0);
        }),
      ),
      heldFamily(),
      gauge(
        "endpoint_failing_since_timestamp_seconds",
        "Since when every attempt has failed, in seconds since 1970.",
        (queue) => queue.failingSinceSeconds,
      ),
      gauge("endpoint_failure_ratio", "Share of failures over about the last 20 attempts.", (queue) => queue.failureRatio),
      gauge(
        "last_success_timestamp_seconds",
        "When the receiver last accepted a delivery, in seconds since 1970.",
        (queue) => queue.lastSuccessSeconds,
      ),
      gauge(
        "next_attempt_timestamp_seconds",
        "When the next attempt may begin, in seconds since 1970.",
        (queue) => queue.nextAttemptSeconds,
      ),
      gauge("circuit_open", "1 while the circuit breaker holds deliveries back.", (queue) => (queue.circuitIsOpen ? 1 : 0)),
      gauge("deliveries_pending", "Deliveries accepted and not yet ended.", (queue) => queue.pending),
      gauge(
        "oldest_pending_age_seconds",
        "Age of the oldest delivery that has not ended, in seconds.",
        (queue) => queue.oldestAgeSeconds ?? 0,
      ),
      gauge(
        "dead_letters",
        "Failed deliveries in the store that were neither delivered later nor forwarded.",
        (queue) => queue.deadLetters,
      ),
      gauge(
        "dead_letters_oldest_expiry_timestamp_seconds",
        "When the first of the dead letters is deleted, in seconds since 1970.",
        (queue) => queue.deadLettersExpirySeconds,
      ),
    ];
  }

  #counters(): SubscriptionFamily[] {
    return [
      familyOf(
        { name: "deliveries_total", help: "Deliveries that ended, by outcome.", kind: "counter", labelNames: ["outcome"] },
        (page, full) =>
          this.#each(({ ended, isShown }, labels) => {
            for (const [i, end] of ENDS.entries()) {
              const count = ended?.[i] ?? 0;
              if (count > 0 || (i === FAILED_AT && (isShown || ended !== undefined))) page.line(full, `${labels},outcome="${end}"`, count);
            }
          }),
      ),
      familyOf(
        { name: "delivery_attempts_total", help: "HTTP attempts by outcome.", kind: "counter", labelNames: ["outcome"] },
        (page, full) =>
          this.#each(({ attempts }, labels) => {
            if (attempts === undefined) return;
            for (const [i, count] of attempts.entries()) if (count > 0) page.line(full, `${labels},outcome="${OUTCOMES[i]}"`, count);
          }),
      ),
      familyOf(
        { name: "filter_errors_total", help: "Filters that failed for an event (counted as no match).", kind: "counter" },
        (page, full) =>
          this.#each(({ filterErrors }, labels) => {
            if (filterErrors !== undefined) page.line(full, labels, filterErrors);
          }),
      ),
    ];
  }

  #durations(): SubscriptionFamily {
    const help = "Duration of one attempt, in seconds.";
    return familyOf({ name: "delivery_attempt_duration_seconds", help, kind: "histogram" }, (page, full) =>
      this.#each(({ durations, durationSum }, labels) => {
        if (durations === undefined) return;
        let below = 0;
        for (const [i, count] of durations.entries()) page.line(`${full}_bucket`, `${labels},${LE[i]}`, (below += count));
        page.line(`${full}_sum`, labels, durationSum);
        page.line(`${full}_count`, labels, below);
      }),
    );
  }

  *#each(write: (counted: Counted, labels: string) => void): Iterable<undefined> {
    for (const [namespace, below] of this.#counted) {
      const prefix = `namespace="${escaped(namespace)}",subscription="`;
      for (const [name, counted] of below) {
        write(counted, `${prefix}${escaped(name)}"`);
        yield;
      }
    }
  }

  #of(namespace: string, name: string): Counted {
    let below = this.#counted.get(namespace);
    if (below === undefined) this.#counted.set(namespace, (below = new Map()));
    let counted = below.get(name);
    if (counted === undefined) below.set(name, (counted = nothing()));
    return counted;
  }
}

/** Queues looked at before others have their turn. */
const SEEN_A_PIECE = 500;
const LE = [...BUCKETS, Number.POSITIVE_INFINITY].map((bound) => `le="${boundText(bound)}"`);

function nothing(): Counted {
  return {
    ready: undefined,
    attempts: undefined,
    ended: undefined,
    isShown: false,
    filterErrors: undefined,
    durations: undefined,
    durationSum: 0,
  };
}

interface FamilyGiven extends Family {
  readonly kind: MetricKind;
  readonly labelNames?: readonly string[];
}

function familyOf(
  { name, help, kind, labelNames = [] }: FamilyGiven,
  lines: (page: PageText, full: string, queues: readonly QueueSeen[]) => Iterable<undefined>,
): SubscriptionFamily {
  const full = `postrider_${name}`;
  return { name: full, help, kind, labelNames: [...SUBSCRIPTION, ...labelNames], lines: (page, queues) => lines(page, full, queues) };
}

function* linesOf(
  page: PageText,
  full: string,
  queues: readonly QueueSeen[],
  value: (queue: QueueSeen) => number | undefined,
): Iterable<undefined> {
  for (const queue of queues) {
    const shown = value(queue);
    if (shown !== undefined) page.line(full, labelsOf(queue), shown);
    yield;
  }
}

function heldFamily(): SubscriptionFamily {
  const help = "1 while the subscription sends nothing, with the reason that lasts longest.";
  return familyOf({ name: "subscription_held", help, kind: "gauge", labelNames: ["reason"] }, function* lines(page, full, queues) {
    for (const queue of queues) {
      if (queue.held !== undefined) page.line(full, `${labelsOf(queue)},reason="${queue.held}"`, 1);
      yield;
    }
  });
}

function labelsOf({ namespace, name }: SubscriptionName): string {
  return `namespace="${escaped(namespace)}",subscription="${escaped(name)}"`;
}
