import type { WebhookSubscription } from "../../../src/api/generated/custom-resources.ts";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import { Controller } from "../../../src/controller/controller.ts";
import type { Condition } from "../../../src/core/conditions.ts";
import { RouteTable } from "../../../src/core/route-table.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { createLog } from "../../../src/observe/log.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { ClusterProvider } from "../../../src/provider/cluster.ts";
import { FakeDeliveries } from "./fake-deliveries.ts";

const WAIT_MS = 20_000;

export interface KubeconfigOperatorOptions {
  readonly kubeconfig: string;
  /** Last accepted specs that outlive it, as in a store. */
  readonly stored?: Map<string, AcceptedSpec>;
  readonly bindingHint?: string;
  readonly className?: string;
  readonly namespaces?: readonly string[];
}

/** Cluster provider and controller on a real API server, everything but the deliveries themselves. */
export class KubeconfigOperator {
  readonly deliveries = new FakeDeliveries();
  readonly provider: ClusterProvider;
  readonly controller: Controller;
  readonly stored: Map<string, AcceptedSpec>;
  /** How each status write ended, and when. */
  readonly writes: { readonly object: string; readonly result: string; readonly atMs: number }[] = [];
  table = RouteTable.empty;
  readonly #options: KubeconfigOperatorOptions;
  readonly #abort = new AbortController();
  #done: Promise<unknown> = Promise.resolve();
  #heard: (() => void)[] = [];

  constructor(options: KubeconfigOperatorOptions) {
    this.#options = options;
    this.stored = options.stored ?? new Map<string, AcceptedSpec>();
    const { stored } = this;
    const { className = "postrider", namespaces = [] } = options;
    const clock = new SystemClock();
    const log = createLog("silent");
    this.provider = new ClusterProvider({
      transport: new KubeTransport(kubernetesCredentials(options.kubeconfig), clock),
      clock,
      random: systemRandom,
      log,
      metrics: new Metrics({ version: "test", defaults: false }),
      className,
      namespaces,
      instance: "test",
      bindingHint: options.bindingHint ?? "",
      tokensBindingHint: "kubectl -n {namespace} create rolebinding postrider-tokens",
      systemNamespace: "postrider-system",
    });
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
        load: () => Promise.resolve([...stored.values()]),
        save: (specs) => Promise.resolve(specs.forEach((spec) => stored.set(spec.uid, JSON.parse(JSON.stringify(spec)) as AcceptedSpec))),
        forget: (uid) => Promise.resolve(void stored.delete(uid)),
      },
      onTable: (table) => {
        this.table = table;
        this.#wake();
      },
      onReady: () => this.#wake(),
    });
    this.provider.onChange(() => this.#wake());
    const writeStatus = this.provider.writeStatus.bind(this.provider);
    this.provider.writeStatus = async (object, status) => {
      const result = await writeStatus(object, status);
      this.writes.push({ object: `${object.kind}/${object.metadata.name}`, result: result.kind, atMs: performance.now() });
      this.#wake();
      return result;
    };
  }

  static async start(options: KubeconfigOperatorOptions): Promise<KubeconfigOperator> {
    const operator = new KubeconfigOperator(options).run();
    await operator.until(() => operator.controller.ready && operator.provider.synced);
    return operator;
  }

  run(): this {
    this.#done = Promise.all([this.provider.run(this.#abort.signal), this.controller.run(this.#abort.signal)]);
    return this;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  /** A new process on the same store. */
  async restart(): Promise<KubeconfigOperator> {
    await this.stop();
    return KubeconfigOperator.start({ ...this.#options, stored: this.stored });
  }

  object(namespace: string, name: string): WebhookSubscription | undefined {
    return this.provider.get("WebhookSubscription", namespace, name);
  }

  route(namespace: string, name: string): Route | undefined {
    return [...this.table.routes()].find(({ subscription }) => subscription.name === name && subscription.namespace === namespace);
  }

  condition(namespace: string, name: string, type: string): Condition | undefined {
    return this.object(namespace, name)?.status?.conditions?.find((condition) => condition.type === type);
  }

  /** Waits for a table, a change or a written status after which `holds` is true. */
  async until(holds: () => boolean, waitMs = WAIT_MS): Promise<void> {
    const endMs = performance.now() + waitMs;
    const timer = setTimeout(() => this.#wake(), waitMs);
    try {
      while (!holds()) {
        if (performance.now() >= endMs) throw new Error(`waited ${waitMs} ms for ${holds.toString()}`);
        await new Promise<void>((resolve) => this.#heard.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #wake(): void {
    for (const resolve of this.#heard.splice(0)) resolve();
  }
}
