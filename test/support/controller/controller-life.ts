import { expect } from "vitest";
import { acceptedSpecsIn } from "../../../src/app/accepted-specs.ts";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import type { Controller } from "../../../src/controller/controller.ts";
import type { WatchedObject } from "../../../src/controller/objects.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { ControlledManifests, controllerOn, manifest, namespace } from "../sim/controller-world.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { FakeDeliveries } from "./fake-deliveries.ts";
import { silentLog } from "../silent-log.ts";

export const INSIDE = "https://inside.example.org/hook";
export const OUTSIDE = "https://outside.example.net/steal";

/** What outlives a process. */
export class Disk {
  readonly store = new MemoryStore();
  readonly clock = new ManualClock();

  async open(): Promise<this> {
    await this.store.open({ owner: "o", nowMs: this.clock.nowMs(), idempotencyTtlMs: 1_000 });
    return this;
  }

  async specs(): Promise<readonly AcceptedSpec[]> {
    return acceptedSpecsIn(this.store, silentLog).load();
  }

  async generations(): Promise<Record<string, number>> {
    return Object.fromEntries((await this.specs()).map(({ namespace: scope, name, generation }) => [`${scope}/${name}`, generation]));
  }
}

/** One process: the real controller on a cluster whose lists come in when the test says so. */
export class Life {
  readonly deliveries = new FakeDeliveries();
  readonly controller: Controller;
  readonly manifests: ControlledManifests;
  /** Every route with a target that was ever handed out: where something could have been sent. */
  readonly aimed = new Set<string>();
  table = RouteTable.empty;
  readonly #disk: Disk;
  readonly #abort = new AbortController();
  #done: Promise<void> | undefined;

  constructor(disk: Disk, manifests: ControlledManifests) {
    this.#disk = disk;
    this.manifests = manifests;
    this.controller = controllerOn({
      manifests,
      acceptedSpecs: acceptedSpecsIn(disk.store, silentLog),
      deliveries: this.deliveries,
      clock: disk.clock,
      onTable: (table) => {
        this.table = table;
        for (const { subscription } of table.routes()) {
          if (subscription.target !== undefined) this.aimed.add(`${subscription.name} ${subscription.target.url}`);
        }
      },
    });
  }

  async begin(): Promise<this> {
    this.#done = this.controller.run(this.#abort.signal);
    await this.pass();
    return this;
  }

  /** Long enough for every debounce, status and flush. */
  async pass(): Promise<void> {
    for (let step = 0; step < 6; step++) await this.#disk.clock.advance(500);
  }

  async end(): Promise<void> {
    this.#abort.abort();
    await this.#disk.clock.advance(1_000);
    await this.#done;
  }

  route(name: string): Route | undefined {
    return [...this.table.routes()].find(({ subscription }) => subscription.name === name);
  }

  /** All that a verdict leaves behind. */
  verdicts(): readonly unknown[] {
    const { statuses, finalizers, signingSecrets } = this.manifests;
    return [...statuses, ...finalizers, ...signingSecrets, ...this.deliveries.ended, ...this.deliveries.resumed];
  }

  accepted(name: string, scope = "shop"): string | undefined {
    const last = this.manifests.statuses.findLast(({ object }) => object === `WebhookSubscription/${scope}/${name}`);
    const { conditions = [] } = (last?.status ?? {}) as { conditions?: { type: string; reason: string }[] };
    return conditions.find(({ type }) => type === "Accepted")?.reason;
  }
}

export function subscription(
  name: string,
  url: string,
  change: { generation?: number; scope?: string; [field: string]: unknown } = {},
): WatchedObject {
  const { generation = 1, scope = "shop", signing = { scheme: "None" }, deletionPolicy = "Drain", ...metadata } = change;
  const spec = { className: "postrider", events: { types: ["a.*"] }, endpoint: { url }, signing, deletionPolicy };
  return manifest("WebhookSubscription", { name, namespace: scope, uid: `uid-${scope}-${name}`, generation, ...metadata }, spec);
}

/** The namespace's own policy keeps its subscriptions inside; the one for everybody else does not. */
export function fence(manifests: ControlledManifests, scope = "shop"): void {
  manifests.apply(namespace(scope, { fenced: "true" }));
  const egress = { allowedHosts: ["inside.example.org"] };
  manifests.apply(
    manifest(
      "ClusterDeliveryPolicy",
      { name: "fence" },
      { namespaceSelector: { matchLabels: { fenced: "true" } }, egress, limits: { fanOut: 7 } },
    ),
  );
  manifests.apply(
    manifest("ClusterDeliveryPolicy", { name: "everybody" }, { egress: { allowedHosts: ["*.example.org", "*.example.net"] } }),
  );
  manifests.apply(
    manifest("DeliveryPolicy", { name: "slow", namespace: scope, labels: { "postrider.dev/default": "true" } }, { timeout: "21s" }),
  );
}

/** A cluster and a store after a first life: `orders` was accepted, and its edit to a forbidden place refused. */
export async function lived(options: { namespaces?: readonly string[] } = {}): Promise<{ disk: Disk; cluster: ControlledManifests }> {
  const disk = await new Disk().open();
  const cluster = new ControlledManifests(options);
  fence(cluster);
  cluster.apply(subscription("orders", INSIDE));
  cluster.apply(subscription("gone", INSIDE));
  for (const list of cluster.lists()) cluster.arrive(...list);
  const life = await new Life(disk, cluster).begin();
  expect(life.accepted("orders")).toBe("Accepted");
  cluster.apply(subscription("orders", OUTSIDE, { generation: 2 }));
  await life.pass();
  expect(life.accepted("orders")).toBe("EgressDenied");
  await life.end();
  expect(await disk.generations()).toEqual({ "shop/orders": 1, "shop/gone": 1 });
  // While nobody runs: one is removed, one is new and wants a key, one is on its way out.
  cluster.remove({ kind: "WebhookSubscription", namespace: "shop", name: "gone" });
  cluster.apply(subscription("new", INSIDE, { signing: { scheme: "StandardWebhooks" } }));
  cluster.apply(subscription("thief", OUTSIDE));
  return { disk, cluster };
}

/** What must be the end of it, however the lists came in. */
export async function converged(life: Life, disk: Disk): Promise<void> {
  expect(life.accepted("orders")).toBe("EgressDenied");
  expect(life.accepted("thief")).toBe("EgressDenied");
  expect(life.accepted("new")).toBe("Accepted");
  expect(life.route("orders")?.subscription).toMatchObject({ generation: 1, fanOutMax: 7, blocked: undefined, target: { url: INSIDE } });
  expect(life.route("gone")).toBeUndefined();
  expect(life.manifests.signingSecrets).toEqual(["shop/new-signing"]);
  expect(await disk.generations()).toEqual({ "shop/orders": 1, "shop/new": 1 });
  expect([...life.aimed].filter((place) => place.includes("outside"))).toEqual([]);
}
