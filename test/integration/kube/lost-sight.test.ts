import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { COLLECTIONS, FaultyCluster, putManifest } from "../../support/controller/faulty-cluster.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";

const KINDS = Object.keys(COLLECTIONS);

describe("losing sight of the cluster", () => {
  let server: FaultyApiServer;
  let cluster: FaultyCluster;

  beforeEach(async () => {
    server = await FaultyApiServer.start();
    server.put(COLLECTIONS.Namespace, { metadata: { name: "shop" } });
    const endpoint = { url: "https://example.com/" };
    putManifest(server, "WebhookSubscription", { name: "a", namespace: "shop" }, { events: { types: ["a"] }, endpoint });
    cluster = new FaultyCluster(server, new Map<string, AcceptedSpec>()).run();
    await cluster.until(() => server.openWatches === KINDS.length + 1);
  });
  afterEach(async () => {
    await cluster.stop();
    await server.stop();
  });

  async function silence(): Promise<Readonly<Record<string, number>>> {
    const lines = await cluster.series("watch_last_event_seconds");
    return Object.fromEntries(lines.map((line) => [/kind="(\w+)"/.exec(line)?.[1] ?? "", Number(line.split(" ")[1])]));
  }

  it("is not a quiet cluster: bookmarks count as heard", async () => {
    for (let minute = 0; minute < 10; minute++) {
      await cluster.pass(60_000);
      server.bookmark();
      await cluster.pass(1_000);
    }
    const seconds = await silence();
    expect(Object.keys(seconds).toSorted()).toEqual([...KINDS, "Secret"].toSorted());
    expect(Math.max(...Object.values(seconds))).toBeLessThanOrEqual(61);
    expect(cluster.provider.lostSight()).toBeUndefined();
  });

  it("shows while the API server is away, kind by kind with why, and clears", async () => {
    const away = server.fail({ status: 500, message: "etcd is away" });
    server.dropConnections();
    await cluster.pass(310_000);
    const lost = await silence();
    expect(Object.keys(lost).toSorted()).toEqual([...KINDS, "Secret"].toSorted());
    expect(Math.min(...Object.values(lost))).toBeGreaterThan(300);
    expect(cluster.provider.lostSight()).toMatch(
      /^no change arrives, what was read stays in force: Namespace for 3\d\d s: HTTP 500: etcd is away/,
    );
    expect(await cluster.series("watch_synced")).toContain('{kind="Namespace",scope="*"} 0');
    away();
    await cluster.pass(30_000);
    expect(cluster.provider.lostSight()).toBeUndefined();
    server.bookmark();
    await cluster.pass(1_000);
    expect(Math.max(...Object.values(await silence()))).toBeLessThan(3);
  });

  it("shows when watches are opened and stay silent, as behind a proxy that holds streams back", async () => {
    server.silence();
    await cluster.pass(310_000);
    expect(server.openWatches).toBeGreaterThan(0);
    expect(Math.min(...Object.values(await silence()))).toBeGreaterThan(300);
    server.silence(false);
    await cluster.pass(95_000);
    server.bookmark();
    await cluster.pass(1_000);
    expect(Math.max(...Object.values(await silence()))).toBeLessThan(3);
  });

  it("is not a namespace whose Secrets are closed", async () => {
    server.mayAccess = () => false;
    server.endWatches();
    await cluster.pass(200_000);
    expect(Object.keys(await silence())).not.toContain("Secret");
  });

  it("takes a change over within 30 s after an outage of 15 s, of which the server refuses everything for 3 s and then finds every place too old", async () => {
    const away = server.fail({ broken: "reset" });
    server.dropConnections();
    await cluster.pass(15_000);
    away();
    const starts = server.fail({ status: 403 });
    await cluster.pass(3_000);
    starts();
    server.expire();
    const fromMs = cluster.clock.nowMs();
    putManifest(
      server,
      "WebhookSubscription",
      { name: "b", namespace: "shop" },
      { events: { types: ["a"] }, endpoint: { url: "https://example.com/" } },
    );
    await cluster.until(() => cluster.provider.get("WebhookSubscription", "shop", "b") !== undefined);
    expect(cluster.clock.nowMs() - fromMs).toBeLessThanOrEqual(10_000);
  });
});
