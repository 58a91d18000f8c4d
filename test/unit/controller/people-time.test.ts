import { describe, expect, it } from "vitest";
import type { WatchedObject } from "../../../src/controller/objects.ts";
import { wholeSeconds } from "../../../src/core/conditions.ts";
import { EventRecorder } from "../../../src/kube/event-recorder.ts";
import { KubeServiceAccountTokens } from "../../../src/kube/service-account-tokens.ts";
import type { ApiRequest } from "../../../src/kube/transport.ts";
import { FakeDeliveries, QUIET } from "../../support/controller/fake-deliveries.ts";
import { ControlledManifests, controllerOn, LISTED_KINDS, manifest, namespace } from "../../support/sim/controller-world.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

const HOUR_MS = 3_600_000;

/** The machine's clock was wrong by six hours and has been put right; engine time went on. */
function stepped(): ManualClock {
  const clock = new ManualClock();
  clock.stepWall(6 * HOUR_MS);
  clock.adoptWallClock();
  return clock;
}

function subscription(metadata: Record<string, unknown> = {}): WatchedObject {
  const spec = { className: "postrider", events: { types: ["a"] }, endpoint: { url: "https://example.org/" }, signing: { scheme: "None" } };
  return manifest("WebhookSubscription", { name: "orders", namespace: "shop", uid: "u1", ...metadata }, spec);
}

async function running(clock: ManualClock, object: WatchedObject) {
  const manifests = new ControlledManifests();
  const deliveries = new FakeDeliveries();
  const acceptedSpecs = { load: () => Promise.resolve([]), save: () => Promise.resolve(), forget: () => Promise.resolve() };
  const controller = controllerOn({ manifests, acceptedSpecs, deliveries, clock, onTable: () => undefined });
  manifests.apply(namespace("shop"));
  manifests.apply(object);
  const stop = new AbortController();
  const done = controller.run(stop.signal);
  for (const kind of LISTED_KINDS) manifests.arrive(kind);
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(100);
    await done;
  };
  return { manifests, deliveries, end };
}

describe("after the wall clock was put right", () => {
  it("the times in a status are those of the wall, also of what happened before", async () => {
    const clock = stepped();
    const { manifests, deliveries, end } = await running(clock, subscription());
    const wallMs = clock.trueMs();
    // The engine tells how a subscription does in the wall's time (test/unit/delivery/wall-times.test.ts).
    const health = { ...QUIET, sinceMs: wallMs - HOUR_MS, lastSuccessAtMs: wallMs - 60_000, nextAttemptAtMs: wallMs + 60_000 };
    deliveries.healths.set("u1", health);
    await clock.advance(3_000);
    const { status } = manifests.statuses.findLast(({ object }) => object.endsWith("/orders")) as {
      status: { conditions: { lastTransitionTime: string }[]; delivery: Record<string, string> };
    };
    expect(status.delivery).toMatchObject({
      since: wholeSeconds(wallMs - HOUR_MS),
      lastSuccessTime: wholeSeconds(wallMs - 60_000),
      nextAttemptTime: wholeSeconds(wallMs + 60_000),
    });
    for (const { lastTransitionTime } of status.conditions) expect(Math.abs(Date.parse(lastTransitionTime) - wallMs)).toBeLessThan(5_000);
    await end();
  });

  it("a deletion is as old as the API server says, and drains for the rest of its five minutes", async () => {
    const clock = stepped();
    const deletionTimestamp = wholeSeconds(clock.trueMs() - 240_000);
    const { deliveries, end } = await running(clock, subscription({ deletionTimestamp, finalizers: ["drain.postrider.dev/postrider"] }));
    deliveries.pendings.set("u1", 2);
    await clock.advance(50_000);
    expect(deliveries.ended).toEqual([]);
    await clock.advance(12_000);
    expect(deliveries.ended).toEqual([{ uid: "u1", how: "dead-letter" }]);
    await end();
  });

  it("Events bear the wall's time, and a token lives until the time that its expiry has on the wall", async () => {
    const clock = stepped();
    const asked: ApiRequest[] = [];
    let granted: object = {};
    const expirationTimestamp = new Date(clock.trueMs() + HOUR_MS).toISOString();
    const transport = {
      request: (request: ApiRequest) => {
        asked.push(request);
        const isToken = request.path.endsWith("/token");
        const body = isToken
          ? { ...granted, status: { token: "t", expirationTimestamp } }
          : { metadata: { labels: { "postrider.dev/use": "true" } }, status: {} };
        return Promise.resolve({ status: request.method === "GET" ? 200 : 201, body, retryAfterMs: undefined });
      },
    };
    const random = { next: () => 0, bytes: (n: number) => new Uint8Array(n) };
    const recorder = new EventRecorder({ transport, clock, random, controller: { name: "c", instance: "i" }, told: () => undefined });
    const stop = new AbortController();
    const done = recorder.run(stop.signal);
    recorder.record(
      { apiVersion: "v1", kind: "Secret", namespace: "shop", name: "s", uid: "u", resourceVersion: "1" },
      { type: "Normal", reason: "R", message: "m" },
    );
    await settle();
    stop.abort();
    await done;
    expect((asked[0]?.body as { eventTime: string } | undefined)?.eventTime).toBe(
      `${new Date(clock.trueMs()).toISOString().slice(0, -1)}000Z`,
    );
    const tokens = new KubeServiceAccountTokens({ transport, clock, bindingHint: "" });
    const token = () => tokens.token({ namespace: "shop", name: "sa", audience: "receiver", expirationSeconds: 3_600 });
    expect(await token()).toEqual({ ok: true, token: "t", lifeMs: HOUR_MS });
    // A machine whose clock is two hours ahead would call every token expired.
    clock.stepWall(2 * HOUR_MS);
    granted = { spec: { expirationSeconds: 3_600 } };
    expect(await token()).toEqual({ ok: true, token: "t", lifeMs: HOUR_MS });
  });
});
