import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { Controller } from "../../../src/controller/controller.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { ClusterProvider } from "../../../src/provider/cluster.ts";
import type { FaultyApiServer } from "../kube/faulty-api-server.ts";
import type { FakeObject } from "../kube/object-map.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { FakeDeliveries } from "./fake-deliveries.ts";
import { specsIn } from "./operator.ts";
import { silentLog } from "../silent-log.ts";

const GROUP = "/apis/postrider.dev/v1alpha1";
/** Where each kind lives on the API server. */
export const COLLECTIONS = {
  Namespace: "/api/v1/namespaces",
  ClusterDeliveryPolicy: `${GROUP}/clusterdeliverypolicies`,
  DeliveryPolicy: `${GROUP}/deliverypolicies`,
  DeliveryReplay: `${GROUP}/deliveryreplays`,
  WebhookSubscription: `${GROUP}/webhooksubscriptions`,
} as const;
export type CollectionKind = keyof typeof COLLECTIONS;

/** Turns of the event loop that a request over loopback may need. */
const TURNS_PER_STEP = 6;
const UNTIL_MS_MAX = 20_000;

/** Puts a manifest of ours on the server, with the defaults that a real one fills in. */
export function putManifest(
  server: FaultyApiServer,
  kind: Exclude<CollectionKind, "Namespace">,
  metadata: { readonly name: string; readonly namespace?: string },
  spec: object,
): void {
  const read = readCustomResource({ apiVersion: "postrider.dev/v1alpha1", kind, metadata, spec });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  const known = server.objects.get(COLLECTIONS[kind], metadata.name, metadata.namespace);
  server.put(COLLECTIONS[kind], { ...known, ...(read.value as unknown as FakeObject) });
}

/** Cluster provider and controller on an API server that does what it is told, under a clock that the test moves; specs outlive it in `stored`. */
export class FaultyCluster {
  readonly clock = new ManualClock();
  readonly metrics = new Metrics({ version: "test", defaults: false });
  readonly deliveries = new FakeDeliveries();
  readonly provider: ClusterProvider;
  readonly controller: Controller;
  /** Where something could have been sent. */
  readonly aimed = new Set<string>();
  table = RouteTable.empty;
  readonly #abort = new AbortController();
  #done: Promise<unknown> = Promise.resolve();

  constructor(server: FaultyApiServer, stored: Map<string, AcceptedSpec>, namespaces: readonly string[] = []) {
    const { clock, metrics } = this;
    const log = silentLog;
    const random = { next: () => 0, bytes: (n: number) => new Uint8Array(n) };
    const names = { className: "postrider", systemNamespace: "postrider-system" };
    this.provider = new ClusterProvider({
      ...names,
      transport: new KubeTransport({ server: server.url, current: () => Promise.resolve({ headers: {}, tls: {} }) }, clock),
      clock,
      random,
      log,
      metrics,
      namespaces,
      instance: "test",
      bindingHint: "kubectl -n {namespace} create rolebinding",
      tokensBindingHint: "kubectl -n {namespace} create rolebinding postrider-tokens",
    });
    this.controller = new Controller({
      ...names,
      resources: this.provider,
      sink: this.provider,
      deliveries: this.deliveries,
      clock,
      random,
      log,
      acceptedSpecs: specsIn(stored),
      onTable: (table) => {
        this.table = table;
        for (const { subscription } of table.routes()) if (subscription.target !== undefined) this.aimed.add(subscription.target.url);
      },
    });
  }

  run(): this {
    this.#done = Promise.all([this.provider.run(this.#abort.signal), this.controller.run(this.#abort.signal)]);
    return this;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  /** Lets time pass, and the sockets be read on the way. */
  async pass(ms: number): Promise<void> {
    for (let stepMs = 0; stepMs < ms; stepMs += 100) {
      await this.clock.advance(100);
      for (let turn = 0; turn < TURNS_PER_STEP; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async until(holds: () => boolean): Promise<void> {
    for (const startedMs = performance.now(); !holds();) {
      if (performance.now() - startedMs > UNTIL_MS_MAX) throw new Error(`waited ${UNTIL_MS_MAX} ms for ${holds.toString()}`);
      await this.pass(100);
    }
  }

  /** The series of a gauge, e.g. `{kind="Namespace",scope="*"} 1`. */
  async series(name: string): Promise<string[]> {
    const lines = (await this.metrics.expose()).split("\n");
    return lines.filter((line) => line.startsWith(`postrider_${name}{`)).map((line) => line.slice(`postrider_${name}`.length));
  }
}
