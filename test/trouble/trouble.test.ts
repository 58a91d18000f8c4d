import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { programsFor } from "../support/observe/programs.ts";
import { CAN_TRACE, CLUSTER_ROWS, makeTrouble, NEEDS_STRACE, startCluster } from "../support/observe/trouble-cluster.ts";
import { SHOP_ROWS } from "../support/observe/trouble-rows.ts";
import { LOOK_EVERY_MS, placeOf, TroubleWatch } from "../support/observe/trouble-watch.ts";
import { until } from "../support/until.ts";

/** A minute is two seconds, an hour twelve. */
const PACE = { minutes: 30, hours: 300 };
const STARTED_WITHIN_MS = 60_000;
/** Scrapes, one a second, after which the slowest rule has had its time: 6 hours and 15 minutes of a backlog, and some more. */
const SCRAPES = 130;
const WHOLE_WITHIN_MS = 400_000;
/** What is told of each subscription by the way, where many have one cause. Alertmanager holds it back: alertmanager.test.ts. */
const SINGLES: Readonly<Record<string, readonly string[]>> = {
  "many-failing": ["EndpointFailing", "EndpointDown"],
  "many-not-ready": ["SubscriptionNotReady"],
};
/** What a trouble may bring with it, and Alertmanager holds back. */
const WITH_IT: Readonly<Record<string, readonly string[]>> = {
  "crash-loop": ["Unavailable"],
  "hanging-disk": ["IngestFailing", "SendsLate", "CommitSlow"],
};

const programs = await programsFor("trouble beside a real Prometheus", ["prometheus"]);
if (!CAN_TRACE) process.stderr.write("SKIPPED: slow and hanging disks, because strace cannot run here\n");

/** The real binary in trouble, the shipped rules, a real Prometheus: each row fires what it should and nothing else. */
describe.skipIf(programs === undefined)("trouble, at thirty times the pace of life", () => {
  const watch = new TroubleWatch();
  const clusterRows = CLUSTER_ROWS.filter(({ name }) => CAN_TRACE || !NEEDS_STRACE.has(name));

  beforeAll(async () => {
    const receivers = await watch.receivers();
    receivers.becomes("/shared", 204);
    const others = await startCluster(receivers);
    await watch.begin(receivers, [...others.values()], { program: programs?.prometheus ?? "", pace: PACE, withinMs: STARTED_WITHIN_MS });
    const { prometheus } = watch;
    const trouble = await makeTrouble(others, receivers, prometheus);
    watch.endsWith(() => trouble.stop());
    const scrapes = async (): Promise<boolean> =>
      (await prometheus.query(`count_over_time(up{job="shop",metrics_path="/metrics"}[15m]) >= ${SCRAPES}`)).length > 0;
    await until(scrapes, { withinMs: WHOLE_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => `fewer than ${SCRAPES} scrapes` });
  }, WHOLE_WITHIN_MS);
  afterAll(() => watch.stop());

  it.each(SHOP_ROWS)("$trouble", (row) => {
    expect(watch.record.at(placeOf(row))).toEqual(row.alerts);
  });

  it.each(clusterRows)("$trouble", ({ name, alerts }) => {
    const allowed = WITH_IT[name] ?? [];
    const required = alerts.filter((alert) => !allowed.includes(alert));
    const fired = watch.record.at(name);
    expect(fired.filter((alert) => !allowed.includes(alert))).toEqual(required);
    const singles = new Set(
      watch.record
        .all()
        .filter(({ where }) => where.startsWith(`${name} `))
        .map(({ alert }) => alert),
    );
    expect([...singles].filter((alert) => SINGLES[name]?.includes(alert) !== true)).toEqual([]);
  });

  it("nothing else fires, and Prometheus could evaluate every rule", async () => {
    const places = new Set(SHOP_ROWS.map(placeOf));
    expect(watch.record.all().filter(({ where }) => where.startsWith("shop") && !places.has(where))).toEqual([]);
    const jobs = new Set(["shop", ...clusterRows.map(({ name }) => name)]);
    expect(watch.record.all().filter(({ where }) => !jobs.has(where.split(" ")[0] ?? ""))).toEqual([]);
    expect((await watch.prometheus.rules()).filter(({ health }) => health !== "ok")).toEqual([]);
  });
});
