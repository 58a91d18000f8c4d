import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OBJECTIVES } from "../../../scripts/monitoring/slo.ts";
import { lintComplaint, PROMTOOL, storyComplaint } from "../../support/observe/rule-tests.ts";
import type { Check, Series } from "../../support/observe/rule-tests.ts";

const RULES = join(import.meta.dirname, "../../../charts/postrider/rules/slo.yaml");
const JOB = 'namespace="postrider-system",job="postrider"';
const POD_A = `${JOB},instance="a:9090",pod="postrider-0"`;
/** Series about a tenant's namespace keep it: it replaces the Pod's. */
const OF_SHOP = 'namespace="shop",job="postrider",instance="a:9090",pod="postrider-0"';
const POD_B = `${JOB},instance="b:9090",pod="postrider-0"`;

const WELL = `${POD_A},kind="first",receiver="well"`;

const INGEST = "postrider_ingest_requests_total";

/** A histogram of a hundred observations a minute; `good` of them, minute by minute, are within the bound. */
function histogram(name: string, labels: string, bound: string, good: string): Series {
  return {
    [`${name}_bucket{${labels},le="${bound}"}`]: good,
    [`${name}_bucket{${labels},le="+Inf"}`]: "0+100x500",
    [`${name}_count{${labels}}`]: "0+100x500",
  };
}

/** Traffic in which each objective is missed by far for two hours and kept afterwards. */
const MISSED: Readonly<Record<string, Series>> = {
  accept: {
    [`${INGEST}{${POD_A},code="202"}`]: "0+95x500",
    [`${INGEST}{${POD_A},code="503"}`]: "0+5x120 600+0x380",
  },
  answer: histogram("postrider_ingest_request_duration_seconds", POD_A, "0.25", "0+50x120 6000+100x380"),
  dispatch: histogram("postrider_dispatch_delay_seconds", WELL, "1", "0+50x120 6000+100x380"),
  delivered: histogram("postrider_delivery_latency_seconds", OF_SHOP, "60", "0+50x120 6000+100x380"),
  fresh: {
    [`postrider_subscriptions{${POD_A},state="ready"}`]: "5+0x500",
    [`postrider_subscriptions{${POD_A},state="failing"}`]: "5+0x500",
    [`postrider_subscriptions_late{${POD_A}}`]: "5+0x120 0+0x380",
  },
};

