import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { COLLECTIONS, FaultyCluster, putManifest } from "../../support/controller/faulty-cluster.ts";
import { ACCESS_REVIEWS, FaultyApiServer } from "../../support/kube/faulty-api-server.ts";

const SECRETS = "/api/v1/secrets";
const SERVICES = "/api/v1/services";
/** Namespaces and our four kinds. */
const MANIFESTS = 5;
const HINT = "kubectl -n shop create rolebinding";

describe("permission to read Secrets", () => {
  let server: FaultyApiServer;
  let cluster: FaultyCluster;

  beforeEach(async () => {
    server = await FaultyApiServer.start();
    server.put(COLLECTIONS.Namespace, { metadata: { name: "postrider-system" } });
    putManifest(server, "ClusterDeliveryPolicy", { name: "all" }, { egress: { allowPlainHTTP: true } });
  });
  afterEach(async () => {
    await cluster?.stop();
    await server.stop();
  });

  function secret(namespace: string, value: string): void {
    server.put(SECRETS, {
      metadata: { name: "token", namespace, labels: { "postrider.dev/use": "true" } },
      data: { key: Buffer.from(value).toString("base64") },
    });
  }

  function namespace(name: string): void {
    server.put(COLLECTIONS.Namespace, { metadata: { name } });
    secret(name, `of ${name}`);
    putManifest(
      server,
      "WebhookSubscription",
      { name: "orders", namespace: name },
      {
        events: { types: ["a"] },
        endpoint: { url: "https://example.com/", auth: { bearer: { secretRef: { name: "token", key: "key" } } } },
        signing: { scheme: "None" },
      },
    );
  }

  const start = (): FaultyCluster => (cluster = new FaultyCluster(server, new Map<string, AcceptedSpec>()).run());
  const subscription = (name: string) => [...cluster.table.routes()].find((route) => route.subscription.namespace === name)?.subscription;
  /** What would be sent, if anything. */
  const sends = (name: string) => (subscription(name)?.blocked === undefined ? subscription(name)?.target?.authorization : undefined);
  const resolved = (name: string) =>
    cluster.provider.get("WebhookSubscription", name, "orders")?.status?.conditions?.find(({ type }) => type === "ResolvedRefs");
  const secretWatches = (): number => server.openWatches - MANIFESTS;
  const isOpen = (): boolean => sends("shop") === "Bearer of shop";

  it("is one watch for a hundred namespaces where it covers all, and shows none of a namespace without a subscription", async () => {
    server.mayAccess = () => true;
    const names = Array.from({ length: 100 }, (_, n) => `ns-${n}`);
    for (const name of names) namespace(name);
    server.put(COLLECTIONS.Namespace, { metadata: { name: "other" } });
    secret("other", "of other");
    start();
    await cluster.until(() => names.every((name) => sends(name) === `Bearer of ${name}`));
    expect(secretWatches()).toBe(1);
    expect(cluster.provider.get("Secret", "other", "token")).toBeUndefined();
    expect([...cluster.provider.list("Secret")]).toHaveLength(100);
    secret("ns-7", "new");
    await cluster.until(() => sends("ns-7") === "Bearer new");
    namespace("other");
    await cluster.until(() => sends("other") === "Bearer of other");
    expect(secretWatches()).toBe(1);
    expect(server.requests.filter(({ path }) => path === ACCESS_REVIEWS).length).toBeLessThan(5);
  });

  it("taken back for all namespaces, leaves those open that a RoleBinding opens; given for all again, it is one watch again", async () => {
    server.mayAccess = () => true;
    for (const name of ["shop", "bank"]) namespace(name);
    start();
    await cluster.until(() => isOpen() && sends("bank") === "Bearer of bank");
    server.mayAccess = ({ namespace: name }) => name === "shop";
    await cluster.pass(150_000);
    expect([isOpen(), sends("bank"), resolved("bank")?.reason]).toEqual([true, undefined, "SecretAccessDenied"]);
    expect(cluster.provider.get("Secret", "bank", "token")).toBeUndefined();
    secret("shop", "new");
    await cluster.until(() => sends("shop") === "Bearer new");
    expect(secretWatches()).toBe(1);
    server.mayAccess = () => true;
    await cluster.until(() => sends("bank") === "Bearer of bank");
    await cluster.until(() => secretWatches() === 1);
    expect([sends("shop"), server.requests.some(({ path }) => path === SECRETS)]).toEqual(["Bearer new", true]);
  });

  it("taken back, is noticed within about two minutes although the watch lives on: the value is dropped, deliveries wait, an Event says how to allow it", async () => {
    namespace("shop");
    start();
    await cluster.until(isOpen);
    server.mayAccess = () => false;
    const fromMs = cluster.clock.nowMs();
    await cluster.until(() => sends("shop") === undefined);
    const afterMs = cluster.clock.nowMs() - fromMs;
    expect(afterMs).toBeGreaterThan(59_000);
    expect(afterMs).toBeLessThan(130_000);
    expect(subscription("shop")?.blocked?.reason).toBe("SecretAccessDenied");
    expect(cluster.provider.get("Secret", "shop", "token")).toBeUndefined();
    await cluster.until(() => resolved("shop")?.reason === "SecretAccessDenied");
    expect(resolved("shop")?.message).toContain(HINT);
    const told = (): boolean =>
      server.requests.some(({ path, body }) => path.endsWith("/events") && (body as { note: string }).note.includes(HINT));
    await cluster.until(told);
    expect(secretWatches()).toBe(0);
    secret("shop", "new");
    server.mayAccess = () => true;
    await cluster.until(() => sends("shop") === "Bearer new");
  });

  it("refused by the requests alone, is taken back after a minute too", async () => {
    namespace("shop");
    start();
    await cluster.until(isOpen);
    server.fail({ status: 403 }, { matching: ({ path }) => path.endsWith("/secrets") });
    server.endWatches();
    await cluster.pass(55_000);
    expect(isOpen()).toBe(true);
    await cluster.pass(30_000);
    expect([sends("shop"), subscription("shop")?.blocked?.reason]).toEqual([undefined, "SecretAccessDenied"]);
  });

  it("keeps every value while the API server is away, and while it refuses everything as it starts", async () => {
    for (const name of ["shop", "bank"]) namespace(name);
    start();
    await cluster.until(() => isOpen() && sends("bank") !== undefined);
    const away = server.fail({ broken: "reset" });
    server.dropConnections();
    await cluster.pass(200_000);
    expect(isOpen()).toBe(true);
    away();
    const starts = server.fail({ status: 403 });
    server.dropConnections();
    await cluster.pass(20_000);
    starts();
    await cluster.pass(10_000);
    expect([isOpen(), sends("bank")]).toEqual([true, "Bearer of bank"]);
    secret("shop", "new");
    await cluster.until(() => sends("shop") === "Bearer new" && secretWatches() === 2);
  });

  it("lost for a moment in 200 open namespaces, is used again everywhere within 30 s", async () => {
    const names = Array.from({ length: 200 }, (_, n) => `ns-${n}`);
    for (const name of names) namespace(name);
    start();
    await cluster.until(() => names.every((name) => sends(name) !== undefined) && secretWatches() === 200);
    const away = server.fail({ broken: "reset" });
    server.dropConnections();
    await cluster.pass(12_000);
    away();
    const starts = server.fail({ status: 403 });
    await cluster.pass(3_000);
    starts();
    const fromMs = cluster.clock.nowMs();
    secret("ns-0", "new");
    secret("ns-199", "new");
    await cluster.until(() => secretWatches() === 200 && sends("ns-0") === "Bearer new" && sends("ns-199") === "Bearer new");
    expect(cluster.clock.nowMs() - fromMs).toBeLessThanOrEqual(30_000);
  });

  it("keeps every value while a frozen API server takes connections and says nothing", async () => {
    namespace("shop");
    start();
    await cluster.until(isOpen);
    const frozen = server.fail({ broken: "hang" });
    server.dropConnections();
    await cluster.pass(200_000);
    expect(isOpen()).toBe(true);
    frozen();
    secret("shop", "new");
    await cluster.until(() => sends("shop") === "Bearer new");
  });

  it("is not asked for by requests that are refused: a closed namespace costs none, and opens within 10 s", async () => {
    server.mayAccess = () => false;
    for (let n = 0; n < 50; n++) namespace(`ns-${n}`);
    namespace("shop");
    start();
    await cluster.until(() => subscription("shop")?.blocked?.reason === "SecretAccessDenied");
    await cluster.pass(30_000);
    expect(server.requests.filter(({ path }) => path.endsWith("/secrets"))).toEqual([]);
    server.mayAccess = ({ namespace: name }) => name === "shop";
    const fromMs = cluster.clock.nowMs();
    await cluster.until(isOpen);
    expect(cluster.clock.nowMs() - fromMs).toBeLessThanOrEqual(10_000);
  });

  it("is also that for Services: dropped a minute after it is taken back, and known again when it is given", async () => {
    server.put(COLLECTIONS.Namespace, { metadata: { name: "shop" } });
    server.put(SERVICES, { metadata: { name: "receiver", namespace: "shop" }, spec: { clusterIP: "10.96.0.7", ports: [{ port: 80 }] } });
    putManifest(
      server,
      "WebhookSubscription",
      { name: "orders", namespace: "shop" },
      { events: { types: ["a"] }, endpoint: { serviceRef: { name: "receiver", port: 80 } }, signing: { scheme: "None" } },
    );
    start();
    const service = () => cluster.provider.get("Service", "shop", "receiver");
    await cluster.until(() => service() !== undefined && secretWatches() === 2);
    server.mayAccess = ({ resource }) => resource !== "services";
    await cluster.pass(125_000);
    expect([service(), secretWatches()]).toEqual([undefined, 1]);
    expect(await cluster.provider.findNamed("Service", "shop", "receiver")).toMatchObject({ state: "forbidden" });
    server.mayAccess = () => true;
    await cluster.until(() => service() !== undefined);
  });
});
