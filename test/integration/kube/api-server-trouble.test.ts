import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";
import type { FakeObject } from "../../support/kube/object-map.ts";
import { COLLECTION } from "../../support/kube/watched-collection.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { Changes } from "../../support/until.ts";

const POLICIES = "/apis/postrider.dev/v1alpha1/clusterdeliverypolicies";
const NAMESPACES = "/api/v1/namespaces";
const PATIENT = { timeout: 10_000 };

/** The real binary with the cluster provider; what it must do whatever becomes of the API server. */
describe("with an API server in trouble", () => {
  let server: FaultyApiServer;
  let receiver: Server;
  let operator: OperatorProcess;
  let directory: string;
  const received: string[] = [];
  const changes = new Changes();

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "postrider-trouble-"));
    server = await FaultyApiServer.start();
    receiver = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        response.writeHead(204).end();
        received.push((JSON.parse(body) as { data: { step: string } }).data.step);
        changes.happened();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const { port } = receiver.address() as AddressInfo;
    server.put(NAMESPACES, { metadata: { name: "shop" } });
    put(POLICIES, {
      kind: "ClusterDeliveryPolicy",
      metadata: { name: "lab" },
      spec: { egress: { allowPlainHTTP: true, allowedCIDRs: ["127.0.0.0/8"], ports: [String(port)] } },
    });
    put(COLLECTION, {
      kind: "WebhookSubscription",
      metadata: { name: "orders", namespace: "shop" },
      spec: {
        className: "postrider",
        events: { types: ["order.*"] },
        endpoint: { url: `http://127.0.0.1:${port}/` },
        signing: { scheme: "None" },
      },
    });
    const user = { name: "test", user: { token: "test" } };
    const cluster = { name: "test", cluster: { server: server.url, "insecure-skip-tls-verify": true } };
    const context = { name: "test", context: { cluster: "test", user: "test" } };
    const config = { apiVersion: "v1", kind: "Config", "current-context": "test", clusters: [cluster], users: [user], contexts: [context] };
    writeFileSync(join(directory, "kubeconfig"), JSON.stringify(config));
  });

  afterAll(async () => {
    await operator?.signal("SIGKILL");
    await new Promise((resolve) => receiver.close(resolve));
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** With the defaults that a real API server fills in. */
  function put(collection: string, object: { kind: string; metadata: { name: string; namespace?: string }; spec: object }): void {
    const read = readCustomResource({ apiVersion: "postrider.dev/v1alpha1", ...object });
    if (!read.ok) throw new Error(JSON.stringify(read));
    server.put(collection, read.value as unknown as FakeObject);
  }

  async function start(): Promise<void> {
    operator = await OperatorProcess.start({ kubeconfig: join(directory, "kubeconfig"), store: `sqlite:${join(directory, "store")}` });
  }

  const post = (step: string): Promise<Response> =>
    fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ type: "order.paid", data: { step } }),
    });

  async function accepted(step: string): Promise<void> {
    for (let answer = await post(step); ; answer = await post(step)) {
      if (answer.status === 202) return expect(await answer.json()).toMatchObject({ matched: 1 });
      expect(answer.status).toBe(503);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  const delivered = (step: string): Promise<void> => changes.until(() => received.includes(step));

  it("refuses events with 503 and Retry-After until the manifests have been read, then accepts and delivers", async () => {
    const heal = server.fail({ status: 500 });
    await start();
    const answer = await post("early");
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    // Each kind is asked by itself: the first answers may still be on their way.
    await expect
      .poll(async () => {
        const unready = await fetch(`${operator.ready.metrics}/readyz?verbose`);
        return `${unready.status} ${await unready.text()}`;
      }, PATIENT)
      .toMatch(
        /^503 [\s\S]*\[-\] routes failed: subscriptions have not been read yet \(Namespace: HTTP 500: told to fail; .*WebhookSubscription: /,
      );
    heal();
    await accepted("first");
    await delivered("first");
    expect((await fetch(`${operator.ready.metrics}/readyz`)).status).toBe(200);
    expect(received).not.toContain("early");
  });

  it("accepts and delivers while the API server is gone, and follows a change after it is back", async () => {
    const heal = server.fail({ broken: "reset" });
    server.dropConnections();
    await accepted("away");
    await delivered("away");
    expect(received).toContain("away");
    const readyz = await fetch(`${operator.ready.metrics}/readyz?verbose`);
    expect([readyz.status, await readyz.text()]).toEqual([
      200,
      expect.stringMatching(/^\[\+\] watches ok: no change arrives, what was read stays in force: .*Namespace for \d+ s: /m),
    ]);
    heal();
    const known = server.objects.get(COLLECTION, "orders", "shop");
    if (known === undefined) throw new Error("gone");
    server.put(COLLECTION, { ...known, spec: { ...(known["spec"] as object), events: { types: ["order.paid", "video.*"] } } });
    await server.until(({ objects }) =>
      JSON.stringify(objects.get(COLLECTION, "orders", "shop")?.["status"] ?? "").includes('"observedGeneration":2'),
    );
  });

  it("accepts at once when it starts without an API server, and delivers once it is back", async () => {
    expect(await operator.signal("SIGTERM")).toBe(0);
    const heal = server.fail({ broken: "reset" });
    server.dropConnections();
    await start();
    await accepted("from the store");
    expect(received).not.toContain("from the store");
    heal();
    await delivered("from the store");
    expect(await operator.signal("SIGTERM")).toBe(0);
  });

  it("names the kind that it may not read, holds what is stored inside its fence meanwhile, and delivers once it may", async () => {
    const heal = server.fail({ status: 403, message: "forbidden" }, { matching: ({ kind, path }) => kind === "list" && path === POLICIES });
    const known = server.objects.get(COLLECTION, "orders", "shop");
    // Public and HTTPS: the built-in rules would let it through.
    server.put(COLLECTION, {
      ...known,
      metadata: { name: "orders", namespace: "shop" },
      spec: { ...(known?.["spec"] as object), endpoint: { url: "https://198.51.100.7/" } },
    });
    const asked = server.requests.length;
    await start();
    await accepted("fenced");
    await server.until(({ requests }) => requests.slice(asked).filter(({ kind, path }) => kind === "list" && path === POLICIES).length > 3);
    const readyz = await fetch(`${operator.ready.metrics}/readyz?verbose`);
    expect(readyz.status).toBe(200);
    expect(await readyz.text()).toMatch(
      /\[\+\] routes ok: .*ClusterDeliveryPolicy: HTTP 403: forbidden; Postrider's ClusterRole must allow list and watch of clusterdeliverypolicies\.postrider\.dev/,
    );
    expect(await (await fetch(`${operator.ready.metrics}/metrics`)).text()).toContain(
      'postrider_watch_synced{kind="ClusterDeliveryPolicy",scope="*"} 0',
    );
    expect(server.requests.slice(asked).filter(({ kind, path }) => kind === "write" && !path.includes("/leases/"))).toEqual([]);
    expect(received).not.toContain("fenced");
    heal();
    await delivered("fenced");
    await server.until(({ objects }) =>
      JSON.stringify(objects.get(COLLECTION, "orders", "shop")?.["status"] ?? "").includes("EgressDenied"),
    );
    expect(await operator.signal("SIGTERM")).toBe(0);
  });
});
