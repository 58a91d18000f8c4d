import { expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics.ts";
import type { QueueSeen } from "../../../src/observe/queue-seen.ts";
import type { PerSubscriptionMetrics } from "../../../src/observe/subscription-series.ts";

const ORDERS = { namespace: "shop", name: "orders" };

function seen(part: Partial<QueueSeen> = {}): QueueSeen {
  return {
    ...ORDERS,
    isDeadLetters: false,
    pending: 0,
    inFlight: 0,
    oldestAgeSeconds: undefined,
    dueAgeSeconds: undefined,
    held: undefined,
    circuitIsOpen: false,
    failingSinceSeconds: undefined,
    failureRatio: undefined,
    deadLetters: undefined,
    deadLettersExpirySeconds: undefined,
    lastSuccessSeconds: undefined,
    nextAttemptSeconds: undefined,
    ...part,
  };
}

/** Lines of the second page without `postrider_` and the labels that all have. */
function linesOf(metrics: Metrics): string[] {
  const lines = [...metrics.exposeSubscriptions()].join("").split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) =>
      line
        .replace("postrider_", "")
        .replace(/namespace="shop",subscription="orders",?/, "")
        .replace("{}", ""),
    );
}

function metricsAt(perSubscription: PerSubscriptionMetrics): Metrics {
  return new Metrics({ version: "test", defaults: false, perSubscription });
}

function busy(perSubscription: PerSubscriptionMetrics): Metrics {
  const metrics = metricsAt(perSubscription);
  metrics.showSubscription(ORDERS, true);
  metrics.perSubscription.readyIs(ORDERS, true);
  metrics.perSubscription.attempted(ORDERS, "timeout", 2);
  metrics.perSubscription.ended(ORDERS, "failed");
  metrics.perSubscription.filterFailed(ORDERS);
  metrics.readQueues(() => [
    seen({ pending: 2, oldestAgeSeconds: 400, held: "CircuitOpen", circuitIsOpen: true, failingSinceSeconds: 1_000 }),
  ]);
  return metrics;
}

const STATES = [
  "subscription_ready 1",
  'subscription_held{reason="CircuitOpen"} 1',
  "endpoint_failing_since_timestamp_seconds 1000",
  "circuit_open 1",
  "deliveries_pending 2",
  "oldest_pending_age_seconds 400",
  'deliveries_total{outcome="failed"} 1',
  'delivery_attempts_total{outcome="timeout"} 1',
  "filter_errors_total 1",
];

it("at the level counters everything is shown but the durations", () => {
  expect(linesOf(busy("counters"))).toEqual(STATES);
});

it("at the level full the durations come with it", () => {
  const lines = linesOf(busy("full"));
  expect(lines.slice(0, STATES.length)).toEqual(STATES);
  const durations = lines.slice(STATES.length);
  expect(durations).toContain('delivery_attempt_duration_seconds_bucket{le="1.0"} 0');
  expect(durations).toContain('delivery_attempt_duration_seconds_bucket{le="2.0"} 1');
  expect(durations).toContain('delivery_attempt_duration_seconds_bucket{le="+Inf"} 1');
  expect(durations.slice(-2)).toEqual(["delivery_attempt_duration_seconds_sum 2", "delivery_attempt_duration_seconds_count 1"]);
});

it("at the level off the page is empty, and what is shown of all together is as before", async () => {
  const metrics = busy("off");
  expect([...metrics.exposeSubscriptions()].join("")).toBe("");
  const text = await metrics.expose();
  for (const line of [
    'subscriptions{state="failing"} 1',
    'subscriptions{state="ready"} 0',
    'subscriptions_held{reason="CircuitOpen"} 1',
    'queue_deliveries{state="held"} 2',
    "subscriptions_late 1",
    "oldest_pending_age_max_seconds 400",
  ])
    expect(text).toContain(`\npostrider_${line}\n`);
});

it("a subscription that has sent nothing has three series, and its failures begin at 0", () => {
  const metrics = metricsAt("full");
  metrics.showSubscription(ORDERS, true);
  metrics.perSubscription.readyIs(ORDERS, false);
  expect(linesOf(metrics)).toEqual(["subscription_ready 0", 'deliveries_total{outcome="failed"} 0', "filter_errors_total 0"]);
});

it("nothing is left of a subscription that is forgotten, and it begins again at 0", () => {
  const metrics = busy("full");
  metrics.readQueues(() => []);
  metrics.forgetSubscription(ORDERS);
  expect(linesOf(metrics)).toEqual([]);
  metrics.showSubscription(ORDERS, false);
  expect(linesOf(metrics)).toEqual(['deliveries_total{outcome="failed"} 0']);
});

it("each subscription is in one state: not ready before held, held before failing", async () => {
  const metrics = metricsAt("counters");
  const states: [string, boolean, Partial<QueueSeen>][] = [
    ["a", true, {}],
    ["b", false, { held: "BySpec" }],
    ["c", true, { held: "EndpointGone", failingSinceSeconds: 1 }],
    ["d", true, { held: "RetryAfter", failingSinceSeconds: 1 }],
    ["e", true, { failingSinceSeconds: 1 }],
    ["e#deadletter", true, { isDeadLetters: true, failingSinceSeconds: 1, oldestAgeSeconds: 1_000 }],
  ];
  for (const [name, ready, { isDeadLetters }] of states)
    if (isDeadLetters !== true) metrics.perSubscription.readyIs({ namespace: "shop", name }, ready);
  metrics.readQueues(() => states.map(([name, , part]) => seen({ name, ...part })));
  const text = await metrics.expose();
  const found = [...text.matchAll(/^postrider_subscriptions\{state="(\w+)"\} (\d+)$/gm)].map(([, state, count]) => `${state} ${count}`);
  expect(found).toEqual(["ready 1", "not_ready 1", "held 1", "failing 2"]);
  expect(text).toContain("\npostrider_subscriptions_late 0\n");
});
