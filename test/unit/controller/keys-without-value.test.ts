import { expect, test } from "vitest";
import type { WatchedObject } from "../../../src/controller/objects.ts";
import { FakeDeliveries, QUIET } from "../../support/controller/fake-deliveries.ts";
import { ControlledManifests, controllerOn, LISTED_KINDS, manifest, namespace } from "../../support/sim/controller-world.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const MISSPELT = { field: "ordering.key", path: "data.oder", sinceMs: 0 } as const;

function subscription(): WatchedObject {
  const spec = { className: "postrider", events: { types: ["a"] }, endpoint: { url: "https://example.org/" }, signing: { scheme: "None" } };
  return manifest("WebhookSubscription", { name: "orders", namespace: "shop", uid: "u1" }, spec);
}

test("a key that has no value in any event is in the status, and in one Event an hour until it has one", async () => {
  const clock = new ManualClock();
  const manifests = new ControlledManifests();
  const deliveries = new FakeDeliveries();
  const acceptedSpecs = { load: () => Promise.resolve([]), save: () => Promise.resolve(), forget: () => Promise.resolve() };
  const controller = controllerOn({ manifests, acceptedSpecs, deliveries, clock, onTable: () => undefined });
  manifests.apply(namespace("shop"));
  manifests.apply(subscription());
  const stop = new AbortController();
  const done = controller.run(stop.signal);
  for (const kind of LISTED_KINDS) manifests.arrive(kind);
  const statusNow = (): unknown => manifests.statuses.findLast(({ object }) => object.endsWith("/orders"))?.status;
  const told = (): string[] => manifests.events.flatMap(({ note }) => (note.reason === "KeyWithoutValue" ? [note.message] : []));
  const accept = async (events: number, keys: typeof QUIET.keysWithoutValue): Promise<void> => {
    deliveries.healths.set("u1", { ...QUIET, accepted: events, keysWithoutValue: keys });
    deliveries.tell("u1", "counters");
    await clock.advance(31_000);
  };

  await accept(0, []);
  expect(statusNow()).not.toHaveProperty("keysWithoutValue");
  await accept(3, [{ ...MISSPELT, events: 3 }]);
  expect(statusNow()).toMatchObject({ keysWithoutValue: [{ field: "ordering.key", path: "data.oder", events: 3 }] });
  expect(told()).toEqual([
    expect.stringMatching(/^Of 3 events so far none has a value at ordering\.key \(data\.oder\), so .*without order/),
  ]);
  for (let minutes = 1; minutes < 60; minutes++) {
    await accept(3 + minutes, [{ ...MISSPELT, events: 3 + minutes }]);
    await clock.advance(29_000);
  }
  expect(told()).toHaveLength(1);
  await accept(90, [{ ...MISSPELT, events: 90 }]);
  await accept(91, [{ ...MISSPELT, events: 91 }]);
  expect(told()).toHaveLength(2);
  await accept(92, []);
  expect(statusNow()).not.toHaveProperty("keysWithoutValue");
  await clock.advance(3_600_000);
  await accept(93, []);
  expect(told()).toHaveLength(2);
  stop.abort();
  await clock.advance(100);
  await done;
});
