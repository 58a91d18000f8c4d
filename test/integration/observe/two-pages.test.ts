import { gunzipSync } from "node:zlib";
import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { SystemClock } from "../../../src/lib/clock.ts";
import { HealthServer } from "../../../src/observe/health-server.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { programsFor } from "../../support/observe/programs.ts";
import { PrometheusServer } from "../../support/observe/prometheus-server.ts";
import { silentLog } from "../../support/silent-log.ts";

const ORDERS = { namespace: "shop", name: 'odd "name"\\' };
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function running(): Promise<{ readonly url: string; readonly metrics: Metrics }> {
  const metrics = new Metrics({ version: "1.2.3" });
  metrics.showSubscription(ORDERS, true);
  metrics.perSubscription.readyIs(ORDERS, true);
  metrics.perSubscription.attempted(ORDERS, "timeout", 2);
  metrics.nameExemplars(({ deliveryId }) => ({ delivery_id: String(deliveryId) }));
  metrics.attemptDuration.observeTold(2, { namespace: "shop", deliveryId: 7, traceId: undefined });
  const server = new HealthServer({
    listen: { host: "127.0.0.1", port: 0 },
    metrics,
    clock: new SystemClock(),
    log: silentLog,
    ready: [],
    started: [],
  });
  const url = await server.open();
  const stop = new AbortController();
  const done = server.run(stop.signal);
  endings.push(async () => {
    stop.abort();
    await done;
  });
  return { url, metrics };
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** As a scraper that unpacks nothing by itself. */
function get(url: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }));
      response.on("error", reject);
    });
    call.on("error", reject).end();
  });
}

describe("the two pages", () => {
  it("have no name in common, and what is per subscription is on the second", async () => {
    const { url } = await running();
    const [all, each] = [(await get(`${url}/metrics`)).body.toString(), (await get(`${url}/metrics/per-subscription`)).body.toString()];
    const names = (text: string): string[] => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? "");
    expect(names(all).length).toBeGreaterThan(50);
    expect(names(each).length).toBeGreaterThan(10);
    expect(names(all).filter((name) => names(each).includes(name))).toEqual([]);
    expect(all).not.toContain("subscription=");
    expect(each).toContain(String.raw`postrider_subscription_ready{namespace="shop",subscription="odd \"name\"\\"} 1`);
  });

  it.each(["/metrics", "/metrics/per-subscription"])(
    "%s is packed for who asks for it, with its length, and the same without",
    async (path) => {
      const { url } = await running();
      const plain = await get(url + path);
      expect([plain.status, plain.headers["content-encoding"], plain.headers["content-type"]]).toEqual([
        200,
        undefined,
        "text/plain; version=0.0.4; charset=utf-8",
      ]);
      expect(Number(plain.headers["content-length"])).toBe(plain.body.length);
      const packed = await get(url + path, { "accept-encoding": "gzip" });
      expect([packed.headers["content-encoding"], packed.headers["vary"]]).toEqual(["gzip", "Accept, Accept-Encoding"]);
      expect(Number(packed.headers["content-length"])).toBe(packed.body.length);
      const heads = (text: string): string[] => text.split("\n").filter((line) => line.startsWith("#"));
      expect(heads(gunzipSync(packed.body).toString())).toEqual(heads(plain.body.toString()));
      const head = await get(url + path, { "accept-encoding": "gzip" }, "HEAD");
      expect([head.status, head.body.length, Number(head.headers["content-length"]) > 0]).toEqual([200, 0, true]);
      const open = await get(url + path, { accept: "application/openmetrics-text" });
      expect(open.headers["content-type"]).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
      expect(open.body.toString().endsWith("\n# EOF\n")).toBe(true);
    },
  );

  it("another path below is not there", async () => {
    const { url } = await running();
    expect((await get(`${url}/metrics/`)).status).toBe(404);
  });
});

const programs = await programsFor("both pages of metrics, scraped", ["prometheus"]);

describe.skipIf(programs === undefined)("a real Prometheus", () => {
  it("takes both pages as one job, told apart by a label, with le as a float", { timeout: 60_000 }, async () => {
    const { url, metrics } = await running();
    const prometheus = await PrometheusServer.start(programs?.prometheus ?? "", [{ job: "postrider", url }], []);
    endings.push(() => prometheus.stop());
    const up = async (): Promise<readonly (string | number | undefined)[][]> =>
      (await prometheus.query('up{job="postrider"}'))
        .map(({ labels, value }) => [labels["metrics_path"], value] as (string | number | undefined)[])
        .toSorted(([a], [b]) => String(a).localeCompare(String(b)));
    await expect.poll(up, { timeout: 20_000 }).toEqual([
      ["/metrics", 1],
      ["/metrics/per-subscription", 1],
    ]);
    metrics.perSubscription.attempted(ORDERS, "timeout", 2);
    const count = 'postrider_delivery_attempt_duration_seconds_bucket{namespace="shop",le="2.0"}';
    await expect.poll(async () => (await prometheus.query(count)).map(({ value }) => value), { timeout: 20_000 }).toEqual([2]);
    const one = 'postrider_attempt_duration_seconds_bucket{le="2.0"}';
    expect((await prometheus.query(one)).map(({ value }) => value)).toEqual([1]);
    expect((await prometheus.query("postrider_attempts_total")).length).toBe(8);
  });
});
