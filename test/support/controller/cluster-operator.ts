import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { Controller } from "../../../src/controller/controller.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { createLog } from "../../../src/observe/log.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { ClusterProvider } from "../../../src/provider/cluster.ts";
import type { ControlPlaneAccess } from "../kube/kubectl.ts";
import { FakeDeliveries } from "./fake-deliveries.ts";

const WAIT_MS = 15_000;

/** Cluster provider and controller against a real API server; the engine is a fake whose numbers a test sets. */
export class ClusterOperator {
  readonly deliveries = new FakeDeliveries();
  readonly stored = new Map<string, AcceptedSpec>();
  readonly controller: Controller;
  readonly provider: ClusterProvider;
  table = RouteTable.empty;
  readonly #abort = new AbortController();
  readonly #done: Promise<unknown>;
  readonly #heard: (() => void)[] = [];

  constructor(
    access: ControlPlaneAccess,
    className: string,
    bindingHint = "kubectl create rolebinding",
    clock: SystemClock = new SystemClock(),
  ) {
    const log = createLog("silent");
    this.provider = new ClusterProvider({
      transport: new KubeTransport(kubernetesCredentials(access.kubeconfig), clock),
      clock,
      random: systemRandom,
      log,
      metrics: new Metrics({ version: "test", defaults: false }),
      className,
      namespaces: [],
      instance: "test-0",
      bindingHint,
      tokensBindingHint: "kubectl -n {namespace} create rolebinding postrider-tokens",
      systemNamespace: "postrider-system",
    });
    const heard = (): void => this.#heard.splice(0).forEach((resolve) => resolve());
    this.controller = new Controller({
      resources: this.provider,
      sink: this.provider,
      deliveries: this.deliveries,
      clock,
      random: systemRandom,
      log,
      className,
      systemNamespace: "postrider-system",
      acceptedSpecs: {
        load: () => Promise.resolve([...this.stored.values()]),
        save: (specs) => Promise.resolve(specs.forEach((spec) => this.stored.set(spec.uid, spec))),
        forget: (uid) => Promise.resolve(void this.stored.delete(uid)),
      },
      onTable: (table) => {
        this.table = table;
        heard();
      },
      onReady: heard,
    });
    this.#done = Promise.all([this.provider.run(this.#abort.signal), this.controller.run(this.#abort.signal)]);
  }

  route(namespace: string, name: string): Route | undefined {
    return [...this.table.routes()].find(({ subscription }) => subscription.namespace === namespace && subscription.name === name);
  }

  /** Waits for a table after which `holds` is true; answers how long that took, ms. */
  async until(holds: () => boolean, waitMs = WAIT_MS): Promise<number> {
    const startedMs = performance.now();
    const timer = setTimeout(() => this.#heard.splice(0).forEach((resolve) => resolve()), waitMs);
    try {
      while (!holds()) {
        if (performance.now() > startedMs + waitMs) throw new Error(`waited ${waitMs} ms for ${holds.toString()}`);
        await new Promise<void>((resolve) => this.#heard.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
    return performance.now() - startedMs;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }
}
