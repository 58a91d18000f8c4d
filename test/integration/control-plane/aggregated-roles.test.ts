import { afterAll, beforeAll, expect, it } from "vitest";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { until } from "../../support/until.ts";

const AGGREGATED_WITHIN_MS = 30_000;
const READ = ["get", "list", "watch"];
const WRITE = ["create", "update", "patch", "delete", "deletecollection"];

/** Who holds which of Kubernetes' own roles in namespace shop. */
const PEOPLE = { bob: "view", alice: "edit", carol: "admin" } as const;
type Person = keyof typeof PEOPLE;

/** A row: verbs on a resource, and who of the three may in namespace shop; no one of them may in another namespace. */
type Row = readonly [group: string, resource: string, verbs: readonly string[], who: string];
const TABLE: readonly Row[] = [
  ["postrider.dev", "webhooksubscriptions", READ, "bob alice carol"],
  ["postrider.dev", "deliveryreplays", READ, "bob alice carol"],
  ["postrider.dev", "deliverypolicies", READ, "bob alice carol"],
  ["postrider.dev", "webhooksubscriptions", WRITE, "alice carol"],
  ["postrider.dev", "deliveryreplays", WRITE, "alice carol"],
  ["postrider.dev", "deliverypolicies", WRITE, "carol"],
  ["postrider.dev", "webhooksubscriptions", ["publish"], "carol"],
  ["postrider.dev", "webhooksubscriptions/status", ["update", "patch"], ""],
  ["postrider.dev", "clusterdeliverypolicies", [...READ, ...WRITE], ""],
  ["history.postrider.dev", "deliveries", ["get", "list"], ""],
  ["history.postrider.dev", "attempts", ["get", "list"], ""],
  ["history.postrider.dev", "events", ["get", "list"], ""],
  ["history.postrider.dev", "deliveries/resend", ["create"], ""],
  ["history.postrider.dev", "deliverytests", ["create"], ""],
];

function review(user: string, namespace: string, [group, name, , ,]: Row, verb: string): object {
  const [resource, subresource] = name.split("/");
  return {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: { user, resourceAttributes: { namespace, group, resource, subresource, verb } },
  };
}

describeOnControlPlane(
  "the roles view, edit and admin of Kubernetes with the chart installed",
  () => {
    let controlPlane: ControlPlane;

    beforeAll(async () => {
      controlPlane = await ControlPlane.start({ controllerManager: true });
      await installChart(controlPlane);
      for (const namespace of ["shop", "bank"]) await controlPlane.kubectlOutput(["create", "namespace", namespace]);
      for (const [user, role] of Object.entries(PEOPLE)) {
        await controlPlane.kubectlOutput(["-n", "shop", "create", "rolebinding", user, `--clusterrole=${role}`, `--user=${user}`]);
      }
      const publishes = ["-n", "shop", "auth", "can-i", "publish", "webhooksubscriptions", "--as=carol"];
      await until(async () => (await controlPlane.kubectl(publishes)).code === 0, { withinMs: AGGREGATED_WITHIN_MS, everyMs: 200 });
    }, 180_000);
    afterAll(() => controlPlane?.stop());

    const as = (user: Person, args: readonly string[], input?: string) =>
      controlPlane.kubectl([...args, `--as=${user}`], input === undefined ? {} : { input });
    /** The verbs that are allowed, in order. */
    const allowed = async (user: string, namespace: string, row: Row): Promise<string[]> => {
      const items = row[2].map((verb) => review(user, namespace, row, verb));
      const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
      const shown = '--output=jsonpath={.spec.resourceAttributes.verb} {.status.allowed}{"\\n"}';
      const answer = await controlPlane.kubectlOutput(["create", "--filename=-", shown], { input });
      const lines = answer.trim().split("\n");
      expect(lines).toHaveLength(items.length);
      return lines.flatMap((line) => (line.endsWith(" true") ? [line.split(" ")[0] ?? ""] : []));
    };

    it.each(TABLE.map((row) => [`${row[1]} ${row[2].join(",")}`, row] as const))("%s", async (_what, row) => {
      const [, , verbs, who] = row;
      const seen: Record<string, string> = {};
      const expected: Record<string, string> = {};
      for (const user of Object.keys(PEOPLE)) {
        seen[user] = (await allowed(user, "shop", row)).join();
        expected[user] = who.split(" ").includes(user) ? verbs.join() : "";
        seen[`${user} elsewhere`] = (await allowed(user, "bank", row)).join();
        expected[`${user} elsewhere`] = "";
      }
      expect(seen).toEqual(expected);
    });

    it("are what the API server does: bob reads, alice subscribes, carol sets a policy", async () => {
      const subscription = JSON.stringify({
        apiVersion: "postrider.dev/v1alpha1",
        kind: "WebhookSubscription",
        metadata: { name: "orders", namespace: "shop" },
        spec: { events: { types: ["order.*"] }, endpoint: { url: "https://example.com/hooks" } },
      });
      const policy = JSON.stringify({
        apiVersion: "postrider.dev/v1alpha1",
        kind: "DeliveryPolicy",
        metadata: { name: "careful", namespace: "shop" },
        spec: { timeout: "5s" },
      });
      expect((await as("bob", ["create", "--filename=-"], subscription)).stderr).toContain('User "bob" cannot create resource');
      expect((await as("alice", ["create", "--filename=-"], subscription)).stderr).toBe("");
      expect((await as("bob", ["-n", "shop", "get", "whsub", "--output=name"])).stdout).toContain("orders");
      expect((await as("alice", ["create", "--filename=-"], policy)).stderr).toContain('User "alice" cannot create resource');
      expect((await as("carol", ["create", "--filename=-"], policy)).stderr).toBe("");
    });

    it.each(["publisher", "secrets", "tokens"])("carol can follow the notes: she binds the role %s, alice and bob cannot", async (part) => {
      const binding = (user: Person) => {
        const names = [`by-${user}-${part}`, `--clusterrole=hooks:pr-postrider:${part}`, "--serviceaccount=shop:default"];
        return as(user, ["-n", "shop", "create", "rolebinding", ...names]);
      };
      expect((await binding("carol")).stderr).toBe("");
      for (const user of ["alice", "bob"] as const) expect((await binding(user)).stderr).toContain("forbidden");
    });

    it("carol cannot bind what shows customers' data", async () => {
      const names = ["history", "--clusterrole=hooks:pr-postrider:history-reader", "--user=carol"];
      expect((await as("carol", ["-n", "shop", "create", "rolebinding", ...names])).stderr).toContain(
        "attempting to grant RBAC permissions not currently held",
      );
    });
  },
  ["kube-controller-manager", "helm"],
);