describe.skipIf(PROMTOOL === undefined)("the objectives, as Prometheus evaluates them", () => {
  /** What `promtool test rules` says against `checks`, or undefined. */
  const complaint = (series: Series, checks: readonly Check[], interval = "1m"): string | undefined =>
    storyComplaint([RULES], series, checks, interval);

  const firing = (at: string, ...severities: readonly string[]): Check => ({
    expr: 'count by (alertname, severity) (ALERTS{alertstate="firing"})',
    eval_time: at,
    exp_samples: severities.map((labels) => ({ labels: `{${labels}}`, value: 1 })),
  });
  const page = (alert: string): string => `alertname="${alert}",severity="critical"`;
  const ticket = (alert: string): string => `alertname="${alert}",severity="warning"`;

  it("pass promtool check rules", () => {
    expect(lintComplaint(RULES)).toBeUndefined();
  });

  it("each fires while it is missed, pages within 15 minutes of the first failure, and ends after it", () => {
    expect(Object.keys(MISSED)).toEqual(OBJECTIVES.map(({ slo }) => slo));
    const pages = OBJECTIVES.filter((objective) => objective.pages).map(({ alert }) => page(alert));
    const all = [...pages, ...OBJECTIVES.map(({ alert }) => ticket(alert))];
    const series = Object.assign({}, ...Object.values(MISSED)) as Series;
    expect(complaint(series, [firing("15m", ...pages), firing("110m", ...all), firing("500m")])).toBeUndefined();
  });

  it("names the installation, and of deliveries the namespace; a new Pod continues what the one before it began", () => {
    const moved = {
      [`${INGEST}{${POD_A},code="202"}`]: "0+95x10 stale",
      [`${INGEST}{${POD_A},code="503"}`]: "0+5x10 stale",
      [`${INGEST}{${POD_B},code="202"}`]: "_x11 0+95x60",
      [`${INGEST}{${POD_B},code="503"}`]: "_x11 0+5x60",
    };
    const names = (at: string, metric: string, labels: string): Check => ({
      expr: `${metric} * 0`,
      eval_time: at,
      exp_samples: [
        { labels: `{${labels},alertname="PostriderAcceptBudgetBurning",alertstate="firing",severity="critical",slo="accept"}`, value: 0 },
      ],
    });
    const all = ["12m", "13m", "20m", "30m", "60m"].map((at) => names(at, 'ALERTS{alertstate="firing",severity="critical"}', JOB));
    expect(complaint(moved, all)).toBeUndefined();
  });

  it("hears of one installation among several, whatever the others do", () => {
    const other = 'namespace="other",job="postrider",instance="c:9090"';
    const series = { ...MISSED["accept"], [`${INGEST}{${other},code="202"}`]: "0+100000x500" };
    const sample = { labels: `{${JOB}}`, value: 1 };
    const check = { expr: 'count by (namespace, job) (ALERTS{alertstate="firing",severity="critical"})', eval_time: "20m" };
    expect(complaint(series, [{ ...check, exp_samples: [sample] }])).toBeUndefined();
  });

  it("knows the bounds as Prometheus 3 writes them", () => {
    const series = {
      ...histogram("postrider_dispatch_delay_seconds", WELL, "1.0", "0+100x500"),
      ...histogram("postrider_delivery_latency_seconds", OF_SHOP, "60.0", "0+100x500"),
    };
    const zero = ["dispatch", "delivered"].map((slo) => ({
      expr: `sum by (slo) (postrider:slo_burn:1h{slo="${slo}"})`,
      eval_time: "90m",
      exp_samples: [{ labels: `{slo="${slo}"}`, value: 0 }],
    }));
    expect(complaint(series, [...zero, firing("300m")])).toBeUndefined();
  });

  it("a receiver that fails or is slow, and a retry, are not what Postrider is late for", () => {
    const late = ["first", "retry"].flatMap((kind) => ["well", "failing", "slow"].map((receiver) => [kind, receiver] as const));
    const others = late.filter(([kind, receiver]) => kind !== "first" || receiver !== "well");
    const series = others.map(([kind, receiver]) =>
      histogram("postrider_dispatch_delay_seconds", `${POD_A},kind="${kind}",receiver="${receiver}"`, "1", "0+0x500"),
    );
    const well = histogram("postrider_dispatch_delay_seconds", WELL, "1", "0+100x600");
    expect(complaint(Object.assign({}, well, ...series) as Series, [firing("300m")])).toBeUndefined();
  });

  it("deliveries that fail for good are late for ever, also where none succeeds", () => {
    const series = {
      [`postrider_deliveries_ended_total{${OF_SHOP},outcome="delivered"}`]: "0+0x500",
      [`postrider_deliveries_ended_total{${OF_SHOP},outcome="failed"}`]: "0+1x500",
    };
    expect(complaint(series, [firing("300m", ticket("PostriderDeliveredBudgetBurning"))])).toBeUndefined();
  });

  it("is silent about a bound that no bucket has, instead of calling everything good", () => {
    const series = histogram("postrider_dispatch_delay_seconds", WELL, "0.9", "0+100x600");
    expect(complaint(series, [{ expr: "postrider:slo_burn:1h", eval_time: "90m", exp_samples: [] }])).toBeUndefined();
  });

  it("little traffic: one refusal in an hour of five requests is no alert, ten are", () => {
    const few = { [`${INGEST}{${POD_A},code="202"}`]: "0+1x7200", [`${INGEST}{${POD_A},code="503"}`]: "0+0x30 1+0x7170" };
    expect(
      complaint(
        few,
        ["35m", "60m", "90m", "10h", "24h"].map((at) => firing(at)),
        "12m",
      ),
    ).toBeUndefined();
    const ten = { [`${INGEST}{${POD_A},code="202"}`]: "0+0.2x500", [`${INGEST}{${POD_A},code="503"}`]: "0+0x30 1+1x29 30+0x540" };
    expect(complaint(ten, [firing("45m", page("PostriderAcceptBudgetBurning"))])).toBeUndefined();
  });

  it("a slow burn is a ticket and no page: 0.2 % of a day's requests are refused", () => {
    const series = { [`${INGEST}{${POD_A},code="202"}`]: "0+4990x900", [`${INGEST}{${POD_A},code="503"}`]: "0+10x900" };
    expect(complaint(series, [firing("28h", ticket("PostriderAcceptBudgetBurning"))], "2m")).toBeUndefined();
  });

  it("a producer's own mistakes use up nothing", () => {
    const series = {
      [`${INGEST}{${POD_A},code="202"}`]: "0+10x500",
      [`${INGEST}{${POD_A},code="400"}`]: "0+50x500",
      [`${INGEST}{${POD_A},code="429"}`]: "0+50x500",
    };
    const left = { expr: 'postrider:slo_budget_left:30d{slo="accept"} * 1', eval_time: "300m" };
    const sample = { labels: `{${JOB},slo="accept"}`, value: 1 };
    expect(complaint(series, [firing("300m"), { ...left, exp_samples: [sample] }])).toBeUndefined();
  });

  it("half of the budget is left when half of what may fail has failed", () => {
    const series = { [`${INGEST}{${POD_A},code="202"}`]: "0+399900x800", [`${INGEST}{${POD_A},code="503"}`]: "0+100x800" };
    const left = { expr: 'round(postrider:slo_budget_left:30d{slo="accept"}, 0.01)', eval_time: "24h" };
    const sample = { labels: `{${JOB},slo="accept"}`, value: 0.5 };
    expect(complaint(series, [{ ...left, exp_samples: [sample] }], "2m")).toBeUndefined();
  });
});
