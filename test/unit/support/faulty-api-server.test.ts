import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Reflector } from "../../../src/kube/reflector.ts";
import type { KubeObject } from "../../../src/kube/reflector.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { FaultyApiServer } from "../../support/kube/faulty-api-server.ts";
import { Changes } from "../../support/until.ts";

const COLLECTION = "/apis/postrider.dev/v1alpha1/webhooksubscriptions";
const subscription = (name: string, spec: object = {}) => ({ metadata: { name, namespace: "shop" }, spec });

describe("the faulty API server, seen by the real reflector", () => {
  let server: FaultyApiServer;
  let transport: KubeTransport;
  let stop: AbortController;
  let running: Promise<void>;
  let seen: Set<string>;
  let restarts: string[];
  let changes: Changes;

  beforeEach(async () => {
    server = await FaultyApiServer.start();
    const clock = new SystemClock();
    transport = new KubeTransport({ server: server.url, current: async () => ({ headers: {}, tls: {} }) }, clock);
    seen = new Set();
    restarts = [];
    changes = new Changes();
    stop = new AbortController();
    const changed = (object: KubeObject): void => {
      seen.add(object.metadata.name);
      changes.happened();
    };
    const handler = {
      replace: (objects: readonly KubeObject[]) => {
        seen = new Set(objects.map((one) => one.metadata.name));
        changes.happened();
      },
      changed,
      deleted: (object: KubeObject) => {
        seen.delete(object.metadata.name);
        changes.happened();
      },
      restarted: (reason: string) => void restarts.push(reason),
      failed: (error: unknown) => {
        throw error;
      },
    };
    const limits = { pageSize: 2, backoffMinMs: 5, backoffMaxMs: 20, silenceMaxMs: 150 };
    running = new Reflector({ name: "test", path: COLLECTION, transport, clock, random: systemRandom, handler, limits }).run(stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await running;
    await transport.close();
    await server.stop();
  });

  /** Resolves when the reflector holds exactly these. */
  async function holds(...names: string[]): Promise<void> {
    const wanted = names.sort().join(" ");
    await changes.until(() => [...seen].sort().join(" ") === wanted);
  }
  const watching = () => server.until((one) => one.openWatches === 1);

  it("lists in pages, then watches", async () => {
    await watching();
    for (const name of ["a", "b", "c", "d", "e"]) server.put(COLLECTION, subscription(name));
    await holds("a", "b", "c", "d", "e");
    server.delete(COLLECTION, "b", "shop");
    await holds("a", "c", "d", "e");
    server.requests.length = 0;
    server.expire();
    await server.until((one) => one.requests.filter((request) => request.kind === "list").length === 2);
    await watching();
    expect(restarts).toContain("expired");
    expect(server.requests.map((request) => request.query["continue"]?.split("@")[1])).toContain("2");
  });

  it.each([
    ["a 410 on the watch", "expired", { status: 410 }, "watch"],
    ["a 429", "throttled", { status: 429 }, "watch"],
    ["a 500", "refused", { status: 500 }, "watch"],
    ["a reset", "network", { broken: "reset" }, "watch"],
    ["a watch that talks nonsense", "malformed", { broken: "malformed" }, "watch"],
    ["a 401", "unauthorized", { status: 401 }, "watch"],
  ] as const)("does %s", async (_name, reason, fault, kind) => {
    await watching();
    const heal = server.fail(fault, { matching: (request) => request.kind === kind });
    server.endWatches();
    await server.until((one) => one.requests.filter((request) => request.kind === kind).length >= 3);
    heal();
    server.put(COLLECTION, subscription("after"));
    await holds("after");
    expect(restarts).toContain(reason);
  });

  it("falls silent while staying open", async () => {
    await watching();
    server.silence();
    server.put(COLLECTION, subscription("unheard"));
    server.silence(false);
    await holds("unheard");
    expect(restarts).toContain("silent");
  });

  it("drops connections and babbles", async () => {
    await watching();
    server.dropConnections();
    server.put(COLLECTION, subscription("one"));
    await holds("one");
    await watching();
    server.babble("{]\n");
    server.put(COLLECTION, subscription("two"));
    await holds("one", "two");
    expect(restarts).toEqual(expect.arrayContaining(["network", "malformed"]));
  });

  it("refuses writes of an older version and status writes told to conflict", async () => {
    const { metadata } = server.put(COLLECTION, subscription("a"));
    const path = `/apis/postrider.dev/v1alpha1/namespaces/shop/webhooksubscriptions/a`;
    const write = (resourceVersion: string | undefined) =>
      transport.request({
        method: "PATCH",
        path: `${path}/status`,
        contentType: "application/merge-patch+json",
        body: { metadata: { resourceVersion }, spec: { ignored: true }, status: { observedGeneration: 1 } },
      });
    expect((await write("1")).status).toBe(409);
    const heal = server.fail({ status: 409 }, { matching: (request) => request.path.endsWith("/status"), times: 2 });
    expect([await write(metadata.resourceVersion), await write(metadata.resourceVersion)].map((one) => one.status)).toEqual([409, 409]);
    heal();
    expect((await write(metadata.resourceVersion)).status).toBe(200);
    expect(server.objects.get(COLLECTION, "a", "shop")).toMatchObject({
      spec: {},
      status: { observedGeneration: 1 },
      metadata: { generation: 1 },
    });
  });
});
