import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { toTheSubscription } from "./links.ts";
import { graph, heatmap, quantiles } from "./panels.ts";
import { table } from "./tables.ts";

const OWN = '{job=~"$job"}';
const IN = 'job=~"$job", namespace=~"$namespace"';
const TOP = 10;
const rate = (metric: string, selector: string): string => `rate(${metric}{${selector}}[$__rate_interval])`;

/** What comes in, and what happens to it. */
export function flow(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Flow"))
    .withPanel(
      graph(
        {
          title: "From accepted to delivered",
          description: "Events accepted and deliveries ended, per second; one event may be several deliveries. Dead letters are left out.",
          unit: "ops",
        },
        [
          [`sum(${rate("postrider_events_accepted_total", IN)})`, "accepted"],
          [`sum(${rate("postrider_events_unmatched_total", IN)})`, "unmatched"],
          [`sum(${rate("postrider_events_duplicate_total", IN)})`, "duplicates"],
          [`sum by (outcome) (${rate("postrider_deliveries_ended_total", IN)})`, "{{outcome}}"],
        ],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Requests to the ingest by status (all namespaces)",
          description: "429, 503 and 507 are refusals with Retry-After; docs/errors.md explains each.",
          unit: "reqps",
          runbook: "PostriderIngestFailing",
        },
        [[`sum by (code) (rate(postrider_ingest_requests_total${OWN}[$__rate_interval]))`, "{{code}}"]],
        true,
      ),
    )
    .withPanel(
      heatmap(
        {
          title: "Answer time (all namespaces)",
          description: "From a request's first byte to its answer, the durable commit included.",
          unit: "s",
          runbook: "PostriderAnswerBudgetBurning",
        },
        "postrider_ingest_request_duration_seconds",
        OWN,
      ),
    )
    .withPanel(
      table(
        {
          title: "Refused at the door",
          description: `Requests refused within the last hour, the ${TOP} most frequent reasons; docs/errors.md explains each code.`,
          unit: "short",
        },
        [
          { label: "namespace", title: "Namespace" },
          { label: "code", title: "Code" },
        ],
        [
          {
            title: "In the last hour",
            unit: "short",
            expr: `topk(${TOP}, round(sum by (namespace, code) (increase(postrider_ingest_refused_total{${OWN.slice(1, -1)}}[1h]))) > 0)`,
          },
        ],
        "In the last hour",
      )
        .span(8)
        .height(8),
    )
    .withPanel(
      graph(
        {
          title: "Unmatched events",
          description: `Accepted events that matched no subscription, in the ${TOP} namespaces with most: a mistyped pattern shows here.`,
          unit: "ops",
          runbook: "PostriderEventsUnmatched",
        },
        [[`topk(${TOP}, sum by (namespace) (${rate("postrider_events_unmatched_total", IN)}))`, "{{namespace}}"]],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Accepted to delivered: the slowest",
          description: "From acceptance to the receiver's success, waiting and retries included.",
          unit: "s",
          runbook: "PostriderDeliveredBudgetBurning",
        },
        quantiles("postrider_delivery_latency_seconds", `{${IN}}`, [0.5, 0.95, 0.99]),
      ),
    );
}

/** What is pending, and for what it waits. */
export function queue(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Queue (all namespaces, unless a panel names them)"))
    .withPanel(
      graph(
        {
          title: "Pending, by what it waits for",
          description: "in_flight: being sent. due: could be sent now. waiting: for its retry. held: its subscription sends nothing now.",
          unit: "short",
        },
        [[`sum by (state) (postrider_queue_deliveries${OWN})`, "{{state}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        {
          title: "Oldest",
          description: "us: oldest delivery that could be sent and is not. them: oldest of all, its receiver may fail.",
          unit: "s",
          runbook: "PostriderBacklogOld",
        },
        [
          [`max(postrider_oldest_due_age_seconds${OWN})`, "us: due"],
          [`max(postrider_oldest_pending_age_max_seconds${OWN})`, "them: pending"],
        ],
      ),
    )
    .withPanel(
      heatmap(
        {
          title: "Delay until an attempt begins",
          description: "From when a delivery was due and its subscription free to send: the time that Postrider itself adds.",
          unit: "s",
          runbook: "PostriderDispatchBudgetBurning",
        },
        "postrider_dispatch_delay_seconds",
        '{job=~"$job", kind="first", receiver="well"}',
      ),
    )
    .withPanel(
      graph(
        { title: "Slots in use", description: "Attempts in flight, and --max-in-flight; one namespace may hold half.", unit: "short" },
        [
          [`sum(postrider_attempts_in_flight${OWN})`, "in flight"],
          [`sum(postrider_attempts_in_flight_limit${OWN})`, "limit"],
          [`topk(3, sum by (namespace) (postrider_namespace_attempts_in_flight{${IN}}))`, "{{namespace}}"],
        ],
      ),
    )
    .withPanel(
      graph(
        { title: "Held, by reason", description: "Subscriptions that send nothing now; dead-letter queues count.", unit: "short" },
        [[`sum by (reason) (postrider_subscriptions_held${OWN})`, "{{reason}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        {
          title: "Longest backlogs",
          description: `The ${TOP} subscriptions with most pending deliveries now.`,
          unit: "short",
          runbook: "PostriderBacklogOld",
        },
        [[`topk(${TOP}, sum by (namespace, subscription) (postrider_deliveries_pending{${IN}}))`, "{{namespace}}/{{subscription}}"]],
      ).dataLinks([toTheSubscription()]),
    );
}

/** What the receivers do. */
export function receivers(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Receivers (all namespaces)"))
    .withPanel(
      graph(
        { title: "Attempts by outcome", description: "HTTP attempts, retries included.", unit: "ops", runbook: "PostriderEndpointFailing" },
        [[`sum by (outcome) (rate(postrider_attempts_total${OWN}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        {
          title: "Parts of an attempt (slowest 1 %)",
          description: "Name lookup, connection and TLS of new connections, and the receiver's first byte.",
          unit: "s",
        },
        [
          [
            `histogram_quantile(0.99, sum by (phase, le) (rate(postrider_attempt_phase_seconds_bucket${OWN}[$__rate_interval])))`,
            "{{phase}}",
          ],
        ],
      ),
    )
    .withPanel(
      heatmap(
        { title: "Duration of an attempt", description: "From the start of an attempt to its end, over all receivers.", unit: "s" },
        "postrider_attempt_duration_seconds",
        OWN,
      ),
    );
}
