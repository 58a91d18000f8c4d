import { DashboardLinkBuilder, DashboardLinkType } from "@grafana/grafana-foundation-sdk/dashboard";

export const FLEET_UID = "postrider-fleet";
export const SUBSCRIPTION_UID = "postrider-subscription";
export const FLEET_DASHBOARD = `/d/${FLEET_UID}`;
export const SUBSCRIPTION_DASHBOARD = `/d/${SUBSCRIPTION_UID}`;

/** Where the runbooks are published, as the dashboard's variable says. */
export const RUNBOOKS = "${runbooks}";

/** What both dashboards share. The namespace is left out: "all of them" is no namespace that a single subscription could be in. */
export const SAME_SOURCE = "${datasource:queryparam}&${job:queryparam}&${runbooks:queryparam}";

/** A link above a dashboard, to the other one and the same time. */
export function linkTo(title: string, url: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).keepTime(true);
}

/** From a line of a graph to the subscription that it stands for (`orders#deadletter` has a character that ends a URL). */
export function toTheSubscription(): DashboardLinkBuilder {
  return new DashboardLinkBuilder("This subscription").url(subscriptionUrl((name) => `\${__field.labels.${name}:percentencode}`));
}

/** From a row of a table to its subscription. */
export function rowToTheSubscription(): { readonly title: string; readonly url: string } {
  return { title: "This subscription", url: subscriptionUrl((name) => `\${__data.fields.${name}:percentencode}`) };
}

function subscriptionUrl(valueOf: (label: string) => string): string {
  const it = `var-namespace=${valueOf("namespace")}&var-subscription=${valueOf("subscription")}`;
  return `${SUBSCRIPTION_DASHBOARD}?${SAME_SOURCE}&${it}&\${__url_time_range}`;
}
