import { beforeEach, describe, expect, it } from "vitest";
import type { SecretObject, WatchedObject } from "../../../src/controller/objects.ts";
import { drainFinalizer } from "../../../src/core/drain-finalizer.ts";
import { SIGNING_FOR_LABEL, USE_LABEL } from "../../../src/controller/objects.ts";
import { ROUTE_KEPT_MS } from "../../../src/controller/subscription/subscriptions.ts";
import { Disk, Life, INSIDE, OUTSIDE } from "../../support/controller/controller-life.ts";
import { ControlledManifests, manifest, namespace } from "../../support/sim/controller-world.ts";

const UID = "uid-shop-orders";
const TOKEN = "a-token-of-the-receiver";

function secret(name: string, data: Record<string, string>, labels: Record<string, string> = { [USE_LABEL]: "true" }): SecretObject {
  const bytes = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value)]));
  return {
    kind: "Secret",
    metadata: { name, namespace: "shop", uid: `uid-${name}`, labels },
    type: "Opaque",
    data: bytes,
    controllerUid: undefined,
  };
}

let cluster: ControlledManifests;
let disk: Disk;
let life: Life;

/** Signs with a generated key, and authenticates with a token from a Secret. */
function orders(
  change: { url?: string; policy?: string; suspend?: boolean; deleted?: boolean; generation?: number; uid?: string } = {},
): WatchedObject {
  const { url = INSIDE, policy, suspend = false, deleted = false, generation = 1, uid = UID } = change;
  const leaving = deleted ? { deletionTimestamp: new Date(disk.clock.trueMs()).toISOString() } : {};
  return manifest(
    "WebhookSubscription",
    { name: "orders", namespace: "shop", uid, generation, finalizers: [drainFinalizer("postrider")], ...leaving },
    {
      className: "postrider",
      suspend,
      events: { types: ["a.*"] },
      endpoint: { url, auth: { bearer: { secretRef: { name: "receiver", key: "token" } } } },
      signing: { scheme: "StandardWebhooks" },
      deletionPolicy: "Drain",
      ...(policy === undefined ? {} : { policyRef: { name: policy } }),
    },
  );
}

const drop = (kind: "Secret" | "WebhookSubscription" | "DeliveryPolicy", name: string): void =>
  cluster.remove({ kind, namespace: "shop", name });
const sub = () => life.route("orders")?.subscription;
const pass = async (seconds: number): Promise<void> => {
  for (let second = 0; second < seconds; second++) await disk.clock.advance(1_000);
};
const deadLetters = (): string[] => life.deliveries.ended.map(({ how }) => how);
const notes = (): string[] => cluster.events.filter(({ note }) => note.reason === "DeadLettered").map(({ note }) => note.message);

beforeEach(async () => {
  cluster = new ControlledManifests();
  cluster.apply(namespace("shop"));
  cluster.apply(secret("receiver", { token: TOKEN }));
  for (const list of cluster.lists()) cluster.arrive(...list);
  disk = await new Disk().open();
  life = await new Life(disk, cluster).begin();
  cluster.apply(orders());
  await life.pass();
  expect(sub()?.target?.authorization).toBe(`Bearer ${TOKEN}`);
  life.deliveries.pendings.set(UID, 16);
});

describe("a route that drains keeps what it had", () => {
  const GONE: readonly (readonly [string, () => void])[] = [
    ["the signing Secret is deleted", () => drop("Secret", "orders-signing")],
    ["a credential is deleted", () => drop("Secret", "receiver")],
    ["the credential loses its key", () => cluster.apply(secret("receiver", { other: "x" }))],
    [
      "the signing Secret holds nonsense",
      () => cluster.apply(secret("orders-signing", { secret: "x" }, { [USE_LABEL]: "true", [SIGNING_FOR_LABEL]: "orders" })),
    ],
    ["another Secret has its name", () => cluster.apply(secret("orders-signing", { secret: "x" }))],
    [
      "Secrets cannot be read",
      () => {
        cluster.secretAnswer = { state: "unknown", message: "the API server does not respond" };
        cluster.readSecrets("shop", "troubled");
      },
    ],
  ];

  it.each(GONE)("after the deletion: %s", async (_, gone) => {
    const before = sub()?.target;
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await life.pass();
    gone();
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await pass(120);
    expect(sub()).toMatchObject({ blocked: undefined, target: before });
    expect(life.route("orders")?.draining).toBe(true);
    expect(deadLetters()).toEqual([]);
    life.deliveries.pendings.set(UID, 0);
    await pass(2);
    expect(cluster.get("WebhookSubscription", "shop", "orders")).toBeUndefined();
    expect(notes()).toEqual([]);
  });

  it.each(GONE)("word of it comes before word of the deletion: %s", async (_, gone) => {
    const before = sub()?.target;
    gone();
    await pass(3);
    expect(sub()?.blocked).toBeDefined();
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await pass(60);
    expect(sub()).toMatchObject({ blocked: undefined, target: before });
    expect(deadLetters()).toEqual([]);
  });

  it("a DeliveryPolicy that is pruned with it stays in force", async () => {
    cluster.apply(manifest("DeliveryPolicy", { name: "slow", namespace: "shop" }, { timeout: "21s" }));
    cluster.apply(orders({ policy: "slow", generation: 2 }));
    await life.pass();
    cluster.apply(orders({ policy: "slow", generation: 3, deleted: true }));
    drop("DeliveryPolicy", "slow");
    await pass(10);
    expect(sub()).toMatchObject({ blocked: undefined, policy: { timeoutMs: 21_000 } });
    expect(deadLetters()).toEqual([]);
  });

  it("but not for long: what was lost long before the deletion is not used again", async () => {
    drop("Secret", "orders-signing");
    await pass(ROUTE_KEPT_MS / 1_000 + 65);
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await pass(2);
    expect(deadLetters()).toEqual(["dead-letter"]);
    expect(notes()[0]).toContain("because the generated Secret orders-signing is gone");
  });

  it.each<[string, () => void, RegExp]>([
    [
      "the label that allows the use of a Secret is taken off",
      () => cluster.apply(secret("receiver", { token: TOKEN }, {})),
      /because .*may not be used/,
    ],
    [
      "the permission to read Secrets is taken back",
      () => (cluster.secretAnswer = { state: "forbidden", message: "no permission" }),
      /because no permission/,
    ],
    [
      "a cluster policy prescribes a proxy, which cannot be read",
      () => {
        cluster.apply(manifest("ClusterDeliveryPolicy", { name: "all" }, { egress: { proxySecretRef: { name: "proxy", key: "url" } } }));
      },
      /because .*proxy/,
    ],
  ])("but not what was taken back on purpose: %s", async (_, take, why) => {
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await life.pass();
    take();
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await pass(3);
    expect(deadLetters()).toEqual(["dead-letter"]);
    expect(notes()[0]).toMatch(why);
  });

  it("under the egress rules of now", async () => {
    cluster.apply(orders({ deleted: true, generation: 2 }));
    drop("Secret", "orders-signing");
    await life.pass();
    cluster.apply(manifest("ClusterDeliveryPolicy", { name: "all" }, { egress: { deniedCIDRs: ["198.51.100.0/24"] } }));
    await pass(3);
    expect(sub()?.egress.deniedCidrs).toHaveLength(1);
    expect(deadLetters()).toEqual([]);
  });

  it("and never sends to a place that the spec names no longer", async () => {
    drop("Secret", "orders-signing");
    await life.pass();
    cluster.apply(orders({ url: OUTSIDE, generation: 2 }));
    await life.pass();
    cluster.apply(orders({ url: OUTSIDE, generation: 3, deleted: true }));
    await pass(3);
    expect(sub()?.target).toBeUndefined();
    expect(deadLetters()).toEqual(["dead-letter"]);
  });
});

