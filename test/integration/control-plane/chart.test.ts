import { afterAll, beforeAll, expect, it } from "vitest";
import { CI_VALUES } from "../../support/chart/ci-values.ts";
import { CHART, helm, IMAGE, renderChart } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";
import { attempt } from "../../support/node/command.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

const NAMESPACES = ["hooks", "shop", "bank", "monitoring"];
const FOREIGN = [
  ["monitoring.coreos.com", "v1", "ServiceMonitor"],
  ["monitoring.coreos.com", "v1", "PodMonitor"],
  ["monitoring.coreos.com", "v1", "PrometheusRule"],
  ["cert-manager.io", "v1", "Certificate"],
  ["gateway.networking.k8s.io", "v1", "HTTPRoute"],
] as const;

/** A kind of another project, of any shape: what is in it is for that project to check. */
function foreignDefinition([group, version, kind]: (typeof FOREIGN)[number]): object {
  const plural = `${kind.toLowerCase()}s`;
  const schema = {
    openAPIV3Schema: { type: "object", properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}`, annotations: { "api-approved.kubernetes.io": "unapproved, for a test" } },
    spec: { group, scope: "Namespaced", names: { plural, kind }, versions: [{ name: version, served: true, storage: true, schema }] },
  };
}

const list = (items: readonly object[]): string => JSON.stringify({ apiVersion: "v1", kind: "List", items });

describeOnControlPlane(
  "the chart on a real API server",
  () => {
    let controlPlane: ControlPlane;
    let binary: string;

    beforeAll(async () => {
      controlPlane = await ControlPlane.start();
      binary = (await binaries(["helm"])).helm;
      for (const name of NAMESPACES) await controlPlane.kubectlOutput(["create", "namespace", name]);
      await controlPlane.kubectlOutput(["create", "--filename=-"], { input: list(FOREIGN.map(foreignDefinition)) });
      await controlPlane.kubectlOutput(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    }, 120_000);
    afterAll(() => controlPlane?.stop());

    const onCluster = (command: string, values: object, ...flags: string[]): Promise<string> => {
      const args = [command, "pr", CHART, "--namespace", "hooks", "--kubeconfig", controlPlane.access.kubeconfig, ...flags];
      return helm(binary, args, values);
    };

    it("the dry run can fail: a field that Kubernetes does not know, and a value that it refuses", async () => {
      const service = { apiVersion: "v1", kind: "Service", metadata: { name: "a", namespace: "hooks" } };
      const dryRun = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"];
      const ports = [{ port: 80 }];
      expect((await controlPlane.kubectl(dryRun, { input: JSON.stringify({ ...service, spec: { ports, typ: "x" } }) })).stderr).toContain(
        "typ",
      );
      expect((await controlPlane.kubectl(dryRun, { input: JSON.stringify({ ...service, spec: { ports, type: "x" } }) })).stderr).toContain(
        "type",
      );
    });

    it.each(CI_VALUES)("takes everything that is rendered with the values %s, in every field", async (_name, values) => {
      const objects = await renderChart(binary, values);
      const dryRun = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename=-"];
      const { stdout, stderr } = await controlPlane.kubectl(dryRun, { input: list(objects) });
      expect(stderr).toBe("");
      expect(stdout.trim().split("\n")).toHaveLength(objects.length);
    });

    it("refuses an upgrade that would start on another claim, or change what a claim never changes", { timeout: 180_000 }, async () => {
      const image = { ...IMAGE };
      await onCluster("install", { image });
      const upgrade = (values: object) => onCluster("upgrade", { image, ...values });
      await expect(upgrade({ nameOverride: "foo" })).rejects.toThrow(
        /release pr keeps its events in the claim pr-postrider-data, and with this nameOverride or fullnameOverride it would start on a new, empty claim pr-foo-data: set --set persistence\.existingClaim=pr-postrider-data/,
      );
      await expect(upgrade({ persistence: { accessMode: "ReadWriteOnce" } })).rejects.toThrow(
        /persistence\.accessMode is ReadWriteOnce, but the claim pr-postrider-data has ReadWriteOncePod/,
      );
      await expect(upgrade({ persistence: { storageClassName: "fast" } })).rejects.toThrow(
        /persistence\.storageClassName is fast, but the claim pr-postrider-data has -, which Kubernetes does not change/,
      );
      await expect(upgrade({})).resolves.toContain("has been upgraded");
      await expect(upgrade({ nameOverride: "foo", persistence: { existingClaim: "pr-postrider-data" } })).resolves.toContain(
        "has been upgraded",
      );
    });

    it("says on the way from 0.1.0 which RoleBindings must be created again", { timeout: 120_000 }, async () => {
      const notes = () => onCluster("upgrade", { image: { ...IMAGE } }, "--dry-run=server");
      expect(await notes()).not.toContain("ACTION NEEDED");
      await controlPlane.kubectlOutput(["create", "clusterrole", "hooks-pr-postrider-secrets", "--verb=get", "--resource=secrets"]);
      expect(await notes()).toMatch(
        /ACTION NEEDED: the ClusterRoles have new names since 0\.2\.0[^]*--clusterrole=hooks:pr-postrider:secrets/,
      );
    });

    it("refuses the values of an older chart when they are reused", { timeout: 120_000 }, async () => {
      await expect(onCluster("upgrade", { image: { ...IMAGE }, tls: null }, "--reuse-values")).rejects.toThrow(/--reset-then-reuse-values/);
    });

    it("is uninstalled when it has granted nothing: no hook waits for permissions that are not given", { timeout: 120_000 }, async () => {
      await onCluster("upgrade", { image: { ...IMAGE }, rbac: { create: false } });
      const args = ["uninstall", "pr", "--namespace", "hooks", "--kubeconfig", controlPlane.access.kubeconfig, "--timeout", "20s"];
      const { code, stderr } = await attempt([binary, ...args]);
      expect([code, stderr]).toEqual([0, ""]);
      const left = await controlPlane.kubectlOutput(["-n", "hooks", "get", "statefulset,pvc,job,serviceaccount", "--output=name"]);
      expect(left).toBe("persistentvolumeclaim/pr-postrider-data\n");
    });
  },
  ["helm"],
);
