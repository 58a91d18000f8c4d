import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart } from "../../support/kube/installed-chart.ts";
import type { InstalledChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { VerifyingReceiver } from "../../support/operator/verifying-receiver.ts";

const NS = "shop";
const KEY = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
const API = "postrider.dev/v1alpha1";
/** So many deliveries, of which a few are in flight at a time: a drain takes seconds. */
const DELIVERIES = 40;
const WAIT = { timeout: 40_000, interval: 200 };

interface Kept {
  readonly metadata: {
    readonly uid?: string;
    readonly labels?: Record<string, string>;
    readonly ownerReferences?: object[];
    readonly [field: string]: unknown;
  };
  readonly data?: { readonly secret: string };
  readonly status?: {
    readonly signingKeys?: { readonly fingerprint?: string }[];
    readonly conditions?: { type: string; status: string }[];
  };
  readonly [field: string]: unknown;
}

/** As a backup tool writes it: without what only the API server may write. */
function saved({ metadata, status: _status, ...rest }: Kept): object {
  const dropped = new Set(["uid", "resourceVersion", "creationTimestamp", "generation", "finalizers"]);
  return { ...rest, metadata: Object.fromEntries(Object.entries(metadata).filter(([field]) => !dropped.has(field))) };
}

/**
 * Keys over everything that makes an object anew, on a real API server with the real garbage collector, under the chart's rights, with the real
 * binary and a receiver that verifies with a library that is not ours.
 */
describeOnControlPlane(
  "signing keys",
  () => {
    let controlPlane: ControlPlane;
    let chart: InstalledChart;
    let operator: OperatorProcess;
    let receiver: VerifyingReceiver;
    let port: number;
    let store: string;

    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(["--namespace", NS, ...args]);
    const send = (verb: string, objects: readonly object[], ...flags: string[]): Promise<string> => {
      const list = { apiVersion: "v1", kind: "List", items: objects };
      return controlPlane.kubectlOutput([verb, ...flags, "--filename", "-"], { input: JSON.stringify(list) });
    };
    const read = async (kind: string, name: string): Promise<Kept> => JSON.parse(await kubectl("get", kind, name, "--output=json")) as Kept;
    const keyOf = async (name: string): Promise<string> =>
      Buffer.from((await read("secret", `${name}-signing`)).data?.secret ?? "", "base64").toString();

    function orders(name: string, spec: object = {}): object {
      const endpoint = { url: `http://127.0.0.1:${port}/` };
      return {
        apiVersion: API,
        kind: "WebhookSubscription",
        metadata: { name, namespace: NS },
        spec: { events: { types: [`${name}.*`] }, endpoint, policyRef: { name: "brisk" }, ...spec },
      };
    }

    const secretOf = (name: string, metadata: object = {}): object => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: `${name}-signing`,
        namespace: NS,
        labels: { "postrider.dev/use": "true", "postrider.dev/signing-for": name },
        ...metadata,
      },
      type: "Opaque",
      stringData: { secret: KEY },
    });

    async function ready(name: string): Promise<void> {
      await kubectl("wait", "--for=condition=Ready", `whsub/${name}`, "--timeout=40s");
      await vi.waitUntil(async () => JSON.stringify((await read("whsub", name)).metadata).includes("drain.postrider.dev/"), WAIT);
    }

    /** A backup as Velero makes one: the objects as they are, without what the API server alone may write. */
    async function backup(name: string): Promise<object[]> {
      return [await read("secret", `${name}-signing`), await read("whsub", name)].map(saved);
    }

    async function post(type: string, events: number): Promise<void> {
      const body = JSON.stringify({ type, data: { n: 1 } });
      const one = async (): Promise<number> =>
        (
          await fetch(`${operator.ready.ingest}/v1/namespaces/${NS}/events`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body,
          })
        ).status;
      expect(new Set(await Promise.all(Array.from({ length: events }, one)))).toEqual(new Set([202]));
    }

    async function delivers(name: string): Promise<void> {
      const [before, refused] = [receiver.arrivals.size, receiver.refused];
      await vi.waitFor(async () => {
        await post(`${name}.paid`, 1);
        await receiver.until(() => receiver.arrivals.size > before, 3_000);
      }, WAIT);
      expect(receiver.refused).toBe(refused);
    }

    const notes = async (name: string, reason: string): Promise<string> =>
      kubectl(
        "get",
        "events.events.k8s.io",
        `--field-selector=regarding.name=${name},reason=${reason}`,
        "--output=jsonpath={.items[*].note}",
      );

    const listed = async (query: string): Promise<readonly Record<"subscription" | "subscriptionUID" | "reason", string>[]> =>
      (
        (await (await fetch(`${operator.ready.api}${query}`)).json()) as {
          items: Record<"subscription" | "subscriptionUID" | "reason", string>[];
        }
      ).items;

    const start = (): Promise<OperatorProcess> => OperatorProcess.start({ kubeconfig: chart.operatorKubeconfig, store: `sqlite:${store}` });

    beforeAll(async () => {
      controlPlane = await ControlPlane.start({ controllerManager: true });
      chart = await installChart(controlPlane);
      await controlPlane.kubectlOutput(["create", "namespace", NS]);
      await controlPlane.kubectlOutput(chart.bindingHint.replaceAll("{namespace}", NS).split(" ").slice(1));
      receiver = new VerifyingReceiver(KEY);
      port = await receiver.start();
      const egress = { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true };
      await send("create", [
        { apiVersion: API, kind: "ClusterDeliveryPolicy", metadata: { name: "loopback" }, spec: { egress } },
        { apiVersion: API, kind: "DeliveryPolicy", metadata: { name: "brisk", namespace: NS }, spec: { maxInFlight: 4 } },
      ]);
      store = mkdtempSync(join(tmpdir(), "postrider-keys-"));
      operator = await start();
    }, 120_000);

    afterAll(async () => {
      await operator?.signal("SIGKILL");
      receiver?.stop();
      if (store !== undefined) rmSync(store, { recursive: true, force: true });
      await controlPlane?.stop();
    });

    beforeEach(() => {
      receiver.delayMs = 0;
    });

    it("are generated without an owner, announced with a fingerprint that sha256sum prints, and shown in status", async () => {
      await send("apply", [orders("fresh")]);
      await ready("fresh");
      const secret = await read("secret", "fresh-signing");
      expect(secret.metadata.ownerReferences).toBeUndefined();
      expect(secret.metadata.labels?.["postrider.dev/signing-for"]).toBe("fresh");
      const fingerprint = createHash("sha256")
        .update(await keyOf("fresh"))
        .digest("hex")
        .slice(0, 16);
      await vi.waitUntil(async () => (await read("whsub", "fresh")).status?.signingKeys?.[0]?.fingerprint === fingerprint, WAIT);
      await vi.waitUntil(async () => (await notes("fresh", "SigningKeyGenerated")).includes(fingerprint), WAIT);
    });

    it("of version 0.1 lose their owner at the upgrade and nothing else; the receiver verifies before and after", async () => {
      await send("apply", [secretOf("old"), orders("old")]);
      await ready("old");
      const { metadata } = await read("whsub", "old");
      await operator.signal("SIGTERM");
      await operator.exited;
      // What version 0.1 left behind.
      const owner = {
        apiVersion: API,
        kind: "WebhookSubscription",
        name: "old",
        uid: metadata.uid,
        controller: true,
        blockOwnerDeletion: false,
      };
      const patch = { metadata: { labels: { "postrider.dev/signing-for": null }, ownerReferences: [owner] } };
      await kubectl("patch", "secret", "old-signing", "--type=merge", "--patch", JSON.stringify(patch));
      operator = await start();
      await vi.waitUntil(async () => (await read("secret", "old-signing")).metadata.ownerReferences === undefined, WAIT);
      expect((await read("secret", "old-signing")).metadata.labels?.["postrider.dev/signing-for"]).toBe("old");
      expect(await keyOf("old")).toBe(KEY);
      await delivers("old");
    });

    it("stay the same over `kubectl replace --force` of subscription and Secret, and over delete and create", async () => {
      await send("apply", [secretOf("again"), orders("again")]);
      await ready("again");
      const before = (await read("whsub", "again")).metadata.uid;
      await send("replace", await backup("again"), "--force");
      await ready("again");
      expect((await read("whsub", "again")).metadata.uid).not.toBe(before);
      await delivers("again");
      await kubectl("delete", "whsub", "again", "--cascade=foreground", "--timeout=40s");
      await send("create", [orders("again")]);
      await ready("again");
      expect(await keyOf("again")).toBe(KEY);
      await delivers("again");
      await vi.waitUntil(async () => (await notes("again", "SigningKeyAdopted")) !== "", WAIT);
    });

    it("stay the same when a namespace is restored from a backup: Secrets first, then subscriptions", { timeout: 120_000 }, async () => {
      await send("apply", [secretOf("restored"), orders("restored")]);
      await ready("restored");
      const objects = await backup("restored");
      const brisk = JSON.parse(await kubectl("get", "dpol", "brisk", "--output=json")) as Kept;
      const bindings = (JSON.parse(await kubectl("get", "rolebindings", "--output=json")) as { items: Kept[] }).items;
      await controlPlane.kubectlOutput(["delete", "namespace", NS, "--timeout=60s"]);
      await controlPlane.kubectlOutput(["create", "namespace", NS]);
      const clean = ({ metadata, status: _status, ...rest }: Kept): object => ({
        ...rest,
        metadata: { name: metadata["name"], namespace: NS },
      });
      await send("create", [...bindings, brisk].map(clean));
      await send("create", objects);
      await ready("restored");
      expect(await keyOf("restored")).toBe(KEY);
      await delivers("restored");
      expect(await notes("restored", "SigningKeyGenerated")).toBe("");
    });

    it("are deleted after the drain with secretDeletionPolicy: Delete, and not before", async () => {
      await send("apply", [secretOf("passing"), orders("passing", { signing: { secretDeletionPolicy: "Delete" } })]);
      await ready("passing");
      receiver.delayMs = 500;
      const before = receiver.arrivals.size;
      await post("passing.paid", DELIVERIES);
      await kubectl("delete", "whsub", "passing", "--timeout=40s");
      expect(receiver.arrivals.size - before).toBe(DELIVERIES);
      expect(await kubectl("get", "secret", "passing-signing", "--ignore-not-found", "--output=name")).toBe("");
    });

    it.each(["background", "foreground", "orphan"])(`--cascade=%s drains: ${DELIVERIES} of ${DELIVERIES} arrive`, async (cascade) => {
      const name = `drained-${cascade}`;
      await send("apply", [secretOf(name), orders(name)]);
      await ready(name);
      receiver.delayMs = 500;
      const [before, refused] = [receiver.arrivals.size, receiver.refused];
      await post(`${name}.paid`, DELIVERIES);
      const fromMs = performance.now();
      await kubectl("delete", "whsub", name, `--cascade=${cascade}`, "--timeout=60s");
      process.stdout.write(`--cascade=${cascade} took ${Math.round(performance.now() - fromMs)} ms\n`);
      expect(receiver.arrivals.size - before).toBe(DELIVERIES);
      expect(receiver.refused).toBe(refused);
    });

    it("that are deleted in the middle of a drain, with the policy, sign to the end", async () => {
      await send("apply", [secretOf("pruned"), orders("pruned")]);
      await ready("pruned");
      receiver.delayMs = 500;
      const before = receiver.arrivals.size;
      await post("pruned.paid", DELIVERIES);
      // As a GitOps tool prunes: the Secret first, the policy last.
      await kubectl("delete", "secret", "pruned-signing");
      await kubectl("delete", "whsub", "pruned", "--wait=false");
      await kubectl("delete", "dpol", "brisk");
      await kubectl("wait", "--for=delete", "whsub/pruned", "--timeout=60s");
      expect(receiver.arrivals.size - before).toBe(DELIVERIES);
      await send("create", [
        { apiVersion: API, kind: "DeliveryPolicy", metadata: { name: "brisk", namespace: NS }, spec: { maxInFlight: 4 } },
      ]);
    });

    it("that are gone when the process restarts in the middle of a drain leave dead letters, which the name still finds", async () => {
      await send("apply", [secretOf("lost"), orders("lost")]);
      await ready("lost");
      receiver.silent = true;
      await post("lost.paid", DELIVERIES);
      await kubectl("delete", "whsub", "lost", "--wait=false");
      await operator.signal("SIGKILL");
      await operator.exited;
      await kubectl("delete", "secret", "lost-signing");
      receiver.silent = false;
      const before = receiver.arrivals.size;
      operator = await start();
      await kubectl("wait", "--for=delete", "whsub/lost", "--timeout=60s");
      await vi.waitUntil(async () => (await notes("lost", "DeadLettered")) !== "", WAIT);
      const note = await notes("lost", "DeadLettered");
      expect(note).toContain("because the generated Secret lost-signing is gone");
      expect(receiver.arrivals.size).toBe(before);
      const query = /GET (\/\S+)/.exec(note)?.[1] ?? "";
      await vi.waitUntil(async () => (await listed(query)).length === DELIVERIES, WAIT);
      const old = await listed(query);
      expect(new Set(old.map(({ subscription, reason }) => `${subscription} ${reason}`))).toEqual(new Set(["lost SubscriptionDeleted"]));
      // Another of the name finds both; each row says whose it is.
      await send("create", [secretOf("lost"), orders("lost")]);
      await ready("lost");
      await delivers("lost");
      const both = await listed(`/v1/namespaces/${NS}/deliveries?subscription=lost&limit=500`);
      const { uid } = (await read("whsub", "lost")).metadata;
      expect(new Set(both.map(({ subscriptionUID }) => subscriptionUID))).toEqual(new Set([uid, old[0]?.subscriptionUID]));
    });
  },
  ["kube-controller-manager"],
);
