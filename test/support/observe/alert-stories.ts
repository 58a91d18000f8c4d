import { RECEIVER_STORIES } from "./receiver-stories.ts";
import type { Series } from "./rule-tests.ts";
import { JOB, ONE, POD_A as PROCESS } from "./story.ts";
import type { Story } from "./story.ts";

/** A story for each alert. */
export const STORIES: Readonly<Record<string, Story>> = {
  ...RECEIVER_STORIES,
  PostriderAbsent: {
    // One of two is gone, and nothing is left to scrape; the other one's Pod is replaced meanwhile, which is no reason.
    series: {
      'postrider_build_info{namespace="a",job="postrider",instance="a:9090"}': "1x20 stale _x19 1x20",
      'up{namespace="a",job="postrider",instance="a:9090"}': "1x20 stale _x19 1x20",
      'postrider_build_info{namespace="b",job="postrider",instance="b:9090"}': "1x30 stale",
      'up{namespace="b",job="postrider",instance="b:9090"}': "1x30 stale",
      'postrider_build_info{namespace="b",job="postrider",instance="c:9090"}': "_x32 1x31",
      'up{namespace="b",job="postrider",instance="c:9090"}': "_x31 0 1x31",
    },
    labels: 'namespace="a",job="postrider"',
    fires: "35m",
    clear: "50m",
  },
  PostriderUnavailable: {
    // It has been there, and then each scrape but a few fails.
    series: {
      [`up{${PROCESS}}`]: "1x20 0x6 1 0x4 1 0x5 1x60",
      [`postrider_build_info{${PROCESS}}`]: "1x20 stale _x5 1 stale _x3 1 stale _x4 1x60",
    },
    labels: JOB,
    fires: "30m",
    clear: "70m",
  },
  PostriderCrashing: {
    // Five kills, and each time scrapes that fail: they end the series.
    series: {
      [`postrider_build_info{${PROCESS},version="1"}`]: "1x10 stale 1 stale 1 stale 1 stale 1 stale 1x80",
      [`process_start_time_seconds{${PROCESS}}`]: "1x10 stale 2 stale 3 stale 4 stale 5 stale 6x80",
      [`postrider_starts_total{${PROCESS},how="killed"}`]: "0x10 stale 1 stale 2 stale 3 stale 4 stale 5x80",
      [`postrider_starts_total{${PROCESS},how="clean"}`]: "1x100",
    },
    labels: JOB,
    fires: "25m",
    clear: "60m",
  },
  PostriderIngestFailing: {
    series: {
      [`postrider_ingest_requests_total{${PROCESS},code="202"}`]: "0+100x60",
      [`postrider_ingest_requests_total{${PROCESS},code="503"}`]: "0+10x20 200+0x40",
    },
    labels: JOB,
    fires: "15m",
    clear: "40m",
  },
  PostriderDiskFull: {
    // Nobody sends anything: what would be refused is known without it.
    series: {
      [`postrider_store_free_bytes{${PROCESS}}`]: "300+0x5 100+0x20 300+0x40",
      [`postrider_store_free_min_bytes{${PROCESS}}`]: "128+0x65",
    },
    labels: JOB,
    fires: "12m",
    clear: "40m",
  },
  PostriderStoreNotWritable: {
    series: {
      [`postrider_store_writable{${PROCESS}}`]: "1x5 0x20 1x40",
      [`postrider_store_free_bytes{${PROCESS}}`]: "300x65",
      [`postrider_store_free_min_bytes{${PROCESS}}`]: "128x65",
    },
    labels: JOB,
    fires: "12m",
    clear: "40m",
  },
  PostriderDiskNearlyFull: {
    // Its Pod is replaced meanwhile. What is full is no longer nearly full.
    series: {
      [`postrider_store_free_bytes{${PROCESS}}`]: "300x5 200x8 stale",
      'postrider_store_free_bytes{job="postrider",instance="b:9090"}': "_x14 200x8 100x40",
      [`postrider_store_free_min_bytes{${PROCESS}}`]: "128x13 stale",
      'postrider_store_free_min_bytes{job="postrider",instance="b:9090"}': "_x14 128x48",
    },
    labels: JOB,
    fires: "20m",
    clear: "30m",
  },
  PostriderDiskFillingUp: {
    series: {
      [`postrider_store_free_bytes{${PROCESS}}`]: "20-0.1x120 90+0x180",
      [`postrider_store_free_min_bytes{${PROCESS}}`]: "1x300",
      [`postrider_store_capacity_bytes{${PROCESS}}`]: "100x300",
    },
    labels: JOB,
    fires: "8h",
    clear: "20h",
    interval: "5m",
  },
  PostriderNamespaceStorageNearlyFull: {
    series: {
      [`postrider_store_namespace_bytes{${PROCESS},namespace="shop"}`]: "900+0x30 100+0x30",
      [`postrider_store_namespace_limit_bytes{${PROCESS},namespace="shop"}`]: "1000+0x60",
    },
    labels: `${JOB},namespace="shop"`,
    fires: "15m",
    clear: "45m",
  },
  PostriderLogLong: {
    series: { [`postrider_store_log_bytes{${PROCESS}}`]: "209715200+0x30 8388608+0x30" },
    labels: JOB,
    fires: "15m",
    clear: "45m",
  },
  PostriderRowsForgotten: {
    series: { [`postrider_forgotten_rows_total{${PROCESS}}`]: "0+0x10 3+0x140" },
    labels: JOB,
    fires: "15m",
    clear: "90m",
  },
  PostriderCommitSlow: {
    series: {
      [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="0.01"}`]: "0+0x30 0+100x60",
      [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="2.5"}`]: "0+100x90",
      [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="+Inf"}`]: "0+100x90",
    },
    labels: JOB,
    fires: "25m",
    clear: "60m",
  },
  PostriderEventLoopBlocked: {
    // One long stop; the gauge forgets it after some minutes.
    series: {
      [`postrider_loop_stall_max_seconds{${PROCESS}}`]: "0x10 13x9 0x40",
      [`postrider_loop_stalled_seconds_total{${PROCESS}}`]: "0x10 13x50",
    },
    labels: JOB,
    fires: "12m",
    clear: "40m",
  },
  PostriderSendsLate: {
    series: { [`postrider_oldest_due_age_seconds{${PROCESS}}`]: "0x5 30 60 400+60x20 0x20" },
    labels: JOB,
    fires: "16m",
    clear: "35m",
  },
  PostriderCertificateExpiring: {
    // Four hours of life; the last is near its end when a new one comes. One that lives for years may be in its last quarter for months.
    series: {
      [`postrider_tls_certificate_not_after_seconds{${PROCESS},listener="ingest"}`]: "14400+0x210 1000000+0x60",
      [`postrider_tls_certificate_not_before_seconds{${PROCESS},listener="ingest"}`]: "0+0x210 12600+0x60",
      [`postrider_tls_certificate_not_after_seconds{${PROCESS},listener="api"}`]: "2000000+0x280",
      [`postrider_tls_certificate_not_before_seconds{${PROCESS},listener="api"}`]: "-300000000+0x280",
    },
    labels: `${JOB},listener="ingest"`,
    fires: "200m",
    clear: "240m",
  },
  PostriderCertificateRejected: {
    // One that is exchanged may not match for a few seconds; this one does not for half an hour.
    series: {
      [`postrider_tls_certificate_rejected{${PROCESS},listener="ingest"}`]: "0+0x10 1+0x30 0+0x60",
      [`postrider_tls_certificate_rejected{${PROCESS},listener="api"}`]: "0 1 0+0x98",
    },
    labels: `${JOB},listener="ingest"`,
    fires: "25m",
    clear: "60m",
  },
  PostriderRestarting: {
    // A Pod that moves every four minutes: each time another address, and an orderly end.
    series: Object.assign(
      { [`postrider_build_info{${PROCESS}}`]: "1x10 stale", [`process_start_time_seconds{${PROCESS}}`]: "1x10 stale" },
      ...[1, 2, 3, 4, 5].map((n) => ({
        [`postrider_build_info{job="postrider",instance="m${n}:9090"}`]: `_x${8 + n * 4} 1x${n === 5 ? 60 : 3} stale`,
        [`process_start_time_seconds{job="postrider",instance="m${n}:9090"}`]: `_x${8 + n * 4} ${n * 240}x${n === 5 ? 60 : 3} stale`,
        [`postrider_starts_total{job="postrider",instance="m${n}:9090",how="killed"}`]: `_x${8 + n * 4} 2x${n === 5 ? 60 : 3} stale`,
      })),
    ) as Series,
    labels: JOB,
    fires: "30m",
    clear: "75m",
  },
  PostriderProducerRefused: {
    series: {
      [`postrider_ingest_refused_total{${PROCESS},namespace="shop",code="unauthenticated"}`]: "0x5 0+2x20 40x40",
      [`postrider_ingest_refused_total{${PROCESS},namespace="shop",code="rate_limited"}`]: "0x60",
      [`postrider_events_accepted_total{${PROCESS},namespace="shop"}`]: "0+20x70",
      // A namespace from which hardly anything comes, and one whose few mistakes are lost in what is right.
      [`postrider_ingest_refused_total{${PROCESS},namespace="quiet",code="event_invalid"}`]: "0x5 3x60",
      [`postrider_ingest_refused_total{${PROCESS},namespace="busy",code="event_invalid"}`]: "0+2x70",
      [`postrider_events_accepted_total{${PROCESS},namespace="busy"}`]: "0+200x70",
    },
    labels: `${JOB},namespace="shop"`,
    fires: "20m",
    clear: "45m",
  },
  PostriderProducerThrottled: {
    series: {
      [`postrider_ingest_refused_total{${PROCESS},namespace="shop",code="rate_limited"}`]: "0x5 0+20x40 800x40",
      [`postrider_events_accepted_total{${PROCESS},namespace="shop"}`]: "0+20x90",
    },
    labels: `${JOB},namespace="shop"`,
    fires: "40m",
    clear: "75m",
  },
  PostriderFilterErrors: {
    series: { [`postrider_filter_errors_total{${PROCESS},${ONE}}`]: "0+1x20 20+0x60" },
    labels: `${JOB},${ONE}`,
    fires: "15m",
    clear: "50m",
  },
  PostriderEventsUnmatched: {
    series: {
      [`postrider_events_unmatched_total{${PROCESS},namespace="shop"}`]: "0+10x150 1500+0x250",
      [`postrider_events_accepted_total{${PROCESS},namespace="shop"}`]: "0+10x400",
    },
    labels: `${JOB},namespace="shop"`,
    fires: "130m",
    clear: "300m",
  },
  PostriderManifestsRefused: {
    series: { [`postrider_manifests_refused{${PROCESS}}`]: "0x5 2x20 0x20" },
    labels: JOB,
    fires: "15m",
    clear: "35m",
  },
  PostriderClassNotHeld: {
    // A start and a hand-over take a moment without the class; the other installation of the same name holds its own.
    series: {
      [`postrider_class_held{${PROCESS},namespace="a"}`]: "1+0x5 0 1 0 1 0+0x30 1+0x60",
      'postrider_class_held{job="postrider",namespace="b",instance="b:9090"}': "1+0x100",
    },
    labels: `${JOB},namespace="a"`,
    fires: "25m",
    clear: "50m",
  },
  PostriderManifestsNotRead: {
    // One that comes back for a moment now and then is read; this one is not for half an hour.
    series: {
      [`postrider_watch_synced{${PROCESS},kind="Namespace",scope="*"}`]: "0+0x30 1+0x60",
      [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="*"}`]: "1 0 1 0 1 0 1 0 1 0 1+0x80",
      [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="shop"}`]: "0+0x9 1+0x80",
    },
    labels: `${JOB},kind="Namespace",scope="*"`,
    fires: "20m",
    clear: "40m",
  },
  PostriderNamespaceNotRead: {
    series: {
      [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="shop"}`]: "0+0x30 1+0x60",
      [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="bank"}`]: "1+0x90",
    },
    labels: `${JOB},kind="DeliveryPolicy",scope="shop"`,
    fires: "25m",
    clear: "40m",
  },
  PostriderManifestsStale: {
    // Nothing is heard of Secrets for twenty minutes; of Namespaces no more than a bookmark each minute, which is enough.
    series: {
      [`postrider_watch_last_event_seconds{${PROCESS},kind="Secret"}`]: "30+0x10 60+60x20 20+0x60",
      [`postrider_watch_last_event_seconds{${PROCESS},kind="Namespace"}`]: "5 60 85 3+0x90",
    },
    labels: `${JOB},kind="Secret"`,
    fires: "20m",
    clear: "40m",
  },
  PostriderReconcileFailing: {
    series: { [`postrider_reconcile_total{${PROCESS},result="error"}`]: "0+2x30 60+0x60" },
    labels: JOB,
    fires: "20m",
    clear: "60m",
  },
  PostriderStatusNotWritten: {
    series: {
      [`postrider_status_writes_total{${PROCESS},result="failed"}`]: "0+1x40 40+0x60",
      [`postrider_status_writes_total{${PROCESS},result="done"}`]: "0+0x40 0+1x60",
    },
    labels: JOB,
    fires: "35m",
    clear: "80m",
  },
};

/** What a healthy installation shows: no alert may fire, whatever it counts in its everyday life. */
export const HEALTHY: Series = {
  [`postrider_build_info{${PROCESS},version="1"}`]: "1+0x300",
  [`process_start_time_seconds{${PROCESS}}`]: "1+0x300",
  [`postrider_ingest_requests_total{${PROCESS},code="202"}`]: "0+600x300",
  [`postrider_ingest_requests_total{${PROCESS},code="400"}`]: "0+6x300",
  [`postrider_ingest_requests_total{${PROCESS},code="429"}`]: "0+60x300",
  [`postrider_store_free_bytes{${PROCESS}}`]: "90e9-1e6x300",
  [`postrider_store_size_bytes{${PROCESS}}`]: "1e9+1e6x300",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="0.01"}`]: "0+600x300",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="+Inf"}`]: "0+600x300",
  [`up{${PROCESS}}`]: "1+0x300",
  [`postrider_loop_stall_max_seconds{${PROCESS}}`]: "0x100 0.4x10 0x190",
  [`postrider_loop_stalled_seconds_total{${PROCESS}}`]: "0x100 0.4x200",
  [`postrider_oldest_due_age_seconds{${PROCESS}}`]: "0x50 12 40 0x248",
  [`postrider_store_writable{${PROCESS}}`]: "1x300",
  [`postrider_store_free_min_bytes{${PROCESS}}`]: "1e9x300",
  [`postrider_store_capacity_bytes{${PROCESS}}`]: "100e9x300",
  [`postrider_starts_total{${PROCESS},how="killed"}`]: "3x300",
  [`postrider_subscriptions{${PROCESS},state="ready"}`]: "20x300",
  [`postrider_subscriptions{${PROCESS},state="failing"}`]: "1x300",
  [`postrider_subscriptions{${PROCESS},state="not_ready"}`]: "0x300",
  [`postrider_manifests_refused{${PROCESS}}`]: "0x300",
  [`postrider_dead_letters{${PROCESS},${ONE}}`]: "0x300",
  // One receiver is away for ten minutes: what its first failure was is known, and gone with its first success.
  [`postrider_endpoint_failing_since_timestamp_seconds{${PROCESS},${ONE}}`]: "_x60 3600x10 stale",
  [`postrider_endpoint_failure_ratio{${PROCESS},${ONE}}`]: "_x60 0.5+0.05x10 1-0.05x20 0x200",
  [`postrider_subscription_held{${PROCESS},${ONE},reason="CircuitOpen"}`]: "_x63 1x7 stale",
  // Another is suspended by its spec.
  [`postrider_subscription_held{${PROCESS},namespace="shop",subscription="off",reason="BySpec"}`]: "1x300",
  [`postrider_oldest_pending_age_seconds{${PROCESS},namespace="shop",subscription="off"}`]: "30000+60x300",
  [`postrider_ingest_refused_total{${PROCESS},namespace="shop",code="event_invalid"}`]: "0+6x300",
  [`postrider_ingest_refused_total{${PROCESS},namespace="shop",code="rate_limited"}`]: "0+20x300",
  [`postrider_tls_certificate_not_after_seconds{${PROCESS},listener="api"}`]: "2592000+0x300",
  [`postrider_tls_certificate_rejected{${PROCESS},listener="api"}`]: "0+0x100 1 0+0x199",
  [`postrider_tls_certificate_not_before_seconds{${PROCESS},listener="api"}`]: "-5184000+0x300",
  [`postrider_subscription_ready{${PROCESS},${ONE}}`]: "1+0x300",
  [`postrider_delivery_attempts_total{${PROCESS},${ONE},outcome="success"}`]: "0+600x300",
  [`postrider_delivery_attempts_total{${PROCESS},${ONE},outcome="timeout"}`]: "0+6x300",
  [`postrider_oldest_pending_age_seconds{${PROCESS},${ONE}}`]: "3+0x300",
  [`postrider_deliveries_total{${PROCESS},${ONE},outcome="delivered"}`]: "0+600x300",
  [`postrider_deliveries_total{${PROCESS},${ONE},outcome="failed"}`]: "0+0x300",
  [`postrider_filter_errors_total{${PROCESS},${ONE}}`]: "0+0x300",
  [`postrider_events_accepted_total{${PROCESS},namespace="shop"}`]: "0+600x300",
  [`postrider_events_unmatched_total{${PROCESS},namespace="shop"}`]: "0+60x300",
  // A namespace in which hardly anything happens: one event in an hour that nobody wants is no pattern.
  [`postrider_events_accepted_total{${PROCESS},namespace="quiet"}`]: "0+0x60 1+0x240",
  [`postrider_events_unmatched_total{${PROCESS},namespace="quiet"}`]: "0+0x60 1+0x240",
  [`postrider_class_held{${PROCESS}}`]: "0 0 1+0x298",
  [`postrider_watch_synced{${PROCESS},kind="Namespace",scope="*"}`]: "0 1 1 0 1+0x296",
  [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="shop"}`]: "0 1 1 0 1+0x296",
  [`postrider_watch_last_event_seconds{${PROCESS},kind="Namespace"}`]: "10 60 85 250 20+0x296",
  [`postrider_reconcile_total{${PROCESS},result="error"}`]: "0+0x300",
  [`postrider_status_writes_total{${PROCESS},result="done"}`]: "0+10x300",
  [`postrider_status_writes_total{${PROCESS},result="failed"}`]: "0+0x300",
};
