import { lately, POD, SUBSCRIPTION, total, unless, worst } from "../alert.ts";
import type { Alert } from "../alert.ts";

const SINCE = worst(lately("postrider_endpoint_failing_since_timestamp_seconds"));
const FAILING = `time() - ${SINCE}`;
/** For long enough to have an alert of its own: a receiver that fails now and then is failing at many a scrape. */
const DOWN = `(${FAILING} > %failing%)`;
const HELD = (reasons: string): string => worst(lately(`postrider_subscription_held{reason=~"${reasons}"}`));
const LAST_ALL = "EndpointGone|AutoSuspended";
const ALL = total("postrider_subscriptions", "state");
const STATE = (state: string): string => total(`postrider_subscriptions{state="${state}"}`, "state");
/** How many receivers of an installation began to fail lately. Their namespaces are those of tenants. */
const TOGETHER = `count without (namespace, subscription) (time() - ${SINCE} < %within%)`;

/** Receivers and what is owed to them: state, not shares of attempts, so that a receiver with one event a day is seen like a busy one. */
export const RECEIVER_ALERTS: readonly Alert[] = [
  {
    name: "PostriderManyReceiversFailing",
    // A large share, or as many as do not begin to fail within half an hour by chance, however many others there are.
    expr: `${STATE("failing")} > %count% and ${STATE("failing")} / ${ALL} > %share% or ignoring (namespace) ${TOGETHER} >= %together%`,
    for: "5m",
    severity: "critical",
    summary: "Many receivers fail at the same time.",
    description:
      "Every attempt to {{ $value }} receivers fails. When many fail together, look for what they share first: name resolution, an egress proxy, a NetworkPolicy, certificates of authorities, the clock.",
    thresholds: { share: 0.2, count: 5, together: 20, within: 1_800 },
    dashboard: "fleet",
  },
  {
    name: "PostriderManySubscriptionsNotReady",
    expr: `${STATE("not_ready")} > %count% and ${STATE("not_ready")} / ${ALL} > %share%`,
    for: "5m",
    severity: "critical",
    summary: "Many subscriptions are not ready.",
    description:
      "{{ $value }} subscriptions are not ready. When many are refused together, look for what they share first: an edit of the ClusterDeliveryPolicy or of a DeliveryPolicy, or Secrets that can no longer be read.",
    thresholds: { share: 0.2, count: 5 },
    dashboard: "fleet",
  },
  {
    name: "PostriderSubscriptionNotReady",
    expr: `min without (${POD}) (${lately("postrider_subscription_ready")}) == 0`,
    for: "15m",
    severity: "warning",
    summary: `The subscription ${SUBSCRIPTION} is not ready.`,
    description:
      "Its manifest is rejected, or a Secret or policy that it names is missing or refuses it. A subscription that was never accepted receives no events at all; one that was accepted before keeps its last good spec, and what needs the missing reference waits until its maxAge. The condition Ready names the cause.",
    dashboard: "subscription",
  },
  {
    name: "PostriderSubscriptionSuspended",
    expr: `${HELD(LAST_ALL)} == 1`,
    for: "0m",
    severity: "warning",
    summary: `The subscription ${SUBSCRIPTION} is off.`,
    description:
      '{{ if eq $labels.reason "EndpointGone" }}Its receiver answered 410 Gone{{ else }}Every attempt failed for so long that it suspended itself{{ end }}: nothing is sent until someone resumes it. Matching events wait until their maxAge, then they fail for good.',
    dashboard: "subscription",
  },
  {
    name: "PostriderEndpointFailing",
    expr: unless(`${FAILING} > %seconds% < %until%`, HELD(LAST_ALL), "reason"),
    for: "0m",
    severity: "info",
    summary: `The receiver of ${SUBSCRIPTION} fails.`,
    description:
      "Every attempt has failed for {{ $value | humanizeDuration }}. Its deliveries are retried; no other subscription is slowed.",
    thresholds: { seconds: 900, until: 21_600 },
    dashboard: "subscription",
  },
  {
    name: "PostriderEndpointDown",
    expr: unless(`${FAILING} >= %seconds%`, HELD(LAST_ALL), "reason"),
    for: "0m",
    severity: "warning",
    summary: `The receiver of ${SUBSCRIPTION} has failed for hours.`,
    description:
      "Every attempt has failed for {{ $value | humanizeDuration }}. At the policy's retry.maxAge its deliveries fail for good, one after the other.",
    thresholds: { seconds: 21_600 },
    dashboard: "subscription",
  },
  {
    name: "PostriderEndpointUnreliable",
    // Attempts that fail now and then, and did so lately: what a short failure left behind in the share of the last attempts is no reason.
    expr: unless(
      `${worst(lately("postrider_endpoint_failure_ratio"))} > %share% and ${total('increase(postrider_delivery_attempts_total{outcome!="success"}[2h])', "outcome")} > 0`,
      DOWN,
    ),
    for: "30m",
    severity: "info",
    summary: `The receiver of ${SUBSCRIPTION} fails now and then.`,
    description:
      "{{ $value | humanizePercentage }} of its last attempts failed. Its deliveries arrive late, and some of them fail for good if this lasts.",
    thresholds: { share: 0.2, failing: 900 },
    dashboard: "subscription",
  },
  {
    name: "PostriderBacklogOld",
    // Not where another alert names the cause, and not where the spec asks for it.
    expr: unless(
      unless(
        unless(`${worst(lately("postrider_oldest_pending_age_seconds"))} > %seconds%`, HELD(`${LAST_ALL}|BySpec|RefsUnresolved`), "reason"),
        DOWN,
      ),
      `${worst(lately("postrider_endpoint_failure_ratio"))} > %share%`,
    ),
    for: "15m",
    severity: "warning",
    summary: `Deliveries of ${SUBSCRIPTION} wait for hours.`,
    description:
      "The oldest has waited {{ $value | humanizeDuration }} although its receiver answers: it is too slow for its events, its rateLimit or maxInFlight is too low, or it asks for pauses. At the policy's retry.maxAge deliveries fail for good.",
    thresholds: { seconds: 21_600, failing: 900, share: 0.2 },
    dashboard: "subscription",
  },
  {
    name: "PostriderDeliveriesFailed",
    expr: `${worst(lately("postrider_dead_letters"))} > 0`,
    for: "0m",
    severity: "warning",
    summary: `Deliveries of ${SUBSCRIPTION} failed for good.`,
    description:
      "{{ $value }} are stored and were not delivered later. They can be sent again until their retention ends; this alert ends when none is left.",
    dashboard: "subscription",
  },
];
