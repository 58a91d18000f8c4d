/**
 * What Prometheus holds in each kind of trouble, as promtool writes series (one value a minute), on top of an installation that is well.
 * Trouble begins after an hour and is looked at an hour later.
 */

type Series = Readonly<Record<string, string>>;

const PROCESS = 'namespace="postrider-system",job="postrider",instance="a:9090"';
const SHOP = 'job="postrider",instance="a:9090",namespace="shop"';
const of = (subscription: string): string => `${SHOP},subscription="${subscription}"`;

/** Twenty-one subscriptions, steady traffic, nothing that anyone must know. */
export const WELL: Series = {
  [`up{${PROCESS}}`]: "1+0x120",
  [`postrider_build_info{${PROCESS},version="1"}`]: "1+0x120",
  [`postrider_starts_total{${PROCESS},how="clean"}`]: "4+0x120",
  [`postrider_starts_total{${PROCESS},how="killed"}`]: "1+0x120",
  [`postrider_class_held{${PROCESS}}`]: "1+0x120",
  [`postrider_store_writable{${PROCESS}}`]: "1+0x120",
  [`postrider_oldest_due_age_seconds{${PROCESS}}`]: "0+0x120",
  [`postrider_loop_stall_max_seconds{${PROCESS}}`]: "0.3+0x120",
  [`postrider_manifests_refused{${PROCESS}}`]: "0+0x120",
  [`postrider_ingest_requests_total{${PROCESS},code="202"}`]: "0+600x120",
  [`postrider_ingest_requests_total{${PROCESS},code="503"}`]: "0+0x120",
  [`postrider_ingest_refused_total{${SHOP},code="rate_limited"}`]: "0+0x120",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="0.01"}`]: "0+600x120",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="2.0"}`]: "0+600x120",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="+Inf"}`]: "0+600x120",
  [`postrider_watch_last_event_seconds{${PROCESS},kind="Secret"}`]: "30+0x120",
  [`postrider_watch_synced{${PROCESS},kind="Secret",scope="*"}`]: "1+0x120",
  [`postrider_subscriptions{${PROCESS},state="ready"}`]: "21+0x120",
  [`postrider_subscriptions{${PROCESS},state="failing"}`]: "0+0x120",
  [`postrider_subscriptions{${PROCESS},state="held"}`]: "0+0x120",
  [`postrider_subscriptions{${PROCESS},state="not_ready"}`]: "0+0x120",
  [`postrider_queue_deliveries{${PROCESS},state="in_flight"}`]: "2+0x120",
  [`postrider_queue_deliveries{${PROCESS},state="waiting"}`]: "0+0x120",
  [`postrider_queue_deliveries{${PROCESS},state="held"}`]: "0+0x120",
  [`postrider_deliveries_ended_total{${SHOP},outcome="delivered"}`]: "0+600x120",
  [`postrider_deliveries_ended_total{${SHOP},outcome="failed"}`]: "0+0x120",
  [`postrider_subscription_ready{${of("orders")}}`]: "1+0x120",
  [`postrider_subscription_ready{${of("dead")}}`]: "1+0x120",
  [`postrider_filter_errors_total{${of("orders")}}`]: "0+0x120",
};

/** Failing since the 60th minute, in seconds of Prometheus's time, which begins at 0 here. */
const SINCE_60 = "_x60 3600+0x60";
const failing = (subscription: string): Series => ({
  [`postrider_endpoint_failing_since_timestamp_seconds{${of(subscription)}}`]: SINCE_60,
  [`postrider_endpoint_failure_ratio{${of(subscription)}}`]: "_x60 1+0x60",
});
const inState = (state: string, count: number): Series => ({
  [`postrider_subscriptions{${PROCESS},state="${state}"}`]: `0+0x59 ${String(count)}+0x60`,
});
const held = (subscription: string, reason: string): Series => ({
  [`postrider_subscription_held{${of(subscription)},reason="${reason}"}`]: "_x60 1+0x60",
  [`postrider_subscriptions_held{${PROCESS},reason="${reason}"}`]: "0+0x59 1+0x60",
});
const NOTHING_DELIVERED: Series = { [`postrider_deliveries_ended_total{${SHOP},outcome="delivered"}`]: "0+600x60 36000+0x60" };
const notReady = (subscription: string): Series => ({
  [`postrider_subscription_ready{${of(subscription)}}`]: "1+0x59 0+0x60",
});

/** A trouble, and what the first screen must say of it. */
export interface Trouble {
  readonly name: string;
  readonly series: Series;
  readonly delivering: string;
  readonly whose: string;
  /** State by `namespace/subscription`, as the table shows it. */
  readonly who: Readonly<Record<string, string>>;
  readonly sinceMinutes: number;
}

const RECEIVERS = "Them: receivers";
const OWNERS = "Them: owners or producers";
/** What is counted by minutes has one in the minute that it began. */
const COUNTED = 61;
/** Of a subscription that does not fail it is counted in steps of five minutes. */
const IN_STEPS = 65;

export const TROUBLES: readonly Trouble[] = [
  { name: "a quiet day", series: {}, delivering: "Yes", whose: "No trouble", who: {}, sinceMinutes: 0 },
  {
    name: "no one sends anything",
    series: { ...NOTHING_DELIVERED, [`postrider_queue_deliveries{${PROCESS},state="in_flight"}`]: "2+0x59 0+0x60" },
    delivering: "Nothing to send",
    whose: "No trouble",
    who: {},
    sinceMinutes: 0,
  },
  {
    name: "a receiver answers 500 (as one that hangs, whose certificate has expired, or whose name is gone)",
    series: { ...failing("dead"), ...inState("failing", 1), ...held("dead", "CircuitOpen") },
    delivering: "Yes",
    whose: RECEIVERS,
    who: { "shop/dead": "Circuit open" },
    sinceMinutes: 60,
  },
  {
    name: "one event, and its receiver is down for good",
    series: {
      ...NOTHING_DELIVERED,
      ...failing("dead"),
      ...inState("failing", 1),
      [`postrider_queue_deliveries{${PROCESS},state="waiting"}`]: "0+0x59 1+0x60",
    },
    delivering: "No: all that is pending waits for receivers or owners",
    whose: RECEIVERS,
    who: { "shop/dead": "Failing" },
    sinceMinutes: 60,
  },
  {
    name: "a receiver fails half of the time",
    series: { [`postrider_endpoint_failure_ratio{${of("dead")}}`]: "_x60 0.49+0x60" },
    delivering: "Yes",
    whose: RECEIVERS,
    who: { "shop/dead": "Fails partly" },
    sinceMinutes: IN_STEPS,
  },
  {
    name: "a receiver answers 410",
    series: { ...failing("dead"), ...inState("held", 1), ...held("dead", "EndpointGone") },
    delivering: "Yes",
    whose: RECEIVERS,
    who: { "shop/dead": "Off: 410 Gone" },
    sinceMinutes: 60,
  },
  {
    name: "one policy refuses twenty subscriptions",
    series: {
      ...inState("not_ready", 20),
      ...(Object.assign({}, ...Array.from({ length: 20 }, (_, i) => notReady(`s${String(i)}`))) as Series),
    },
    delivering: "Yes",
    whose: OWNERS,
    who: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`shop/s${String(i)}`, "Not ready"])),
    sinceMinutes: IN_STEPS,
  },
  {
    name: "a receiver asks for a pause of ten minutes",
    series: { ...failing("dead"), ...held("dead", "RetryAfter") },
    delivering: "Yes",
    whose: RECEIVERS,
    who: { "shop/dead": "Paused: Retry-After" },
    sinceMinutes: 60,
  },
  {
    name: "a Secret is missing",
    series: { ...notReady("dead"), ...inState("not_ready", 1), ...held("dead", "RefsUnresolved") },
    delivering: "Yes",
    whose: OWNERS,
    who: { "shop/dead": "Secret or policy missing" },
    sinceMinutes: IN_STEPS,
  },
  {
    name: "a manifest in a file is broken",
    series: { [`postrider_manifests_refused{${PROCESS}}`]: "0+0x59 1+0x60" },
    delivering: "Yes",
    whose: OWNERS,
    who: {},
    sinceMinutes: COUNTED,
  },
  {
    name: "a subscription is suspended by its owner",
    series: { ...held("dead", "BySpec"), ...inState("held", 1) },
    delivering: "Yes",
    whose: "No trouble",
    who: { "shop/dead": "Suspended by its spec" },
    sinceMinutes: 0,
  },
  {
    name: "the disk is full",
    series: { [`postrider_store_writable{${PROCESS}}`]: "1+0x59 0+0x60" },
    delivering: "Yes",
    whose: "Us",
    who: {},
    sinceMinutes: COUNTED,
  },
  {
    name: "ten thousand are due and not sent",
    series: {
      [`postrider_oldest_due_age_seconds{${PROCESS}}`]: "0+0x59 60+0x60",
      [`postrider_queue_deliveries{${PROCESS},state="due"}`]: "0+0x59 10000+0x60",
    },
    delivering: "Late: deliveries are due and not sent",
    whose: "Us",
    who: {},
    sinceMinutes: COUNTED,
  },
  {
    name: "commits take 1.5 s",
    series: {
      [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="0.01"}`]: "0+600x60 36000+0x60",
      [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="2.0"}`]: "0+600x120",
    },
    delivering: "Yes",
    whose: "Us",
    who: {},
    sinceMinutes: 60,
  },
  {
    name: "the event loop stands still for 13 s",
    series: { [`postrider_loop_stall_max_seconds{${PROCESS}}`]: "0.3+0x114 13+0x5" },
    delivering: "Yes",
    whose: "Us",
    who: {},
    sinceMinutes: 6,
  },
  {
    name: "a producer is locked out",
    series: { [`postrider_ingest_refused_total{${SHOP},code="token_invalid"}`]: "0+0x59 0+5x60" },
    delivering: "Yes",
    whose: OWNERS,
    who: {},
    sinceMinutes: 58,
  },
  {
    name: "a filter fails",
    series: { [`postrider_filter_errors_total{${of("orders")}}`]: "0+0x59 1+1x60" },
    delivering: "Yes",
    whose: OWNERS,
    who: { "shop/orders": "Filter fails" },
    sinceMinutes: IN_STEPS,
  },
  {
    name: "a crash loop",
    series: {
      [`up{${PROCESS}}`]: "1+0x59 0 1 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 0+0x29",
      [`postrider_build_info{${PROCESS},version="1"}`]: "1+0x59 stale 1 stale _ 1 stale",
      [`postrider_starts_total{${PROCESS},how="killed"}`]: "1+0x59 stale 2 stale _ 3 stale",
    },
    delivering: "No: it is not running",
    whose: "Us",
    who: {},
    sinceMinutes: 56,
  },
  {
    name: "one of two installations is gone",
    series: {
      'up{namespace="other",job="postrider",instance="b:9090"}': "1+0x59 0+0x60",
      'postrider_build_info{namespace="other",job="postrider",instance="b:9090",version="1"}': "1+0x59 stale",
    },
    delivering: "No: it is not running",
    whose: "Us",
    who: {},
    sinceMinutes: COUNTED,
  },
  {
    name: "another installation serves the class",
    series: { [`postrider_class_held{${PROCESS}}`]: "1+0x59 0+0x60" },
    delivering: "No: another installation serves its class",
    whose: "Us",
    who: {},
    sinceMinutes: 60,
  },
  {
    name: "the API server is silent",
    series: { [`postrider_watch_last_event_seconds{${PROCESS},kind="Secret"}`]: "30+0x59 400+60x60" },
    delivering: "Yes",
    whose: "Us",
    who: {},
    sinceMinutes: COUNTED,
  },
  {
    name: "a hundred receivers fail, and Postrider is late at the same time",
    series: {
      ...inState("failing", 2),
      ...failing("a"),
      ...failing("b"),
      [`postrider_oldest_due_age_seconds{${PROCESS}}`]: "0+0x99 60+0x20",
    },
    delivering: "Late: deliveries are due and not sent",
    whose: "Us, and receivers",
    who: { "shop/a": "Failing", "shop/b": "Failing" },
    sinceMinutes: 60,
  },
  {
    name: "a Pod is replaced",
    series: {
      [`postrider_build_info{${PROCESS},version="1"}`]: "1+0x99 stale",
      [`up{${PROCESS}}`]: "1+0x99 stale",
      'up{namespace="postrider-system",job="postrider",instance="b:9090"}': "_x101 1+0x20",
      'postrider_build_info{namespace="postrider-system",job="postrider",instance="b:9090",version="1"}': "_x101 1+0x20",
    },
    delivering: "Yes",
    whose: "No trouble",
    who: {},
    sinceMinutes: 0,
  },
];
