import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { graph, heatmap, quantiles } from "./panels.ts";
import type { Line } from "./panels.ts";

/** Selects this installation's own series. */
const OWN = '{job=~"$job"}';
const perSecond = (metric: string, by: string): string => `sum by (${by}) (rate(${metric}${OWN}[$__rate_interval]))`;

export function store(dashboard: DashboardBuilder): void {
  const commit = "postrider_store_commit_duration_seconds";
  dashboard
    .withRow(new RowBuilder("Store"))
    .withPanel(
      heatmap(
        {
          title: "Commit time",
          description: "One group commit, fsync included: the disk sets the pace of the ingest.",
          unit: "s",
          runbook: "PostriderCommitSlow",
        },
        commit,
        OWN,
      ),
    )
    .withPanel(
      graph({ title: "Commits", description: "Group commits per second.", unit: "ops" }, [
        [`sum(rate(${commit}_count${OWN}[$__rate_interval]))`, "commits"],
      ]),
    )
    .withPanel(
      graph(
        {
          title: "Disk",
          description: "Below the floor (--store-free-min) events are refused with 507. in a day: at the pace of the last 6 hours.",
          unit: "bytes",
          runbook: "PostriderDiskFillingUp",
        },
        [
          [`min(postrider_store_free_bytes${OWN})`, "free"],
          [`max(postrider_store_free_min_bytes${OWN})`, "floor"],
          [`sum(postrider_store_size_bytes${OWN})`, "store"],
          [`min(postrider_store_capacity_bytes${OWN})`, "capacity"],
          [`clamp_min(min(predict_linear(postrider_store_free_bytes${OWN}[6h], 86400)), 0)`, "free in a day"],
        ],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Write-ahead log",
          description: "It starts over below 64 MiB; above 128 MiB something keeps the database open.",
          unit: "bytes",
          runbook: "PostriderLogLong",
        },
        [[`sum(postrider_store_log_bytes${OWN})`, "log"]],
      ),
    )
    .withPanel(
      graph(
        { title: "Commit time: the slowest", description: "Every accepted event and every attempt waits for a commit.", unit: "s" },
        quantiles(commit, OWN, [0.5, 0.99]),
      ),
    )
    .withPanel(
      graph(
        {
          title: "Oldest write without an answer",
          description: "A disk that hangs shows here; from 5 s on events are refused, at 30 s the process is restarted.",
          unit: "s",
        },
        [[`max(postrider_store_oldest_write_seconds${OWN})`, "age"]],
      ),
    );
}

export function processRow(dashboard: DashboardBuilder): void {
  const perInstance = (expr: string): Line[] => [[expr, "{{instance}}"]];
  dashboard
    .withRow(new RowBuilder("Process"))
    .withPanel(
      graph(
        {
          title: "Stalls of the event loop",
          description: "longest: of the last 5 to 10 minutes. usual: 99th percentile of the delay over 10 s.",
          unit: "s",
          runbook: "PostriderEventLoopBlocked",
        },
        [
          [`max(postrider_loop_stall_max_seconds${OWN})`, "longest"],
          [`max(postrider_event_loop_lag_seconds${OWN})`, "usual"],
        ],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Time stood still",
          description: "Share of the time that the event loop stood still for 0.25 s or longer at once.",
          unit: "percentunit",
        },
        perInstance(`sum by (instance) (rate(postrider_loop_stalled_seconds_total${OWN}[$__rate_interval]))`),
      ),
    )
    .withPanel(
      graph(
        {
          title: "Starts",
          description: "Starts since the store was made: clean, or after a kill.",
          unit: "short",
          runbook: "PostriderRestarting",
        },
        [[`max by (how) (postrider_starts_total${OWN})`, "{{how}}"]],
      ),
    )
    .withPanel(
      graph(
        { title: "CPU", description: "Cores used by the process, all threads.", unit: "short" },
        perInstance(perSecond("process_cpu_seconds_total", "instance")),
      ),
    )
    .withPanel(
      graph({ title: "Memory", description: "Resident set and JavaScript heap of the process.", unit: "bytes" }, [
        [`max by (instance) (process_resident_memory_bytes${OWN})`, "resident {{instance}}"],
        [`max by (instance) (nodejs_heap_size_used_bytes${OWN})`, "heap {{instance}}"],
      ]),
    )
    .withPanel(
      graph({ title: "Garbage collection", description: "Share of the time.", unit: "percentunit" }, [
        [perSecond("nodejs_gc_duration_seconds_sum", "kind"), "{{kind}}"],
      ]),
    )
    .withPanel(
      graph({ title: "Connections", description: "Open connections, by port, and requests that wait for a result.", unit: "short" }, [
        [`sum by (server) (postrider_connections_open${OWN})`, "{{server}}"],
        [`sum(postrider_result_polls_open${OWN})`, "waiting for a result"],
      ]),
    )
    .withPanel(
      graph({ title: "File descriptors", description: "Open ones, and the limit of the process.", unit: "short" }, [
        [`max(process_open_fds${OWN})`, "open"],
        [`min(process_max_fds${OWN})`, "limit"],
      ]),
    )
    .withPanel(
      graph(
        {
          title: "Connections closed",
          description: "To stay within bounds, by port and reason; docs/metrics.md explains each.",
          unit: "ops",
        },
        [[perSecond("postrider_connections_closed_total", "server, reason"), "{{server}} {{reason}}"]],
      ),
    );
}

export function cluster(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Kubernetes"))
    .withPanel(
      graph(
        {
          title: "Silence of the API server",
          description: "Time since something was last heard of each kind. Below 90 s is normal; above, changes do not arrive.",
          unit: "s",
          runbook: "PostriderManifestsStale",
        },
        [[`max by (kind) (postrider_watch_last_event_seconds${OWN})`, "{{kind}}"]],
      ),
    )
    .withPanel(
      graph(
        { title: "Reconciliations", description: "Manifests processed, by result.", unit: "ops", runbook: "PostriderReconcileFailing" },
        [[perSecond("postrider_reconcile_total", "result"), "{{result}}"]],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Status and Events written",
          description: "Writes to the API server, by result.",
          unit: "ops",
          runbook: "PostriderStatusNotWritten",
        },
        [
          [perSecond("postrider_status_writes_total", "result"), "status {{result}}"],
          [perSecond("postrider_kubernetes_events_total", "result"), "event {{result}}"],
        ],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Watches restarted",
          description: "periodic and expired are normal; the others mean trouble at the API server or missing permissions.",
          unit: "ops",
          runbook: "PostriderManifestsStale",
        },
        [[perSecond("postrider_watch_restarts_total", "kind, reason"), "{{kind}} {{reason}}"]],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Class held",
          description: "1 while each installation serves its class. 0: another one holds the Lease, and this one serves nothing.",
          unit: "short",
          runbook: "PostriderClassNotHeld",
        },
        [[`min by (job, instance) (postrider_class_held${OWN})`, "{{job}} {{instance}}"]],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Questions about our own permissions",
          description:
            "denied: a namespace whose Secrets are closed, asked every 9 s, at most 125 a second in all. unanswered: the API server is away.",
          unit: "reqps",
        },
        [[perSecond("postrider_access_checks_total", "result"), "{{result}}"]],
      ),
    );
}
