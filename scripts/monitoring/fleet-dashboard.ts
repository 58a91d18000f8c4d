import { DashboardBuilder, DashboardCursorSync, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { cluster, processRow, store } from "./fleet-machine.ts";
import { flow, queue, receivers } from "./fleet-traffic.ts";
import { FLEET_UID, linkTo, rowToTheSubscription, RUNBOOKS, SAME_SOURCE, SUBSCRIPTION_DASHBOARD } from "./links.ts";
import { answer, graph, stat } from "./panels.ts";
import { ROWS_MAX, table } from "./tables.ts";
import { dataSourceVariable, labelVariable, pagesAnnotation, runbooksVariable, startsAnnotation } from "./variables.ts";
import { DELIVERING, IS_IT_DELIVERING, SINCE_WHEN, sinceOf, STATE_MEANINGS, statesOf, US_OR_THEM, WHOSE } from "./verdicts.ts";

const OWN = '{job=~"$job"}';
const IN = 'job=~"$job", namespace=~"$namespace"';
const BY = "by (namespace, subscription)";
const WIDE = 12;

/** The whole installation on one page: is it delivering, who is in trouble, since when, us or them. */
export function fleetDashboard(): Dashboard {
  const dashboard = new DashboardBuilder("Postrider / Fleet")
    .uid(FLEET_UID)
    .description(
      "Whether Postrider delivers, who is in trouble and since when, and whose trouble it is. Generated; changes are overwritten.",
    )
    .tags(["postrider"])
    .timezone("browser")
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(linkTo("One subscription", `${SUBSCRIPTION_DASHBOARD}?${SAME_SOURCE}`))
    .annotation(startsAnnotation())
    .annotation(pagesAnnotation())
    .withVariable(dataSourceVariable())
    .withVariable(labelVariable("job", "Job", "postrider_build_info", true))
    .withVariable(labelVariable("namespace", "Namespace", "postrider_deliveries_ended_total", true))
    .withVariable(runbooksVariable());
  questions(dashboard);
  numbers(dashboard);
  dashboard.withPanel(whoIsInTrouble().span(16).height(9)).withPanel(firingAlerts().span(8).height(9));
  courses(dashboard);
  flow(dashboard);
  queue(dashboard);
  receivers(dashboard);
  store(dashboard);
  processRow(dashboard);
  cluster(dashboard);
  return dashboard.build();
}

function questions(dashboard: DashboardBuilder): void {
  const who = `count(${statesOf(IN)} > 1) or vector(0)`;
  dashboard
    .withRow(new RowBuilder("The first ten seconds"))
    .withPanel(
      answer(
        {
          title: "Is it delivering?",
          description: "Whether this installation sends: of all namespaces, whatever is chosen above.",
          unit: "short",
        },
        IS_IT_DELIVERING,
        DELIVERING,
      ),
    )
    .withPanel(
      answer(
        {
          title: "Who is in trouble?",
          description:
            "Subscriptions that fail, are off, or are not ready; the table below names them. Suspended by their own spec is no trouble.",
          unit: "short",
          runbook: "PostriderEndpointFailing",
        },
        who,
        { "0": { text: "No one", color: "green" } },
      ),
    )
    .withPanel(
      answer(
        {
          title: "Since when?",
          description:
            "How long the longest trouble of those below, or of Postrider, has lasted. Only failing receivers are known for longer than 6 hours.",
          unit: "s",
        },
        SINCE_WHEN,
        { "0": { text: "No trouble now", color: "green" } },
      ),
    )
    .withPanel(
      answer(
        {
          title: "Us or them?",
          description: "Whose trouble it is now: Postrider's, a receiver's, or that of an owner of subscriptions or a producer of events.",
          unit: "short",
        },
        US_OR_THEM,
        WHOSE,
      ),
    );
}

function numbers(dashboard: DashboardBuilder): void {
  const sum = (metric: string, labels = ""): string => `sum(${metric}{job=~"$job"${labels}}) or vector(0)`;
  const left = (slo: string): string => `min(postrider:slo_budget_left:30d{job=~"$job", slo="${slo}"})`;
  const budget = { redBelow: 0 } as const;
  dashboard
    .withPanel(
      stat(
        {
          title: "Up since",
          description: "Time since the youngest process started; the lines in the graphs show each start with its version.",
          unit: "s",
          runbook: "PostriderRestarting",
        },
        `min(time() - process_start_time_seconds${OWN}) or vector(0)`,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Budget: accepted",
          description: "What is left in 30 days of the requests that may be answered 5xx. Needs the recording rules.",
          unit: "percentunit",
          runbook: "PostriderAcceptBudgetBurning",
        },
        left("accept"),
        budget,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Budget: sent in time",
          description: "What is left in 30 days of the attempts that may begin late because of Postrider. Needs the recording rules.",
          unit: "percentunit",
          runbook: "PostriderDispatchBudgetBurning",
        },
        left("dispatch"),
        budget,
      ),
    )
    .withPanel(
      stat(
        { title: "Receivers failing", description: "Subscriptions of which every attempt fails now.", unit: "short" },
        sum("postrider_subscriptions", ', state="failing"'),
        { redFrom: 1 },
      ),
    )
    .withPanel(
      stat(
        { title: "Held", description: "Subscriptions that send nothing until someone acts.", unit: "short" },
        sum("postrider_subscriptions", ', state="held"'),
        { redFrom: 1 },
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
        sum("postrider_dead_letters_unsent"),
        { redFrom: 1 },
      ),
    )
    .withPanel(
      stat({ title: "Pending", description: "Deliveries accepted and not ended.", unit: "short" }, sum("postrider_queue_deliveries")),
    )
    .withPanel(
      stat(
        {
          title: "Disk above its floor",
          description: "Free space above --store-free-min, as a share of the disk. At 0 events are refused with 507.",
          unit: "percentunit",
          runbook: "PostriderDiskFull",
        },
        `min((postrider_store_free_bytes${OWN} - postrider_store_free_min_bytes${OWN}) / postrider_store_capacity_bytes${OWN}) or vector(0)`,
        { redBelow: 0.05 },
      ),
    );
}

