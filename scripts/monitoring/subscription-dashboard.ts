import { DashboardBuilder, DashboardCursorSync, DatasourceVariableBuilder, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { PanelBuilder as LogsBuilder } from "@grafana/grafana-foundation-sdk/logs";
import { DataqueryBuilder as LokiQueryBuilder } from "@grafana/grafana-foundation-sdk/loki";
import { PanelBuilder as TextBuilder, TextMode } from "@grafana/grafana-foundation-sdk/text";
import { drainsIn } from "./fleet-dashboard.ts";
import { FLEET_DASHBOARD, linkTo, SAME_SOURCE, SUBSCRIPTION_UID } from "./links.ts";
import { answer, graph, heatmap, quantiles, stat, timeline } from "./panels.ts";
import { dataSourceVariable, labelVariable, pagesAnnotation, runbooksVariable, startsAnnotation } from "./variables.ts";
import { sinceOf, STATE_MEANINGS, statesOf } from "./verdicts.ts";

const IT = 'job=~"$job", namespace="$namespace", subscription="$subscription"';
const UNKNOWN = 99;
const STATES = {
  "0": { text: "Well", color: "green" },
  ...STATE_MEANINGS,
  [String(UNKNOWN)]: { text: "Not known: no metrics", color: "red" },
} as const;
/** A subscription that is there has one of these, a queue of dead letters the second. */
const THERE = `(max(postrider_subscription_ready{${IT}}) or max(postrider_deliveries_pending{${IT}}))`;
const STATE = `max(${statesOf(IT)}) or 0 * ${THERE} or vector(${String(UNKNOWN)})`;

/** One subscription: does its receiver accept what it is sent, and if not, why and since when. */
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
    .annotation(startsAnnotation())
    .annotation(pagesAnnotation())
    .withVariable(dataSourceVariable())
    .withVariable(labelVariable("job", "Job", "postrider_build_info", true))
    .withVariable(labelVariable("namespace", "Namespace", "postrider_deliveries_total", false))
    .withVariable(labelVariable("subscription", "Subscription", 'postrider_deliveries_total{namespace="$namespace"}', false))
    .withVariable(runbooksVariable())
    .withVariable(new DatasourceVariableBuilder("loki").label("Logs").type("loki"));
  glance(dashboard);
  receiver(dashboard);
  backlog(dashboard);
  events(dashboard);
  whereToLook(dashboard);
  return dashboard.build();
}

function glance(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("At a glance"))
    .withPanel(
      answer(
        {
          title: "State",
          description: "The worst of what there is to say about it now.",
          unit: "short",
          runbook: "PostriderEndpointFailing",
        },
        STATE,
        STATES,
      ),
    )
    .withPanel(
      stat(
        {
          title: "In trouble since",
          description: "How long it has failed, been held or not been ready. Only failures are known for longer than 6 hours.",
          unit: "s",
        },
        `max(${sinceOf(IT)}) or vector(0)`,
        { redFrom: 1 },
      ),
    )
    .withPanel(
      stat(
        { title: "Last success", description: "How long ago the receiver last accepted a delivery. No data: never.", unit: "s" },
        `min(time() - postrider_last_success_timestamp_seconds{${IT}})`,
      ),
    )
    .withPanel(
      stat(
        { title: "Pending", description: "Deliveries accepted and not yet ended.", unit: "short" },
        `sum(postrider_deliveries_pending{${IT}}) or vector(0)`,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Drains in",
          description: "What is pending, at the pace of the last 5 minutes. No data: nothing is delivered.",
          unit: "s",
        },
        drainsIn(IT),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Next attempt in",
          description: "When the next attempt may begin. No data: nothing is pending, or someone must act first.",
          unit: "s",
        },
        `min(clamp_min(postrider_next_attempt_timestamp_seconds{${IT}} - time(), 0))`,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Dead letters",
          description: "Deliveries that failed for good and were neither sent again nor forwarded.",
          unit: "short",
          runbook: "PostriderDeliveriesFailed",
        },
        `sum(postrider_dead_letters{${IT}}) or vector(0)`,
        { redFrom: 1 },
      ),
    );
}

