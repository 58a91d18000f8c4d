import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ObjectRef } from "../../../src/controller/objects.ts";
import { INGEST_TOKEN_LABEL } from "../../../src/controller/objects.ts";
import { drainFinalizer } from "../../../src/core/drain-finalizer.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { ClusterProvider } from "../../../src/provider/cluster.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";
import { COLLECTION, subscription } from "../../support/kube/watched-collection.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";
import { Changes } from "../../support/until.ts";
import { silentLog } from "../../support/silent-log.ts";

const SECRETS = "/api/v1/secrets";
const SERVICES = "/api/v1/services";
/** Namespaces and our four kinds. */
const WATCHES = 5;
const SPEC = { className: "postrider", events: { types: ["a"] }, endpoint: { url: "https://example.com/" } };

describe("the cluster provider", () => {
  let server: FaultyApiServer;
  let clock: ManualClock;
  let provider: ClusterProvider;
  let stop: AbortController;
  let running: Promise<void>;
  let told: (ObjectRef | undefined)[];
  let changes: Changes;

  beforeEach(async () => {
    server = await FaultyApiServer.start();
    clock = new ManualClock();
    const transport = new KubeTransport({ server: server.url, current: () => Promise.resolve({ headers: {}, tls: {} }) }, clock);
    provider = new ClusterProvider({
      transport,
      clock,
      random: { next: () => 0, bytes: (n) => new Uint8Array(n) },
      log: silentLog,
      metrics: new Metrics({ version: "test" }),
      className: "postrider",
      namespaces: [],
      instance: "test",
      bindingHint: "kubectl -n {namespace} create rolebinding",
      tokensBindingHint: "kubectl -n {namespace} create rolebinding postrider-tokens",
      systemNamespace: "postrider-system",
      tokenLabels: [INGEST_TOKEN_LABEL],
    });
    told = [];
    changes = new Changes();
    provider.onChange((ref) => {
      told.push(ref);
      changes.happened();
    });
    stop = new AbortController();
  });

  afterEach(async () => {
    stop.abort();
    await running;
    await server.stop();
  });

  const until = (holds: () => boolean): Promise<void> => changes.until(holds);

  async function start(watches = WATCHES): Promise<void> {
    running = provider.run(stop.signal);
    await until(() => provider.synced);
    await server.until(({ openWatches }) => openWatches === watches);
  }

  const get = (name: string) => provider.get("WebhookSubscription", "shop", name);

  it("does not tell of status-only updates, but gives the newest object", async () => {
    server.put(COLLECTION, subscription("a", SPEC));
    await start(WATCHES + 2);
    told.length = 0;
    const before = server.objects.get(COLLECTION, "a", "shop");
    const path = "/apis/postrider.dev/v1alpha1/namespaces/shop/webhooksubscriptions/a";
    await fetch(`${server.url}${path}/status`, {
      method: "PUT",
      body: JSON.stringify({ metadata: {}, status: { observedGeneration: 1 } }),
    });
    server.put(COLLECTION, subscription("b", SPEC));
    await until(() => get("b") !== undefined);
    expect(told.map((ref) => ref?.name)).toEqual(["b"]);
    expect(get("a")?.metadata.resourceVersion).not.toBe(before?.metadata.resourceVersion);
    expect(get("a")?.status).toEqual({ observedGeneration: 1 });
  });

  it("is listed and synced once every kind has been read, whatever becomes of Secrets, of which each namespace has its own word", async () => {
    server.put(COLLECTION, subscription("a", SPEC));
    const healKind = server.fail({ status: 500 }, { matching: ({ path }) => path === COLLECTION });
    const heal = server.fail({ status: 500 }, { matching: ({ path }) => path.endsWith("/secrets") });
    running = provider.run(stop.signal);
    await server.until(({ requests, openWatches }) => openWatches === WATCHES - 1 && requests.some(({ path }) => path === COLLECTION));
    await settle();
    expect([provider.synced, provider.isListed("shop"), provider.secretsOf("shop")]).toEqual([false, false, "pending"]);
    healKind();
    while (!provider.synced) await clock.advance(100);
    expect([provider.isListed("shop"), provider.secretsOf("bank")]).toEqual([true, "read"]);
    await until(() => provider.secretsOf("shop") === "troubled");
    expect(await provider.findSecret("shop", "any")).toMatchObject({
      state: "unknown",
      message: expect.stringContaining("told to fail") as string,
    });
    heal();
    while (provider.secretsOf("shop") !== "read") await clock.advance(100);
    expect(await provider.findSecret("shop", "any")).toEqual({ state: "absent" });
    expect(told).toContainEqual({ kind: "Namespace", namespace: "", name: "shop" });
  });

  it("reads Secrets only where a subscription of its class lives, and only labelled ones", async () => {
    const secret = (name: string, namespace: string, labels: Record<string, string>) => ({
      metadata: { name, namespace, labels },
      data: { key: Buffer.from("value").toString("base64") },
    });
    server.put(SECRETS, secret("open", "shop", { "postrider.dev/use": "true" }));
    server.put(SECRETS, secret("closed", "shop", {}));
    server.put(SECRETS, secret("open", "bank", { "postrider.dev/use": "true" }));
    server.put(COLLECTION, subscription("a", SPEC));
    server.put(COLLECTION, { metadata: { name: "b", namespace: "bank" }, spec: { ...SPEC, className: "other" } });
    await start(WATCHES + 2);
    expect([...provider.list("Secret")].map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).toEqual(["shop/open"]);
    expect(await provider.findSecret("shop", "open")).toMatchObject({ state: "usable" });
    expect(await provider.findSecret("shop", "closed")).toEqual({ state: "unlabelled" });
    expect(await provider.findSecret("shop", "none")).toEqual({ state: "absent" });
    server.delete(COLLECTION, "a", "shop");
    await server.until(({ openWatches }) => openWatches === WATCHES);
    expect([...provider.list("Secret")]).toEqual([]);
  });

  it("asks once for a Secret that a thousand subscriptions lack", async () => {
    server.put(COLLECTION, subscription("a", SPEC));
    await start(WATCHES + 2);
    server.requests.length = 0;
    for (let n = 0; n < 1_000; n++) await provider.findSecret("shop", "none");
    expect(server.requests).toHaveLength(1);
  });

  it("does not let a hundred closed namespaces hold up the watches of manifests", async () => {
    for (let n = 0; n < 100; n++) server.put(COLLECTION, { metadata: { name: "a", namespace: `closed-${n}` }, spec: SPEC });
    server.fail({ status: 403 }, { matching: ({ path }) => path.endsWith("/secrets") });
    await start(WATCHES);
    await until(() => provider.secretsOf("closed-7") === "closed");
    expect(await provider.findSecret("closed-7", "none")).toEqual({
      state: "forbidden",
      message: "Postrider lacks permission to read Secrets of namespace closed-7; allow it with: kubectl -n closed-7 create rolebinding",
    });
    for (let second = 0; second < 60; second++) await clock.advance(1_000);
    server.dropConnections();
    await server.until(({ openWatches }) => openWatches === 0);
    server.put(COLLECTION, subscription("late", SPEC));
    for (let second = 0; second < 30 && get("late") === undefined; second++) {
      await clock.advance(1_000);
      await settle();
    }
    await until(() => get("late") !== undefined);
  });

  it("goes on with what it has for ten minutes without an API server, and knows everything 30 s after", async () => {
    for (const name of ["goes", "stays"]) server.put(COLLECTION, subscription(name, SPEC));
    await start(WATCHES + 2);
    const heal = server.fail({ broken: "reset" });
    server.dropConnections();
    const asked = server.requests.length;
    for (let second = 0; second < 600; second++) {
      await clock.advance(1_000);
      await server.until(({ openConnections }) => openConnections === 0);
    }
    expect(get("goes")).toBeDefined();
    const perSecond = (server.requests.length - asked) / 600;
    expect(perSecond).toBeLessThanOrEqual(5);
    server.delete(COLLECTION, "goes", "shop");
    server.put(COLLECTION, subscription("comes", SPEC));
    heal();
    for (let second = 0; second < 30; second++) {
      await clock.advance(1_000);
      await settle();
    }
    await until(() => get("goes") === undefined && get("comes") !== undefined);
    await server.until(({ openWatches }) => openWatches === WATCHES + 2);
  });

  it("asks once for a Service that many name, follows it, keeps no other, and goes on with it while the API server is away", async () => {
    const service = (name: string, port: number) => ({
      metadata: { name, namespace: "shop" },
      spec: { clusterIP: "10.96.0.7", ports: [{ port }] },
    });
    server.put(COLLECTION, subscription("a", SPEC));
    server.put(SERVICES, service("receiver", 80));
    server.put(SERVICES, service("other", 80));
    await start(WATCHES + 2);
    const found = await Promise.all(Array.from({ length: 100 }, async () => provider.findNamed("Service", "shop", "receiver")));
    expect(found[99]).toMatchObject({
      state: "found",
      object: { clusterIp: "10.96.0.7", hasSelector: false, ports: [{ port: 80, protocol: "TCP" }] },
    });
    expect(server.requests.filter(({ path }) => path.endsWith("/services/receiver"))).toHaveLength(1);
    await server.until(({ openWatches }) => openWatches === WATCHES + 3);
    expect(provider.get("Service", "shop", "other")).toBeUndefined();

    told.length = 0;
    const port = () => provider.get("Service", "shop", "receiver")?.ports[0]?.port;
    server.put(SERVICES, service("other", 81));
    server.put(SERVICES, service("receiver", 81));
    await until(() => port() === 81);
    expect(told).toEqual([{ kind: "Service", namespace: "shop", name: "receiver" }]);
    for (const selector of [{ app: "a" }, undefined]) {
      told.length = 0;
      const changed = service("receiver", 81);
      server.put(SERVICES, { ...changed, spec: { ...changed.spec, ...(selector === undefined ? {} : { selector }) } });
      await until(() => provider.get("Service", "shop", "receiver")?.hasSelector === (selector !== undefined));
      expect(told).toEqual([{ kind: "Service", namespace: "shop", name: "receiver" }]);
    }

    const heal = server.fail({ broken: "reset" });
    server.dropConnections();
    for (let second = 0; second < 60; second++) {
      await clock.advance(1_000);
      await server.until(({ openConnections }) => openConnections === 0);
    }
    expect(provider.findNamed("Service", "shop", "receiver")).toMatchObject({ state: "found" });
    expect(await provider.findNamed("Service", "shop", "unheard")).toMatchObject({ state: "unknown" });
    server.delete(SERVICES, "receiver", "shop");
    heal();
    for (let second = 0; second < 30; second++) {
      await clock.advance(1_000);
      await settle();
    }
    await until(() => port() === undefined);
    expect(await provider.findNamed("Service", "shop", "receiver")).toMatchObject({ state: "absent" });

    server.delete(COLLECTION, "a", "shop");
    await server.until(({ openWatches }) => openWatches === WATCHES);
  });

  it("lets go of what nobody names any more, and of the watch when nothing is named", async () => {
    const service = (name: string, port: number) => ({
      metadata: { name, namespace: "shop" },
      spec: { clusterIP: "10.96.0.7", ports: [{ port }] },
    });
    server.put(COLLECTION, subscription("a", SPEC));
    for (const name of ["kept", "left", "fresh"]) server.put(SERVICES, service(name, 80));
    await start(WATCHES + 2);
    for (const name of ["kept", "left"]) expect(await provider.findNamed("Service", "shop", name)).toMatchObject({ state: "found" });
    await server.until(({ openWatches }) => openWatches === WATCHES + 3);
    await clock.advance(10 * 60_000);
    await server.until(({ openWatches }) => openWatches === WATCHES + 3);
    expect(await provider.findNamed("Service", "shop", "fresh")).toMatchObject({ state: "found" });

    provider.retainNamed(({ name }) => name === "kept");
    const known = (): string[] => ["kept", "left", "fresh"].filter((name) => provider.get("Service", "shop", name) !== undefined);
    // Who has just asked may not have said yet that it names it.
    expect(known()).toEqual(["kept", "fresh"]);
    told.length = 0;
    server.put(SERVICES, service("left", 81));
    server.put(SERVICES, service("kept", 81));
    await until(() => provider.get("Service", "shop", "kept")?.ports[0]?.port === 81);
    expect(told).toEqual([{ kind: "Service", namespace: "shop", name: "kept" }]);

    await clock.advance(10 * 60_000);
    await server.until(({ openWatches }) => openWatches === WATCHES + 3);
    provider.retainNamed(() => false);
    expect(known()).toEqual([]);
    await server.until(({ openWatches }) => openWatches === WATCHES + 2);
    expect(await provider.findNamed("Service", "shop", "kept")).toMatchObject({ state: "found" });
    await server.until(({ openWatches }) => openWatches === WATCHES + 3);
  });

  it("writes a finalizer by merge patch with uid and resourceVersion, and answers a conflict as a value", async () => {
    server.put(COLLECTION, subscription("a", SPEC));
    await start(WATCHES + 2);
    const object = get("a");
    if (object === undefined) throw new Error("not there");
    expect(await provider.setFinalizer(object, true)).toEqual({ kind: "done" });
    expect(server.requests.at(-1)).toMatchObject({
      method: "PATCH",
      body: {
        metadata: { uid: object.metadata.uid, resourceVersion: object.metadata.resourceVersion, finalizers: [drainFinalizer("postrider")] },
      },
    });
    expect(get("a")?.metadata.finalizers).toEqual([drainFinalizer("postrider")]);
    server.fail({ status: 409 }, { times: 1 });
    expect(await provider.setFinalizer(object, false)).toEqual({ kind: "conflict" });
    server.fail({ status: 429, retryAfterSeconds: 3, message: "later" }, { times: 1 });
    expect(await provider.writeStatus(object, {})).toEqual({ kind: "failed", message: "later", retryAfterMs: 3_000 });
  });

  it("stops at once and leaves no connection and no timer", async () => {
    server.put(COLLECTION, subscription("a", SPEC));
    await start(WATCHES + 2);
    stop.abort();
    await running;
    await server.until(({ openConnections }) => openConnections === 0);
    expect(clock.nextAtMs()).toBeUndefined();
  });
});
