import { TRANSITION_DEBOUNCE_MS } from "../../../src/controller/status-reporter.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drainFinalizer } from "../../../src/core/drain-finalizer.ts";
import { KubeconfigOperator } from "../../support/controller/kubeconfig-operator.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, installRights } from "../../support/kube/installed-chart.ts";
import type { InstalledChart } from "../../support/kube/installed-chart.ts";
import { attempt } from "../../support/node/command.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

/** "Routes follow within 1 s", measured from the moment the API server has answered. */
const FOLLOW_MS = 1_000;
const NS = "shop";
const TOKEN = Buffer.from("a value of at least sixteen bytes").toString("base64");

/** An API server of its own: cluster policies and the operator's writes reach every namespace. Under the rights of the chart's ServiceAccount. */
describeOnControlPlane(
  "the operator on a cluster",
  () => {
    let controlPlane: ControlPlane;
    let chart: InstalledChart;
    let operator: KubeconfigOperator;

    beforeAll(async () => {
      controlPlane = await ControlPlane.start({ controllerManager: true });
      chart = await installChart(controlPlane);
      await kubectl("create", "namespace", NS);
      await kubectl("label", "namespace", NS, "team=shop");
      await apply({
        kind: "ClusterDeliveryPolicy",
        metadata: { name: "cluster" },
        spec: { limits: { maxInFlight: 5 }, egress: { deniedCIDRs: ["8.8.8.0/24"] } },
      });
      operator = await KubeconfigOperator.start({ kubeconfig: chart.operatorKubeconfig, bindingHint: chart.bindingHint });
    });

    afterAll(async () => {
      await operator?.stop();
      await controlPlane?.stop();
    });

    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);

    interface Manifest {
      readonly apiVersion?: string;
      readonly kind: string;
      readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> };
      readonly spec?: object;
      readonly data?: object;
    }

    async function apply(object: Manifest): Promise<void> {
      const scope = object.kind === "ClusterDeliveryPolicy" ? {} : { namespace: NS };
      const manifest = { apiVersion: "postrider.dev/v1alpha1", ...object, metadata: { ...scope, ...object.metadata } };
      await controlPlane.kubectlOutput(["apply", "--filename", "-"], { input: JSON.stringify(manifest) });
    }

    const SPEC = { events: { types: ["order.*"] }, endpoint: { url: "https://example.com/hooks" }, signing: { scheme: "None" } };
    const subscribe = (name: string, spec: object = {}): Promise<void> =>
      apply({ kind: "WebhookSubscription", metadata: { name }, spec: { ...SPEC, ...spec } });
    const patch = (name: string, spec: object): Promise<string> =>
      kubectl("patch", "whsub", name, "--namespace", NS, "--type=merge", "--patch", JSON.stringify(spec));
    const secret = (name: string, labels: Record<string, string> = {}, data: Record<string, string> = { key: TOKEN }): Promise<void> =>
      apply({ apiVersion: "v1", kind: "Secret", metadata: { name, labels }, data });
    const bearer = (name: string, key = "key"): object => ({
      endpoint: { url: "https://example.com/hooks", auth: { bearer: { secretRef: { name, key } } } },
    });
    // oxlint-disable-next-line typescript/no-explicit-any -- any Kubernetes object
    const read = async (kind: string, name: string): Promise<any> =>
      JSON.parse(await kubectl("get", kind, name, "--namespace", NS, "--output=json"));
    const isReady = (name: string): boolean => operator.condition(NS, name, "Ready")?.status === "True";

    it("says which command opens a namespace's Secrets; after it the signing Secret is generated, without an owner", async () => {
      await subscribe("signed", { signing: { scheme: "StandardWebhooks" } });
      await operator.until(() => operator.condition(NS, "signed", "ResolvedRefs")?.reason === "SecretAccessDenied");
      expect(operator.route(NS, "signed")?.subscription.blocked?.reason).toBe("SecretAccessDenied");
      const { message = "" } = operator.condition(NS, "signed", "ResolvedRefs") ?? {};
      const command = /kubectl (-n shop create rolebinding .*)$/.exec(message)?.[1];
      expect(command, message).toBeDefined();
      await kubectl(...(command ?? "").split(" "));
      await operator.until(() => isReady("signed"));
      const { metadata: made, data } = await read("secret", "signed-signing");
      expect(made.labels["postrider.dev/use"]).toBe("true");
      expect(made.labels["postrider.dev/signing-for"]).toBe("signed");
      expect(made.ownerReferences).toBeUndefined();
      expect(Buffer.from(data.secret, "base64").toString()).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(operator.object(NS, "signed")?.status?.signingSecretName).toBe("signed-signing");
    });

    it("never uses or overwrites a Secret of that name that is not its own", async () => {
      await secret("taken-signing", { "postrider.dev/use": "true" }, { secret: TOKEN });
      const before = await read("secret", "taken-signing");
      await subscribe("taken", { signing: { scheme: "StandardWebhooks" } });
      await operator.until(() => operator.condition(NS, "taken", "ResolvedRefs")?.reason === "SecretConflict");
      expect(operator.condition(NS, "taken", "ResolvedRefs")?.message).toContain("taken-signing");
      expect((await read("secret", "taken-signing")).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
      await kubectl("delete", "secret", "taken-signing", "--namespace", NS);
      await operator.until(() => isReady("taken"), 40_000);
      expect((await read("secret", "taken-signing")).data.secret).not.toBe(TOKEN);
    });

    it("follows apply, edit, suspend, resume and delete within a second", async () => {
      const took: Record<string, number> = {};
      const timed = async (step: string, change: Promise<unknown>, holds: () => boolean): Promise<void> => {
        await change;
        const fromMs = performance.now();
        await operator.until(holds);
        took[step] = Math.round(performance.now() - fromMs);
      };
      const route = () => operator.route(NS, "followed");
      await timed("apply", subscribe("followed"), () => route() !== undefined);
      await timed(
        "edit",
        patch("followed", { spec: { events: { types: ["video.*"] } } }),
        () => route()?.subscription.spec.types.includes("video.*") === true,
      );
      await timed("suspend", patch("followed", { spec: { suspend: true } }), () => route()?.subscription.spec.suspend === true);
      await timed("resume", patch("followed", { spec: { suspend: false } }), () => route()?.subscription.spec.suspend === false);
      const policy = (maxInFlight: number) => apply({ kind: "DeliveryPolicy", metadata: { name: "careful" }, spec: { maxInFlight } });
      await policy(3);
      await timed(
        "policyRef",
        patch("followed", { spec: { policyRef: { name: "careful" } } }),
        () => route()?.subscription.policy.maxInFlight === 3,
      );
      await timed("policy edit", policy(2), () => route()?.subscription.policy.maxInFlight === 2);
      // The edits above are written after one debounce; a write that was due while the policy is away would rightly tell of it.
      await new Promise((done) => setTimeout(done, 2 * TRANSITION_DEBOUNCE_MS));
      const goneMs = performance.now();
      await timed(
        "policy delete",
        kubectl("delete", "dpol", "careful", "--namespace", NS),
        () => route()?.subscription.blocked?.reason === "PolicyNotFound",
      );
      await timed(
        "policy back",
        policy(4),
        () => route()?.subscription.blocked === undefined && route()?.subscription.policy.maxInFlight === 4,
      );
      policyAwayMs = performance.now() - goneMs;
      await operator.until(() => operator.object(NS, "followed")?.metadata.finalizers?.includes(drainFinalizer("postrider")) === true);
      await timed(
        "delete",
        kubectl("delete", "whsub", "followed", "--namespace", NS, "--wait=false"),
        () => route() === undefined || route()?.draining === true,
      );
      process.stdout.write(`routes followed in ms: ${JSON.stringify(took)}\n`);
      for (const [step, ms] of Object.entries(took)) expect(ms, step).toBeLessThanOrEqual(FOLLOW_MS);
    });

    /** From before the policy was deleted until it was obeyed again. */
    let policyAwayMs = 0;

    describe("shows what is wrong in the right condition, with what to do, and heals without a restart", () => {
      interface Case {
        readonly name: string;
        readonly spec: object;
        readonly before?: () => Promise<unknown>;
        readonly type: "Accepted" | "ResolvedRefs";
        readonly reason: string;
        readonly message: RegExp;
        /** What the message says; undefined = run the command in it. */
        readonly mend: (() => Promise<unknown>) | undefined;
      }
      const cases: readonly Case[] = [
        {
          name: "no-secret",
          spec: bearer("absent"),
          type: "ResolvedRefs",
          reason: "SecretNotFound",
          message: /Secret absent does not exist in namespace shop: create it with the label postrider\.dev\/use=true/,
          mend: () => secret("absent", { "postrider.dev/use": "true" }),
        },
        {
          name: "unlabelled",
          spec: bearer("plain"),
          before: () => secret("plain"),
          type: "ResolvedRefs",
          reason: "RefNotPermitted",
          message: /`kubectl (label secret plain postrider\.dev\/use=true -n shop)`/,
          mend: undefined,
        },
        {
          name: "wrong-key",
          spec: bearer("keyed", "other"),
          before: () => secret("keyed", { "postrider.dev/use": "true" }),
          type: "ResolvedRefs",
          reason: "SecretKeyNotFound",
          message: /keyed has no key other \(it has key\)/,
          mend: () => secret("keyed", { "postrider.dev/use": "true" }, { key: TOKEN, other: TOKEN }),
        },
        {
          name: "bad-filter",
          spec: { events: { types: ["order.*"], filter: "event.data.size >" } },
          type: "Accepted",
          reason: "InvalidFilter",
          message: /spec\.events\.filter/,
          mend: () => patch("bad-filter", { spec: { events: { filter: "event.data.size > 1" } } }),
        },
        {
          name: "forbidden-address",
          spec: { endpoint: { url: "https://169.254.169.254/latest" } },
          type: "Accepted",
          reason: "EgressDenied",
          message: /169\.254\.169\.254/,
          mend: () => patch("forbidden-address", { spec: { endpoint: { url: "https://example.com/" } } }),
        },
        {
          name: "denied-by-policy",
          spec: { endpoint: { url: "https://8.8.8.8/hooks" } },
          type: "Accepted",
          reason: "EgressDenied",
          message: /8\.8\.8\.8/,
          mend: () => apply({ kind: "ClusterDeliveryPolicy", metadata: { name: "cluster" }, spec: { limits: { maxInFlight: 5 } } }),
        },
        {
          name: "no-policy",
          spec: { policyRef: { name: "missing" } },
          type: "ResolvedRefs",
          reason: "PolicyNotFound",
          message: /missing/,
          mend: () => apply({ kind: "DeliveryPolicy", metadata: { name: "missing" }, spec: {} }),
        },
      ];

      it.concurrent.each(cases)("$name: $reason", async ({ name, spec, before, type, reason, message, mend }) => {
        await before?.();
        await subscribe(name, spec);
        await operator.until(() => operator.condition(NS, name, type)?.reason === reason);
        const shown = operator.condition(NS, name, type);
        expect(shown).toMatchObject({ status: "False", message: expect.stringMatching(message) as string });
        expect(operator.condition(NS, name, "Ready")).toMatchObject({ status: "False", reason });
        const command = message.exec(shown?.message ?? "")?.[1];
        await (mend === undefined ? kubectl(...(command ?? "").split(" ")) : mend());
        await operator.until(() => isReady(name));
        expect(operator.route(NS, name)?.subscription.blocked).toBeUndefined();
      });

      it("tells Kubernetes Events on transitions only", async () => {
        const events = async (name: string): Promise<string[]> => {
          const { items } = JSON.parse(
            await kubectl("get", "events.events.k8s.io", "--namespace", NS, `--field-selector=regarding.name=${name}`, "--output=json"),
          ) as { items: { type: string; reason: string }[] };
          return items.map((item) => `${item.type} ${item.reason}`).sort();
        };
        await expect
          .poll(() => events("bad-filter"), { timeout: 10_000 })
          .toEqual(["Normal Accepted", "Normal ResolvedRefs", "Warning InvalidFilter"]);
        await expect.poll(() => events("unlabelled"), { timeout: 10_000 }).toEqual(["Normal ResolvedRefs", "Warning RefNotPermitted"]);
        // Its policy was away for less than the debounce, unless kubectl took longer than that.
        const told = policyAwayMs < TRANSITION_DEBOUNCE_MS ? [] : expect.toBeOneOf([[], ["Warning PolicyNotFound"]]);
        expect(await events("followed")).toEqual(told);
      });
    });

    it("says NotImplemented on what is accepted by the schema but not obeyed, and Accepted on policies", async () => {
      await apply({
        kind: "DeliveryReplay",
        metadata: { name: "again" },
        spec: {
          subscriptionRef: { name: "signed" },
          from: "DeadLetter",
          window: { start: "2026-01-01T00:00:00Z", end: "2026-01-02T00:00:00Z" },
        },
      });
      const accepted = async (kind: string, name: string): Promise<string> =>
        kubectl("get", kind, name, "--namespace", NS, '--output=jsonpath={.status.conditions[?(@.type=="Accepted")].reason}');
      await expect.poll(() => accepted("dreplay", "again"), { timeout: 10_000 }).toBe("NotImplemented");
      await expect.poll(() => accepted("dpol", "careful"), { timeout: 10_000 }).toBe("Accepted");
      await expect.poll(() => accepted("cdpol", "cluster"), { timeout: 10_000 }).toBe("Accepted");
    });

    it("shows the columns as designed", async () => {
      await subscribe("columns");
      await operator.until(() => isReady("columns"));
      const [header = "", row = ""] = (await kubectl("get", "whsub", "columns", "--namespace", NS)).split("\n");
      expect(header.split(/\s{2,}/).map((cell) => cell.trim())).toEqual([
        "NAME",
        "READY",
        "HEALTHY",
        "SUSPENDED",
        "ENDPOINT",
        "PENDING",
        "LAST-STATUS",
        "LAST-SUCCESS",
        "AGE",
      ]);
      expect(row).toMatch(/^columns\s+True\s+Unknown\s+False\s+example\.com\s/);
      await kubectl("wait", "--for=condition=Ready", "whsub/columns", "--namespace", NS, "--timeout=5s");
    });

    it("holds a deleted subscription by its finalizer until its deliveries have ended", async () => {
      await subscribe("drained");
      await subscribe("discarded", { deletionPolicy: "Discard" });
      await operator.until(
        () => operator.object(NS, "drained")?.metadata.finalizers?.includes(drainFinalizer("postrider")) === true && isReady("discarded"),
      );
      expect(operator.object(NS, "discarded")?.metadata.finalizers).toBeUndefined();
      const uid = operator.object(NS, "drained")?.metadata.uid ?? "";
      operator.deliveries.pendings.set(uid, 2);
      await kubectl("delete", "whsub", "drained", "discarded", "--namespace", NS, "--wait=false");
      await operator.until(() => operator.route(NS, "drained")?.draining === true && operator.object(NS, "discarded") === undefined);
      await operator.until(() => operator.condition(NS, "drained", "Programmed")?.reason === "Draining");
      expect((await read("whsub", "drained")).metadata.finalizers).toEqual([drainFinalizer("postrider")]);
      operator.deliveries.pendings.set(uid, 0);
      operator.deliveries.tell(uid, "counters");
      await operator.until(() => operator.object(NS, "drained") === undefined && operator.route(NS, "drained") === undefined);
      await kubectl("wait", "--for=delete", "whsub/drained", "--namespace", NS, "--timeout=5s");
      expect(operator.deliveries.ended).toContainEqual({ uid, how: "dead-letter" });
    });

    it("lets a namespace go although its subscriptions still owe deliveries", { timeout: 60_000 }, async () => {
      const namespace = "doomed";
      await kubectl("create", "namespace", namespace);
      const names = ["a", "b", "c", "d", "e"];
      const uids: string[] = [];
      for (const name of names) await apply({ kind: "WebhookSubscription", metadata: { name, namespace }, spec: SPEC });
      for (const name of names) {
        await operator.until(() => operator.object(namespace, name)?.metadata.finalizers?.includes(drainFinalizer("postrider")) === true);
        const uid = operator.object(namespace, name)?.metadata.uid ?? "";
        operator.deliveries.pendings.set(uid, 100_000);
        uids.push(uid);
      }
      await kubectl("delete", "namespace", namespace, "--timeout=30s");
      await operator.until(() => names.every((name) => operator.route(namespace, name) === undefined));
      for (const uid of uids) expect(operator.deliveries.ended).toContainEqual({ uid, how: "discard" });
    });

    it("says in an Event how many deliveries Discard threw away", async () => {
      await subscribe("thrown", { deletionPolicy: "Discard" });
      await operator.until(() => isReady("thrown"));
      operator.deliveries.pendings.set(operator.object(NS, "thrown")?.metadata.uid ?? "", 17);
      await kubectl("delete", "whsub", "thrown", "--namespace", NS, "--timeout=10s");
      const field = "--field-selector=regarding.name=thrown,reason=Discarded";
      await expect
        .poll(() => kubectl("get", "events.events.k8s.io", "--namespace", NS, field, "--output=jsonpath={.items[*].note}"), {
          timeout: 10_000,
        })
        .toContain("17 deliveries");
    });

    it("never gives an object the status of its predecessor of the same name", async () => {
      await subscribe("phoenix", { deletionPolicy: "Discard" });
      await operator.until(() => isReady("phoenix"));
      const old = operator.object(NS, "phoenix");
      await kubectl("delete", "whsub", "phoenix", "--namespace", NS);
      await subscribe("phoenix", { className: "another" });
      await operator.until(() => ![undefined, old?.metadata.uid].includes(operator.object(NS, "phoenix")?.metadata.uid));
      if (old === undefined) throw new Error("not seen");
      expect(await operator.provider.writeStatus(old, { endpointHost: "old.example.com" })).toEqual({ kind: "conflict" });
      expect((await read("whsub", "phoenix")).status).toEqual({ observedGeneration: -1 });
      expect(await operator.provider.setFinalizer(old, true)).toEqual({ kind: "conflict" });
      await kubectl("delete", "whsub", "phoenix", "--namespace", NS);
      await operator.until(() => operator.object(NS, "phoenix") === undefined);
      expect(await operator.provider.writeStatus(old, { endpointHost: "old.example.com" })).toEqual({ kind: "gone" });
      expect(await operator.provider.setFinalizer(old, true)).toEqual({ kind: "gone" });
      expect((await controlPlane.kubectl(["get", "whsub", "phoenix", "--namespace", NS])).code).toBe(1);
    });

    it("rewrites nothing when it starts again", async () => {
      const versions = async (): Promise<Record<string, string>> => {
        const { items } = JSON.parse(await kubectl("get", "whsub,dpol,cdpol,dreplay", "--all-namespaces", "--output=json")) as {
          items: { kind: string; metadata: { name: string; resourceVersion: string } }[];
        };
        return Object.fromEntries(items.map(({ kind, metadata }) => [`${kind}/${metadata.name}`, metadata.resourceVersion]));
      };
      await subscribe("settled");
      await operator.until(() => isReady("settled") && operator.object(NS, "settled")?.metadata.finalizers !== undefined);
      const before = await versions();
      expect(Object.keys(before).length).toBeGreaterThan(10);
      operator = await operator.restart();
      // Written in order of time: once this one's status is there, those of the start have had their turn.
      await subscribe("after-restart", { deletionPolicy: "Discard" });
      await operator.until(() => isReady("after-restart"));
      const { "WebhookSubscription/after-restart": _new, ...after } = await versions();
      expect(after).toEqual(before);
      expect(new Set(operator.writes.map(({ object }) => object))).toEqual(new Set(["WebhookSubscription/after-restart"]));
    });

    it("keeps its routes while the API server is away, and knows what changed soon after", async () => {
      const routes = [...operator.table.routes()].length;
      await controlPlane.stopApiServer();
      expect([...operator.table.routes()]).toHaveLength(routes);
      await controlPlane.startApiServer();
      await patch("settled", { spec: { suspend: true } });
      const fromMs = performance.now();
      await operator.until(() => operator.route(NS, "settled")?.subscription.spec.suspend === true, 30_000);
      process.stdout.write(`followed ${Math.round(performance.now() - fromMs)} ms after the API server came back\n`);
      await operator.until(() => operator.condition(NS, "settled", "Suspended")?.status === "True", 30_000);
    });

    it("shares a cluster with an installation of another class, which has rights in its own namespaces only", async () => {
      await kubectl("create", "namespace", "only");
      const rights = await installRights(controlPlane, "second", { namespaces: ["only"], className: "second" });
      const options = { kubeconfig: rights.operatorKubeconfig, bindingHint: rights.bindingHint, className: "second", namespaces: ["only"] };
      const second = await KubeconfigOperator.start(options);
      try {
        const spec = { ...SPEC, className: "second" };
        await apply({ kind: "WebhookSubscription", metadata: { name: "elsewhere" }, spec });
        await apply({ kind: "WebhookSubscription", metadata: { name: "inside", namespace: "only" }, spec });
        await second.until(() => second.condition("only", "inside", "Ready")?.status === "True");
        await second.until(() => second.object("only", "inside")?.metadata.finalizers?.includes(drainFinalizer("second")) === true);
        expect([...second.table.routes()].map(({ subscription }) => subscription.name)).toEqual(["inside"]);
        await operator.until(() => operator.object(NS, "elsewhere") !== undefined && operator.object("only", "inside") !== undefined);
        expect(operator.route(NS, "elsewhere")).toBeUndefined();
        await kubectl("delete", "whsub", "inside", "--namespace=only", "--timeout=10s");
        await kubectl("delete", "whsub", "elsewhere", "--namespace", NS, "--timeout=10s");
      } finally {
        await second.stop();
      }
    });

    it("is followed by `postrider uninstall` under the hook's rights: no finalizer is left, and only then the exit code is 0", async () => {
      await subscribe("left-behind");
      await operator.until(() => operator.object(NS, "left-behind")?.metadata.finalizers?.includes(drainFinalizer("postrider")) === true);
      const uninstall = (...args: string[]) =>
        attempt([process.execPath, "src/main.ts", "uninstall", ...args, `--kubeconfig=${chart.uninstallKubeconfig}`], {
          timeoutMs: 60_000,
        });
      expect(await uninstall("--timeout=3s")).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("something puts it back") as string,
      });
      await operator.stop();
      await apply(chart.statefulSet);
      const { code, stdout, stderr } = await uninstall(...chart.uninstallArgs.slice(1));
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^statefulset hooks\/\S+ is stopped\nfinalizers removed from \d+ subscriptions; none is left\n$/);
      const kept = await kubectl("get", "whsub", "--all-namespaces", "--output=jsonpath={.items[*].metadata.finalizers}");
      expect(kept).toBe("");
      expect(await kubectl("get", "statefulset", "--namespace=hooks", "--output=jsonpath={.items[*].spec.replicas}")).toBe("0");
      expect(await uninstall("--statefulset=nonsense")).toMatchObject({ code: 2 });
      await kubectl("delete", "whsub", "--all", "--namespace", NS, "--timeout=10s");
    });
  },
  ["kube-controller-manager"],
);