describe("a process that starts in the middle of a drain", () => {
  async function restarted(meanwhile: () => void): Promise<void> {
    cluster.apply(orders({ deleted: true, generation: 2 }));
    await life.pass();
    await life.end();
    meanwhile();
    life = new Life(disk, cluster);
    life.deliveries.pendings.set(UID, 16);
    await life.begin();
    await pass(5);
  }

  it("drains on with the Secret that is there", async () => {
    await restarted(() => undefined);
    expect(sub()?.target?.authorization).toBe(`Bearer ${TOKEN}`);
    expect(deadLetters()).toEqual([]);
  });

  it("has lost the key with the Secret: dead letters at once, and an Event says why and how to find them", async () => {
    await restarted(() => drop("Secret", "orders-signing"));
    expect(deadLetters()).toEqual(["dead-letter"]);
    const [note = ""] = notes();
    expect(note).toContain(
      "16 deliveries that had not ended went to the dead-letter store, because the generated Secret orders-signing is gone",
    );
    expect(note).toContain("GET /v1/namespaces/shop/deliveries?subscription=orders&state=Failed");
  });

  it("waits where Secrets cannot be read yet: they may be there a moment later", async () => {
    await restarted(() => (cluster.secretAnswer = { state: "unknown", message: "the API server does not respond" }));
    expect(deadLetters()).toEqual([]);
    expect(sub()?.target).toBeUndefined();
    cluster.secretAnswer = undefined;
    await pass(10);
    expect(sub()?.target?.authorization).toBe(`Bearer ${TOKEN}`);
    expect(deadLetters()).toEqual([]);
  });

  it.each([true, false])("the same where the object is gone as well (Secrets readable at once: %s)", async (readable) => {
    await restarted(() => {
      drop("WebhookSubscription", "orders");
      if (!readable) cluster.secretAnswer = { state: "unknown", message: "the API server does not respond" };
    });
    expect(deadLetters()).toEqual([]);
    cluster.secretAnswer = undefined;
    await pass(5);
    expect(sub()?.target?.authorization).toBe(`Bearer ${TOKEN}`);
    expect(deadLetters()).toEqual([]);
  });

  it("on a store that was restored into another cluster sends what is owed to the old uid, with the key that was restored", async () => {
    await life.end();
    const before = cluster.get("Secret", "shop", "orders-signing");
    drop("WebhookSubscription", "orders");
    cluster.apply(orders({ uid: "uid-restored" }));
    life = new Life(disk, cluster);
    life.deliveries.pendings.set(UID, 16);
    await life.begin();
    await pass(60);
    const routes = [...life.table.routes()].map(({ subscription: { uid, target }, draining }) => [
      uid,
      [draining, target?.authorization] as const,
    ]);
    expect(Object.fromEntries(routes)).toEqual({ "uid-restored": [false, `Bearer ${TOKEN}`], [UID]: [true, `Bearer ${TOKEN}`] });
    expect(cluster.get("Secret", "shop", "orders-signing")).toEqual(before);
    expect(deadLetters()).toEqual([]);
    await pass(250);
    expect(life.deliveries.ended).toEqual([{ uid: UID, how: "dead-letter" }]);
    expect(notes()).toEqual([expect.stringContaining("because the 5 minutes after a deletion were over") as string]);
  });

  it("tells it where object and Secret are both gone", async () => {
    await restarted(() => {
      drop("WebhookSubscription", "orders");
      drop("Secret", "orders-signing");
    });
    expect(deadLetters()).toEqual(["dead-letter"]);
    expect(notes()).toEqual([expect.stringContaining("because the generated Secret orders-signing is gone") as string]);
  });
});
