import { afterAll, beforeAll, expect, it } from "vitest";
import { CHART, helm } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { writeKubeconfig } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { CHART_0_1_0 } from "../../support/upgrade-fixture.ts";

const NAMESPACE = "postrider-system";
/** As people wrote it for 0.1.0. */
const OLD_SUBSCRIPTION = {
  apiVersion: "postrider.dev/v1alpha1",
  kind: "WebhookSubscription",
  metadata: { name: "old", namespace: "shop" },
  spec: {
    events: { types: ["order.*"] },
    endpoint: { serviceRef: { name: "receiver", port: 8080, scheme: "http" } },
    history: { recordIdField: "data.id" },
  },
};

/** docs/upgrading.md, as it says it, on a real API server. */
describeOnControlPlane(
  "an upgrade from 0.1.0",
  () => {
    let controlPlane: ControlPlane;
    let helmBinary: string;
    let kubeconfig: string;
    const run = (args: readonly string[], values: object = {}): Promise<string> =>
      helm(helmBinary, [...args, "--kubeconfig", kubeconfig, "--namespace", NAMESPACE], values);
    const kubectl = (args: readonly string[], input?: string): Promise<string> =>
      controlPlane.kubectlOutput(args, input === undefined ? {} : { input });
    const old = async (): Promise<{ spec: { endpoint: { serviceRef: { scheme: string } }; history?: object } }> =>
      JSON.parse(await kubectl(["get", "whsub", "old", "--namespace", "shop", "--output", "json"])) as never;

    /** What kubectl says to a manifest that is not accepted. */
    const refusal = async (object: object): Promise<string> => {
      const args = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
      const { code, stderr } = await controlPlane.kubectl(args, { input: JSON.stringify(object) });
      expect(code).not.toBe(0);
      return stderr;
    };

    beforeAll(async () => {
      helmBinary = (await binaries(["helm"])).helm;
      controlPlane = await ControlPlane.start();
      kubeconfig = await administrator(controlPlane);
      for (const namespace of [NAMESPACE, "shop"]) await kubectl(["create", "namespace", namespace]);
      await run(["install", "postrider", CHART_0_1_0], { persistence: { size: "3Gi" }, secretAccess: "cluster" });
      await kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
      await kubectl(["create", "--filename", "-"], JSON.stringify(OLD_SUBSCRIPTION));
    }, 120_000);
    afterAll(async () => controlPlane?.stop());

    it("works with --reset-then-reuse-values, and keeps what was set", async () => {
      const output = await run(["upgrade", "postrider", CHART, "--reset-then-reuse-values"], {
        image: { repository: "registry.example.com/postrider" },
      });
      expect(output).toContain("REVISION: 2");
      const claim = JSON.parse(await kubectl(["get", "pvc", "--namespace", NAMESPACE, "--output", "json"])) as {
        items: readonly { metadata: { name: string }; spec: { resources: { requests: { storage: string } } } }[];
      };
      expect(claim.items.map(({ metadata, spec }) => [metadata.name, spec.resources.requests.storage])).toEqual([
        ["postrider-data", "3Gi"],
      ]);
    });

    it("brings the new CRDs: what a subscription says under an old name is gone, and an edit says the new one", async () => {
      expect((await old()).spec.history).not.toHaveProperty("recordIdField");
      expect(await refusal(OLD_SUBSCRIPTION)).toContain(".spec.history.recordIdField: field not declared in schema");
      const { endpoint, events } = OLD_SUBSCRIPTION.spec;
      const renamed = { endpoint, events, history: { recordIDField: "data.id" } };
      expect(await refusal({ ...OLD_SUBSCRIPTION, metadata: { name: "new", namespace: "shop" }, spec: renamed })).toContain(
        'supported values: "HTTP", "HTTPS"',
      );
    });

    it("lets other fields of an old object be edited: a value that was valid once does not block its object", async () => {
      await kubectl(["patch", "whsub", "old", "--namespace", "shop", "--type=merge", "--patch", '{"spec":{"suspend":true}}']);
      expect((await old()).spec.endpoint.serviceRef.scheme).toBe("http");
    });

    it("goes back the same way: the CRDs of 0.1.0 are in force again", async () => {
      await run(["upgrade", "postrider", CHART_0_1_0, "--reset-then-reuse-values"]);
      const explained = await kubectl(["get", "crd", "webhooksubscriptions.postrider.dev", "--output", "json"]);
      expect(explained).toContain("recordIdField");
    });
  },
  ["helm"],
);

/** A kubeconfig that may do everything, as whoever installs has. */
async function administrator(controlPlane: ControlPlane): Promise<string> {
  await controlPlane.kubectlOutput(["create", "serviceaccount", "installer", "--namespace", "default"]);
  await controlPlane.kubectlOutput([
    "create",
    "clusterrolebinding",
    "installer",
    "--clusterrole=cluster-admin",
    "--serviceaccount=default:installer",
  ]);
  const token = await controlPlane.kubectlOutput(["create", "token", "installer", "--namespace", "default", "--duration=1h"]);
  return writeKubeconfig(controlPlane, "installer", token.trim());
}
