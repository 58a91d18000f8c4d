import { afterAll, beforeAll, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, installRights, SYSTEM } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { FOREIGN_MARKS, foreignObjects, ownObjects, referenceCases } from "../../support/references/reference-cases.ts";

const API = "postrider.dev/v1alpha1";
const URL = "http://127.0.0.1:8080";
const SEED = 20_261_123;
const CASES = 150;
const FOREIGN = ["other", "shop-2"];
const NAMES = ["token", "other.token", "token.other"];

/** Promise 14 on a real API server, under exactly the chart's rights. */
describeOnControlPlane(
  "references on a cluster",
  () => {
    let controlPlane: ControlPlane;
    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);
    const create = (items: readonly object[]): Promise<string> =>
      controlPlane.kubectlOutput(["create", "--filename", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items }) });
    let judged: readonly string[];

    beforeAll(async () => {
      controlPlane = await ControlPlane.start({});
    });
    afterAll(async () => {
      await controlPlane?.stop();
    });

    /** Real API servers give ClusterIPs themselves; only those of Services nobody may reach through are told apart by their ports. */
    const withoutAddress = (objects: readonly object[]): readonly object[] =>
      objects.filter((object) => (object as { kind: string }).kind !== "Service");

    const marks = (text: string): readonly string[] => FOREIGN_MARKS.filter((mark) => text.includes(mark));

    async function expectNothingForeign(operator: KubeconfigOperator): Promise<void> {
      await operator.until(() => judged.every((name) => operator.condition("shop", name, "Ready") !== undefined), 60_000);
      const routes = [...operator.table.routes()];
      expect(routes.length).toBeGreaterThan(judged.length / 2);
      const shown = routes.map(({ subscription: { target, policy, blocked } }) => {
        const keys = [...(target?.keys ?? []), ...(target?.deadLetter?.keys ?? [])].map(({ key }) => key.export().toString("latin1"));
        const basic = Buffer.from(/^Basic (.*)$/.exec(target?.authorization ?? "")?.[1] ?? "", "base64").toString();
        return `${JSON.stringify([{ ...target, keys: [] }, policy, blocked])} ${basic} ${keys.join()}`;
      });
      expect(marks(shown.join("\n"))).toEqual([]);
      expect(marks(await kubectl("get", "whsub", "--namespace", "shop", "--output=json"))).toEqual([]);
      expect(marks(await kubectl("get", "events", "--all-namespaces", "--output=json"))).toEqual([]);
      expect(marks(JSON.stringify([...operator.stored.values()]))).toEqual([]);
      // Own ones are found: the search would else be of nothing.
      expect(shown.filter((text) => text.includes("a value of shop's own")).length).toBeGreaterThan(3);
    }

    it("optIn: reads the Secrets of the one namespace that was opened, and may not read others", async () => {
      const chart = await installChart(controlPlane);
      for (const namespace of ["shop", "postrider-system", ...FOREIGN]) await kubectl("create", "namespace", namespace);
      const egress = { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true };
      await create([{ apiVersion: API, kind: "ClusterDeliveryPolicy", metadata: { name: "here" }, spec: { egress } }]);
      const foreign = NAMES.flatMap((name) => FOREIGN.flatMap((namespace) => foreignObjects(name, namespace, URL)));
      await create(withoutAddress([...ownObjects(URL), ...foreign]));
      const subscriptions = referenceCases(CASES, SEED, URL).map(({ spec }, i) => ({
        apiVersion: API,
        kind: "WebhookSubscription",
        metadata: { name: `s${i}`, namespace: "shop" },
        spec,
      }));
      const good = subscriptions.filter((object) => readCustomResource(object).ok);
      judged = good.map(({ metadata }) => metadata.name);
      await create(good);
      await kubectl(
        ...chart.bindingHint
          .replaceAll("{namespace}", "shop")
          .replace(/^kubectl /, "")
          .split(" "),
      );
      const operator = await KubeconfigOperator.start({ kubeconfig: chart.operatorKubeconfig, bindingHint: chart.bindingHint });
      try {
        await expectNothingForeign(operator);
      } finally {
        await operator.stop();
      }
      const account = `system:serviceaccount:${SYSTEM}:${chart.statefulSet.spec?.template.spec.serviceAccountName}`;
      const can = async (...what: string[]): Promise<string> => {
        const { stdout } = await controlPlane.kubectl(["auth", "can-i", ...what, `--as=${account}`]);
        return stdout.trim();
      };
      expect(await can("list", "secrets", "--namespace", "shop")).toBe("yes");
      for (const verb of ["get", "list", "watch"]) {
        expect([verb, await can(verb, "secrets", "--all-namespaces")]).toEqual([verb, "no"]);
        for (const namespace of [...FOREIGN, "kube-system"]) {
          expect([verb, namespace, await can(verb, "secrets", "--namespace", namespace)]).toEqual([verb, namespace, "no"]);
        }
      }
    });

    it("cluster: may read every Secret, and still takes none across", async () => {
      const { operatorKubeconfig, bindingHint } = await installRights(controlPlane, "all", { secretAccess: "cluster" });
      const operator = await KubeconfigOperator.start({ kubeconfig: operatorKubeconfig, bindingHint });
      try {
        await expectNothingForeign(operator);
      } finally {
        await operator.stop();
      }
    });
  },
  ["helm"],
);
