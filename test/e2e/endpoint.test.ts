import { once } from "node:events";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { makeCertificates } from "../support/delivery/certificates.ts";
import type { Certificate } from "../support/delivery/certificates.ts";
import { ConnectProxy } from "../support/delivery/connect-proxy.ts";
import { manifestFile, namespace, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";

const certificates = makeCertificates();
/** "An edited Secret takes effect within 5 s without a restart." */
const ROTATED_WITHIN_MS = 5_000;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Seen {
  readonly host: string | undefined;
  readonly url: string | undefined;
  readonly client: string;
  readonly remotePort: number | undefined;
}

/** A receiver that is a Service: its certificate is for `receiver.shop.svc`, and it demands a client's. */
class Receiver {
  readonly seen: Seen[] = [];
  #heard: (() => void)[] = [];
  readonly #server;

  constructor({ service, ca }: NonNullable<typeof certificates>) {
    this.#server = createServer({ ...service, ca, requestCert: true, rejectUnauthorized: true, keepAliveTimeout: 30_000 }, (req, res) => {
      const socket = req.socket as TLSSocket;
      const client = String(socket.getPeerCertificate().subject.CN);
      this.seen.push({ host: req.headers.host, url: req.url, client, remotePort: socket.remotePort });
      req.resume();
      res.end();
      for (const heard of this.#heard.splice(0)) heard();
    });
    this.#server.on("tlsClientError", () => undefined);
  }

  async start(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    cleanups.push(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async request(index: number): Promise<Seen> {
    for (let seen = this.seen[index]; ; seen = this.seen[index]) {
      if (seen !== undefined) return seen;
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }
}

const b64 = (text: string): string => Buffer.from(text).toString("base64");

function clientSecret({ cert, key }: Certificate): string {
  return `apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {name: client, namespace: shop, labels: {postrider.dev/use: "true"}}
data: {tls.crt: ${b64(cert)}, tls.key: ${b64(key)}}
`;
}

function manifests(port: number, ca: string, endpoint: string): string {
  const tls = "tls: {caRef: {kind: ConfigMap, name: authorities}, clientCertSecretRef: {name: client}, serverName: receiver.shop.svc}";
  return manifestFile(
    namespace("shop"),
    `apiVersion: v1
kind: Service
metadata: {name: receiver, namespace: shop}
spec: {clusterIP: 127.0.0.1, selector: {app: receiver}, ports: [{port: ${port}}]}
`,
    `apiVersion: v1
kind: ConfigMap
metadata: {name: authorities, namespace: shop}
data:
  ca.crt: |
${ca.replaceAll(/^/gm, "    ")}
`,
    subscription({ name: "orders", endpoint: `{${endpoint}, ${tls}}`, signing: "{}" }),
  );
}

async function start(
  files: Readonly<Record<string, string>>,
): Promise<{ operator: OperatorProcess; write: (file: string, text: string) => void }> {
  const directory = mkdtempSync(join(tmpdir(), "postrider-endpoint-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  const write = (file: string, text: string): void => {
    writeFileSync(join(directory, `${file}.new`), text);
    renameSync(join(directory, `${file}.new`), join(directory, "manifests", file));
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}` });
  cleanups.push(() => operator.signal("SIGKILL"));
  return { operator, write };
}

async function publish({ ready }: OperatorProcess): Promise<void> {
  const answer = await fetch(`${ready.ingest}/v1/namespaces/shop/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"order.paid","data":{"n":1}}',
  });
  expect([answer.status, ((await answer.json()) as { matched: number }).matched]).toEqual([202, 1]);
}

describe.skipIf(certificates === undefined)("an endpoint with everything", () => {
  const all = certificates!;

  it(
    "that is a Service is dialled at its ClusterIP under its name, with a client certificate that is rotated without a restart",
    { timeout: 60_000 },
    async () => {
      const receiver = new Receiver(all);
      const port = await receiver.start();
      const { operator, write } = await start({
        "all.yaml": manifests(port, all.ca, `serviceRef: {name: receiver, port: ${port}, path: "/in?a=b", scheme: HTTPS}`),
        "client.yaml": clientSecret(all.clients[0]),
      });
      await publish(operator);
      expect(await receiver.request(0)).toMatchObject({ host: `receiver.shop.svc:${port}`, url: "/in?a=b", client: "client-one" });

      write("client.yaml", clientSecret(all.clients[1]));
      const editedMs = performance.now();
      let last = 0;
      do {
        await publish(operator);
        last += 1;
      } while ((await receiver.request(last)).client === "client-one" && performance.now() - editedMs < ROTATED_WITHIN_MS);
      const tookMs = performance.now() - editedMs;
      expect(tookMs).toBeLessThan(ROTATED_WITHIN_MS);
      await publish(operator);
      await receiver.request(last + 1);
      const ports = (client: string): Set<number | undefined> =>
        new Set(receiver.seen.filter((seen) => seen.client === client).map(({ remotePort }) => remotePort));
      expect([...ports("client-one")].filter((one) => ports("client-two").has(one))).toEqual([]);
      expect(receiver.seen.at(-1)?.client).toBe("client-two");
      expect(await operator.signal("SIGTERM")).toBe(0);
    },
  );

  it("behind the egress proxy waits for the proxy's Secret and then goes through it", { timeout: 60_000 }, async () => {
    const receiver = new Receiver(all);
    const port = await receiver.start();
    const proxy = new ConnectProxy();
    const { authority } = await proxy.start();
    cleanups.push(() => proxy.stop());
    const policy = `apiVersion: postrider.dev/v1alpha1
kind: ClusterDeliveryPolicy
metadata: {name: base}
spec: {egress: {allowedCIDRs: [127.0.0.0/8], proxySecretRef: {name: way-out, key: url}}}
`;
    const { operator, write } = await start({
      "all.yaml": manifests(port, all.ca, `url: "https://127.0.0.1:${port}/out"`),
      "client.yaml": clientSecret(all.clients[0]),
      "policy.yaml": policy,
    });
    await publish(operator);
    write(
      "proxy.yaml",
      `apiVersion: v1
kind: Secret
metadata: {name: way-out, namespace: postrider-system, labels: {postrider.dev/use: "true"}}
stringData: {url: "http://user:p%40ss@${authority}"}
`,
    );
    expect(await receiver.request(0)).toMatchObject({ host: `127.0.0.1:${port}`, client: "client-one" });
    expect(proxy.calls).toMatchObject([
      { authority: `127.0.0.1:${port}`, headers: { "proxy-authorization": `Basic ${b64("user:p@ss")}` } },
    ]);
    expect(await operator.signal("SIGTERM")).toBe(0);
  });
});
