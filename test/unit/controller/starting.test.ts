import { describe, expect, it } from "vitest";
import { objectKey } from "../../../src/controller/objects.ts";
import { Disk, Life, subscription, fence, lived, converged, INSIDE, OUTSIDE } from "../../support/controller/controller-life.ts";
import { ControlledManifests, LISTED_KINDS, manifest, namespace } from "../../support/sim/controller-world.ts";

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item].concat(rest)));
}

describe("while the manifests are being read", () => {
  it.each(LISTED_KINDS)("nobody is judged for want of %s, and stored routes keep their fence", async (late) => {
    const { disk, cluster } = await lived();
    const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    for (const kind of LISTED_KINDS) if (kind !== late) life.manifests.arrive(kind);
    for (let minute = 0; minute < 3; minute++) {
      await life.pass();
      life.manifests.refuse(late, undefined, "HTTP 403: forbidden; helm upgrade");
    }
    expect(life.verdicts()).toEqual([]);
    expect([...life.aimed]).toEqual([]);
    expect(await disk.generations()).toEqual({ "shop/orders": 1, "shop/gone": 1 });
    expect(life.route("orders")).toMatchObject({
      draining: false,
      subscription: {
        generation: 1,
        fanOutMax: 7,
        policy: { timeoutMs: 21_000 },
        egress: { allowedHosts: ["inside.example.org"] },
        blocked: { reason: "Starting" },
      },
    });
    expect(life.controller.ready).toBe(true);
    expect(life.controller.isReady("shop")).toBe(true);
    expect(life.controller.missing()).toBe(`${late}: HTTP 403: forbidden; helm upgrade`);
    expect(life.controller.compose(objectKey({ kind: "ClusterDeliveryPolicy", namespace: "", name: "fence" }))).toBeUndefined();
    life.manifests.arrive(late);
    await life.pass();
    await converged(life, disk);
    expect(life.controller.missing()).toBeUndefined();
    await life.end();
  });

  it("every order of the five lists leads to the same, and nothing is sent over the fence on the way", { timeout: 120_000 }, async () => {
    for (const order of permutations(LISTED_KINDS)) {
      const { disk, cluster } = await lived();
      const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
      for (const kind of order.slice(0, -1)) {
        life.manifests.arrive(kind);
        await life.pass();
        expect({ order, verdicts: life.verdicts(), aimed: [...life.aimed] }).toEqual({ order, verdicts: [], aimed: [] });
      }
      life.manifests.arrive(order.at(-1)!);
      await life.pass();
      await converged(life, disk);
      await life.end();
    }
  });

  it("without a store nothing may be believed before all is listed, and the kind that lacks is named", async () => {
    const disk = await new Disk().open();
    const manifests = new ControlledManifests();
    fence(manifests);
    manifests.apply(subscription("orders", INSIDE));
    const life = await new Life(disk, manifests).begin();
    for (const kind of LISTED_KINDS.slice(1)) manifests.arrive(kind);
    await life.pass();
    expect([life.controller.ready, life.controller.isReady("shop")]).toEqual([false, false]);
    expect(life.controller.missing()).toBe("Namespace: waiting for the first answer");
    manifests.arrive("Namespace");
    await life.pass();
    expect([life.controller.ready, life.controller.isReady("shop")]).toEqual([true, true]);
    expect([...life.aimed]).toEqual([`orders ${INSIDE}`]);
    await life.end();
  });

  it("a list that comes in once more takes nothing back", async () => {
    const { disk, cluster } = await lived();
    const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    for (const kind of LISTED_KINDS) life.manifests.arrive(kind);
    await life.pass();
    const before = life.manifests.statuses.length;
    life.manifests.arrive("ClusterDeliveryPolicy");
    life.manifests.refuse("ClusterDeliveryPolicy", undefined, "HTTP 500");
    await life.pass();
    expect(life.manifests.statuses).toHaveLength(before);
    expect(life.controller.isReady("shop")).toBe(true);
    await life.end();
  });

  it("a policy that is tightened while an edit is refused is the one that is stored", async () => {
    const { disk, cluster } = await lived();
    const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    for (const kind of LISTED_KINDS) life.manifests.arrive(kind);
    await life.pass();
    const selector = { namespaceSelector: { matchLabels: { fenced: "true" } } };
    life.manifests.apply(
      manifest(
        "ClusterDeliveryPolicy",
        { name: "fence", generation: 2 },
        { ...selector, egress: { allowedHosts: ["nowhere.example.org"] } },
      ),
    );
    await life.pass();
    const stored = (await disk.specs()).find(({ name }) => name === "orders");
    expect(stored).toMatchObject({ generation: 1, egress: { allowedHosts: ["nowhere.example.org"] } });
    await life.end();
  });

  it("what is on its way out matches nothing new over a restart, and its five minutes go on", async () => {
    const { disk, cluster } = await lived();
    const first = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    for (const kind of LISTED_KINDS) first.manifests.arrive(kind);
    first.deliveries.pendings.set("uid-shop-new", 3);
    await first.pass();
    first.manifests.remove({ kind: "WebhookSubscription", namespace: "shop", name: "new" });
    await disk.clock.advance(240_000);
    expect(first.deliveries.ended).toEqual([{ uid: "uid-shop-gone", how: "dead-letter" }]);
    await first.end();
    const second = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    second.deliveries.pendings.set("uid-shop-new", 3);
    expect(second.route("new")).toMatchObject({ draining: true, subscription: { blocked: { reason: "Starting" } } });
    for (const kind of LISTED_KINDS) second.manifests.arrive(kind);
    await second.pass();
    expect(second.deliveries.ended).toEqual([]);
    await disk.clock.advance(60_000);
    expect(second.deliveries.ended).toEqual([{ uid: "uid-shop-new", how: "dead-letter" }]);
    await second.end();
  });

  it("a stored row that cannot be read keeps nobody else's route away, and its subscription is judged anew", async () => {
    const { disk, cluster } = await lived();
    const row = (await disk.specs()).find(({ name }) => name === "gone");
    await disk.store.putState([{ kind: "route", key: row?.uid ?? "", value: JSON.stringify(row).slice(0, 90) }]);
    await disk.store.putState([{ kind: "route", key: "other", value: '{"uid":"other","namespace":"shop","name":"other"}' }]);
    const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    expect([...life.table.routes()].map(({ subscription: { name } }) => name)).toEqual(["orders"]);
    cluster.apply(subscription("gone", INSIDE));
    for (const kind of LISTED_KINDS) life.manifests.arrive(kind);
    await life.pass();
    expect(life.route("gone")?.subscription).toMatchObject({ blocked: undefined, target: { url: INSIDE } });
    expect(await disk.generations()).toEqual({ "shop/orders": 1, "shop/gone": 1, "shop/new": 1 });
    await life.end();
    expect(life.controller.isReady("shop")).toBe(true);
  });

  it.each([0, 3, 5])("a store that is slow to read changes nothing: %i lists come in before it has been read", async (early) => {
    const { disk, cluster } = await lived();
    const listState = disk.store.listState.bind(disk.store);
    let read = (): void => undefined;
    const slow = new Promise<void>((resolve) => (read = resolve));
    disk.store.listState = async (kind) => slow.then(() => listState(kind));
    const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    for (const kind of LISTED_KINDS.slice(0, early)) life.manifests.arrive(kind);
    await life.pass();
    expect([life.controller.ready, life.controller.isReady("shop"), life.verdicts().length]).toEqual([false, false, 0]);
    expect(life.controller.missing()).toBe("stored subscriptions are being read");
    read();
    await life.pass();
    if (early < 5) expect([...life.aimed]).toEqual([]);
    for (const kind of LISTED_KINDS.slice(early)) life.manifests.arrive(kind);
    await life.pass();
    await converged(life, disk);
    await life.end();
  });

  it("a subscription that is told before its namespace is not judged as if the namespace had no labels", async () => {
    const { disk, cluster } = await lived();
    const life = await new Life(disk, new ControlledManifests({ before: cluster })).begin();
    for (const kind of LISTED_KINDS) life.manifests.arrive(kind);
    await life.pass();
    life.manifests.apply(subscription("early", OUTSIDE, { scope: "fresh" }));
    await life.pass();
    expect([life.accepted("early", "fresh"), life.route("early")]).toEqual([undefined, undefined]);
    life.manifests.apply(namespace("fresh", { fenced: "true" }));
    await life.pass();
    expect(life.accepted("early", "fresh")).toBe("EgressDenied");
    // The other way round: the namespace is gone before its subscriptions are.
    life.manifests.remove({ kind: "Namespace", namespace: "", name: "shop" });
    await life.pass();
    expect(life.route("orders")).toMatchObject({ draining: false, subscription: { egress: { allowedHosts: ["inside.example.org"] } } });
    life.manifests.remove({ kind: "WebhookSubscription", namespace: "shop", name: "orders" });
    await life.pass();
    expect(life.route("orders")).toBeUndefined();
    expect([...life.aimed].filter((place) => place.includes("outside"))).toEqual([]);
    await life.end();
  });

  it("a policy that is tightened during the first look is obeyed", async () => {
    const disk = await new Disk().open();
    const manifests = new ControlledManifests();
    fence(manifests);
    manifests.apply(
      subscription("orders", INSIDE, {
        signing: { scheme: "StandardWebhooks", secretRefs: [{ name: "key", key: "k" }] },
        deletionPolicy: "Discard",
      }),
    );
    const { findSecret } = manifests;
    let answer = (): void => undefined;
    manifests.findSecret = (scope, name) => new Promise((resolve) => (answer = () => resolve(findSecret(scope, name))));
    const life = await new Life(disk, manifests).begin();
    for (const kind of LISTED_KINDS) manifests.arrive(kind);
    await life.pass();
    manifests.apply(
      manifest(
        "ClusterDeliveryPolicy",
        { name: "fence", generation: 2 },
        { namespaceSelector: { matchLabels: { fenced: "true" } }, egress: { allowedHosts: ["nowhere.example.org"] } },
      ),
    );
    manifests.findSecret = findSecret;
    answer();
    await life.pass();
    expect(life.accepted("orders")).toBe("EgressDenied");
    await life.end();
  });

  it("Secrets that are still being read hold up their own namespace alone, and only until the first answer", async () => {
    const disk = await new Disk().open();
    const manifests = new ControlledManifests();
    for (const scope of ["shop", "bank"]) {
      fence(manifests, scope);
      manifests.apply(subscription("orders", INSIDE, { scope }));
    }
    manifests.readSecrets("bank", "pending");
    const life = await new Life(disk, manifests).begin();
    for (const kind of LISTED_KINDS) manifests.arrive(kind);
    await life.pass();
    expect([life.accepted("orders", "shop"), life.accepted("orders", "bank")]).toEqual(["Accepted", undefined]);
    expect([life.controller.isReady("shop"), life.controller.isReady("bank")]).toEqual([true, false]);
    manifests.readSecrets("bank", "troubled");
    await life.pass();
    expect(life.accepted("orders", "bank")).toBe("Accepted");
    expect([life.controller.ready, life.controller.isReady("bank")]).toEqual([true, true]);
    await life.end();
  });
});
