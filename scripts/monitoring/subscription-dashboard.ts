import { DashboardBuilder, DashboardCursorSync, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { FLEET_DASHBOARD, linkTo, SAME_SOURCE, SUBSCRIPTION_UID } from "./links.ts";
import { graph, quantiles, stat } from "./panels.ts";
import { dataSourceVariable, labelVariable } from "./variables.ts";

const IT = 'job=~"$job", namespace="$namespace", subscription="$subscription"';

/** One subscription: does its receiver take what it is sent, and if not, why and since when. */
export function subscriptionDashboard(): Dashboard {
  const dashboard = new DashboardBuilder("Postrider / Subscription")
    .uid(SUBSCRIPTION_UID)
    .description("Whether this receiver accepts deliveries, and if not, why and since when. Generated; changes are overwritten.")
    .tags(["postrider"])
    .timezone("browser")
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(linkTo("Fleet", `${FLEET_DASHBOARD}?${SAME_SOURCE}&\${namespace:queryparam}`))
    .withVariable(dataSourceVariable())
    .withVariable(labelVariable("job", "Job", "postrider_build_info", true))
    .withVariable(labelVariable("namespace", "Namespace", "postrider_subscription_ready", false))
    .withVariable(labelVariable("subscription", "Subscription", 'postrider_subscription_ready{namespace="$namespace"}', false));
  glance(dashboard);
  receiver(dashboard);
  backlog(dashboard);
  return dashboard.build();
}

function glance(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("At a glance"))
    .withPanel(
      stat(
        { title: "Ready", description: "1 when the Ready condition is True.", unit: "short" },
        `min(postrider_subscription_ready{${IT}})`,
        {
          redBelow: 1,
        },
      ),
    )
    .withPanel(
      stat(
        { title: "Circuit open", description: "1 while the circuit is open because the receiver fails.", unit: "short" },
        `max(postrider_circuit_open{${IT}})`,
        { redFrom: 1 },
      ),
    )
    .withPanel(
      stat(
        { title: "Pending", description: "Deliveries accepted and not yet ended.", unit: "short" },
        `sum(postrider_deliveries_pending{${IT}})`,
      ),
    )
    .withPanel(
      stat(
        { title: "Oldest pending", description: "How long the oldest delivery has waited.", unit: "s" },
        `max(postrider_oldest_pending_age_seconds{${IT}})`,
        { redFrom: 3_600 },
      ),
    )
    .withPanel(
      stat(
        { title: "Attempts that succeed", description: "Share of the attempts in the time shown.", unit: "percentunit" },
        `sum(increase(postrider_delivery_attempts_total{${IT}, outcome="success"}[$__range])) / sum(increase(postrider_delivery_attempts_total{${IT}}[$__range]))`,
        { redBelow: 0.9 },
      ),
    )
    .withPanel(
      stat(
        {
          title: "Failed",
          description: "Deliveries that failed for good in the time shown: they are in the dead-letter store.",
          unit: "short",
        },
        `sum(increase(postrider_deliveries_total{${IT}, outcome="failed"}[$__range]))`,
        { redFrom: 1 },
      ),
    );
}

function receiver(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("The receiver"))
    .withPanel(
      graph(
        { title: "Attempts by outcome", description: "How attempts ended, at the receiver or on the way there.", unit: "ops" },
        [[`sum by (outcome) (rate(postrider_delivery_attempts_total{${IT}}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        { title: "Duration of an attempt", description: "Needs --per-subscription-metrics full.", unit: "s" },
        quantiles("postrider_delivery_attempt_duration_seconds", `{${IT}}`, [0.5, 0.9, 0.99]),
      ),
    )
    .withPanel(
      graph(
        { title: "Deliveries ended", description: "delivered, failed (dead letters) and discarded (dropped on purpose).", unit: "ops" },
        [[`sum by (outcome) (rate(postrider_deliveries_total{${IT}}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    );
}

function backlog(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("What waits"))
    .withPanel(
      graph({ title: "Pending", description: "Deliveries accepted and not yet ended.", unit: "short" }, [
        [`sum(postrider_deliveries_pending{${IT}})`, "pending"],
      ]),
    )
    .withPanel(
      graph({ title: "Oldest pending", description: "Age of the oldest delivery that has not ended.", unit: "s" }, [
        [`max(postrider_oldest_pending_age_seconds{${IT}})`, "age"],
      ]),
    )
    .withPanel(
      graph({ title: "Filter errors", description: "Events for which the filter failed: they count as no match.", unit: "ops" }, [
        [`sum(rate(postrider_filter_errors_total{${IT}}[$__rate_interval]))`, "errors"],
      ]),
    );
}
