import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Disk, Life, subscription, fence, lived, INSIDE, OUTSIDE } from "../../support/controller/controller-life.ts";
import { ControlledManifests, LISTED_KINDS, manifest, namespace } from "../../support/sim/controller-world.ts";
import type { ListedKind } from "../../support/sim/controller-world.ts";

describe("with namespaces of its own", () => {
  const SERVED = ["shop", "bank"];

  async function start(stored: boolean): Promise<{ life: Life; disk: Disk }> {
    const { disk, cluster } = await lived({ namespaces: SERVED });
    fence(cluster, "bank");
    cluster.apply(subscription("orders", INSIDE, { scope: "bank" }));
    const home = stored ? disk : await new Disk().open();
    const life = await new Life(home, new ControlledManifests({ before: cluster, namespaces: SERVED })).begin();
    return { life, disk: home };
  }

  const COMMON = ["Namespace", "ClusterDeliveryPolicy"] as const;
  const OWN: readonly ListedKind[] = LISTED_KINDS.slice(2);

  it.each(OWN)("one whose %s is closed delays no other", async (closed) => {
    const { life } = await start(false);
    for (const kind of COMMON) life.manifests.arrive(kind);
    for (const kind of OWN) {
      life.manifests.arrive(kind, "shop");
      if (kind !== closed) life.manifests.arrive(kind, "bank");
    }
    await life.pass();
    expect(life.accepted("orders", "shop")).toBe("EgressDenied");
    expect(life.accepted("orders", "bank")).toBeUndefined();
    // Without the first answer of bank it is not known whether there is anything to wait for.
    expect([life.controller.ready, life.controller.isReady("shop"), life.controller.isReady("bank")]).toEqual([false, true, false]);
    life.manifests.refuse(closed, "bank", "HTTP 403: forbidden");
    await life.pass();
    expect([life.controller.ready, life.controller.isReady("bank")]).toEqual([true, false]);
    expect(life.controller.missing()).toBe(`${closed} of namespace bank: HTTP 403: forbidden`);
    life.manifests.arrive(closed, "bank");
    await life.pass();
    expect([life.accepted("orders", "bank"), life.controller.isReady("bank")]).toEqual(["Accepted", true]);
    await life.end();
  });

  it("what is stored of a closed namespace waits, and is not taken for deleted", async () => {
    const { life, disk } = await start(true);
    for (const kind of COMMON) life.manifests.arrive(kind);
    for (const kind of OWN) life.manifests.arrive(kind, "bank");
    for (const kind of OWN) life.manifests.refuse(kind, "shop", "HTTP 403: forbidden");
    life.deliveries.pendings.set("uid-nobody", 2);
    await life.pass();
    expect(life.deliveries.ended).toEqual([]);
    expect(await disk.generations()).toEqual({ "shop/orders": 1, "shop/gone": 1, "bank/orders": 1 });
    for (const name of ["orders", "gone"]) expect((await disk.specs()).some((spec) => spec.name === name)).toBe(true);
    expect(life.route("gone")).toMatchObject({ draining: false, subscription: { blocked: { reason: "Starting" } } });
    for (const kind of OWN) life.manifests.arrive(kind, "shop");
    await life.pass();
    expect(life.deliveries.ended.map(({ uid }) => uid).toSorted()).toEqual(["uid-nobody", "uid-shop-gone"]);
    await life.end();
  });

  it("what is stored of a namespace that has gone is let go, although its lists are refused", async () => {
    const { life, disk } = await start(true);
    life.manifests.remove({ kind: "Namespace", namespace: "", name: "shop" });
    for (const kind of OWN) {
      life.manifests.arrive(kind, "bank");
      life.manifests.refuse(kind, "shop", "HTTP 403: forbidden");
    }
    await life.pass();
    expect(life.verdicts()).toEqual([]);
    for (const kind of COMMON) life.manifests.arrive(kind);
    await life.pass();
    expect(life.deliveries.ended.map(({ uid }) => uid).toSorted()).toEqual(["uid-shop-gone", "uid-shop-orders"]);
    expect(await disk.generations()).toEqual({ "bank/orders": 1 });
    await life.end();
  });

  it("what is stored of a namespace that is not served any more goes to the dead-letter store, under nobody else's policy", async () => {
    const { disk, cluster } = await lived({ namespaces: SERVED });
    const life = await new Life(disk, new ControlledManifests({ before: cluster, namespaces: ["bank"] })).begin();
    life.deliveries.pendings.set("uid-shop-orders", 2);
    for (const kind of COMMON) life.manifests.arrive(kind);
    await life.pass();
    expect(life.deliveries.ended).toContainEqual({ uid: "uid-shop-orders", how: "dead-letter" });
    expect([...life.aimed]).toEqual([]);
    expect(await disk.generations()).toEqual({});
    await life.end();
  });

  it("whatever the order of lists, refusals and changes: no verdict too early, nothing over the fence, the same in the end", async () => {
    const probe = new ControlledManifests({ namespaces: SERVED });
    const arrivals = fc.shuffledSubarray([...probe.lists()], { minLength: probe.lists().length });
    const edits = fc.array(fc.record({ after: fc.nat(7), kind: fc.constantFrom("tighten", "edit", "label", "refuse") }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(arrivals, edits, async (order, changes) => {
        const { life, disk } = await start(true);
        const { manifests } = life;
        for (const [step, list] of order.entries()) {
          for (const { after, kind } of changes) {
            if (after !== step) continue;
            if (kind === "refuse") manifests.refuse(list[0], list[1], "HTTP 500");
            if (kind === "edit") manifests.apply(subscription("orders", OUTSIDE, { generation: 3 + step }));
            if (kind === "label") manifests.apply(namespace("bank", { fenced: "true", other: String(step) }));
            if (kind === "tighten")
              manifests.apply(
                manifest(
                  "ClusterDeliveryPolicy",
                  { name: "everybody", generation: 2 + step },
                  { egress: { allowedHosts: ["*.example.net"] } },
                ),
              );
          }
          manifests.arrive(...list);
          await life.pass();
          for (const scope of SERVED) {
            if (manifests.isListed(scope)) continue;
            const early = manifests.statuses.filter(({ object }) => object.includes(`/${scope}/`));
            expect(early).toEqual([]);
          }
          expect([...life.aimed].filter((place) => place.includes("outside"))).toEqual([]);
        }
        expect(life.accepted("orders", "bank")).toBe("Accepted");
        await converged2(life, disk);
        await life.end();
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  async function converged2(life: Life, disk: Disk): Promise<void> {
    expect(life.accepted("orders")).toBe("EgressDenied");
    expect(await disk.generations()).toEqual({ "shop/orders": 1, "shop/new": 1, "bank/orders": 1 });
    expect(life.controller.ready).toBe(true);
  }
});
