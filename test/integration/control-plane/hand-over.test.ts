import { afterAll, beforeAll, expect, it } from "vitest";
import { COUNTERS_EVERY_MS } from "../../../src/controller/status-reporter.ts";
import { drainFinalizer } from "../../../src/core/drain-finalizer.ts";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { QUIET } from "../../support/controller/fake-deliveries.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { until } from "../../support/until.ts";

const NS = "shop";
const [OLD, NEW] = ["old", "new"];

interface Subscription {
  readonly metadata: {
    readonly uid: string;
    readonly finalizers?: readonly string[];
    readonly managedFields: readonly { readonly manager: string }[];
  };
  readonly status?: {
    readonly signingSecretName?: string;
    readonly delivery?: object;
    readonly conditions?: readonly { type: string; status: string; reason: string; message: string }[];
  };
}

/** Two installations of different classes on one API server. */
describeOnControlPlane(
  "className is changed",
  () => {
    let controlPlane: ControlPlane;
    const operators: KubeconfigOperator[] = [];
    let older: KubeconfigOperator;
    let newer: KubeconfigOperator;

    beforeAll(async () => {
      controlPlane = await ControlPlane.start({ controllerManager: true });
      await installChart(controlPlane);
      await controlPlane.kubectlOutput(["create", "namespace", NS]);
      older = await start(OLD);
      newer = await start(NEW);
    });

    afterAll(async () => {
      for (const operator of operators) await operator.stop();
      await controlPlane?.stop();
    });

    async function start(className: string): Promise<KubeconfigOperator> {
      const operator = await KubeconfigOperator.start({ kubeconfig: controlPlane.access.kubeconfig, className });
      operators.push(operator);
      return operator;
    }

    async function apply(name: string, spec: object): Promise<void> {
      const whole = { events: { types: ["a"] }, endpoint: { url: "https://example.com/" }, ...spec };
      const object = { apiVersion: "postrider.dev/v1alpha1", kind: "WebhookSubscription", metadata: { name, namespace: NS }, spec: whole };
      await controlPlane.kubectlOutput(["apply", "--filename", "-"], { input: JSON.stringify(object) });
    }

    const read = async (name: string): Promise<Subscription> =>
      JSON.parse(
        await controlPlane.kubectlOutput(["get", "whsub", name, "--namespace", NS, "--output", "json", "--show-managed-fields"]),
      ) as Subscription;
    const key = (): Promise<string> =>
      controlPlane.kubectlOutput(["get", "secret", "orders-signing", "--namespace", NS, "--output", "jsonpath={.data.secret}"]);
    const condition = (object: Subscription, type: string) => object.status?.conditions?.find((one) => one.type === type);
    const writesOf = (operator: KubeconfigOperator, name: string): number =>
      operator.writes.filter(({ object }) => object === `WebhookSubscription/${name}`).length;

    it("hands the subscription over: the key stays, the old one drains and releases it, the status has one writer", async () => {
      await apply("orders", { className: OLD });
      await until(async () => condition(await read("orders"), "Ready")?.status === "True");
      await until(async () => (await read("orders")).metadata.finalizers?.includes(drainFinalizer(OLD)) === true);
      const { uid } = (await read("orders")).metadata;
      const signing = await key();
      older.deliveries.pendings.set(uid, 2);
      older.deliveries.healths.set(uid, { ...QUIET, accepted: 7 });
      older.deliveries.tell(uid, "transition");
      await until(async () => (await read("orders")).status?.delivery !== undefined, { withinMs: COUNTERS_EVERY_MS + 20_000 });

      await apply("orders", { className: NEW });
      await until(() => newer.route(NS, "orders")?.subscription.target !== undefined);
      await until(() => older.route(NS, "orders")?.draining === true);
      await until(async () => (await read("orders")).metadata.finalizers?.includes(drainFinalizer(NEW)) === true);
      expect(newer.route(NS, "orders")?.draining).toBe(false);
      expect(older.route(NS, "orders")?.subscription.target).toBeDefined();
      expect((await read("orders")).metadata.finalizers?.toSorted()).toEqual([NEW, OLD].map(drainFinalizer).toSorted());

      // What only the old one wrote is gone from the status, and so is its name.
      await until(async () => (await read("orders")).metadata.managedFields.every(({ manager }) => manager !== "postrider-old-status"));
      const moved = await read("orders");
      expect([moved.status?.delivery, moved.status?.signingSecretName]).toEqual([undefined, "orders-signing"]);
      expect(condition(moved, "Ready")?.status).toBe("True");
      const writes = [writesOf(older, "orders"), writesOf(newer, "orders")];

      older.deliveries.pendings.set(uid, 0);
      older.deliveries.tell(uid, "transition");
      await until(async () => (await read("orders")).metadata.finalizers?.join() === drainFinalizer(NEW));
      await until(() => older.route(NS, "orders") === undefined);
      expect([writesOf(older, "orders"), writesOf(newer, "orders")]).toEqual(writes);
      expect([await key(), (await read("orders")).metadata.uid]).toEqual([signing, uid]);
      expect(older.deliveries.ended.filter((ended) => ended.uid !== uid)).toEqual([]);
      const told = await controlPlane.kubectlOutput(["get", "events", "--namespace", NS, "--output", "jsonpath={.items[*].reason}"]);
      expect(told).toContain("HandedOver");
    });

    it("keeps order: the new one waits, says for whom, and continues when the old one's finalizer is taken off", async () => {
      await apply("ordered", { className: OLD, ordering: { mode: "PerKey" } });
      await until(async () => (await read("ordered")).metadata.finalizers?.includes(drainFinalizer(OLD)) === true);
      const { uid } = (await read("ordered")).metadata;
      older.deliveries.pendings.set(uid, 1);
      await apply("ordered", { className: NEW, ordering: { mode: "PerKey" } });
      await until(() => newer.route(NS, "ordered")?.subscription.blocked?.reason === "HandingOver");
      await until(async () => condition(await read("ordered"), "ResolvedRefs")?.reason === "HandingOver");
      expect(condition(await read("ordered"), "ResolvedRefs")?.message).toContain("postrider uninstall --class old");
      expect(newer.route(NS, "ordered")?.draining).toBe(false);
      older.deliveries.pendings.set(uid, 0);
      older.deliveries.tell(uid, "transition");
      await until(() => newer.route(NS, "ordered")?.subscription.target !== undefined);
      await until(async () => condition(await read("ordered"), "Ready")?.status === "True");
    });

    it("is deleted only when both have ended", async () => {
      await apply("both", { className: OLD, signing: { scheme: "None" } });
      await until(async () => (await read("both")).metadata.finalizers?.includes(drainFinalizer(OLD)) === true);
      const { uid } = (await read("both")).metadata;
      older.deliveries.pendings.set(uid, 1);
      await apply("both", { className: NEW, signing: { scheme: "None" } });
      await until(async () => (await read("both")).metadata.finalizers?.length === 2);
      await controlPlane.kubectlOutput(["delete", "whsub", "both", "--namespace", NS, "--wait=false"]);
      await until(async () => (await read("both")).metadata.finalizers?.join() === drainFinalizer(OLD));
      older.deliveries.pendings.set(uid, 0);
      older.deliveries.tell(uid, "transition");
      await until(async () => (await controlPlane.kubectl(["get", "whsub", "both", "--namespace", NS])).code !== 0);
      expect(older.deliveries.ended.filter((ended) => ended.uid === uid)).toEqual([{ uid, how: "dead-letter" }]);
    });

    it("does not keep a namespace that is deleted meanwhile: both discard what is left, and take their finalizers off", async () => {
      await controlPlane.kubectlOutput(["create", "namespace", "doomed"]);
      const inDoomed = ["whsub", "moving", "--namespace", "doomed"];
      const write = async (className: string): Promise<void> => {
        const spec = { className, events: { types: ["a"] }, endpoint: { url: "https://example.com/" } };
        const metadata = { name: "moving", namespace: "doomed" };
        const object = { apiVersion: "postrider.dev/v1alpha1", kind: "WebhookSubscription", metadata, spec };
        await controlPlane.kubectlOutput(["apply", "--filename", "-"], { input: JSON.stringify(object) });
      };
      const moving = async (): Promise<Subscription> =>
        JSON.parse(await controlPlane.kubectlOutput(["get", ...inDoomed, "--output", "json"])) as Subscription;
      await write(OLD);
      await until(async () => (await moving()).metadata.finalizers?.includes(drainFinalizer(OLD)) === true);
      await until(() => older.route("doomed", "moving")?.subscription.target !== undefined);
      const { uid } = (await moving()).metadata;
      for (const { deliveries } of [older, newer]) deliveries.pendings.set(uid, 1);
      await write(NEW);
      await until(async () => (await moving()).metadata.finalizers?.length === 2);
      await until(() => newer.route("doomed", "moving")?.subscription.target !== undefined);

      await controlPlane.kubectlOutput(["delete", "namespace", "doomed", "--timeout=60s"]);
      for (const { deliveries } of [older, newer]) {
        // Once more where the other one's finalizer was taken off at the same moment.
        expect(new Set(deliveries.ended.flatMap((ended) => (ended.uid === uid ? [ended.how] : [])))).toEqual(new Set(["discard"]));
      }
      await until(() => [older, newer].every((one) => one.route("doomed", "moving") === undefined));
    });
  },
  ["kube-controller-manager"],
);
