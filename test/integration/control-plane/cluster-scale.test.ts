import { afterAll, beforeAll, expect, it } from "vitest";
import { TRANSITIONS_BURST, TRANSITIONS_PER_SECOND } from "../../../src/controller/status-reporter.ts";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { ApiRequests, collectionPath } from "../../support/kube/api-request.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

/** The bar is 10,000 in 10 s; `npm test` takes fewer, in proportion. */
const COUNT = Number(process.env["POSTRIDER_TEST_SUBSCRIPTIONS"] ?? 500);
const BAR_MS = Math.max(3_000, COUNT);
const NAMESPACES = 10;
const CREATORS = 8;

describeOnControlPlane(`${COUNT} subscriptions`, () => {
  let controlPlane: ControlPlane;
  let operator: KubeconfigOperator;

  beforeAll(async () => {
    controlPlane = await ControlPlane.start();
    const chart = await installChart(controlPlane);
    const api = new ApiRequests(controlPlane.access);
    for (let n = 0; n < NAMESPACES; n++) await api.send("POST", "/api/v1/namespaces", { metadata: { name: `scale-${n}` } });
    const waiting = Array.from({ length: COUNT }, (_, index) => index);
    const creator = async (): Promise<void> => {
      for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) await create(api, index);
    };
    await Promise.all(Array.from({ length: CREATORS }, creator));
    api.close();
    operator = new KubeconfigOperator({ kubeconfig: chart.operatorKubeconfig, bindingHint: chart.bindingHint });
  }, 600_000);

  afterAll(async () => {
    await operator?.stop();
    await controlPlane?.stop();
  });

  it(
    "are in the routing table within the bar, and their status is written within its rate",
    async () => {
      const fromMs = performance.now();
      operator.run();
      await operator.until(() => operator.provider.synced, BAR_MS * 6);
      const listedMs = Math.round(performance.now() - fromMs);
      await operator.until(() => operator.controller.ready && [...operator.table.routes()].length === COUNT, BAR_MS * 6);
      const reconciledMs = Math.round(performance.now() - fromMs);
      process.stdout.write(`${COUNT} subscriptions: listed in ${listedMs} ms, reconciled in ${reconciledMs} ms\n`);
      expect(reconciledMs).toBeLessThanOrEqual(BAR_MS);
      const isDone = (): boolean => operator.writes.filter(({ result }) => result === "done").length >= COUNT;
      let written = isDone();
      while (!written) {
        const seen = operator.writes.length;
        await operator.until(() => operator.writes.length >= Math.min(COUNT, seen + 100), 30_000);
        written = isDone();
      }
      const writtenMs = Math.round(performance.now() - fromMs);
      process.stdout.write(`${COUNT} subscriptions: every status written in ${writtenMs} ms, ${operator.writes.length} writes\n`);
      const times = operator.writes.map(({ atMs }) => atMs).toSorted((a, b) => a - b);
      const rate = (times.length - TRANSITIONS_BURST) / ((times.at(-1)! - times[0]!) / 1_000);
      expect(rate).toBeLessThanOrEqual(TRANSITIONS_PER_SECOND * 1.05);
      expect(operator.writes.length).toBeLessThanOrEqual(COUNT * 1.05);
    },
    BAR_MS * 12 + (COUNT / TRANSITIONS_PER_SECOND) * 2_000 + 30_000,
  );
});

async function create(api: ApiRequests, index: number): Promise<void> {
  const namespace = `scale-${index % NAMESPACES}`;
  const { statusCode } = await api.send("POST", collectionPath("WebhookSubscription", namespace), {
    apiVersion: "postrider.dev/v1alpha1",
    kind: "WebhookSubscription",
    metadata: { name: `sub-${index}`, namespace },
    spec: {
      events: { types: [`order.kind${index % 50}`, "video.*"], ...(index % 4 === 0 ? { filter: `event.data.size > ${index % 20}` } : {}) },
      endpoint: { url: `https://receiver-${index % 100}.example.com/hooks/${index}` },
      signing: { scheme: "None" },
    },
  });
  if (statusCode !== 201) throw new Error(`created with ${statusCode}`);
}
