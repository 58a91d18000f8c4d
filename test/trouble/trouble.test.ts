import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeCertificates } from "../support/delivery/certificates.ts";
import { AlertRecord } from "../support/observe/alert-record.ts";
import { programsFor } from "../support/observe/programs.ts";
import { PrometheusServer } from "../support/observe/prometheus-server.ts";
import { writeScaledRules } from "../support/observe/scaled-rules.ts";
import { CAN_TRACE, CLUSTER_ROWS, makeTrouble, NEEDS_STRACE, startCluster } from "../support/observe/trouble-cluster.ts";
import { TroubleInstallation } from "../support/observe/trouble-installation.ts";
import { TroubleReceivers } from "../support/observe/trouble-receivers.ts";
import { BROKEN_MANIFEST, SHOP_ROWS, shopManifests, shopTraffic } from "../support/observe/trouble-rows.ts";
import { until } from "../support/until.ts";

/** A minute is two seconds, an hour twelve. */
const PACE = { minutes: 30, hours: 300 };
const LOOK_EVERY_MS = 500;
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
  const folder = mkdtempSync(join(tmpdir(), "postrider-trouble-"));
  const stops: (() => void | Promise<void>)[] = [];
  const clusterRows = CLUSTER_ROWS.filter(({ name }) => CAN_TRACE || !NEEDS_STRACE.has(name));
  let record: AlertRecord;
  let prometheus: PrometheusServer;

  beforeAll(async () => {
    const expired = makeCertificates()?.expired;
    if (expired === undefined) throw new Error("this test needs the openssl command");
    const receivers = await TroubleReceivers.start(expired);
    stops.push(() => receivers.stop());
    receivers.becomes("/shared", 204);
    const shop = await TroubleInstallation.start("shop", shopManifests(receivers));
    const others = await startCluster(receivers);
    const all = [shop, ...others.values()];
    stops.push(...all.map((installation) => () => installation.stop()));
    shop.write("broken.yaml", BROKEN_MANIFEST);
    const rules = join(folder, "rules.yaml");
    writeScaledRules(rules, PACE);
    prometheus = await PrometheusServer.start(
      programs?.prometheus ?? "",
      all.map(({ target }) => target),
      [rules],
    );
    stops.push(() => prometheus.stop());
    // Before the first scrape Postrider is absent, and rightly so.
    const scraped = async (): Promise<boolean> =>
      (await prometheus.query("postrider_build_info")).length === all.length &&
      (await prometheus.query('ALERTS{alertname="PostriderAbsent"}')).length === 0;
    await until(scraped, { withinMs: STARTED_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => "not scraped" });
    record = new AlertRecord(prometheus);
    stops.push(() => record.stop(), shopTraffic(shop));
    const trouble = await makeTrouble(others, receivers, prometheus);
    stops.push(() => trouble.stop());
    const scrapes = async (): Promise<boolean> =>
      (await prometheus.query(`count_over_time(up{job="shop",metrics_path="/metrics"}[15m]) >= ${SCRAPES}`)).length > 0;
    await until(scrapes, { withinMs: WHOLE_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => `fewer than ${SCRAPES} scrapes` });
  }, WHOLE_WITHIN_MS);

  afterAll(async () => {
    for (const stop of stops.toReversed()) await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const placeOf = ({ of, name }: (typeof SHOP_ROWS)[number]): string => `shop ${of === "subscription" ? `shop/${name}` : name}`.trim();

  it.each(SHOP_ROWS)("$trouble", (row) => {
    expect(record.at(placeOf(row))).toEqual(row.alerts);
  });

  it.each(clusterRows)("$trouble", ({ name, alerts }) => {
    const allowed = WITH_IT[name] ?? [];
    const required = alerts.filter((alert) => !allowed.includes(alert));
    const fired = record.at(name);
    expect(fired.filter((alert) => !allowed.includes(alert))).toEqual(required);
    const singles = new Set(
      record
        .all()
        .filter(({ where }) => where.startsWith(`${name} `))
        .map(({ alert }) => alert),
    );
    expect([...singles].filter((alert) => SINGLES[name]?.includes(alert) !== true)).toEqual([]);
  });

  it("nothing else fires, and Prometheus could evaluate every rule", async () => {
    const places = new Set(SHOP_ROWS.map(placeOf));
    expect(record.all().filter(({ where }) => where.startsWith("shop") && !places.has(where))).toEqual([]);
    const jobs = new Set(["shop", ...clusterRows.map(({ name }) => name)]);
    expect(record.all().filter(({ where }) => !jobs.has(where.split(" ")[0] ?? ""))).toEqual([]);
    expect((await prometheus.rules()).filter(({ health }) => health !== "ok")).toEqual([]);
  });
});
