import { execFileSync } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import type { RealNode } from "../support/node/node.ts";
import { whyNoNode } from "../support/node/prerequisites.ts";
import {
  applyAll,
  diagnosis,
  emptyVolume,
  getObject,
  helmInstall,
  helmInstall010,
  helmUninstall,
  helmUpgrade,
  helmUpgradeFrom010,
  IMAGE,
  IMAGE_AFTER_UPGRADE_TAG,
  prepareNode,
  type Installation,
} from "./installation.ts";
import {
  BOUND_IN_010,
  CLUSTER_POLICY,
  namespace,
  producer,
  PUBLISHING,
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
    readonly signingKeys?: readonly object[];
    readonly delivery?: { readonly delivered?: number; readonly pending?: number; readonly lastAttempt?: { readonly statusCode?: number } };
  };
}

interface Received {
  readonly verified?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status?: number;
}

/** A line of the producer's log. */
interface Accepted {
  readonly id?: string;
  readonly at?: number;
  readonly refused?: number;
}

interface OperatorPod {
  readonly metadata: { readonly uid: string };
  readonly spec: { readonly containers: readonly { readonly image: string }[] };
  readonly status: { readonly containerStatuses: readonly { readonly restartCount: number }[] };
}

/** Accepted and not yet delivered when the operator is killed. */
const BACKLOG_AT_KILL = 100;
/** Accepted between one blow and the next. */
const MORE_EVENTS = 400;
/** What may arrive twice after the one unclean end, the kill: the built-in policy's 8 in flight, and as many just answered and not yet written. */
const DUPLICATES_MAX = 16;

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
  const step = (name: string, body: (skip: (isSkipped: boolean, why: string) => void) => Promise<void>): void => {
    it(name, async ({ skip }) => {
      expect.hasAssertions();
      onTestFailed(async () => log(await diagnosis(node)));
      const begun = Date.now();
      await body(skip);
      log(`cluster: ${name} (${((Date.now() - begun) / 1_000).toFixed(1)} s)`);
    });
  };

  const subscription = () => getObject<Subscription>(node, "-n", SHOP, "whsub", "orders");
  const condition = async (type: string) => (await subscription()).status?.conditions?.find((each) => each.type === type);
  const jsonLines = async <T>(pod: string): Promise<T[]> =>
    (await node.kubectl(["-n", SHOP, "logs", pod])).split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as T] : []));
  const received = async () => (await jsonLines<Received>("receiver")).filter(({ headers }) => headers !== undefined);
  /** What was refused to the operator or its uninstall Job, but for Secrets where no RoleBinding opens them. */
  const refusals = () =>
    [RELEASE, `${RELEASE}-uninstall`]
      .flatMap((account) => node.requestsOf(SYSTEM, account))
      .filter(({ responseStatus, objectRef }) => responseStatus?.code === 403 && objectRef?.resource !== "secrets")
      .map(({ verb, objectRef }) => `${verb} ${objectRef?.resource} in ${objectRef?.namespace}`);
  const nothingLeft = async () => {
    for (const kind of ["clusterroles", "clusterrolebindings"]) {
      expect(await node.kubectl(["get", kind, "-l", "app.kubernetes.io/name=postrider", "-o", "name"])).toBe("");
    }
    const kinds = "pods,jobs,roles,rolebindings,statefulsets,services,serviceaccounts";
    expect(await node.kubectl(["get", kinds, "--all-namespaces", "-l", `app.kubernetes.io/instance=${RELEASE}`, "-o", "name"])).toBe("");
  };

  step("helm installs it into a namespace with the restricted Pod security standard", async () => {
    await applyAll(node, [namespace(SYSTEM), namespace(SHOP), volume(installation.data)]);
    const notes = await helmInstall(node);
    expect(notes).toContain("kind: ClusterDeliveryPolicy");
    const address = await node.kubectl(["-n", SYSTEM, "get", "service", `${RELEASE}-ingest`, "-o", "jsonpath={.spec.clusterIP}"]);
    ingest = `http://${address}:8080`;
    expect(await node.kubectl(["-n", SYSTEM, "get", "pvc", `${RELEASE}-data`, "-o", "jsonpath={.status.phase}"])).toBe("Bound");
  });

  step(
    "a user with the role edit of a namespace subscribes there, one with view reads, one with admin lets a workload publish",
    async () => {
      for (const role of ["view", "edit", "admin"]) {
        await node.kubectl(["-n", SHOP, "create", "rolebinding", role, `--clusterrole=${role}`, `--user=${role}-user`]);
      }
      const may = async (who: string, verb: string, kind: string) =>
        (await node.tryKubectl(["auth", "can-i", verb, kind, "-n", SHOP, "--as", `${who}-user`])).stdout.trim();
      await node.until("the roles are aggregated", async () => (await may("admin", "publish", "webhooksubscriptions")) === "yes", 30_000);
      expect([await may("view", "get", "webhooksubscriptions"), await may("view", "create", "webhooksubscriptions")]).toEqual([
        "yes",
        "no",
      ]);
      const draft = { ...SUBSCRIPTION, metadata: { name: "draft", namespace: SHOP } };
      await node.kubectl(["--as", "edit-user", "create", "-f", "-"], { stdin: JSON.stringify(draft) });
      await node.kubectl(["--as", "edit-user", "-n", SHOP, "delete", "whsub", "draft", "--timeout=30s"]);
      const publishes = ["may-publish", `--clusterrole=${SYSTEM}:${RELEASE}:publisher`, `--serviceaccount=${SHOP}:default`];
      expect((await node.tryKubectl(["--as", "edit-user", "-n", SHOP, "create", "rolebinding", ...publishes])).code).not.toBe(0);
      await node.kubectl(["--as", "admin-user", "-n", SHOP, "create", "rolebinding", ...publishes]);
    },
  );

  step("without the RoleBinding no Secret is readable, and the subscription says which command mends that", async () => {
    const asOperator = ["--as", `system:serviceaccount:${SYSTEM}:${RELEASE}`];
    expect((await node.tryKubectl(["auth", "can-i", "list", "secrets", "--all-namespaces", ...asOperator])).stdout.trim()).toBe("no");
    expect((await node.tryKubectl(["auth", "can-i", "get", "secrets", "-n", SHOP, ...asOperator])).stdout.trim()).toBe("no");
    await applyAll(node, [CLUSTER_POLICY, ...PUBLISHING, SUBSCRIPTION]);
    await node.until("the missing right shows", async () => (await condition("ResolvedRefs"))?.status === "False", 60_000);
    expect((await condition("ResolvedRefs"))?.message).toContain("create rolebinding");
  });

  step("the RoleBinding heals it without a restart: kubectl wait --for=condition=Ready", async () => {
    const role = `${SYSTEM}:${RELEASE}:secrets`;
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
      expect.arrayContaining(["NAME", "READY", "HEALTHY", "SUSPENDED", "ENDPOINT", "PENDING", "LAST-STATUS"]),
    );
    expect(row).toMatch(/^orders\s+True\s+True\s+False\s+\S+\s+0\s+200\s/);
  });

  step("container killed, Pod deleted, release upgraded under traffic: nothing accepted is lost", async () => {
    const operator = () => getObject<OperatorPod>(node, "-n", SYSTEM, "pod", `${RELEASE}-0`);
    await applyAll(node, [producer(IMAGE, ingest)]);
    await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "pod/producer", "--timeout=60s"]);
    const accepted = async () => (await jsonLines<Accepted>("producer")).filter(({ id }) => id !== undefined);
    const more = async (what: string) => {
      const before = (await accepted()).length;
      await node.until(`more is accepted ${what}`, async () => (await accepted()).length >= before + MORE_EVENTS, 120_000);
    };
    await more("before anything happens");
    const first = await operator();
    // Without a backlog a store that forgets would pass.
    await node.until("a backlog is there", async () => (await accepted()).length >= (await received()).length + BACKLOG_AT_KILL);
    await node.killContainer(SYSTEM, `${RELEASE}-0`);
    await more("after the kill");
    expect((await operator()).status.containerStatuses[0]?.restartCount).toBe(1);
    await node.kubectl(["-n", SYSTEM, "delete", "pod", `${RELEASE}-0`], { timeoutMs: 180_000 });
    await more("after the Pod's deletion");
    expect((await operator()).metadata.uid).not.toBe(first.metadata.uid);
    await helmUpgrade(node, `--set=image.tag=${IMAGE_AFTER_UPGRADE_TAG}`);
    await more("after the upgrade");
    expect((await operator()).spec.containers[0]?.image).toContain(IMAGE_AFTER_UPGRADE_TAG);

    await node.kubectl(["-n", SHOP, "exec", "producer", "--", "node", "-e", "fetch('http://127.0.0.1:9000/stop')"]);
    await node.kubectl(["-n", SHOP, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/producer", "--timeout=60s"]);
    const promised = await accepted();
    const verified = async () =>
      (await received()).flatMap((each) => (each.verified === true && each.status === 200 ? [each.headers?.["webhook-id"]] : []));
    const missing = async () => {
      const arrived = new Set(await verified());
      return promised.filter(({ id }) => !arrived.has(id));
    };
    await node
      .until("all that was accepted has arrived", async () => (await missing()).length === 0, 90_000)
      .catch(async (error: unknown) => {
        expect(await missing(), String(error)).toEqual([]);
      });
    const requests = await received();
    const duplicates = requests.length - new Set(await verified()).size;
    log(
      `cluster: ${promised.length} accepted, 0 missing, ${duplicates} twice; no event was accepted for at most ${longestGapMs(promised)} ms`,
    );
    expect(promised.length).toBeGreaterThan(4 * MORE_EVENTS);
    expect(requests.filter((each) => each.verified !== true)).toEqual([]);
    expect((await jsonLines<Accepted>("producer")).filter((line) => line.refused !== undefined)).toEqual([]);
    expect(duplicates).toBeLessThanOrEqual(DUPLICATES_MAX);
  });

  step("uninstall leaves no finalizer, no right and no Pod behind, but the data and the subscriptions", async () => {
    expect((await subscription()).metadata.finalizers).toHaveLength(1);
    await helmUninstall(node);
    expect((await subscription()).metadata.finalizers ?? []).toEqual([]);
    await nothingLeft();
    expect(await node.kubectl(["-n", SYSTEM, "get", "pvc", "-o", "name"])).toBe(`persistentvolumeclaim/${RELEASE}-data\n`);
  });

  step("installed again over what was kept, for one namespace with its Secrets: it goes on with Roles only", async () => {
    await node.kubectl(["-n", SHOP, "delete", "rolebinding", `${SYSTEM}:${RELEASE}:secrets`]);
    await helmInstall(node, `--set=namespaces={${SHOP}}`, "--set=secretAccess=cluster");
    const asOperator = ["--as", `system:serviceaccount:${SYSTEM}:${RELEASE}`];
    expect((await node.tryKubectl(["auth", "can-i", "list", "secrets", "--all-namespaces", ...asOperator])).stdout.trim()).toBe("no");
    expect(
      (await node.tryKubectl(["auth", "can-i", "list", "webhooksubscriptions", "--all-namespaces", ...asOperator])).stdout.trim(),
    ).toBe("no");
    await node.until(
      "the subscription is served again",
      async () => ((await subscription()).metadata.finalizers ?? []).length === 1,
      60_000,
    );
    const before = (await received()).length;
    await node.kubectl(["-n", SHOP, "delete", "pod", "publisher"]);
    const address = await node.kubectl(["-n", SYSTEM, "get", "service", `${RELEASE}-ingest`, "-o", "jsonpath={.spec.clusterIP}"]);
    await applyAll(node, [publisher(IMAGE, `http://${address}:8080`)]);
    await node.until("another event has arrived", async () => (await received()).length > before, 60_000);
    await helmUninstall(node);
    await nothingLeft();
    const used = node
      .requestsOf(SYSTEM, RELEASE)
      .map(({ verb, objectRef: { resource, subresource } = {} }) => [verb, resource, subresource].filter(Boolean).join(" "));
    expect(used.length).toBeGreaterThan(50);
    log(`cluster: rights in use: ${[...new Set(used)].toSorted((a, b) => a.localeCompare(b)).join(", ")}`);
    expect(refusals()).toEqual([]);
    await node.kubectl(["-n", SHOP, "delete", "webhooksubscription", "orders", "--timeout=20s"]);
    await node.kubectl(["delete", "namespace", SHOP, "--timeout=90s"], { timeoutMs: 100_000 });
  });

  step("0.1.0 upgraded under traffic, with the commands of docs/upgrading.md: nothing accepted is lost, the key stays", async (skip) => {
    skip(!installation.has010, "this checkout has no history, so there is no image of 0.1.0");
    emptyVolume(installation.data);
    await applyAll(node, [namespace(SHOP), ...PUBLISHING.slice(0, 1), ...BOUND_IN_010]);
    await helmInstall010(node);
    await applyAll(node, [SUBSCRIPTION]);
    await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "webhooksubscription/orders", "--timeout=60s"]);
    const key = () => node.kubectl(["-n", SHOP, "get", "secret", "orders-signing", "-o", "jsonpath={.data.secret}"]);
    const keyOf010 = await key();
    const address = await node.kubectl(["-n", SYSTEM, "get", "service", `${RELEASE}-ingest`, "-o", "jsonpath={.spec.clusterIP}"]);
    await applyAll(node, [...receiver(IMAGE), producer(IMAGE, `http://${address}:8080`)]);
    await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "pod/receiver", "pod/producer", "--timeout=60s"]);
    const accepted = async () => (await jsonLines<Accepted>("producer")).filter(({ id }) => id !== undefined);
    await node.until("0.1.0 has a backlog", async () => (await accepted()).length >= (await received()).length + BACKLOG_AT_KILL);

    await node.run(["sh", "-e", "-c", commandsOf("docs/upgrading.md", "create rolebinding")], { env: { PATH: node.pathWithKubectl } });
    await helmUpgradeFrom010(node, "--set=image.repository=postrider", "--set=image.tag=test");
    const before = (await accepted()).length;
    await node.until("more is accepted after the upgrade", async () => (await accepted()).length >= before + MORE_EVENTS, 120_000);
    await node.run(["sh", "-e", "-c", commandsOf("docs/upgrading.md", "delete rolebinding")], { env: { PATH: node.pathWithKubectl } });
    await node.kubectl(["-n", SHOP, "exec", "producer", "--", "node", "-e", "fetch('http://127.0.0.1:9000/stop')"]);
    await node.kubectl(["-n", SHOP, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/producer", "--timeout=60s"]);
    const promised = await accepted();
    const missing = async () => {
      const arrived = new Set((await received()).flatMap((each) => (each.verified === true ? [each.headers?.["webhook-id"]] : [])));
      return promised.filter(({ id }) => !arrived.has(id));
    };
    await node.until("all that was accepted has arrived", async () => (await missing()).length === 0, 90_000);
    expect((await received()).filter(({ verified }) => verified !== true)).toEqual([]);
    expect((await jsonLines<Accepted>("producer")).filter((line) => line.refused !== undefined)).toEqual([]);
    expect(await key()).toBe(keyOf010);
    expect((await subscription()).metadata.finalizers).toEqual(["drain.postrider.dev/postrider"]);
    log(`cluster: ${promised.length} accepted over the upgrade, 0 missing; no event was accepted for at most ${longestGapMs(promised)} ms`);
  });

  step(
    "restored as docs/backup.md says, after volume, Secret and subscription are lost: the receiver verifies with the key it has",
    async () => {
      const objects: string[] = [];
      if (!installation.has010) {
        emptyVolume(installation.data);
        await applyAll(node, [namespace(SHOP)]);
        await helmInstall(node, "--set=secretAccess=cluster");
        await applyAll(node, [...PUBLISHING, SUBSCRIPTION]);
        await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "webhooksubscription/orders", "--timeout=60s"]);
        await applyAll(node, receiver(IMAGE));
        await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "pod/receiver", "--timeout=60s"]);
      }
      const fingerprints = async () => (await subscription()).status?.signingKeys;
      await node.until("the key is shown", async () => (await fingerprints()) !== undefined);
      const known = await fingerprints();
      for (const kind of ["secrets", "whsub"]) {
        const saving = `kubectl get ${kind} -n ${SHOP} -o json | jq 'del(.items[].metadata | .uid, .resourceVersion, .creationTimestamp, .ownerReferences)'`;
        objects.push(await node.run(["sh", "-e", "-c", saving], { env: { PATH: node.pathWithKubectl } }));
      }
      await helmUninstall(node);
      const snapshot = `${installation.data}-snapshot`;
      cpSync(installation.data, snapshot, { recursive: true, preserveTimestamps: true });
      await node.kubectl(["-n", SHOP, "delete", "whsub,secret", "--all", "--timeout=30s"]);
      emptyVolume(installation.data);

      for (const text of objects) await node.kubectl(["create", "-f", "-"], { stdin: text });
      execFileSync("cp", ["--archive", `${snapshot}/.`, installation.data]);
      execFileSync("chown", ["--recursive", "65532:65532", installation.data]);
      await helmInstall(node);
      await node.kubectl(["-n", SHOP, "wait", "--for=condition=Ready", "webhooksubscription/orders", "--timeout=60s"]);
      await node.until("the key is shown again", async () => (await fingerprints()) !== undefined);
      expect(await fingerprints()).toEqual(known);
      const before = (await received()).length;
      const address = await node.kubectl(["-n", SYSTEM, "get", "service", `${RELEASE}-ingest`, "-o", "jsonpath={.spec.clusterIP}"]);
      await applyAll(node, [publisher(IMAGE, `http://${address}:8080`)]);
      await node.until("an event has arrived", async () => (await received()).length > before, 60_000);
      expect((await received()).filter(({ verified }) => verified !== true)).toEqual([]);
      const events = await node.kubectl(["-n", SHOP, "get", "events", "-o", "jsonpath={.items[*].reason}"]);
      expect(events).toContain("SigningKeyAdopted");
      await helmUninstall(node);
      await node.kubectl(["delete", "namespace", SHOP, "--timeout=90s"], { timeoutMs: 100_000 });
    },
  );
});

/** The block of commands of a page that holds a text. */
function commandsOf(page: string, text: string): string {
  const blocks = readFileSync(join(import.meta.dirname, "../..", page), "utf8").matchAll(/```sh\n([^`]+)```/g);
  const block = Array.from(blocks, ([, code = ""]) => code).find((code) => code.includes(text));
  if (block === undefined) throw new Error(`${page} has no commands with ${text}`);
  return block;
}

/** How long no event was accepted, in ms: what a producer feels of kills and upgrades. */
function longestGapMs(promised: readonly Accepted[]): number {
  const times = promised.map(({ at = 0 }) => at).toSorted((a, b) => a - b);
  return times.reduce((longest, time, index) => Math.max(longest, time - (times[index - 1] ?? time)), 0);
}
