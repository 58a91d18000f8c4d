import { describe, expect, test } from "vitest";
import { acceptedSpecsIn } from "../../src/app/accepted-specs.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { ControlledManifests, controllerOn, LISTED_KINDS, manifest, namespace } from "../support/sim/controller-world.ts";
import { latencyOf } from "../support/sim/latent-store.ts";
import { whatIsWrong } from "../support/sim/oracle.ts";
import { seededRandom } from "../support/sim/seeded-random.ts";
import { outcome, World, type Receiver } from "../support/sim/world.ts";
import { ManualClock } from "../support/time/manual-clock.ts";
import { silentLog } from "../support/silent-log.ts";

const SEEDS = (process.env["POSTRIDER_SIM_SEEDS"] ?? "1,2,3,4,5,6,7,8").split(",").map(Number);
const SUBSCRIPTIONS = ["kept", "edited", "suspended", "resumed", "removed"] as const;
const FENCE = { egress: { allowedHosts: ["allowed.test"] } };
/** What the spec of a subscription says at first, and what it says after somebody has changed it while nobody ran. */
const specOf = (host: string, suspend = false) => ({
  suspend,
  events: { types: ["*"] },
  endpoint: { url: `https://${host}/` },
  signing: { scheme: "None" },
});

/** The real controller before the real engine, on a store that is slow, over two lives; in between the manifests change. */
async function twoLives(seed: number) {
  const random = seededRandom(seed);
  const clock = new ManualClock();
  const store = new MemoryStore();
  const over: string[] = [];
  const wrong: string[] = [];
  const accepted: string[] = [];
  const receiver: Receiver = ({ route }) => {
    const url = route.subscription.target?.url ?? "";
    if (!url.startsWith("https://allowed.test/")) over.push(`${route.subscription.name}: ${url}`);
    return { afterMs: 1 + random.below(200), outcome: outcome(random.next() < 0.2 ? "server_error" : "success") };
  };

  const live = async (manifests: ControlledManifests, life: number): Promise<() => Promise<World>> => {
    const report = await store.open({ owner: `o${life}`, nowMs: clock.trueMs(), idempotencyTtlMs: 1_000 });
    clock.begin(report.clock);
    const world = new World({
      receiver,
      store,
      clock,
      seed: seed * 10 + life,
      latency: latencyOf(seed * 10 + life),
      awayMs: report.clock.awayMs,
    });
    const acceptedSpecs = acceptedSpecsIn(world.behind, silentLog);
    const controller = controllerOn({
      manifests,
      acceptedSpecs,
      deliveries: world.engine,
      clock,
      onTable: (table) => world.publish(table),
    });
    const abort = new AbortController();
    world.run();
    void controller.run(abort.signal);
    // Lists come late and in any order; events are taken meanwhile, where stored routes know who wants them.
    for (const kind of [...LISTED_KINDS].toSorted(() => random.next() - 0.5)) {
      await clock.advance(random.below(random.next() < 0.3 ? 2_000 : 60));
      if (controller.isReady("shop") && world.engine.ready)
        for (const { id } of await world.posts(random.below(4), "shop")) accepted.push(id);
      manifests.arrive(kind);
    }
    await clock.until(new Promise<void>((done) => void clock.after(3_000, done)));
    wrong.push(...(await whatIsWrong(world)));
    return async () => {
      abort.abort();
      await clock.advance(200);
      return world;
    };
  };

  const first = new ControlledManifests();
  first.apply(namespace("shop"));
  first.apply(manifest("ClusterDeliveryPolicy", { name: "fence" }, FENCE));
  for (const name of SUBSCRIPTIONS) {
    first.apply(manifest("WebhookSubscription", { name, namespace: "shop", generation: 1 }, specOf("allowed.test", name === "resumed")));
  }
  const end = await live(first, 1);
  const world = await end();
  for (const { id } of await world.posts(5, "shop")) accepted.push(id);
  await clock.advance(random.below(500));
  world.kill();
  // Nobody runs, and the manifests go on.
  await clock.advance(random.below(10_000));
  const second = new ControlledManifests({ before: first });
  const change = (name: string, spec: object): void =>
    second.apply(manifest("WebhookSubscription", { name, namespace: "shop", generation: 2 }, spec));
  change("edited", specOf("forbidden.test"));
  change("suspended", specOf("allowed.test", true));
  change("resumed", specOf("allowed.test"));
  second.remove({ kind: "WebhookSubscription", namespace: "shop", name: "removed" });
  const endAgain = await live(second, 2);
  const last = await endAgain();
  for (const { id } of await last.posts(5, "shop")) accepted.push(id);
  for (let i = 0; i < 60; i++) await clock.advance(60_000);
  wrong.push(...(await whatIsWrong(last)));
  return { over, wrong, accepted, store, last };
}

describe.each(SEEDS)("seed %i", (seed) => {
  test(
    "whatever order the lists come in: nothing leaves the fence, nothing stalls, a suspended one waits",
    { timeout: 60_000 },
    async () => {
      const { over, wrong, accepted, store, last } = await twoLives(seed);
      expect(over).toEqual([]);
      expect(wrong).toEqual([]);
      expect(accepted.length).toBeGreaterThanOrEqual(10);
      for (const id of accepted) {
        for (const { subscription, state, attempts } of await store.deliveriesOf(id)) {
          const expected =
            subscription === "uid-suspended"
              ? ["ready", "delivered"]
              : subscription === "uid-removed"
                ? ["failed", "delivered"]
                : ["delivered"];
          expect(expected, `${subscription} after ${attempts} attempts`).toContain(state);
        }
      }
      expect(last.engine.lanes.get("uid-suspended")?.gate.pausedUntil(last.clock.nowMs())?.reason).toBe("BySpec");
      expect(await last.metrics.expose()).toMatch(/^postrider_forgotten_rows_total 0$/m);
    },
  );
});