function receiver(dashboard: DashboardBuilder): void {
  const ended = (outcome: string): string => `sum(increase(postrider_deliveries_total{${IT}${outcome}}[$__range]))`;
  dashboard
    .withRow(new RowBuilder("The receiver"))
    .withPanel(
      timeline(
        { title: "State over time", description: "The worst of what there was to say about it, over time.", unit: "short" },
        [[STATE, "state"]],
        STATES,
      )
        .span(12)
        .height(4),
    )
    .withPanel(
      stat(
        {
          title: "Deliveries that succeeded",
          description: "Of the deliveries that ended in the time shown; retries do not count.",
          unit: "percentunit",
        },
        `${ended(', outcome="delivered"')} / (${ended(', outcome=~"delivered|failed"')} > 0)`,
        { redBelow: 0.9 },
      )
        .span(4)
        .height(4),
    )
    .withPanel(
      stat(
        {
          title: "Attempts that fail",
          description: "Over about the last 20 attempts, however long ago they were.",
          unit: "percentunit",
        },
        `max(postrider_endpoint_failure_ratio{${IT}}) or vector(0)`,
        { redFrom: 0.25 },
      )
        .span(4)
        .height(4),
    )
    .withPanel(
      stat(
        {
          title: "First dead letter deleted in",
          description: "Until then it can be sent again. No data: there is none.",
          unit: "s",
          runbook: "PostriderDeliveriesFailed",
        },
        `min(postrider_dead_letters_oldest_expiry_timestamp_seconds{${IT}}) - time()`,
        { redBelow: 86_400 },
      )
        .span(4)
        .height(4),
    )
    .withPanel(
      graph(
        {
          title: "Attempts by outcome",
          description: "How attempts ended, at the receiver or on the way there.",
          unit: "ops",
          runbook: "PostriderEndpointFailing",
        },
        [[`sum by (outcome) (rate(postrider_delivery_attempts_total{${IT}}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    )
    .withPanel(
      heatmap(
        { title: "Duration of an attempt", description: "Every attempt. Needs --per-subscription-metrics full.", unit: "s" },
        "postrider_delivery_attempt_duration_seconds",
        `{${IT}}`,
      ),
    )
    .withPanel(
      graph(
        { title: "Duration of an attempt: the slowest", description: "Needs --per-subscription-metrics full.", unit: "s" },
        quantiles("postrider_delivery_attempt_duration_seconds", `{${IT}}`, [0.5, 0.9, 0.99]),
      ),
    );
}

function backlog(dashboard: DashboardBuilder): void {
  const ends = `sum(rate(postrider_deliveries_total{${IT}}[$__rate_interval]))`;
  dashboard
    .withRow(new RowBuilder("What is pending"))
    .withPanel(
      graph({ title: "Pending", description: "Deliveries accepted and not yet ended.", unit: "short", runbook: "PostriderBacklogOld" }, [
        [`sum(postrider_deliveries_pending{${IT}})`, "pending"],
      ]),
    )
    .withPanel(
      graph({ title: "Oldest pending", description: "Age of the oldest delivery that has not ended.", unit: "s" }, [
        [`max(postrider_oldest_pending_age_seconds{${IT}})`, "age"],
      ]),
    )
    .withPanel(
      graph(
        { title: "In and out", description: "Deliveries that come in and that end: where more come in, the backlog grows.", unit: "ops" },
        [
          [`clamp_min(sum(deriv(postrider_deliveries_pending{${IT}}[$__rate_interval])) + ${ends}, 0)`, "in"],
          [ends, "out"],
        ],
      ),
    );
}

function events(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Events"))
    .withPanel(
      graph(
        {
          title: "Deliveries ended",
          description: "delivered, failed (dead letters) and discarded (dropped on purpose).",
          unit: "ops",
          runbook: "PostriderDeliveriesFailed",
        },
        [[`sum by (outcome) (rate(postrider_deliveries_total{${IT}}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        {
          title: "Filter errors",
          description: "Events for which the filter failed: they count as no match.",
          unit: "ops",
          runbook: "PostriderFilterErrors",
        },
        [[`sum(rate(postrider_filter_errors_total{${IT}}[$__rate_interval]))`, "errors"]],
      ),
    )
    .withPanel(
      graph({ title: "Dead letters", description: "Failed for good, and neither sent again nor forwarded.", unit: "short" }, [
        [`sum(postrider_dead_letters{${IT}})`, "dead letters"],
      ]),
    );
}

/** The commands with the names filled in, and the log for those who keep it in Loki. */
function whereToLook(dashboard: DashboardBuilder): void {
  const commands = [
    "```sh",
    "kubectl -n ${namespace} get whsub ${subscription} -o wide",
    "kubectl -n ${namespace} describe whsub ${subscription}",
    'curl -H "Authorization: Bearer $TOKEN" "$API/v1/namespaces/${namespace}/deliveries?subscription=${subscription}&state=Failed"',
    "```",
    "`API` and `TOKEN`: see the [runbooks](${runbooks}).",
  ].join("\n");
  dashboard
    .withRow(new RowBuilder("Where to look"))
    .withPanel(
      new TextBuilder()
        .title("Commands")
        .description("What Kubernetes and the API say about it.")
        .mode(TextMode.Markdown)
        .content(commands)
        .span(24)
        .height(5),
    )
    .withRow(
      new RowBuilder("Log (needs Loki)")
        .collapsed(true)
        .withPanel(
          new LogsBuilder()
            .title("Log")
            .description("Lines of Postrider that name this subscription.")
            .datasource({ type: "loki", uid: "${loki}" })
            .span(24)
            .height(10)
            .withTarget(
              new LokiQueryBuilder().expr('{app="postrider"} | json | namespace="$namespace" | subscription="$subscription"').refId("A"),
            ),
        ),
    );
}