function whoIsInTrouble(): TableBuilder {
  const states = statesOf(IN);
  /** Prometheus answers no more than can be shown, however many fail. */
  const worst = `and on (namespace, subscription) topk(${ROWS_MAX}, ${states})`;
  const of = (expr: string): string => `(${expr}) ${worst}`;
  const column = (title: string, unit: string, expr: string) => ({ title, unit, expr: of(expr) });
  return table(
    {
      title: "Who is in trouble, and since when",
      description: `At most ${ROWS_MAX} subscriptions, the longest trouble first. A name leads to its dashboard.`,
      unit: "short",
      runbook: "PostriderEndpointFailing",
    },
    [
      { label: "namespace", title: "Namespace" },
      { label: "subscription", title: "Subscription", link: rowToTheSubscription() },
    ],
    [
      { title: "State", unit: "short", expr: `topk(${ROWS_MAX}, ${states})`, meanings: STATE_MEANINGS, width: 170 },
      column("Since", "s", sinceOf(IN)),
      column("Last success", "s", `max ${BY} (time() - postrider_last_success_timestamp_seconds{${IN}})`),
      column("Failing", "percentunit", `max ${BY} (postrider_endpoint_failure_ratio{${IN}})`),
      column("Pending", "short", `sum ${BY} (postrider_deliveries_pending{${IN}})`),
      column("Oldest", "s", `max ${BY} (postrider_oldest_pending_age_seconds{${IN}})`),
      column("Next attempt in", "s", `min ${BY} (clamp_min(postrider_next_attempt_timestamp_seconds{${IN}} - time(), 0))`),
      column("Drains in", "s", drainsIn(IN)),
      column("Dead letters", "short", `sum ${BY} (postrider_dead_letters{${IN}})`),
    ],
    "Since",
  );
}

/** At the pace of the last 5 minutes; nothing while nothing is delivered. */
export function drainsIn(selector: string): string {
  const pace = `sum ${BY} (rate(postrider_deliveries_total{${selector}, outcome="delivered"}[5m]))`;
  return `sum ${BY} (postrider_deliveries_pending{${selector}}) / (${pace} > 0)`;
}

function firingAlerts(): TableBuilder {
  const by = "max by (alertname, severity, namespace, subscription)";
  const firing = 'ALERTS{alertname=~"Postrider.+", alertstate="firing"}';
  return table(
    { title: "Alerts", description: "Alerts of Postrider that fire now. A name leads to its runbook. Needs the rules.", unit: "s" },
    [
      { label: "alertname", title: "Alert", width: 190, link: { title: "Runbook", url: `${RUNBOOKS}/\${__data.fields.alertname}` } },
      { label: "severity", title: "Severity" },
      { label: "namespace", title: "Namespace" },
      { label: "subscription", title: "Subscription", link: rowToTheSubscription() },
    ],
    [
      {
        title: "Since",
        unit: "s",
        expr: `${by} ((time() - ALERTS_FOR_STATE{alertname=~"Postrider.+"}) and ignoring (alertstate) ${firing})`,
      },
    ],
    "Since",
  );
}

function courses(dashboard: DashboardBuilder): void {
  const well = '{job=~"$job", kind="first", receiver="well"}';
  const p99 = (metric: string, selector: string): string =>
    `histogram_quantile(0.99, sum by (le) (rate(${metric}_bucket${selector}[$__rate_interval])))`;
  dashboard
    .withPanel(
      graph(
        {
          title: "Us or them: where the time goes (slowest 1 %)",
          description:
            "us: from when a delivery is due and nothing holds it back until its attempt begins. them: from there until the receiver's answer.",
          unit: "s",
          runbook: "PostriderDispatchBudgetBurning",
        },
        [
          [p99("postrider_dispatch_delay_seconds", well), "us: due until sent"],
          [p99("postrider_attempt_duration_seconds", OWN), "them: the attempt"],
        ],
      )
        .span(WIDE)
        .height(7),
    )
    .withPanel(
      graph(
        {
          title: "Subscriptions in trouble",
          description:
            "failing: every attempt fails. held: sends nothing until someone acts. not_ready: rejected, or something is missing.",
          unit: "short",
          runbook: "PostriderEndpointFailing",
        },
        [[`sum by (state) (postrider_subscriptions{job=~"$job", state!="ready"})`, "{{state}}"]],
        true,
      )
        .span(WIDE)
        .height(7),
    );
}
