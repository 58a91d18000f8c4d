import { DashboardBuilder, DashboardCursorSync, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { FLEET_UID, linkTo, SAME_SOURCE, SUBSCRIPTION_DASHBOARD, toTheSubscription } from "./links.ts";
import { graph, quantiles, stat } from "./panels.ts";
import { dataSourceVariable, labelVariable } from "./variables.ts";

/** Selects this installation's own series. */
const OWN = '{job=~"$job"}';
/** The same, of the namespaces chosen. */
const IN = 'job=~"$job", namespace=~"$namespace"';
const TOP = 10;

/** The whole installation on one page: is it well, who is in trouble, what holds it up. */
export function fleetDashboard(): Dashboard {
  const dashboard = new DashboardBuilder("Postrider / Fleet")
    .uid(FLEET_UID)
    .description(
      "Whether Postrider is healthy, which receivers are in trouble, and what delays deliveries. Generated; changes are overwritten.",
    )
    .tags(["postrider"])
    .timezone("browser")
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(linkTo("One subscription", `${SUBSCRIPTION_DASHBOARD}?${SAME_SOURCE}`))
    .withVariable(dataSourceVariable())
    .withVariable(labelVariable("job", "Job", "postrider_build_info", true))
    .withVariable(labelVariable("namespace", "Namespace", "postrider_subscription_ready", true));
  glance(dashboard);
  ingest(dashboard);
  deliveries(dashboard);
  trouble(dashboard);
  machine(dashboard);
  cluster(dashboard);
  return dashboard.build();
}

function glance(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("At a glance"))
    .withPanel(
      stat(
        { title: "Events accepted", description: "Events stored durably and answered 2xx, per second.", unit: "ops" },
        `sum(rate(postrider_events_accepted_total{${IN}}[$__rate_interval]))`,
      ),
    )
    .withPanel(
      stat(
        { title: "Delivered", description: "Deliveries that a receiver has accepted, per second.", unit: "ops" },
        `sum(rate(postrider_deliveries_total{${IN}, outcome="delivered"}[$__rate_interval]))`,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Attempts that succeed",
          description: "Share of HTTP attempts that succeeded.",
          unit: "percentunit",
        },
        `sum(rate(postrider_delivery_attempts_total{${IN}, outcome="success"}[$__rate_interval])) / sum(rate(postrider_delivery_attempts_total{${IN}}[$__rate_interval]))`,
        { redBelow: 0.9 },
      ),
    )
    .withPanel(
      stat(
        { title: "Pending", description: "Deliveries that have not ended, retries included.", unit: "short" },
        `sum(postrider_deliveries_pending{${IN}})`,
      ),
    )
    .withPanel(
      stat(
        { title: "Circuits open", description: "Subscriptions whose circuit is open because the receiver fails.", unit: "short" },
        `sum(postrider_circuit_open{${IN}})`,
        { redFrom: 1 },
      ),
    )
    .withPanel(
      stat(
        { title: "Not ready", description: "Subscriptions whose Ready condition is not True: see kubectl get whsub.", unit: "short" },
        `count(postrider_subscription_ready{${IN}}) - sum(postrider_subscription_ready{${IN}})`,
        { redFrom: 1 },
      ),
    );
}

