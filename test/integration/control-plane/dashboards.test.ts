import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALERTS } from "../../../scripts/monitoring/alerts.ts";
import { loopbackPolicy, manifestFile, subscription } from "../../support/manifests.ts";
import { CHART, panels, SHOWN_LATER, withoutData } from "../../support/observe/dashboard-file.ts";
import { programsFor } from "../../support/observe/programs.ts";
import { PrometheusServer } from "../../support/observe/prometheus-server.ts";
import { tlsFlags } from "../../support/operator/tls-flags.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { makeCertificates } from "../../support/delivery/certificates.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { until } from "../../support/until.ts";

const NS = "shop";
/** All panels must show something within this time of traffic. */
const SHOWN_WITHIN_MS = 45_000;
const LOOK_EVERY_MS = 500;
const SHOWN = { timeout: SHOWN_WITHIN_MS, interval: LOOK_EVERY_MS };
const POST_EVERY_MS = 50;
/** What Grafana would fill in. */
const FILLED: readonly (readonly [string, string])[] = [
  ["$__rate_interval", "15s"],
  ["$__range", "60s"],
];

const programs = await programsFor("panels and alerts on a real Prometheus", ["prometheus"]);

/** The binary on a real API server, under the chart's rights, scraped by a real Prometheus while traffic flows. */
describeOnControlPlane(
  "dashboards and alerts",
  () => {
    describe.skipIf(programs === undefined)("against a real Prometheus", () => {
      let controlPlane: ControlPlane;
      let operator: OperatorProcess;
      let prometheus: PrometheusServer;
      let receiver: Server;
      let traffic: NodeJS.Timeout;
      const store = mkdtempSync(join(tmpdir(), "postrider-dashboards-"));

      beforeAll(async () => {
        controlPlane = await ControlPlane.start({});
        const chart = await installChart(controlPlane);
        receiver = createServer((request, response) => {
          request.resume();
          response.writeHead(request.url === "/dead" ? 500 : 204).end();
        });
        await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
        await controlPlane.kubectlOutput(["create", "namespace", NS]);
        await controlPlane.kubectlOutput(["apply", "--filename", "-"], {
          input: manifests((receiver.address() as AddressInfo).port),
        });
        operator = await OperatorProcess.start({ kubeconfig: chart.operatorKubeconfig, store: `sqlite:${store}`, flags: apiTls(store) });
        prometheus = await PrometheusServer.start(
          programs?.prometheus ?? "",
          [{ job: "postrider", url: operator.ready.metrics }],
          [join(CHART, "rules/alerts.yaml")],
        );
        // The first failure must be seen as an increase: from a series that was there at 0.
        const zero = 'postrider_deliveries_total{outcome="failed",subscription="fails"} == 0';
        await until(async () => (await prometheus.query(zero)).length > 0, { withinMs: SHOWN_WITHIN_MS, everyMs: LOOK_EVERY_MS });
        let n = 0;
        traffic = setInterval(
          () => void post(operator.ready.ingest, ["order.paid", "order.odd", "nobody.cares", ""][n++ % 4] ?? ""),
          POST_EVERY_MS,
        );
      });

      afterAll(async () => {
        clearInterval(traffic);
        await prometheus?.stop();
        await operator?.signal("SIGKILL");
        receiver?.close();
        await controlPlane?.stop();
        rmSync(store, { recursive: true, force: true });
      });

      it.each([
        ["fleet", "fails"],
        ["subscription", "fails"],
      ])("every panel of %s shows data", async (name, subscription) => {
        const shown = panels(name).filter(({ title }) => !SHOWN_LATER.has(title));
        expect(shown.length).toBeGreaterThan(10);
        await expect.poll(() => withoutData(shown, (expr) => prometheus.query(filled(expr, subscription))), SHOWN).toEqual([]);
      });

      it("every metric that an alert reads is there, and Prometheus evaluates every alert", async () => {
        const names = await prometheus.names();
        const read = ALERTS.flatMap(({ expr }) => expr.match(/\b(postrider|process)_[a-z_]+/g) ?? []);
        expect(read.length).toBeGreaterThan(ALERTS.length);
        expect(read.filter((name) => !names.has(name))).toEqual([]);
        const rules = await prometheus.rules();
        expect(rules.map(({ name }) => name)).toEqual(ALERTS.map(({ name }) => name));
        expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
      });

      it("the first delivery that fails for good is an increase that the alert sees", async () => {
        const firing = 'ALERTS{alertname="PostriderDeliveriesFailed",alertstate="firing",subscription="fails"}';
        await expect.poll(() => prometheus.query(firing), SHOWN).toHaveLength(1);
      });
    });
  },
  ["helm"],
);

/** One port speaks TLS, so that the metrics of certificates are there, too. */
function apiTls(store: string): string[] {
  const certificate = makeCertificates()?.good;
  if (certificate === undefined) throw new Error("this test needs the openssl command");
  return tlsFlags("api", store, certificate);
}

function filled(expr: string, subscription: string): string {
  const variables: readonly (readonly [string, string])[] = [
    ["$job", ".*"],
    ["$namespace", NS],
    ["$subscription", subscription],
  ];
  return [...FILLED, ...variables].reduce((text, [variable, value]) => text.replaceAll(variable, value), expr);
}

async function post(ingest: string, type: string): Promise<void> {
  const body = type === "" ? "{" : JSON.stringify({ type, data: { size: type === "order.odd" ? "large" : 1 } });
  await fetch(`${ingest}/v1/namespaces/${NS}/events`, { method: "POST", headers: { "content-type": "application/json" }, body }).catch(
    () => undefined,
  );
}

function manifests(port: number): string {
  const at = (name: string, path: string, filter = "true"): string =>
    subscription({ name, namespace: NS, filter, url: `http://127.0.0.1:${port}${path}` });
  return manifestFile(
    loopbackPolicy('retry: {maxAttempts: 2, schedule: ["0s", "100ms"], jitterPercent: 0}'),
    at("works", "/"),
    at("fails", "/dead"),
    at("picky", "/", "event.data.size > 1000"),
  );
}
