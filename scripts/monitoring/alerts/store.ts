import { total, unless, worst } from "../alert.ts";
import type { Alert } from "../alert.ts";

const FULL = worst("postrider_store_free_bytes < postrider_store_free_min_bytes");

/** The store and its disk. */
export const STORE_ALERTS: readonly Alert[] = [
  {
    name: "PostriderDiskFull",
    expr: FULL,
    for: "1m",
    severity: "critical",
    summary: "The store's disk is full.",
    description:
      "{{ $value | humanize1024 }}B are free on the store's disk, less than --store-free-min: events are refused with 507. Deliveries continue.",
    dashboard: "fleet",
  },
  {
    name: "PostriderStoreNotWritable",
    expr: unless(`${worst("1 - postrider_store_writable")} == 1`, FULL),
    for: "1m",
    severity: "critical",
    summary: "The store's disk does not answer.",
    description:
      "A write has waited for the disk for 5 seconds or more: no event is accepted and no attempt begins. After 30 s the liveness probe fails and the process is restarted.",
    dashboard: "fleet",
  },
  {
    name: "PostriderDiskNearlyFull",
    expr: unless(worst("postrider_store_free_bytes < %factor% * postrider_store_free_min_bytes"), FULL),
    for: "5m",
    severity: "warning",
    summary: "The store's disk is nearly full.",
    description:
      "{{ $value | humanize1024 }}B are free on the store's disk, less than {{ %factor% }} times --store-free-min, below which events are refused with 507. Enlarge the volume, or shorten the retention.",
    thresholds: { factor: 2 },
    dashboard: "fleet",
  },
  {
    name: "PostriderDiskFillingUp",
    expr: worst(
      "postrider_store_free_bytes / postrider_store_capacity_bytes < %share% and predict_linear(postrider_store_free_bytes[6h], 24 * 3600) < postrider_store_free_min_bytes",
    ),
    for: "30m",
    severity: "warning",
    summary: "The store's disk will be full within a day.",
    description:
      "{{ $value | humanizePercentage }} of the store's disk is free, and at the pace of the last 6 hours events are refused within 24.",
    thresholds: { share: 0.2 },
    dashboard: "fleet",
  },
  {
    name: "PostriderNamespaceStorageNearlyFull",
    expr: `${worst("postrider_store_namespace_bytes / postrider_store_namespace_limit_bytes")} > %share%`,
    for: "10m",
    severity: "warning",
    summary: "The namespace {{ $labels.namespace }} has nearly used up its storage.",
    description:
      "It uses {{ $value | humanizePercentage }} of its limit; at 100 % its events are refused with 429. Shorten its retention, or raise limits.storage of the cluster policy.",
    thresholds: { share: 0.8 },
    dashboard: "fleet",
  },
  {
    name: "PostriderLogLong",
    expr: `${worst("postrider_store_log_bytes")} > %bytes%`,
    for: "10m",
    severity: "warning",
    summary: "The store's write-ahead log keeps growing.",
    description:
      "It is {{ $value | humanize1024 }}B long and should stay below 64 MiB: something keeps the database open for reading, or the disk is too slow for the writes.",
    thresholds: { bytes: 128 * 1_024 * 1_024 },
    dashboard: "fleet",
  },
  {
    name: "PostriderCommitSlow",
    expr: `histogram_quantile(0.99, ${total("rate(postrider_store_commit_duration_seconds_bucket[10m])")}) > %seconds%`,
    for: "10m",
    severity: "warning",
    summary: "The store commits slowly.",
    description: "The slowest 1 % of commits take {{ $value | humanizeDuration }}. Every accepted event waits for one.",
    thresholds: { seconds: 1 },
    dashboard: "fleet",
  },
  {
    name: "PostriderRowsForgotten",
    expr: `${total("increase(postrider_forgotten_rows_total[1h])")} > 0`,
    for: "0m",
    severity: "warning",
    summary: "Postrider had forgotten open deliveries.",
    description:
      "{{ $value | humanize }} due deliveries were missing in memory. They were found in the store and sent, up to two minutes late. This is a defect: please report it.",
    dashboard: "fleet",
  },
];
