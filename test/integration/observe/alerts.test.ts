import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { ALERTS } from "../../../scripts/monitoring/alerts.ts";
import { HEALTHY, STORIES } from "../../support/observe/alert-stories.ts";
import { lintComplaint, PROMTOOL, storyComplaint } from "../../support/observe/rule-tests.ts";
import type { Check, Series } from "../../support/observe/rule-tests.ts";
import { JOB, ONE, POD_A, POD_B } from "../../support/observe/story.ts";

const ROOT = join(import.meta.dirname, "../../..");
const RULES = join(ROOT, "charts/postrider/rules/alerts.yaml");

const FOLDER = mkdtempSync(join(tmpdir(), "postrider-alerts-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

/** A file with some rules of those that are shipped. */
function only(...names: readonly string[]): string {
  const { groups } = parse(readFileSync(RULES, "utf8")) as { groups: { rules: { alert: string }[] }[] };
  const rules = groups.flatMap((group) => group.rules).filter(({ alert }) => names.includes(alert));
  expect(rules.map(({ alert }) => alert)).toEqual(names);
  const file = join(FOLDER, `${names[0]}.yaml`);
  writeFileSync(file, stringify({ groups: [{ name: "one", rules }] }, { lineWidth: 0 }));
  return file;
}

/** Runs `promtool test rules`; answers what it printed, or undefined when everything was as expected. */
const complaint = (series: Series, checks: readonly Check[], interval?: string) => storyComplaint([RULES], series, checks, interval);

describe.skipIf(PROMTOOL === undefined)("the alerts, as Prometheus evaluates them", () => {
  it("pass promtool check rules", () => {
    expect(lintComplaint(RULES)).toBeUndefined();
  });

  it.each(ALERTS.map(({ name, severity }) => ({ name, severity })))("$name fires and clears", ({ name, severity }) => {
    const story = STORIES[name];
    if (story === undefined) throw new Error(`no story makes ${name} fire`);
    const { series, labels, fires, clear, interval = "1m" } = story;
    const expr = `ALERTS{alertname="${name}",alertstate="firing"}`;
    const full = ['alertstate="firing"', `alertname="${name}"`, `severity="${severity}"`, ...(labels === "" ? [] : [labels])].join(",");
    const checks = [
      { expr, eval_time: fires, exp_samples: [{ labels: `ALERTS{${full}}`, value: 1 }] },
      { expr, eval_time: clear, exp_samples: [] },
    ];
    // Alone: the others would take ten times as long, and what fires beside it is asked below.
    expect(storyComplaint([only(name)], series, checks, interval)).toBeUndefined();
  });

  it("miss an installation that has never been there, and one that has been gone for a day", () => {
    const expr = 'ALERTS{alertname="PostriderAbsent",alertstate="firing"}';
    const full = `ALERTS{alertname="PostriderAbsent",alertstate="firing",severity="critical"`;
    const never = { [`postrider_build_info{${POD_A}}`]: "_x10 1x30", [`up{${POD_A}}`]: "_x10 1x30" };
    const checks = [
      { expr, eval_time: "8m", exp_samples: [{ labels: `${full}}`, value: 1 }] },
      { expr, eval_time: "15m", exp_samples: [] },
    ];
    expect(complaint(never, checks)).toBeUndefined();
    const gone = {
      [`postrider_build_info{${POD_A}}`]: "1x3 stale",
      'postrider_build_info{job="other"}': "1x100",
      'up{job="other"}': "1x100",
    };
    const fires = { expr, eval_time: "28h", exp_samples: [{ labels: `${full},${JOB}}`, value: 1 }] };
    expect(complaint(gone, [fires], "1h")).toBeUndefined();
  });

  it("say of an installation that waits for its class only that", () => {
    const alerts = (name: string, labels: string) => ({
      labels: `ALERTS{alertname="${name}",alertstate="firing",severity="critical",job="postrider",${labels}}`,
      value: 1,
    });
    const of = (namespace: string): string => `job="postrider",namespace="${namespace}",instance="${namespace}:9090"`;
    const series = {
      [`postrider_build_info{${of("a")}}`]: "1+0x60",
      [`up{${of("a")}}`]: "1+0x60",
      [`postrider_class_held{${of("a")}}`]: "0+0x60",
      [`postrider_watch_synced{${of("a")},kind="Namespace",scope="*"}`]: "0+0x60",
      [`postrider_watch_synced{${of("a")},kind="Secret",scope="shop"}`]: "0+0x60",
      [`postrider_class_held{${of("b")}}`]: "1+0x60",
      [`postrider_watch_synced{${of("b")},kind="Namespace",scope="*"}`]: "0+0x60",
    };
    const check = {
      expr: 'ALERTS{alertstate="firing"}',
      eval_time: "40m",
      exp_samples: [
        alerts("PostriderClassNotHeld", 'namespace="a"'),
        alerts("PostriderManifestsNotRead", 'namespace="b",kind="Namespace",scope="*"'),
      ],
    };
    expect(complaint(series, [check])).toBeUndefined();
  });

  it("see one of two installations of the same name refuse events, however busy the other is", () => {
    const counted = (namespace: string, code: string): string =>
      `postrider_ingest_requests_total{job="postrider",namespace="${namespace}",instance="${namespace}:9090",code="${code}"}`;
    const expr = 'ALERTS{alertname="PostriderIngestFailing",alertstate="firing"}';
    const labels = 'alertname="PostriderIngestFailing",alertstate="firing",severity="critical",job="postrider",namespace="a"';
    const series = { [counted("a", "503")]: "0+10x60", [counted("b", "202")]: "0+100000x60" };
    expect(complaint(series, [{ expr, eval_time: "15m", exp_samples: [{ labels: `ALERTS{${labels}}`, value: 1 }] }])).toBeUndefined();
  });

  it("are silent while all is well", () => {
    const checks = ["30m", "2h", "5h"].map((at) => ({ expr: 'ALERTS{alertstate="firing"}', eval_time: at, exp_samples: [] }));
    expect(complaint(HEALTHY, checks)).toBeUndefined();
  });

  it.each([10, 30, 60])("hear a crash loop under the kubelet's back-off: a process that lives for %i s", (livesSeconds) => {
    const of = (minutes: number, value?: number): Check => ({
      expr: 'count(ALERTS{alertstate="firing",severity="critical"}) > bool 0',
      eval_time: `${minutes}m`,
      exp_samples: value === undefined ? [] : [{ labels: "{}", value }],
    });
    // From twenty minutes after the first crash, at each moment; and not an hour after the last one.
    const checks = [of(19), ...Array.from({ length: 9 }, (_, i) => of(40 + 5 * i, 1)), of(150)];
    const process = only("PostriderAbsent", "PostriderUnavailable", "PostriderCrashing", "PostriderRestarting");
    expect(storyComplaint([process], crashLoop(livesSeconds), checks, "30s")).toBeUndefined();
  });

  it("say nothing of a rollout: one Pod ends in order, another begins, twice in half an hour", () => {
    const live = (pod: string, from: number, to: number): Series => {
      const span = (value: string): string => `${from > 0 ? `_x${from - 1} ` : ""}${value}x${to - from} stale`;
      return {
        [`up{${pod}}`]: span("1"),
        [`postrider_build_info{${pod},version="${pod.length}.${from}"}`]: span("1"),
        [`process_start_time_seconds{${pod}}`]: span(String(from * 60)),
        [`postrider_starts_total{${pod},how="clean"}`]: span(String(from)),
        [`postrider_starts_total{${pod},how="killed"}`]: span("2"),
        [`postrider_subscription_ready{${pod},${ONE}}`]: span("1"),
      };
    };
    const series = { ...live(POD_A, 0, 60), ...live(POD_B, 62, 75), ...live('job="postrider",instance="c:9090"', 77, 200) };
    const checks = [61, 62, 63, 64, 70, 76, 78, 80, 100, 150].map((minute) => ({
      expr: 'ALERTS{alertstate="firing"}',
      eval_time: `${minute}m`,
      exp_samples: [],
    }));
    expect(complaint(series, checks)).toBeUndefined();
  });

  it("count processes that run side by side under one name as no restarts", () => {
    const pods = Array.from({ length: 6 }, (_, i) => `job="postrider",instance="${i}:9090"`);
    const series = Object.fromEntries(
      pods.flatMap((pod, i) => [
        [`up{${pod}}`, "1x90"],
        [`postrider_build_info{${pod}}`, "1x90"],
        [`process_start_time_seconds{${pod}}`, `${i}x90`],
        [`postrider_starts_total{${pod},how="killed"}`, `${10 * i}x90`],
      ]),
    );
    expect(complaint(series, [{ expr: 'ALERTS{alertstate="firing"}', eval_time: "60m", exp_samples: [] }])).toBeUndefined();
  });

  it("tell a receiver that is dead in one installation from the same name in another, and keep the cluster", () => {
    const of = (job: string, cluster: string) => `job="${job}",cluster="${cluster}",instance="a:9090",pod="p",container="c",${ONE}`;
    const series = {
      [`postrider_build_info{${of("one", "east")}}`]: "1x60",
      [`up{${of("one", "east")}}`]: "1x60",
      [`postrider_endpoint_failing_since_timestamp_seconds{${of("one", "east")}}`]: "60x60",
      [`postrider_subscription_ready{${of("one", "east")}}`]: "1x60",
      [`postrider_subscription_ready{${of("two", "west")}}`]: "1x60",
    };
    const labels = `alertname="PostriderEndpointFailing",alertstate="firing",severity="info",job="one",cluster="east",${ONE}`;
    const check = { expr: 'ALERTS{alertstate="firing"}', eval_time: "40m", exp_samples: [{ labels: `ALERTS{${labels}}`, value: 1 }] };
    expect(complaint(series, [check])).toBeUndefined();
  });

  it("see that twenty receivers began to fail together, however many others there are; nineteen of thousands may be chance", () => {
    const failing = (n: number): Series => ({
      [`postrider_subscriptions{${POD_A},namespace="hooks",state="ready"}`]: "9000x60",
      [`postrider_subscriptions{${POD_A},namespace="hooks",state="failing"}`]: `${n}x60`,
      ...Object.fromEntries(
        Array.from({ length: n }, (_, i) => [
          `postrider_endpoint_failing_since_timestamp_seconds{${POD_A},namespace="t${i % 7}",subscription="s${i}"}`,
          "_x9 600x50",
        ]),
      ),
    });
    const count = { expr: 'count(ALERTS{alertname="PostriderManyReceiversFailing",alertstate="firing"})', eval_time: "20m" };
    expect(complaint(failing(20), [{ ...count, exp_samples: [{ labels: "{}", value: 1 }] }])).toBeUndefined();
    expect(complaint(failing(19), [{ ...count, exp_samples: [] }])).toBeUndefined();
  });

  it("hear the first refusal of a full disk without anyone who sends, and no share of nothing", () => {
    const series = {
      [`postrider_build_info{${POD_A}}`]: "1x20",
      [`up{${POD_A}}`]: "1x20",
      [`postrider_store_free_bytes{${POD_A}}`]: "100x20",
      [`postrider_store_free_min_bytes{${POD_A}}`]: "128x20",
      [`postrider_ingest_requests_total{${POD_A},code="202"}`]: "0x20",
    };
    const labels = `alertname="PostriderDiskFull",alertstate="firing",severity="critical",${JOB}`;
    const check = { expr: 'ALERTS{alertstate="firing"}', eval_time: "5m", exp_samples: [{ labels: `ALERTS{${labels}}`, value: 1 }] };
    expect(complaint(series, [check])).toBeUndefined();
  });
});

/** Half-minute samples of a process that is well for 20 minutes, then killed again and again for 70, then well. Its address stays. */
function crashLoop(livesSeconds: number): Series {
  const names = ["up", "build", "start", "killed", "clean"] as const;
  const samples: Record<(typeof names)[number], string[]> = { up: [], build: [], start: [], killed: [], clean: [] };
  const put = (value: { start: number; killed: number } | undefined): void => {
    samples.up.push(value === undefined ? "0" : "1");
    samples.build.push(value === undefined ? "stale" : "1");
    samples.start.push(value === undefined ? "stale" : String(value.start));
    samples.killed.push(value === undefined ? "stale" : String(value.killed));
    samples.clean.push(value === undefined ? "stale" : "1");
  };
  const lives: { from: number; to: number }[] = [{ from: 0, to: 1_200 }];
  for (let at = 1_200, backOff = 10; at < 5_400; backOff = Math.min(300, backOff * 2)) {
    lives.push({ from: at + backOff, to: at + backOff + livesSeconds });
    at += backOff + livesSeconds;
  }
  lives.push({ from: 5_400, to: 20_000 });
  for (let at = 0; at < 9_100; at += 30) {
    const index = lives.findLastIndex(({ from, to }) => from <= at && at < to);
    put(index < 0 ? undefined : { start: lives[index]?.from ?? 0, killed: index });
  }
  const of = (name: (typeof names)[number]): string => samples[name].join(" ");
  return {
    [`up{${POD_A}}`]: of("up"),
    [`postrider_build_info{${POD_A}}`]: of("build"),
    [`process_start_time_seconds{${POD_A}}`]: of("start"),
    [`postrider_starts_total{${POD_A},how="killed"}`]: of("killed"),
    [`postrider_starts_total{${POD_A},how="clean"}`]: of("clean"),
  };
}
