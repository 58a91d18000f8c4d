import { DashboardLinkBuilder, DashboardLinkType } from "@grafana/grafana-foundation-sdk/dashboard";

export const FLEET_UID = "postrider-fleet";
export const SUBSCRIPTION_UID = "postrider-subscription";
export const FLEET_DASHBOARD = `/d/${FLEET_UID}`;
export const SUBSCRIPTION_DASHBOARD = `/d/${SUBSCRIPTION_UID}`;

/** What both dashboards share. The namespace is left out: "all of them" is no namespace that a single subscription could be in. */
export const SAME_SOURCE = "${datasource:queryparam}&${job:queryparam}";

/** A link above a dashboard, to the other one and the same time. */
export function linkTo(title: string, url: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).keepTime(true);
}

/** From a line of a graph to the subscription that it stands for (`orders#deadletter` has a character that ends a URL). */
export function toTheSubscription(): DashboardLinkBuilder {
  const it = `var-namespace=${label("namespace")}&var-subscription=${label("subscription")}`;
  const url = `${SUBSCRIPTION_DASHBOARD}?${SAME_SOURCE}&${it}&\${__url_time_range}`;
  return new DashboardLinkBuilder("This subscription").url(url);
}

function label(name: string): string {
  return `\${__field.labels.${name}:percentencode}`;
}
