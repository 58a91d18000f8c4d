import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { CRD_FOLDER } from "../../support/kube/global-setup.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { CHART_0_1_0 } from "../../support/upgrade-fixture.ts";
import { until } from "../../support/until.ts";

const API = "postrider.dev/v1alpha1";

/** As with `crds.enabled: false`, where someone upgraded the operator alone. */
describeOnControlPlane("this version under the definitions of 0.1.0", () => {
  let controlPlane: ControlPlane;
  let operator: OperatorProcess;
  let receiver: Server;
  let arrived = 0;
  const store = mkdtempSync(join(tmpdir(), "postrider-older-"));
  const kubectl = (args: readonly string[], input?: string): Promise<string> =>
    controlPlane.kubectlOutput(args, input === undefined ? {} : { input });
  const applyAll = (objects: readonly object[]) =>
    kubectl(["create", "--filename=-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));

  beforeAll(async () => {
    controlPlane = await ControlPlane.start();
    execFileSync("tar", ["--extract", "--gzip", "--file", CHART_0_1_0, "--directory", store, "postrider/templates/crds"]);
    const crds = join(store, "postrider/templates/crds");
    for (const kind of ["clusterdeliverypolicies", "deliverypolicies", "deliveryreplays", "webhooksubscriptions"]) {
      const text = execFileSync("sed", ["/{{/d", join(crds, `${kind}.postrider.dev.yaml`)], { encoding: "utf8" });
      await kubectl(["create", "--filename=-"], text);
    }
    await kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
    await kubectl(["create", "namespace", "shop"]);
    receiver = createServer((request, response) => {
      request.resume();
      arrived += 1;
      response.writeHead(404).end();
    });
    await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
    const { port } = receiver.address() as AddressInfo;
    await applyAll([
      {
        apiVersion: API,
        kind: "ClusterDeliveryPolicy",
        metadata: { name: "loopback" },
        spec: { egress: { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true } },
      },
      {
        apiVersion: API,
        kind: "WebhookSubscription",
        metadata: { name: "orders", namespace: "shop" },
        spec: { events: { types: ["a"] }, endpoint: { url: `http://127.0.0.1:${port}/` }, signing: { scheme: "None" } },
      },
    ]);
    operator = await OperatorProcess.start({ kubeconfig: controlPlane.access.kubeconfig, store: `sqlite:${join(store, "store")}` });
  }, 120_000);

  afterAll(async () => {
    await operator?.signal("SIGKILL");
    receiver?.close();
    await controlPlane?.stop();
    rmSync(store, { recursive: true, force: true });
  });

  const publish = async (): Promise<number> => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ type: "a", data: {} });
    return (await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, { method: "POST", headers, body })).status;
  };

  it("accepts and delivers, and says that the definitions are older and what to apply", async () => {
    await until(async () => (await publish()) === 202);
    await until(() => arrived > 0);
    await until(() => operator.stderr().includes("status.failed"));
    expect(operator.stderr()).toMatch(
      /field not declared in schema\. The CustomResourceDefinitions are of another version .+: kubectl apply .+ crds\//,
    );
    expect(await kubectl(["get", "whsub", "orders", "--namespace", "shop", "--output=jsonpath={.status.conditions}"])).toBe("");
  });

  it("writes the status once they are applied, without a restart", async () => {
    await kubectl(["apply", "--server-side", "--force-conflicts", "--filename", CRD_FOLDER]);
    const outcome = () =>
      kubectl(["get", "whsub", "orders", "--namespace", "shop", "--output=jsonpath={.status.delivery.lastAttempt.outcome}"]);
    await until(async () => (await outcome()) !== "");
    expect(await outcome()).toBe("ClientError");
  });
});
