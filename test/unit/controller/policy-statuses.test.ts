import { expect, it } from "vitest";
import type { WatchedObject } from "../../../src/controller/objects.ts";
import { Disk, fence, Life } from "../../support/controller/controller-life.ts";
import { ControlledManifests } from "../../support/sim/controller-world.ts";

/** As the API server has it when it was stored under another version of the schema. */
function unreadable(kind: "DeliveryPolicy" | "ClusterDeliveryPolicy", namespace?: string): WatchedObject {
  const metadata = { name: "old", uid: `uid-old-${kind}`, generation: 3, ...(namespace === undefined ? {} : { namespace }) };
  return { apiVersion: "postrider.dev/v1alpha1", kind, metadata, spec: { timeout: "soon" } } as unknown as WatchedObject;
}

it("a policy that cannot be read says InvalidObject, as its page does, and one that can says Accepted", async () => {
  const disk = await new Disk().open();
  const manifests = new ControlledManifests();
  fence(manifests);
  manifests.apply(unreadable("DeliveryPolicy", "shop"));
  manifests.apply(unreadable("ClusterDeliveryPolicy"));
  for (const list of manifests.lists()) manifests.arrive(...list);
  const life = await new Life(disk, manifests).begin();
  const told = new Map(
    manifests.statuses.map(({ object, status }) => [object, status as { observedGeneration: number; conditions: object[] }]),
  );
  for (const object of ["DeliveryPolicy/shop/old", "ClusterDeliveryPolicy//old"]) {
    expect(told.get(object)).toMatchObject({
      observedGeneration: 3,
      conditions: expect.arrayContaining([
        expect.objectContaining({
          type: "Accepted",
          status: "False",
          reason: "InvalidObject",
          message: expect.stringMatching(/^it cannot be read: /),
        }),
        expect.objectContaining({
          type: "Ready",
          status: "False",
          reason: "InvalidObject",
          message: expect.stringMatching(/^it cannot be read: /),
        }),
        expect.objectContaining({ type: "Stalled", status: "True", reason: "InvalidObject" }),
      ]),
    });
  }
  for (const object of ["DeliveryPolicy/shop/slow", "ClusterDeliveryPolicy//fence"]) {
    expect(told.get(object)?.conditions.slice(0, 3)).toMatchObject([
      { type: "Accepted", status: "True", reason: "Accepted" },
      { type: "Ready", status: "True", reason: "Ready" },
      { type: "Stalled", status: "False", reason: "Reconciled" },
    ]);
  }
  await life.end();
});
