import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { type Certificate, makeCertificates } from "../support/delivery/certificates.ts";
import type { RealNode } from "../support/node/node.ts";
import { whyNoNode } from "../support/node/prerequisites.ts";
import { applyAll, diagnosis, getObject, helmInstall, helmUninstall, IMAGE, prepareNode, type Installation } from "./installation.ts";
import { namespace, PUBLISHING, publisher, RELEASE, SHOP, SYSTEM, volume } from "./manifests.ts";

const log = (line: string): void => void process.stderr.write(`${line}\n`);
const reason = whyNoNode();
if (reason !== undefined) log(`\n*** SKIPPED: the chart with TLS on a real node was NOT tested: ${reason} ***\n`);

const HOST = `${RELEASE}-ingest.${SYSTEM}.svc`;
const PORTS = ["ingest", "api", "metrics"];
const SECRET = "postrider-tls";
const TLS = PORTS.map((port) => `--set=tls.${port}.secretName=${SECRET}`);

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: {
    hostAliases?: readonly object[];
    readonly volumes: object[];
    readonly containers: readonly [{ readonly args: string[]; readonly volumeMounts: object[] }];
  };
}

/** A Secret as cert-manager writes it: of type kubernetes.io/tls, with the authority next to the pair. */
function pairSecret({ cert, key }: Certificate, ca: string): object {
  const metadata = { name: SECRET, namespace: SYSTEM };
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata,
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": cert, "tls.key": key, "ca.crt": ca },
  };
}

function authority(ca: string): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "ingest-ca", namespace: SHOP }, data: { "ca.crt": ca } };
}

/** A Pod that publishes one event to a name that is the Service's: the node has no DNS of its own. */
function publishingPod(name: string, server: string, address: string): Pod {
  const pod = publisher(IMAGE, server) as Pod;
  const [container] = pod.spec.containers;
  if (server.startsWith("https:")) container.args.push("--ca-file", "/ca/ca.crt");
  container.volumeMounts.push({ name: "ca", mountPath: "/ca", readOnly: true });
  pod.spec.volumes.push({ name: "ca", configMap: { name: "ingest-ca" } });
  pod.spec.hostAliases = [{ ip: address, hostnames: [HOST] }];
  return { ...pod, metadata: { ...pod.metadata, name } };
}

/** The story of one installation with TLS on all three ports, told in order. */
describe.skipIf(reason !== undefined)("the chart with TLS on a real node", () => {
  let installation: Installation;
  let node: RealNode;
  let address: string;
  const [first, second] = [makeCertificates(), makeCertificates()];
  if (first === undefined || second === undefined) throw new Error("these tests need the openssl command");

  beforeAll(async () => {
    installation = await prepareNode(log);
    node = installation.node;
  });
  afterAll(async () => {
    await installation?.stop();
  });

  const step = (name: string, body: () => Promise<void>): void => {
    it(name, async () => {
      expect.hasAssertions();
      onTestFailed(async () => log(await diagnosis(node)));
      const begun = Date.now();
      await body();
      log(`cluster: ${name} (${((Date.now() - begun) / 1_000).toFixed(1)} s)`);
    });
  };

  /** What the command in a Pod of this name printed once it has ended, and how it ended. */
  const publishFrom = async (name: string, server: string): Promise<{ readonly phase: string; readonly text: string }> => {
    await applyAll(node, [publishingPod(name, server, address)]);
    const phase = () => node.kubectl(["-n", SHOP, "get", "pod", name, "-o", "jsonpath={.status.phase}"]);
    await node.until(`${name} has ended`, async () => ["Succeeded", "Failed"].includes(await phase()), 60_000);
    return { phase: await phase(), text: await node.kubectl(["-n", SHOP, "logs", name]) };
  };

  step("helm installs it with a Secret for all three ports, and the kubelet's probes find it ready over HTTPS", async () => {
    await applyAll(node, [namespace(SYSTEM), namespace(SHOP), volume(installation.data)]);
    await applyAll(node, [pairSecret(first.chart, first.ca), authority(first.ca), ...PUBLISHING]);
    const notes = await helmInstall(node, ...TLS);
    expect(notes).toContain(`curl --cacert ca.crt -X POST https://${HOST}:8080/`);
    address = await node.kubectl(["-n", SYSTEM, "get", "service", `${RELEASE}-ingest`, "-o", "jsonpath={.spec.clusterIP}"]);
  });

  step("an event is published from a Pod over HTTPS, and over plain HTTP none is", async () => {
    expect(await publishFrom("secure", `https://${HOST}:8080`)).toMatchObject({
      phase: "Succeeded",
      text: expect.stringContaining('"id"'),
    });
    expect(await publishFrom("plain", `http://${HOST}:8080`)).toMatchObject({
      phase: "Failed",
      text: expect.stringContaining("This port speaks HTTPS only: use https:// in place of http://."),
    });
  });

  step("a renewed Secret is served on all three ports without a restart", async () => {
    await applyAll(node, [pairSecret(second.chart, second.ca), authority(second.ca)]);
    const served = async () => (await node.kubectl(["-n", SYSTEM, "logs", `${RELEASE}-0`])).split('"certificate.served"').length - 1;
    // The kubelet looks after a minute or two.
    await node.until("the new certificates are served", async () => (await served()) === 2 * PORTS.length, 180_000);
    expect(await publishFrom("renewed", `https://${HOST}:8080`)).toMatchObject({ phase: "Succeeded" });
    const pod = await getObject<{ status: { containerStatuses: readonly { restartCount: number }[] } }>(
      node,
      "-n",
      SYSTEM,
      "pod",
      `${RELEASE}-0`,
    );
    expect(pod.status.containerStatuses[0]?.restartCount).toBe(0);
  });

  step("uninstall leaves no Pod and no Service behind", async () => {
    await helmUninstall(node);
    const kinds = "pods,jobs,statefulsets,services";
    expect(await node.kubectl(["get", kinds, "--all-namespaces", "-l", `app.kubernetes.io/instance=${RELEASE}`, "-o", "name"])).toBe("");
  });
});
