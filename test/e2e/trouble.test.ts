import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackPolicy, manifestFile, subscription } from "../support/manifests.ts";
import { programsFor } from "../support/observe/programs.ts";
import { TroubleInstallation } from "../support/observe/trouble-installation.ts";
import { LATE, SHOP_ROWS } from "../support/observe/trouble-rows.ts";
import { LOOK_EVERY_MS, placeOf, TroubleWatch } from "../support/observe/trouble-watch.ts";

/** A minute is a second; an hour ten. test/trouble has the whole table at half this pace. */
const PACE = { minutes: 60, hours: 360 };
const SEEN_WITHIN_MS = 50_000;
const programs = await programsFor("trouble beside a real Prometheus", ["prometheus"]);

/** The real binary in trouble, the shipped rules, a real Prometheus: each row fires what it should and nothing else. */
describe.skipIf(programs === undefined)("trouble, at sixty times the pace of life", () => {
  const watch = new TroubleWatch();

  beforeAll(async () => {
    const receivers = await watch.receivers();
    const one = manifestFile(loopbackPolicy(), subscription({ name: "well", url: receivers.url("/ok") }));
    const full = await TroubleInstallation.start("full-disk", one, ["--store-free-min", "999999Gi"]);
    await watch.begin(receivers, [full], { program: programs?.prometheus ?? "", pace: PACE, withinMs: SEEN_WITHIN_MS });
  }, 90_000);
  afterAll(() => watch.stop());

  const rows = SHOP_ROWS.filter(({ slow }) => slow !== true);
  /** What takes hours in life comes after the reduced table has been looked at. */
  const early = (alerts: readonly string[]): string[] => alerts.filter((name) => !LATE.has(name));

  it.each(rows)("$trouble", async (row) => {
    const without = (): string[] => watch.record.at(placeOf(row)).filter((name) => !LATE.has(name));
    await expect.poll(without, { timeout: SEEN_WITHIN_MS, interval: LOOK_EVERY_MS }).toEqual(early(row.alerts));
  });

  it("the disk is full, and no producer has met it", async () => {
    await expect.poll(() => watch.record.at("full-disk"), { timeout: SEEN_WITHIN_MS, interval: LOOK_EVERY_MS }).toEqual(["DiskFull"]);
  });

  it("nothing else fires, and Prometheus could evaluate every rule", async () => {
    const expected = new Set([...rows.map(placeOf), "full-disk"]);
    expect(watch.record.all().filter(({ where }) => !expected.has(where))).toEqual([]);
    // All of them once more: what fires later than another row's alert counts, too.
    const fired = rows.map((row) => [row.trouble, watch.record.at(placeOf(row)).filter((name) => !LATE.has(name))]);
    expect(fired).toEqual(rows.map(({ trouble, alerts }) => [trouble, early(alerts)]));
    expect((await watch.prometheus.rules()).filter(({ health }) => health !== "ok")).toEqual([]);
  });
});
