/** One alert: what is wrong, for how long, and what its reader is told first. */
export interface Alert {
  /** Also the name of its page in docs/runbooks. */
  readonly name: string;
  /** PromQL. `%name%` is the threshold of this name, here and in the description. */
  readonly expr: string;
  readonly for: string;
  /**
   * critical: events of several tenants are lost, refused or late now: wake someone up. warning: someone must look within a day.
   * info: one receiver's owner should know.
   */
  readonly severity: "critical" | "warning" | "info";
  readonly summary: string;
  readonly description: string;
  /** The numbers that an installation may change in the chart's values. */
  readonly thresholds?: Readonly<Record<string, number>>;
  /** Which dashboard shows more: that of the subscription that the labels name, or the fleet's. */
  readonly dashboard: "fleet" | "subscription";
}

/** Labels of the Pod that was scraped. Every rule sums over them, so that an alert neither ends nor repeats when a Pod is replaced. */
export const POD = "instance, pod, container, endpoint, service, metrics_path";

/** What an alert about a subscription calls it. */
export const SUBSCRIPTION = "{{ $labels.namespace }}/{{ $labels.subscription }}";

/** The largest value of all Pods of an installation; job, namespace, cluster and other labels stay. */
export function worst(expr: string, ...further: readonly string[]): string {
  return `max without (${[...further, POD].join(", ")}) (${expr})`;
}

/** The same, but the smallest. */
export function least(expr: string, ...further: readonly string[]): string {
  return `min without (${[...further, POD].join(", ")}) (${expr})`;
}

/** The sum over the Pods of an installation, over time and now. */
export function total(expr: string, ...further: readonly string[]): string {
  return `sum without (${[...further, POD].join(", ")}) (${expr})`;
}

/** `left` without what is in `right`, whichever Pod they come from and whatever else `right` is labelled with. */
export function unless(left: string, right: string, ...further: readonly string[]): string {
  return `${left} unless ignoring (${[...further, POD].join(", ")}) ${right}`;
}

/** A gauge that is not lost while one Pod has ended and the next has not been scraped: a scrape or two, or a restart, may be missing. */
export function lately(gauge: string): string {
  return `last_over_time(${gauge}[5m])`;
}

/** An alert's text with its thresholds filled in. @throws on a name that is no threshold of it */
export function filled(alert: Alert, text: string, thresholds = alert.thresholds ?? {}): string {
  return text.replaceAll(/%(\w+)%/g, (_, name: string) => {
    const value = thresholds[name];
    if (value === undefined) throw new Error(`${alert.name} has no threshold ${name}`);
    return String(value);
  });
}
