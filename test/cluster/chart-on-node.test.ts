import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import type { RealNode } from "../support/node/node.ts";
import { whyNoNode } from "../support/node/prerequisites.ts";
import {
  applyAll,
  diagnosis,
  getObject,
  helmInstall,
  helmUpgrade,
  IMAGE,
  IMAGE_AFTER_UPGRADE_TAG,
  prepareNode,
  type Installation,
} from "./installation.ts";
import {
  CLUSTER_POLICY,
  namespace,
  producer,
  PUBLISH_TOKEN,
  publisher,
  receiver,
  RELEASE,
  SHOP,
  SUBSCRIPTION,
  SYSTEM,
  volume,
} from "./manifests.ts";

const log = (line: string): void => void process.stderr.write(`${line}\n`);
const reason = whyNoNode();
if (reason !== undefined) log(`\n*** SKIPPED: the chart on a real node was NOT tested: ${reason} ***\n`);

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

interface Subscription {
  readonly metadata: { readonly finalizers?: readonly string[] };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly signingSecretName?: string;
    readonly delivery?: { readonly delivered?: number; readonly pending?: number; readonly lastAttempt?: { readonly statusCode?: number } };
  };
}

interface Received {
  readonly verified?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status?: number;
}

/** The story of one installation, told in order; each step builds on the one before, so the first failure ends it. */
describe.skipIf(reason !== undefined)("the chart on a real node", () => {
  let installation: Installation;
  let node: RealNode;
  let ingest: string;

  beforeAll(async () => {
    installation = await prepareNode(log);
    node = installation.node;
  });
  afterAll(async () => {
    await installation?.stop();
  });

  /** Says what the cluster looked like when a step fails. */
  const step = (name: string, body: () => Promise<void>): void => {
    it(name, async () => {
      onTestFailed(async () => log(await diagnosis(node)));
      const begun = Date.now();
      await body();
      log(`cluster: ${name} (${((Date.now() - begun) / 1_000).toFixed(1)} s)`);
    });
  };

  const subscription = () => getObject<Subscription>(node, "-n", SHOP, "whsub", "orders");
  const condition = async (type: string) => (await subscription()).status?.conditions?.find((each) => each.type === type);
  const jsonLines = async <T>(pod: string): Promise<T[]> =>
    (await node.kubectl(["-n", SHOP, "logs", pod])).split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as T] : []));
  const received = async () => (await jsonLines<Received>("receiver")).filter(({ headers }) => headers !== undefined);
  const operatorReady = () => node.kubectl(["-n", SYSTEM, "rollout", "status", `statefulset/${RELEASE}`, "--timeout=120s"]);

  step("helm installs it into a namespace with the restricted Pod security standard", async () => {
    await applyAll(node, [namespace(SYSTEM), namespace(SHOP), volume(installation.data)]);
    const notes = await helmInstall(node);
    expect(notes).toContain("kind: ClusterDeliveryPolicy");
    const address = await node.kubectl(["-n", SYSTEM, "get", "service", `${RELEASE}-ingest`, "-o", "jsonpath={.spec.clusterIP}"]);
    ingest = `http://${address}:8080`;
    expect(await node.kubectl(["-n", SYSTEM, "get", "pvc", `${RELEASE}-data`, "-o", "jsonpath={.status.phase}"])).toBe("Bound");
  });

  step("without the RoleBinding no Secret is readable, and the subscription says which command mends that", async () => {
    const asOperator = ["--as", `system:serviceaccount:${SYSTEM}:${RELEASE}`];
    expect((await node.tryKubectl(["auth", "can-i", "list", "secrets", "--all-namespaces", ...asOperator])).stdout.trim()).toBe("no");
    expect((await node.tryKubectl(["auth", "can-i", "get", "secrets", "-n", SHOP, ...asOperator])).stdout.trim()).toBe("no");
    await applyAll(node, [CLUSTER_POLICY, PUBLISH_TOKEN, SUBSCRIPTION]);
    await node.until("the missing right shows", async () => (await condition("ResolvedRefs"))?.status === "False", 60_000);
    expect((await condition("ResolvedRefs"))?.message).toContain("create rolebinding");
  });

  step("the RoleBinding heals it without a restart: kubectl wait --for=condition=Ready", async () => {
    const role = `${SYSTEM}-${RELEASE}-secrets`;
    await node.kubectl(["-n", SHOP, "create", "rolebinding", role, `--clusterrole=${role}`, `--serviceaccount=${SYSTEM}:${RELEASE}`]);
    await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "webhooksubscription/orders", "--timeout=120s"], {
      timeoutMs: 150_000,
    });
    expect((await subscription()).status?.signingSecretName).toBe("orders-signing");
  });

  step("an event published from a Pod reaches a receiver Pod that verifies its signature", async () => {
    await applyAll(node, receiver(IMAGE));
    await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "pod/receiver", "--timeout=60s"]);
    await applyAll(node, [publisher(IMAGE, ingest)]);
    await node.kubectl(["-n", SHOP, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/publisher", "--timeout=60s"]);
    const [accepted] = await jsonLines<{ id: string; matched: number }>("publisher");
    expect(accepted).toMatchObject({ matched: 1 });
    await node.until("the event has arrived", async () => (await received()).length > 0, 60_000);
    const [request] = await received();
    expect(request).toMatchObject({ verified: true, status: 200, headers: { "webhook-id": accepted?.id } });
    expect(JSON.parse(request?.body ?? "")).toMatchObject({ type: "order.paid", data: { id: "42" } });
  });

  step("status and columns show it", async () => {
    await node.until("the counters are written", async () => ((await subscription()).status?.delivery?.delivered ?? 0) > 0, 90_000);
    expect((await subscription()).status?.delivery).toMatchObject({ delivered: 1, pending: 0, lastAttempt: { statusCode: 200 } });
    const [heads = "", row = ""] = (await node.kubectl(["-n", SHOP, "get", "whsub"])).split("\n");
    expect(heads.split(/\s{2,}/).map((head) => head.trim())).toEqual(
      expect.arrayContaining(["NAME", "READY", "HEALTHY", "ENDPOINT", "PENDING", "LAST-STATUS"]),
    );
    expect(row).toMatch(/^orders\s+True\s+True\s+\S+\s+0\s+200\s/);
  });

  step("container killed, Pod deleted, release upgraded under traffic: nothing accepted is lost", async () => {
    await applyAll(node, [producer(IMAGE, ingest)]);
    const accepted = async () => (await jsonLines<{ id?: string }>("producer")).flatMap(({ id }) => (id === undefined ? [] : [id]));
    const more = async (what: string) => {
      const before = (await node.tryKubectl(["-n", SHOP, "logs", "producer"])).stdout.length === 0 ? 0 : (await accepted()).length;
      await node.until(`more is accepted ${what}`, async () => (await accepted()).length >= before + 50, 120_000);
    };
    await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "pod/producer", "--timeout=60s"]);
    await more("before anything happens");
    await node.killContainer(SYSTEM, `${RELEASE}-0`);
    await more("after the kill");
    await node.kubectl(["-n", SYSTEM, "delete", "pod", `${RELEASE}-0`], { timeoutMs: 180_000 });
    await operatorReady();
    await more("after the Pod's deletion");
    await helmUpgrade(node, `--set=image.tag=${IMAGE_AFTER_UPGRADE_TAG}`);
    await more("after the upgrade");
    expect(await node.kubectl(["-n", SYSTEM, "get", "pod", `${RELEASE}-0`, "-o", "jsonpath={.spec.containers[0].image}"])).toContain(
      IMAGE_AFTER_UPGRADE_TAG,
    );

    await node.kubectl(["-n", SHOP, "exec", "producer", "--", "node", "-e", "fetch('http://127.0.0.1:9000/stop')"]);
    await node
      .kubectl(["-n", SHOP, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/producer", "--timeout=60s"])
      .catch(() => undefined);
    const ids = await accepted();
    const arrived = async () =>
      new Set(
        (await received())
          .filter(({ verified, status }) => verified === true && status === 200)
          .map(({ headers }) => headers?.["webhook-id"]),
      );
    await node.until(
      "all that was accepted has arrived",
      async () => {
        const there = await arrived();
        return ids.every((id) => there.has(id));
      },
      90_000,
    );
    const refused = (await received()).filter(({ verified }) => verified !== true);
    expect(refused).toEqual([]);
    expect((await jsonLines<{ refused?: number }>("producer")).filter((line) => line.refused !== undefined)).toEqual([]);
    expect(ids.length).toBeGreaterThan(200);
    log(`cluster: ${ids.length} accepted, ${(await received()).length} requests received, 0 missing`);
  });

  step("uninstall leaves no finalizer, no right and no Pod behind, but the data and the subscriptions", async () => {
    expect((await subscription()).metadata.finalizers).toHaveLength(1);
    await node.helm(["uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "180s"]);
    expect((await subscription()).metadata.finalizers ?? []).toEqual([]);
    for (const kind of ["clusterroles", "clusterrolebindings"]) {
      expect(await node.kubectl(["get", kind, "-l", "app.kubernetes.io/name=postrider", "-o", "name"])).toBe("");
    }
    expect(
      await node.kubectl([
        "-n",
        SYSTEM,
        "get",
        "pods,jobs,roles,rolebindings,statefulsets,services",
        "-l",
        "app.kubernetes.io/instance=postrider",
        "-o",
        "name",
      ]),
    ).toBe("");
    expect(await node.kubectl(["-n", SYSTEM, "get", "pvc", "-o", "name"])).toBe(`persistentvolumeclaim/${RELEASE}-data\n`);
    await node.kubectl(["-n", SHOP, "delete", "webhooksubscription", "orders", "--timeout=20s"]);
    await node.kubectl(["delete", "namespace", SHOP, "--timeout=90s"], { timeoutMs: 100_000 });
  });
});