function ingest(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Ingest"))
    .withPanel(
      graph(
        {
          title: "Requests by status",
          description: "429, 503 and 507 are refusals with Retry-After; docs/errors.md explains each.",
          unit: "reqps",
        },
        [[`sum by (code) (rate(postrider_ingest_requests_total${OWN}[$__rate_interval]))`, "{{code}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        { title: "Answer time", description: "From a request's first byte to its answer, the durable commit included.", unit: "s" },
        quantiles("postrider_ingest_request_duration_seconds", OWN, [0.5, 0.99]),
      ),
    )
    .withPanel(
      graph(
        {
          title: "Unmatched events",
          description: `Accepted events that matched no subscription, in the ${TOP} namespaces with most: a mistyped pattern shows here.`,
          unit: "ops",
        },
        [[`topk(${TOP}, sum by (namespace) (rate(postrider_events_unmatched_total{${IN}}[$__rate_interval])))`, "{{namespace}}"]],
      ),
    );
}

function deliveries(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Deliveries"))
    .withPanel(
      graph(
        { title: "Attempts by outcome", description: "HTTP attempts, retries included.", unit: "ops" },
        [[`sum by (outcome) (rate(postrider_delivery_attempts_total{${IN}}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        {
          title: "Deliveries ended",
          description: "failed are in the dead-letter store; discarded were dropped on purpose.",
          unit: "ops",
        },
        [[`sum by (outcome) (rate(postrider_deliveries_total{${IN}}[$__rate_interval]))`, "{{outcome}}"]],
        true,
      ),
    )
    .withPanel(
      graph(
        {
          title: "Accepted to delivered",
          description: "From acceptance to the receiver's success, waiting and retries included.",
          unit: "s",
        },
        quantiles("postrider_delivery_latency_seconds", `{${IN}}`, [0.5, 0.95, 0.99]),
      ),
    );
}

function trouble(dashboard: DashboardBuilder): void {
  const by = "by (namespace, subscription)";
  dashboard
    .withRow(new RowBuilder("Who is in trouble"))
    .withPanel(
      graph({ title: `Longest backlogs`, description: `The ${TOP} subscriptions with most pending deliveries.`, unit: "short" }, [
        [`topk(${TOP}, sum ${by} (postrider_deliveries_pending{${IN}}))`, "{{namespace}}/{{subscription}}"],
      ]).dataLinks([toTheSubscription()]),
    )
    .withPanel(
      graph({ title: "Oldest pending", description: `The ${TOP} subscriptions whose oldest delivery has waited longest.`, unit: "s" }, [
        [`topk(${TOP}, max ${by} (postrider_oldest_pending_age_seconds{${IN}}))`, "{{namespace}}/{{subscription}}"],
      ]).dataLinks([toTheSubscription()]),
    )
    .withPanel(
      graph({ title: "Failing attempts", description: `The ${TOP} subscriptions with most attempts that did not succeed.`, unit: "ops" }, [
        [
          `topk(${TOP}, sum ${by} (rate(postrider_delivery_attempts_total{${IN}, outcome!="success"}[$__rate_interval])))`,
          "{{namespace}}/{{subscription}}",
        ],
      ]).dataLinks([toTheSubscription()]),
    );
}

function machine(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Engine and store"))
    .withPanel(
      graph({ title: "Attempts in flight", description: "Bounded by --max-in-flight; one namespace may hold half.", unit: "short" }, [
        [`sum(postrider_attempts_in_flight${OWN})`, "in flight"],
      ]),
    )
    .withPanel(
      graph(
        { title: "Commit time", description: "One group commit, fsync included: the disk sets the pace of the ingest.", unit: "s" },
        quantiles("postrider_store_commit_duration_seconds", OWN, [0.5, 0.99]),
      ),
    )
    .withPanel(
      graph({ title: "Disk", description: "Below --store-free-min the ingest answers 507.", unit: "bytes" }, [
        [`sum(postrider_store_size_bytes${OWN})`, "store"],
        [`min(postrider_store_free_bytes${OWN})`, "free"],
      ]),
    )
    .withPanel(
      graph(
        { title: "Event loop delay", description: "99th percentile over 10 s; a busy loop delays every answer by this much.", unit: "s" },
        [[`max(postrider_event_loop_lag_seconds${OWN})`, "p99"]],
      ),
    )
    .withPanel(
      graph({ title: "CPU", description: "Cores used by the process, all threads.", unit: "short" }, [
        [`sum by (instance) (rate(process_cpu_seconds_total${OWN}[$__rate_interval]))`, "{{instance}}"],
      ]),
    )
    .withPanel(
      graph({ title: "Memory", description: "Resident set of the process.", unit: "bytes" }, [
        [`sum by (instance) (process_resident_memory_bytes${OWN})`, "{{instance}}"],
      ]),
    );
}

function cluster(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder("Kubernetes"))
    .withPanel(
      stat(
        {
          title: "Class held",
          description: "1 while each installation serves its class. 0: another one holds the Lease, and this one serves nothing.",
          unit: "short",
        },
        `min(postrider_class_held${OWN})`,
        { redBelow: 1 },
      ),
    )
    .withPanel(
      graph({ title: "Reconciliations", description: "Manifests processed, by result.", unit: "ops" }, [
        [`sum by (result) (rate(postrider_reconcile_total${OWN}[$__rate_interval]))`, "{{result}}"],
      ]),
    )
    .withPanel(
      graph({ title: "Status and Events written", description: "Writes to the API server, by result.", unit: "ops" }, [
        [`sum by (result) (rate(postrider_status_writes_total${OWN}[$__rate_interval]))`, "status {{result}}"],
        [`sum by (result) (rate(postrider_kubernetes_events_total${OWN}[$__rate_interval]))`, "event {{result}}"],
      ]),
    )
    .withPanel(
      graph(
        {
          title: "Watches restarted",
          description: "periodic and expired are normal; the others mean trouble at the API server or missing permissions.",
          unit: "ops",
        },
        [[`sum by (kind, reason) (rate(postrider_watch_restarts_total${OWN}[$__rate_interval]))`, "{{kind}} {{reason}}"]],
      ),
    )
    .withPanel(
      graph(
        {
          title: "Silence of the API server",
          description: "Time since something was last heard of each kind. Below 90 s is normal; above, changes do not arrive.",
          unit: "s",
        },
        [[`max by (kind) (postrider_watch_last_event_seconds${OWN})`, "{{kind}}"]],
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
        [[`sum by (result) (rate(postrider_access_checks_total${OWN}[$__rate_interval]))`, "{{result}}"]],
      ),
    );
}
