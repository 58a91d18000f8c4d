import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificates } from "../delivery/certificates.ts";
import { until } from "../until.ts";
import { AlertRecord } from "./alert-record.ts";
import { PrometheusServer } from "./prometheus-server.ts";
import { type Pace, writeScaledRules } from "./scaled-rules.ts";
import { TroubleInstallation } from "./trouble-installation.ts";
import { TroubleReceivers } from "./trouble-receivers.ts";
import { BROKEN_MANIFEST, type SHOP_ROWS, shopManifests, shopTraffic } from "./trouble-rows.ts";

export const LOOK_EVERY_MS = 500;

/** Where a row's alerts say that they are. */
export function placeOf({ of, name }: (typeof SHOP_ROWS)[number]): string {
  return `shop ${of === "subscription" ? `shop/${name}` : name}`.trim();
}

/** The shop in trouble with other installations beside it, the shipped rules at another pace, and a real Prometheus that remembers what fired. */
export class TroubleWatch {
  readonly #folder = mkdtempSync(join(tmpdir(), "postrider-trouble-"));
  readonly #stops: (() => void | Promise<void>)[] = [];
  #prometheus: PrometheusServer | undefined;
  #record: AlertRecord | undefined;

  get prometheus(): PrometheusServer {
    if (this.#prometheus === undefined) throw new Error("the watch has not begun");
    return this.#prometheus;
  }

  get record(): AlertRecord {
    if (this.#record === undefined) throw new Error("the watch has not begun");
    return this.#record;
  }

  async receivers(): Promise<TroubleReceivers> {
    const expired = makeCertificates()?.expired;
    if (expired === undefined) throw new Error("this test needs the openssl command");
    const receivers = await TroubleReceivers.start(expired);
    this.endsWith(() => receivers.stop());
    return receivers;
  }

  /** Begins with the first scrape of all of them. `program`: where Prometheus is. */
  async begin(
    receivers: TroubleReceivers,
    others: readonly TroubleInstallation[],
    { program, pace, withinMs }: { readonly program: string; readonly pace: Pace; readonly withinMs: number },
  ): Promise<void> {
    for (const other of others) this.endsWith(() => other.stop());
    const shop = await TroubleInstallation.start("shop", shopManifests(receivers));
    this.endsWith(() => shop.stop());
    shop.write("broken.yaml", BROKEN_MANIFEST);
    const rules = join(this.#folder, "rules.yaml");
    writeScaledRules(rules, pace);
    const targets = [shop, ...others].map(({ target }) => target);
    const prometheus = await PrometheusServer.start(program, targets, [rules]);
    this.#prometheus = prometheus;
    this.endsWith(() => prometheus.stop());
    // Before the first scrape Postrider is absent, and rightly so.
    const scraped = async (): Promise<boolean> =>
      (await prometheus.query("postrider_build_info")).length === targets.length &&
      (await prometheus.query('ALERTS{alertname="PostriderAbsent"}')).length === 0;
    await until(scraped, { withinMs, everyMs: LOOK_EVERY_MS, seen: () => "not scraped" });
    const record = new AlertRecord(prometheus);
    this.#record = record;
    this.endsWith(() => record.stop());
    this.endsWith(shopTraffic(shop));
  }

  /** What was started last ends first. */
  endsWith(stop: () => void | Promise<void>): void {
    this.#stops.push(stop);
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.toReversed()) await stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
