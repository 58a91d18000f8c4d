import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { COLLECTIONS, FaultyCluster, putManifest } from "../../support/controller/faulty-cluster.ts";
import type { CollectionKind } from "../../support/controller/faulty-cluster.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";
import type { Fault } from "../../support/kube/faulty-api-server.ts";

const INSIDE = "https://inside.example.org/";
const OUTSIDE = "https://outside.example.net/";
const KINDS = Object.keys(COLLECTIONS) as CollectionKind[];

describe("a start on an API server that does not list everything", () => {
  let server: FaultyApiServer;
  let stored: Map<string, AcceptedSpec>;
  let cluster: FaultyCluster;

  beforeEach(async () => {
    server = await FaultyApiServer.start();
    stored = new Map();
  });

  afterEach(async () => {
    await cluster.stop();
    await server.stop();
  });

  function put(scope: string, url: string): void {
    const spec = {
      className: "postrider",
      events: { types: ["a.*"] },
      endpoint: { url },
      signing: { scheme: "None" },
      deletionPolicy: "Drain",
    };
    putManifest(server, "WebhookSubscription", { name: "orders", namespace: scope }, spec);
  }

  function fenced(scope: string): void {
    server.put(COLLECTIONS.Namespace, { metadata: { name: scope, labels: { fenced: "true" } } });
    putManifest(server, "DeliveryPolicy", { name: "own", namespace: scope }, { timeout: "9s" });
    const selector = { namespaceSelector: { matchLabels: { fenced: "true" } } };
    putManifest(server, "ClusterDeliveryPolicy", { name: "fence" }, { ...selector, egress: { allowedHosts: ["inside.example.org"] } });
    putManifest(server, "ClusterDeliveryPolicy", { name: "everybody" }, { egress: { allowedHosts: ["*.example.net"] } });
    put(scope, INSIDE);
  }

  const condition = (scope: string, type: string): string | undefined => {
    const status = server.objects.get(COLLECTIONS.WebhookSubscription, "orders", scope)?.["status"] as
      | { conditions?: { type: string; reason: string }[] }
      | undefined;
    return status?.conditions?.find((one) => one.type === type)?.reason;
  };
  const spec = (scope: string): AcceptedSpec | undefined => [...stored.values()].find(({ namespace }) => namespace === scope);
  const isList = (kind: CollectionKind, scope?: string) => (request: { kind: string; path: string }) =>
    request.kind === "list" && request.path === path(kind, scope);
  const path = (kind: CollectionKind, scope?: string): string =>
    scope === undefined ? COLLECTIONS[kind] : COLLECTIONS[kind].replace(/\/(?=[^/]+$)/, `/namespaces/${scope}/`);
  const writes = () => server.requests.filter(({ kind }) => kind === "write");

  /** A life in which the good spec is accepted and its edit refused, then a new process. */
  async function restarted(fault: Fault, kind: CollectionKind, namespaces: readonly string[] = []): Promise<() => void> {
    fenced("shop");
    cluster = new FaultyCluster(server, stored, namespaces).run();
    await cluster.until(() => condition("shop", "Accepted") === "Accepted");
    put("shop", OUTSIDE);
    await cluster.until(() => condition("shop", "Accepted") === "EgressDenied");
    await cluster.stop();
    server.requests.length = 0;
    const heal = server.fail(fault, { matching: isList(kind) });
    cluster = new FaultyCluster(server, stored, namespaces).run();
    return heal;
  }

  let release: () => void;
  const FAULTS: readonly (readonly [string, () => Fault, RegExp])[] = [
    ["3 s late", () => ({ late: new Promise<void>((resolve) => (release = resolve)) }), /waiting for the first answer/],
    [
      "closed",
      () => ({ status: 403, message: "forbidden: User cannot list" }),
      /HTTP 403: forbidden: User cannot list; .*ClusterRole must allow list and watch of /,
    ],
    [
      "not there",
      () => ({ status: 404, message: "not found" }),
      /HTTP 404: not found; the CustomResourceDefinition .* is missing: "kubectl apply/,
    ],
    [
      "in trouble",
      () => ({ status: 500, message: "etcdserver: request timed out" }),
      /HTTP 500: etcdserver: request timed out; Postrider retries by itself/,
    ],
    ["silent", () => ({ broken: "hang" }), /did not answer within 10000 ms; Postrider retries by itself/],
    ["torn", () => ({ broken: "reset" }), /; Postrider retries by itself/],
    ["nonsense", () => ({ broken: "malformed" }), /the list is not a list; Postrider retries by itself/],
  ];
  const CASES = KINDS.flatMap((kind) => FAULTS.map(([how, fault, said]) => ({ kind, how, fault, said })));

  it.each(CASES)(
    "$kind $how: nothing is judged or sent, no spec is lost, and then all is as it should be",
    async ({ kind, how, fault, said }) => {
      const heal = await restarted(fault(), kind);
      await cluster.until(() => server.openWatches >= 4 && server.requests.some(isList(kind)));
      await cluster.pass(how === "3 s late" ? 3_000 : 25_000);
      expect(writes()).toEqual([]);
      expect([...cluster.aimed]).toEqual([]);
      expect(spec("shop")).toMatchObject({ generation: 1, egress: { allowedHosts: ["inside.example.org"] } });
      expect([...cluster.table.routes()].map(({ subscription }) => [subscription.generation, subscription.blocked?.reason])).toEqual([
        [1, "Starting"],
      ]);
      expect(cluster.controller.missing()).toMatch(new RegExp(`^${kind}: .*${said.source}`));
      const synced = await cluster.series("watch_synced");
      expect(synced.toSorted()).toEqual(KINDS.map((one) => `{kind="${one}",scope="*"} ${one === kind ? 0 : 1}`).toSorted());
      heal();
      release?.();
      await cluster.until(() => cluster.controller.missing() === undefined && cluster.aimed.size > 0);
      await cluster.pass(3_000);
      expect([...cluster.aimed]).toEqual([INSIDE]);
      expect(condition("shop", "Accepted")).toBe("EgressDenied");
      expect(spec("shop")?.generation).toBe(1);
      await cluster.until(() => server.openWatches >= 5);
      expect(await cluster.series("watch_synced")).toContain(`{kind="${kind}",scope="*"} 1`);
    },
  );

  it.each(KINDS)("%s last of five, each later than the one before", async (last) => {
    fenced("shop");
    const releases = new Map<CollectionKind, () => void>();
    for (const kind of KINDS)
      server.fail({ late: new Promise<void>((resolve) => releases.set(kind, resolve)) }, { matching: isList(kind), times: 1 });
    cluster = new FaultyCluster(server, stored).run();
    for (const kind of [...KINDS.filter((one) => one !== last), last]) {
      expect([writes(), [...cluster.aimed], cluster.controller.ready]).toEqual([[], [], false]);
      releases.get(kind)?.();
      await cluster.pass(1_500);
    }
    await cluster.until(() => condition("shop", "Accepted") === "Accepted");
    expect([...cluster.aimed]).toEqual([INSIDE]);
    expect(cluster.controller.ready).toBe(true);
  });

  it.each([
    [
      "closed",
      { status: 403, message: "forbidden" },
      /^DeliveryPolicy of namespace bank: HTTP 403: forbidden; Postrider's Role or RoleBinding in namespace bank is missing/,
    ],
    ["in trouble", { status: 500, message: "no" }, /^DeliveryPolicy of namespace bank: HTTP 500: no; Postrider retries/],
    ["silent", { broken: "hang" }, /^DeliveryPolicy of namespace bank: .*did not answer within 10000 ms/],
  ] as const)("of two namespaces one that is %s delays no other", async (_how, fault, said) => {
    fenced("shop");
    fenced("bank");
    const heal = server.fail(fault, { matching: isList("DeliveryPolicy", "bank") });
    cluster = new FaultyCluster(server, stored, ["shop", "bank"]).run();
    await cluster.until(() => condition("shop", "Accepted") === "Accepted" && cluster.controller.ready);
    await cluster.pass(30_000);
    expect(condition("bank", "Accepted")).toBeUndefined();
    expect([cluster.controller.isReady("shop"), cluster.controller.isReady("bank")]).toEqual([true, false]);
    expect(cluster.controller.missing()).toMatch(said);
    expect(await cluster.series("watch_synced")).toContain('{kind="DeliveryPolicy",scope="bank"} 0');
    heal();
    await cluster.until(() => condition("bank", "Accepted") === "Accepted");
    expect(cluster.controller.isReady("bank")).toBe(true);
  });

  it("of two namespaces one that does not exist is named with the command that makes it, and is read once it is there", async () => {
    fenced("shop");
    const heal = server.fail({ status: 403, message: "forbidden" }, { matching: ({ path: asked }) => asked.includes("/namespaces/gone/") });
    cluster = new FaultyCluster(server, stored, ["shop", "gone"]).run();
    await cluster.until(() => cluster.controller.ready && condition("shop", "Accepted") === "Accepted");
    await cluster.until(() => cluster.controller.missing()?.includes("kubectl create namespace gone") === true);
    fenced("gone");
    heal();
    await cluster.until(() => condition("gone", "Accepted") === "Accepted");
    expect(cluster.controller.missing()).toBeUndefined();
  });

  it("a right that is lost later takes nothing back, and is seen in the metric until it is back", async () => {
    fenced("shop");
    cluster = new FaultyCluster(server, stored).run();
    await cluster.until(() => condition("shop", "Accepted") === "Accepted");
    await cluster.until(() => server.openWatches >= 6);
    const fault = { status: 403, message: "forbidden" };
    const heal = server.fail(fault, { matching: ({ path: asked }) => asked === COLLECTIONS.ClusterDeliveryPolicy });
    server.dropConnections();
    await cluster.pass(30_000);
    expect(await cluster.series("watch_synced")).toContain('{kind="ClusterDeliveryPolicy",scope="*"} 0');
    expect([cluster.controller.ready, cluster.controller.missing()]).toEqual([true, undefined]);
    put("shop", OUTSIDE);
    await cluster.until(() => condition("shop", "Accepted") === "EgressDenied");
    heal();
    await cluster.pass(60_000);
    expect(await cluster.series("watch_synced")).toContain('{kind="ClusterDeliveryPolicy",scope="*"} 1');
    expect([...cluster.aimed]).toEqual([INSIDE]);
  });

  it("a hundred closed namespaces do not hold up the way back of one that is open", async () => {
    fenced("shop");
    const closed = Array.from({ length: 100 }, (_, n) => `closed-${n}`);
    server.fail({ status: 403 }, { matching: ({ path: asked }) => asked.includes("/namespaces/closed-") });
    cluster = new FaultyCluster(server, stored, ["shop", ...closed]).run();
    await cluster.until(() => condition("shop", "Accepted") === "Accepted" && cluster.controller.ready);
    await cluster.pass(60_000);
    server.dropConnections();
    await server.until(({ openWatches }) => openWatches === 0);
    put("shop", "https://inside.example.org/other");
    const startedMs = cluster.clock.monotonicMs();
    await cluster.until(() => cluster.aimed.has("https://inside.example.org/other"));
    expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(30_000);
  });

  it("Secrets of one namespace that are never answered hold up nobody else, and that namespace for 10 s", async () => {
    fenced("shop");
    fenced("bank");
    server.fail({ broken: "hang" }, { matching: ({ path: asked }) => asked.startsWith("/api/v1/namespaces/bank/secrets") });
    cluster = new FaultyCluster(server, stored).run();
    const startedMs = cluster.clock.monotonicMs();
    await cluster.until(() => condition("shop", "Accepted") === "Accepted");
    expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(9_000);
    expect([condition("bank", "Accepted"), cluster.provider.secretsOf("bank")]).toEqual([undefined, "pending"]);
    await cluster.until(() => condition("bank", "Accepted") === "Accepted");
    expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(20_000);
    // One question each would take another 10 s.
    expect(await cluster.provider.findSecret("bank", "any")).toMatchObject({ state: "unknown" });
  });
});
