import { least, POD, total, worst } from "../alert.ts";
import type { Alert } from "../alert.ts";

/** One of several installations that is gone is missed for this long; a whole weekend, for who removes one for good can silence it. */
const SEEN_WITHIN = "3d";
/** build_info without what a new version changes. */
const KNOWN = worst(`last_over_time(postrider_build_info[${SEEN_WITHIN}])`, "version", "node");
/** How many processes were up at the same time, at most; several are no restarts. */
const AT_ONCE = `max_over_time((count without (version, node, ${POD}) (postrider_build_info))[30m:])`;
/** One for each process that was seen. A failed scrape ends a series: what counts is what the last half hour saw, not what is there now. */
const SEEN = total(
  "(changes(process_start_time_seconds[30m]) + 1) * max without (version, node) (last_over_time(postrider_build_info[30m]))",
);
const RESTARTS = `(${SEEN} - ${AT_ONCE} or ${SEEN} - 1)`;
/** Some process of the last half hour was killed, by its successor's count in the store. */
const KILLED = `(${worst('max_over_time(postrider_starts_total{how="killed"}[30m])', "how")} > ${least('min_over_time(postrider_starts_total{how="killed"}[30m])', "how")})`;

/** Whether it runs, and gets its turn on the processor. */
export const PROCESS_ALERTS: readonly Alert[] = [
  {
    name: "PostriderAbsent",
    expr: `${KNOWN} unless ${worst("up", "version", "node")} or absent(last_over_time(postrider_build_info[${SEEN_WITHIN}]))`,
    for: "5m",
    severity: "critical",
    summary: "{{ with $labels.job }}The Postrider {{ . }} is{{ else }}Postrider is{{ end }} absent.",
    description:
      "{{ with $labels.namespace }}In namespace {{ . }}, Prometheus{{ else }}Prometheus{{ end }} has had nothing to scrape for 5 minutes: no Pod exists, or no monitor selects it. Without a Pod no event is accepted, and nothing is delivered.",
    dashboard: "fleet",
  },
  {
    name: "PostriderUnavailable",
    // Known for a while: a first start may take its time. Over time, because a loop of crashes is up between two of them.
    expr: `${total("sum_over_time(up[15m])", "version", "node")} / ${total("count_over_time(up[15m])", "version", "node")} < %share% and ${worst(`last_over_time(postrider_build_info[${SEEN_WITHIN}] offset 15m)`, "version", "node")}`,
    for: "0m",
    severity: "critical",
    summary: "{{ with $labels.job }}The Postrider {{ . }}{{ else }}Postrider{{ end }} is down for much of the time.",
    description:
      "It answered {{ $value | humanizePercentage }} of the scrapes of the last 15 minutes. While it is down, no event is accepted and nothing is delivered. Look why its last process ended.",
    thresholds: { share: 0.7 },
    dashboard: "fleet",
  },
  {
    name: "PostriderCrashing",
    expr: `${RESTARTS} > %restarts% and ${KILLED}`,
    for: "0m",
    severity: "critical",
    summary: "Postrider is killed again and again.",
    description:
      "{{ $value }} restarts in 30 minutes, and not all of them were orderly: out of memory, a failed liveness probe, a failing disk, or a defect. Accepted events are kept, but attempts in flight are repeated.",
    thresholds: { restarts: 3 },
    dashboard: "fleet",
  },
  {
    name: "PostriderRestarting",
    expr: `${RESTARTS} > %restarts% unless ${KILLED}`,
    for: "0m",
    severity: "warning",
    summary: "Postrider restarts again and again.",
    description: "{{ $value }} restarts in 30 minutes, all of them orderly. Each delays deliveries until the next process is ready.",
    thresholds: { restarts: 3 },
    dashboard: "fleet",
  },
  {
    name: "PostriderEventLoopBlocked",
    expr: `${worst("postrider_loop_stall_max_seconds")} > %seconds% or ${worst("rate(postrider_loop_stalled_seconds_total[10m])")} > %share%`,
    for: "0m",
    severity: "warning",
    summary: "The process stood still.",
    description:
      "Within the last 10 minutes it did nothing at all, for more than {{ %seconds% | humanizeDuration }} at once or more than {{ %share% | humanizePercentage }} of the time: every answer and every delivery was late by that.",
    thresholds: { seconds: 2, share: 0.05 },
    dashboard: "fleet",
  },
  {
    name: "PostriderSendsLate",
    expr: `${worst("postrider_oldest_due_age_seconds")} > %seconds%`,
    for: "5m",
    severity: "critical",
    summary: "Postrider does not send what is due.",
    description:
      "A delivery has been due for {{ $value | humanizeDuration }} although nothing holds its subscription back. The cause is Postrider, not a receiver: all slots are in use, or the process or its disk cannot keep up.",
    thresholds: { seconds: 300 },
    dashboard: "fleet",
  },
  {
    name: "PostriderCertificateExpiring",
    expr: `${least("postrider_tls_certificate_not_after_seconds")} - time() < 14 * 24 * 3600 and ${least("postrider_tls_certificate_not_after_seconds")} - time() < 0.25 * ${least("postrider_tls_certificate_not_after_seconds - postrider_tls_certificate_not_before_seconds")}`,
    for: "15m",
    severity: "warning",
    summary: "The certificate of the {{ $labels.listener }} port expires soon and was not renewed.",
    description:
      "It expires in {{ $value | humanizeDuration }}, after three quarters of its life and within 14 days. Clients then refuse to connect. A new file is served within 10 seconds.",
    dashboard: "fleet",
  },
  {
    name: "PostriderCertificateRejected",
    expr: `${worst("postrider_tls_certificate_rejected")} == 1`,
    for: "10m",
    severity: "warning",
    summary: "The certificate files of the {{ $labels.listener }} port cannot be used.",
    description:
      "The previous certificate stays in force, but a Pod that starts now refuses the files and does not become ready: then nothing is accepted or delivered. The log line certificate.rejected and /readyz?verbose name the file and what is wrong with it.",
    dashboard: "fleet",
  },
];
