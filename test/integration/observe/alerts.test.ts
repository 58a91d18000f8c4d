import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ALERTS } from "../../../scripts/monitoring/alerts.ts";
import { lintComplaint, PROMTOOL, storyComplaint } from "../../support/observe/rule-tests.ts";
import type { Check, Series } from "../../support/observe/rule-tests.ts";

const ROOT = join(import.meta.dirname, "../../..");
const RULES = join(ROOT, "charts/postrider/rules/alerts.yaml");

/** A story in which one alert fires, and clears again. Times are minutes unless `interval` says otherwise; series as promtool writes them. */
interface Story {
  readonly series: Readonly<Record<string, string>>;
  /** Labels that the alert has beside its name and severity. */
  readonly labels: string;
  readonly fires: string;
  readonly clear: string;
  readonly interval?: string;
}

const JOB = 'job="postrider"';
const PROCESS = 'job="postrider",instance="a:9090"';
const ONE = 'namespace="shop",subscription="orders"';

const STORIES: Readonly<Record<string, Story>> = {
  PostriderAbsent: {
    // One of two is gone for twenty minutes; the other one's Pod is replaced meanwhile, which is no reason.
    series: {
      'postrider_build_info{namespace="a",job="postrider",instance="a:9090"}': "1x20 _x20 1x20",
      'postrider_build_info{namespace="b",job="postrider",instance="b:9090"}': "1x30",
      'postrider_build_info{namespace="b",job="postrider",instance="c:9090"}': "_x28 1x31",
    },
    labels: 'namespace="a",job="postrider"',
    fires: "35m",
    clear: "50m",
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
    labels: PROCESS,
    fires: "12m",
    clear: "40m",
  },
  PostriderDiskFillingUp: {
    series: {
      [`postrider_store_free_bytes{${PROCESS}}`]: "20-0.1x120 90+0x180",
      [`postrider_store_size_bytes{${PROCESS}}`]: "80+0.1x120 10+0x180",
    },
    labels: PROCESS,
    fires: "8h",
    clear: "20h",
    interval: "5m",
  },
  PostriderNamespaceStorageNearlyFull: {
    series: {
      [`postrider_store_namespace_bytes{${PROCESS},namespace="shop"}`]: "900+0x30 100+0x30",
      [`postrider_store_namespace_limit_bytes{${PROCESS},namespace="shop"}`]: "1000+0x60",
    },
    labels: `${PROCESS},namespace="shop"`,
    fires: "15m",
    clear: "45m",
  },
  PostriderLogLong: {
    series: { [`postrider_store_log_bytes{${PROCESS}}`]: "209715200+0x30 8388608+0x30" },
    labels: PROCESS,
    fires: "15m",
    clear: "45m",
  },
  PostriderRowsForgotten: {
    series: { [`postrider_forgotten_rows_total{${PROCESS}}`]: "0+0x10 3+0x140" },
    labels: PROCESS,
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
    series: { [`postrider_event_loop_lag_seconds{${PROCESS}}`]: "1+0x30 0.01+0x30" },
    labels: PROCESS,
    fires: "15m",
    clear: "45m",
  },
  PostriderCertificateExpiring: {
    // Four hours of life; the last is near its end when a new one comes. One that lives for years may be in its last quarter for months.
    series: {
      [`postrider_tls_certificate_not_after_seconds{${PROCESS},listener="ingest"}`]: "14400+0x210 1000000+0x60",
      [`postrider_tls_certificate_not_before_seconds{${PROCESS},listener="ingest"}`]: "0+0x210 12600+0x60",
      [`postrider_tls_certificate_not_after_seconds{${PROCESS},listener="api"}`]: "2000000+0x280",
      [`postrider_tls_certificate_not_before_seconds{${PROCESS},listener="api"}`]: "-300000000+0x280",
    },
    labels: `${PROCESS},listener="ingest"`,
    fires: "200m",
    clear: "240m",
  },
  PostriderCertificateRejected: {
    // One that is exchanged may not match for a few seconds; this one does not for half an hour.
    series: {
      [`postrider_tls_certificate_rejected{${PROCESS},listener="ingest"}`]: "0+0x10 1+0x30 0+0x60",
      [`postrider_tls_certificate_rejected{${PROCESS},listener="api"}`]: "0 1 0+0x98",
    },
    labels: `${PROCESS},listener="ingest"`,
    fires: "25m",
    clear: "60m",
  },
  PostriderRestarting: {
    series: {
      [`process_start_time_seconds{${PROCESS}}`]: "1+1x5 6+0x60",
      [`postrider_build_info{${PROCESS},version="1"}`]: "1+0x80",
    },
    labels: PROCESS,
    fires: "12m",
    clear: "50m",
  },
  PostriderSubscriptionNotReady: {
    series: { [`postrider_subscription_ready{${PROCESS},${ONE}}`]: "0+0x30 1+0x30" },
    labels: `${PROCESS},${ONE}`,
    fires: "20m",
    clear: "40m",
  },
  PostriderEndpointFailing: {
    series: {
      [`postrider_delivery_attempts_total{${PROCESS},${ONE},outcome="success"}`]: "0+1x90",
      [`postrider_delivery_attempts_total{${PROCESS},${ONE},outcome="server_error"}`]: "0+9x40 360+0x50",
    },
    labels: ONE,
    fires: "35m",
    clear: "75m",
  },
  PostriderCircuitOpen: {
    series: { [`postrider_circuit_open{${PROCESS},${ONE}}`]: "1+0x45 0+0x60" },
    labels: `${PROCESS},${ONE}`,
    fires: "40m",
    clear: "70m",
  },
  PostriderBacklogOld: {
    series: { [`postrider_oldest_pending_age_seconds{${PROCESS},${ONE}}`]: "30000+60x30 0+0x30" },
    labels: `${PROCESS},${ONE}`,
    fires: "20m",
    clear: "40m",
  },
  PostriderDeliveriesFailed: {
    series: { [`postrider_deliveries_total{${PROCESS},${ONE},outcome="failed"}`]: "0+0x5 1+0x60" },
    labels: ONE,
    fires: "7m",
    clear: "40m",
  },
  PostriderFilterErrors: {
    series: { [`postrider_filter_errors_total{${PROCESS},${ONE}}`]: "0+1x20 20+0x60" },
    labels: ONE,
    fires: "15m",
    clear: "50m",
  },
  PostriderEventsUnmatched: {
    series: {
      [`postrider_events_unmatched_total{${PROCESS},namespace="shop"}`]: "0+10x150 1500+0x250",
      [`postrider_events_accepted_total{${PROCESS},namespace="shop"}`]: "0+10x400",
    },
    labels: 'namespace="shop"',
    fires: "130m",
    clear: "300m",
  },
  PostriderClassNotHeld: {
    // A start and a hand-over take a moment without the class; the other installation of the same name holds its own.
    series: {
      [`postrider_class_held{${PROCESS}}`]: "1+0x5 0 1 0 1 0+0x30 1+0x60",
      'postrider_class_held{job="postrider",instance="b:9090"}': "1+0x100",
    },
    labels: PROCESS,
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
    labels: `${PROCESS},kind="Namespace",scope="*"`,
    fires: "20m",
    clear: "40m",
  },
  PostriderNamespaceNotRead: {
    series: {
      [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="shop"}`]: "0+0x30 1+0x60",
      [`postrider_watch_synced{${PROCESS},kind="DeliveryPolicy",scope="bank"}`]: "1+0x90",
    },
    labels: `${PROCESS},kind="DeliveryPolicy",scope="shop"`,
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
const HEALTHY: Readonly<Record<string, string>> = {
  [`postrider_build_info{${PROCESS},version="1"}`]: "1+0x300",
  [`process_start_time_seconds{${PROCESS}}`]: "1+0x300",
  [`postrider_ingest_requests_total{${PROCESS},code="202"}`]: "0+600x300",
  [`postrider_ingest_requests_total{${PROCESS},code="400"}`]: "0+6x300",
  [`postrider_ingest_requests_total{${PROCESS},code="429"}`]: "0+60x300",
  [`postrider_store_free_bytes{${PROCESS}}`]: "90e9-1e6x300",
  [`postrider_store_size_bytes{${PROCESS}}`]: "1e9+1e6x300",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="0.01"}`]: "0+600x300",
  [`postrider_store_commit_duration_seconds_bucket{${PROCESS},le="+Inf"}`]: "0+600x300",
  [`postrider_event_loop_lag_seconds{${PROCESS}}`]: "0.02+0x300",
  [`postrider_tls_certificate_not_after_seconds{${PROCESS},listener="api"}`]: "2592000+0x300",
  [`postrider_tls_certificate_rejected{${PROCESS},listener="api"}`]: "0+0x100 1 0+0x199",
  [`postrider_tls_certificate_not_before_seconds{${PROCESS},listener="api"}`]: "-5184000+0x300",
  [`postrider_subscription_ready{${PROCESS},${ONE}}`]: "1+0x300",
  [`postrider_delivery_attempts_total{${PROCESS},${ONE},outcome="success"}`]: "0+600x300",
  [`postrider_delivery_attempts_total{${PROCESS},${ONE},outcome="timeout"}`]: "0+60x300",
  [`postrider_circuit_open{${PROCESS},${ONE}}`]: "0+0x300",
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

/** Runs `promtool test rules`; answers what it printed, or undefined when everything was as expected. */
const complaint = (series: Series, checks: readonly Check[], interval?: string) => storyComplaint([RULES], series, checks, interval);

describe.skipIf(PROMTOOL === undefined)("the alerts, as Prometheus evaluates them", () => {
  it("pass promtool check rules", () => {
    expect(lintComplaint(RULES)).toBeUndefined();
  });

  it.each(ALERTS.map(({ name, severity }) => ({ name, severity })))("$name fires and clears", ({ name, severity }) => {
    const story = STORIES[name];
    if (story === undefined) throw new Error(`no story makes ${name} fire`);
    const { series, labels, fires, clear, interval = "1m" } = story;
    const expr = `ALERTS{alertname="${name}",alertstate="firing"}`;
    const full = ['alertstate="firing"', `alertname="${name}"`, `severity="${severity}"`, ...(labels === "" ? [] : [labels])].join(",");
    const checks = [
      { expr, eval_time: fires, exp_samples: [{ labels: `ALERTS{${full}}`, value: 1 }] },
      { expr, eval_time: clear, exp_samples: [] },
    ];
    expect(complaint(series, checks, interval)).toBeUndefined();
  });

  it("miss an installation that has never been there, and one that has been gone for a day", () => {
    const expr = 'ALERTS{alertname="PostriderAbsent",alertstate="firing"}';
    const full = `ALERTS{alertname="PostriderAbsent",alertstate="firing",severity="critical"`;
    const never = { [`postrider_build_info{${PROCESS}}`]: "_x10 1+0x30" };
    const checks = [
      { expr, eval_time: "8m", exp_samples: [{ labels: `${full}}`, value: 1 }] },
      { expr, eval_time: "15m", exp_samples: [] },
    ];
    expect(complaint(never, checks)).toBeUndefined();
    const gone = { [`postrider_build_info{${PROCESS}}`]: "1x3 _x100", 'postrider_build_info{job="other"}': "1x100" };
    const fires = { expr, eval_time: "28h", exp_samples: [{ labels: `${full},${JOB}}`, value: 1 }] };
    expect(complaint(gone, [fires], "1h")).toBeUndefined();
  });

  it("say of an installation that waits for its class only that", () => {
    const alerts = (name: string, severity: string, labels: string) => ({
      labels: `ALERTS{alertname="${name}",alertstate="firing",severity="${severity}",${labels}}`,
      value: 1,
    });
    const reads = 'postrider_watch_synced{job="postrider",instance="b:9090",kind="Namespace",scope="*"}';
    const series = {
      [`postrider_build_info{${PROCESS}}`]: "1+0x60",
      [`postrider_class_held{${PROCESS}}`]: "0+0x60",
      [`postrider_watch_synced{${PROCESS},kind="Namespace",scope="*"}`]: "0+0x60",
      [`postrider_watch_synced{${PROCESS},kind="Secret",scope="shop"}`]: "0+0x60",
      'postrider_class_held{job="postrider",instance="b:9090"}': "1+0x60",
      [reads]: "0+0x60",
    };
    const check = {
      expr: 'ALERTS{alertstate="firing"}',
      eval_time: "40m",
      exp_samples: [
        alerts("PostriderClassNotHeld", "critical", PROCESS),
        alerts("PostriderManifestsNotRead", "critical", 'job="postrider",instance="b:9090",kind="Namespace",scope="*"'),
      ],
    };
    expect(complaint(series, [check])).toBeUndefined();
  });

  it("see one of two installations of the same name refuse events, however busy the other is", () => {
    const counted = (namespace: string, code: string): string =>
      `postrider_ingest_requests_total{job="postrider",namespace="${namespace}",instance="${namespace}:9090",code="${code}"}`;
    const expr = 'ALERTS{alertname="PostriderIngestFailing",alertstate="firing"}';
    const labels = 'alertname="PostriderIngestFailing",alertstate="firing",severity="critical",job="postrider",namespace="a"';
    const series = { [counted("a", "503")]: "0+10x60", [counted("b", "202")]: "0+100000x60" };
    expect(complaint(series, [{ expr, eval_time: "15m", exp_samples: [{ labels: `ALERTS{${labels}}`, value: 1 }] }])).toBeUndefined();
  });

  it("are silent while all is well", () => {
    const checks = ["30m", "2h", "5h"].map((at) => ({ expr: 'ALERTS{alertstate="firing"}', eval_time: at, exp_samples: [] }));
    expect(complaint(HEALTHY, checks)).toBeUndefined();
  });
});
