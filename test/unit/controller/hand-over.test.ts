import { afterEach, describe, expect, it } from "vitest";
import type { WebhookSubscription } from "../../../src/api/generated/custom-resources.ts";
import type { WatchedObject } from "../../../src/controller/objects.ts";
import { DRAIN_MAX_MS } from "../../../src/controller/subscription/departures.ts";
import { HAND_OVER_MAX_MS } from "../../../src/controller/subscription/facts.ts";
import { Disk, fence, INSIDE, Life, subscription } from "../../support/controller/controller-life.ts";
import { ControlledManifests } from "../../support/sim/controller-world.ts";

const UID = "uid-shop-orders";
const OURS = "drain.postrider.dev/postrider";
const THEIRS = "drain.postrider.dev/other";

/** `orders` with another class, order or finalizers. */
function orders({
  finalizers = [] as readonly string[],
  ...spec
}: Readonly<Record<string, unknown>> & { finalizers?: readonly string[] }): WatchedObject {
  const object = subscription("orders", INSIDE, { finalizers, generation: 2 }) as WebhookSubscription;
  return { ...object, spec: { ...object.spec, ...spec } };
}

describe("a subscription that moves to another class", () => {
  const lives: Life[] = [];

  afterEach(async () => {
    for (const life of lives.splice(0)) await life.end();
  });

  async function live(disk: Disk, cluster: ControlledManifests, pending = 0): Promise<Life> {
    const life = new Life(disk, cluster);
    life.deliveries.pendings.set(UID, pending);
    lives.push(life);
    return life.begin();
  }

  async function stopAll(): Promise<void> {
    for (const life of lives.splice(0)) await life.end();
  }

  function clusterWith(object?: WatchedObject): ControlledManifests {
    const cluster = new ControlledManifests();
    fence(cluster);
    if (object !== undefined) cluster.apply(object);
    for (const list of cluster.lists()) cluster.arrive(...list);
    return cluster;
  }

  const finalizers = (cluster: ControlledManifests): readonly string[] | undefined =>
    cluster.get("WebhookSubscription", "shop", "orders")?.metadata.finalizers;
  const told = (cluster: ControlledManifests): string[] => cluster.events.map(({ note }) => `${note.reason}: ${note.message}`);
  const blocked = (life: Life): string | undefined => life.route("orders")?.subscription.blocked?.reason;

  describe("seen by the one that had it", () => {
    it.each(["Drain", "Discard"])(
      "matches nothing new, delivers what was accepted with the target it had, then is released: %s",
      async (deletionPolicy) => {
        const disk = await new Disk().open();
        const cluster = clusterWith(orders({ deletionPolicy }));
        const life = await live(disk, cluster);
        const held = deletionPolicy === "Drain" ? [OURS] : [];
        expect(finalizers(cluster) ?? []).toEqual(held);
        life.deliveries.pendings.set(UID, 3);
        const writes = cluster.statuses.length;
        cluster.apply(orders({ className: "other", deletionPolicy, finalizers: held }));
        await life.pass();
        expect(life.route("orders")).toMatchObject({ draining: true, subscription: { target: { url: INSIDE } } });
        await disk.clock.advance(60_000);
        expect([life.deliveries.ended, finalizers(cluster)]).toEqual([[], held]);
        life.deliveries.pendings.set(UID, 0);
        await life.pass();
        expect([life.route("orders"), finalizers(cluster), await disk.specs()]).toEqual([undefined, [], []]);
        expect(cluster.statuses.slice(writes).filter(({ object }) => object.includes("orders"))).toEqual([]);
        expect(told(cluster)).toEqual([
          "HandedOver: class postrider has delivered what it accepted, and serves it no longer; class other serves it now",
        ]);
      },
    );

    it("gives what it could not deliver within five minutes to the dead-letter store, and counts them over a restart", async () => {
      const disk = await new Disk().open();
      const cluster = clusterWith(orders({}));
      const first = await live(disk, cluster);
      first.deliveries.pendings.set(UID, 3);
      cluster.apply(orders({ className: "other", finalizers: [OURS, THEIRS] }));
      await first.pass();
      await disk.clock.advance(DRAIN_MAX_MS / 2);
      expect(first.deliveries.ended).toEqual([]);
      await stopAll();
      const second = await live(disk, cluster, 3);
      expect(second.route("orders")).toMatchObject({ draining: true, subscription: { target: { url: INSIDE } } });
      await disk.clock.advance(DRAIN_MAX_MS / 2);
      expect(second.deliveries.ended).toEqual([{ uid: UID, how: "dead-letter" }]);
      expect(finalizers(cluster)).toEqual([THEIRS]);
      expect(told(cluster).join("\n")).toContain("Handed over to class other: ");
    });

    it("is released although its deliveries are on a volume that is lost", async () => {
      const cluster = clusterWith(orders({ className: "other", finalizers: [OURS, THEIRS] }));
      const life = await live(await new Disk().open(), cluster);
      await life.pass();
      expect(finalizers(cluster)).toEqual([THEIRS]);
    });

    it("is served again when it comes back before the end", async () => {
      const disk = await new Disk().open();
      const cluster = clusterWith(orders({}));
      const life = await live(disk, cluster);
      life.deliveries.pendings.set(UID, 3);
      for (let turn = 0; turn < 3; turn++) {
        cluster.apply(orders({ className: "other", finalizers: [OURS] }));
        await life.pass();
        expect(life.route("orders")?.draining).toBe(true);
        cluster.apply(orders({ finalizers: [OURS] }));
        await life.pass();
        expect(life.route("orders")).toMatchObject({ draining: false, subscription: { blocked: undefined } });
      }
      await disk.clock.advance(2 * DRAIN_MAX_MS);
      expect([life.deliveries.ended, finalizers(cluster)]).toEqual([[], [OURS]]);
    });

    it("leaves alone what was never its own", async () => {
      const cluster = clusterWith(orders({ className: "other", finalizers: [THEIRS, "postrider.dev/drain"] }));
      const life = await live(await new Disk().open(), cluster);
      await life.pass();
      expect([cluster.finalizers, cluster.statuses.filter(({ object }) => object.includes("orders")), told(cluster)]).toEqual([[], [], []]);
    });
  });

  describe("seen by the one that gets it", () => {
    it("is sent at once where no order is kept", async () => {
      const cluster = clusterWith(orders({ finalizers: [THEIRS] }));
      const life = await live(await new Disk().open(), cluster);
      expect(life.route("orders")).toMatchObject({ draining: false, subscription: { blocked: undefined, target: { url: INSIDE } } });
      expect(finalizers(cluster)).toEqual([THEIRS, OURS]);
    });

    it("matches at once and waits for the other's deliveries where order is kept", async () => {
      const disk = await new Disk().open();
      const cluster = clusterWith(orders({ ordering: { mode: "PerKey" }, finalizers: [THEIRS] }));
      const life = await live(disk, cluster);
      expect(life.route("orders")).toMatchObject({ draining: false, subscription: { target: undefined } });
      expect(blocked(life)).toBe("HandingOver");
      const { status } = cluster.statuses.findLast(({ object }) => object.includes("orders")) ?? {};
      expect(JSON.stringify(status)).toContain("postrider uninstall --class other");
      await disk.clock.advance(60_000);
      cluster.apply(orders({ ordering: { mode: "PerKey" }, finalizers: [OURS] }));
      await life.pass();
      expect([blocked(life), life.route("orders")?.subscription.target?.url]).toEqual([undefined, INSIDE]);
    });

    it("does not wait forever for one that is gone for good, nor again after a restart", async () => {
      const disk = await new Disk().open();
      const cluster = clusterWith(orders({ ordering: { mode: "PerKey" }, finalizers: [THEIRS] }));
      const first = await live(disk, cluster);
      await disk.clock.advance(HAND_OVER_MAX_MS - 60_000);
      expect(blocked(first)).toBe("HandingOver");
      await stopAll();
      const second = await live(disk, cluster);
      expect(blocked(second)).toBe("HandingOver");
      await disk.clock.advance(60_000 + 60_000);
      expect(blocked(second)).toBeUndefined();
      expect(finalizers(cluster)).toEqual([THEIRS, OURS]);
      await stopAll();
      expect(blocked(await live(disk, cluster))).toBeUndefined();
    });
  });

  it("gets the finalizer of its class in place of the one that versions up to 0.1 shared", async () => {
    const cluster = clusterWith(orders({ finalizers: ["postrider.dev/drain", "theirs.dev/x"] }));
    await live(await new Disk().open(), cluster);
    expect(finalizers(cluster)).toEqual(["theirs.dev/x", OURS]);
  });
});
