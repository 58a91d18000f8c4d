import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { makeCertificates } from "../support/delivery/certificates.ts";
import { AlertRecord } from "../support/observe/alert-record.ts";
import { programsFor } from "../support/observe/programs.ts";
import { PrometheusServer } from "../support/observe/prometheus-server.ts";
import { writeScaledRules } from "../support/observe/scaled-rules.ts";
import { TroubleInstallation } from "../support/observe/trouble-installation.ts";
import { TroubleReceivers } from "../support/observe/trouble-receivers.ts";
import { until } from "../support/until.ts";
import { BROKEN_MANIFEST, LATE, SHOP_ROWS, shopManifests, shopTraffic } from "../support/observe/trouble-rows.ts";

/** A minute is a second; an hour ten. test/trouble has the whole table at half this pace. */
const PACE = { minutes: 60, hours: 360 };
const SEEN_WITHIN_MS = 50_000;
const LOOK_EVERY_MS = 500;
const programs = await programsFor("trouble beside a real Prometheus", ["prometheus"]);

/** The real binary in trouble, the shipped rules, a real Prometheus: each row fires what it should and nothing else. */
describe.skipIf(programs === undefined)("trouble, at sixty times the pace of life", () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-trouble-"));
  const stops: (() => void | Promise<void>)[] = [];
  let record: AlertRecord;
  let prometheus: PrometheusServer;

  beforeAll(async () => {
    const expired = makeCertificates()?.expired;
    if (expired === undefined) throw new Error("this test needs the openssl command");
    const receivers = await TroubleReceivers.start(expired);
    stops.push(() => receivers.stop());
    const shop = await TroubleInstallation.start("shop", shopManifests(receivers));
    stops.push(() => shop.stop());
    shop.write("broken.yaml", BROKEN_MANIFEST);
    const one = manifestFile(loopbackPolicy(), subscription({ name: "well", url: receivers.url("/ok") }));
    const full = await TroubleInstallation.start("full-disk", one, ["--store-free-min", "999999Gi"]);
    stops.push(() => full.stop());
    writeScaledRules(join(folder, "rules.yaml"), PACE);
    prometheus = await PrometheusServer.start(programs?.prometheus ?? "", [shop.target, full.target], [join(folder, "rules.yaml")]);
    stops.push(() => prometheus.stop());
    // Before the first scrape Postrider is absent, and rightly so.
    const scraped = async (): Promise<boolean> =>
      (await prometheus.query("postrider_build_info")).length === 2 &&
      (await prometheus.query('ALERTS{alertname="PostriderAbsent"}')).length === 0;
    await until(scraped, { withinMs: SEEN_WITHIN_MS, everyMs: LOOK_EVERY_MS, seen: () => "not scraped" });
    record = new AlertRecord(prometheus);
    stops.push(() => record.stop(), shopTraffic(shop));
  }, 90_000);

  afterAll(async () => {
    for (const stop of stops.toReversed()) await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const rows = SHOP_ROWS.filter(({ slow }) => slow !== true);
  /** What takes hours in life comes after the reduced table has been looked at. */
  const early = (alerts: readonly string[]): string[] => alerts.filter((name) => !LATE.has(name));
  const placeOf = ({ of, name }: (typeof rows)[number]): string => `shop ${of === "subscription" ? `shop/${name}` : name}`.trim();

  it.each(rows)("$trouble", async (row) => {
    const without = (): string[] => record.at(placeOf(row)).filter((name) => !LATE.has(name));
    await expect.poll(without, { timeout: SEEN_WITHIN_MS, interval: LOOK_EVERY_MS }).toEqual(early(row.alerts));
  });

  it("the disk is full, and no producer has met it", async () => {
    await expect.poll(() => record.at("full-disk"), { timeout: SEEN_WITHIN_MS, interval: LOOK_EVERY_MS }).toEqual(["DiskFull"]);
  });

  it("nothing else fires, and Prometheus could evaluate every rule", async () => {
    const expected = new Set([...rows.map(placeOf), "full-disk"]);
    expect(record.all().filter(({ where }) => !expected.has(where))).toEqual([]);
    // All of them once more: what fires later than another row's alert counts, too.
    const fired = rows.map((row) => [row.trouble, record.at(placeOf(row)).filter((name) => !LATE.has(name))]);
    expect(fired).toEqual(rows.map(({ trouble, alerts }) => [trouble, early(alerts)]));
    expect((await prometheus.rules()).filter(({ health }) => health !== "ok")).toEqual([]);
  });
});
