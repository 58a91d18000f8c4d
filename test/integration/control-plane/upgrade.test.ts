import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CHART, helm } from "../../support/chart/rendered-chart.ts";
import { binaries } from "../../support/kube/binaries.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { writeKubeconfig } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { CHART_0_1_0 } from "../../support/upgrade-fixture.ts";

const NAMESPACE = "postrider-system";
const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/upgrading.md"), "utf8");
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

    /** Runs the commands of the page that hold this text, with the kubectl and the permissions of the test. */
    const asThePageSays = (text: string): string => {
      const block = Array.from(PAGE.matchAll(/```sh\n([^`]+)```/g), ([, code = ""]) => code).find((code) => code.includes(text));
      if (block === undefined) throw new Error(`docs/upgrading.md has no commands with ${text}`);
      const env = {
        ...process.env,
        PATH: `${dirname(controlPlane.access.kubectlPath)}:${process.env["PATH"]}`,
        KUBECONFIG: controlPlane.access.kubeconfig,
      };
      const { status, stdout, stderr } = spawnSync("sh", ["-e", "-c", block], { encoding: "utf8", env });
      expect(status, stderr).toBe(0);
      return `${stdout}${stderr}`;
    };
    const mayPublish = async (account: string): Promise<string> => {
      const args = ["auth", "can-i", "publish", "webhooksubscriptions", "--namespace", "shop", "--as", account];
      return (await controlPlane.kubectl(args)).stdout.trim();
    };
    const bindings = async (): Promise<string[]> => {
      const names = '{range .items[*]}{.metadata.name} {.roleRef.name} {.subjects[*].name}{"\\n"}{end}';
      return (await kubectl(["get", "rolebindings", "--namespace", "shop", "--output", `jsonpath=${names}`])).trim().split("\n");
    };

    it("is refused where only image.registry was set, and says what to add; nothing has changed", async () => {
      const values = { image: { registry: "registry.example.com", repository: "" } };
      await expect(run(["upgrade", "postrider", CHART, "--reset-then-reuse-values"], values)).rejects.toThrow(
        "image.repository is empty, and the registry alone (registry.example.com) does not name an image: add --set image.repository=postrider if you pushed registry.example.com/postrider:0.2.0",
      );
      expect(await kubectl(["get", "clusterroles", "postrider-system-postrider-publisher", "--output", "name"])).not.toBe("");
    });

    it("keeps every permission that a RoleBinding gave, when the page's commands run before it, once or twice", async () => {
      const publisher = "--clusterrole=postrider-system-postrider-publisher";
      const subjects = ["--serviceaccount=shop:default", "--serviceaccount=shop:worker", "--user=eve", "--group=shop:people"];
      await kubectl(["create", "rolebinding", "may-publish", "--namespace", "shop", publisher, ...subjects]);
      await kubectl(["create", "rolebinding", "other", "--namespace", "shop", "--clusterrole=view", "--user=eve"]);
      asThePageSays("create rolebinding");
      asThePageSays("create rolebinding");
      const made = [
        "may-publish postrider-system-postrider-publisher eve shop:people default worker",
        "may-publish:publisher postrider-system:postrider:publisher eve shop:people default worker",
        "other view eve",
      ];
      expect(await bindings()).toEqual(made);
      expect(await mayPublish("system:serviceaccount:shop:worker")).toBe("yes");
    });

    it("works with --reset-then-reuse-values, and keeps what was set", async () => {
      const output = await run(["upgrade", "postrider", CHART, "--reset-then-reuse-values"], {
        image: { repository: "registry.example.com/postrider" },
      });
      for (const account of ["system:serviceaccount:shop:worker", "eve"]) expect(await mayPublish(account)).toBe("yes");
      asThePageSays("delete rolebinding");
      expect(await bindings()).toEqual([
        "may-publish:publisher postrider-system:postrider:publisher eve shop:people default worker",
        "other view eve",
      ]);
      expect(await mayPublish("eve")).toBe("yes");
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
