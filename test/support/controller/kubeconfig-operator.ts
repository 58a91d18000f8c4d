import type { WebhookSubscription } from "../../../src/api/generated/custom-resources.ts";
import type { AcceptedSpec } from "../../../src/controller/subscription/accepted-specs.ts";
import type { Condition } from "../../../src/core/conditions.ts";
import type { Route } from "../../../src/core/route-table.ts";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { ClusterProvider } from "../../../src/provider/cluster.ts";
import { silentLog } from "../silent-log.ts";
import { Operator } from "./operator.ts";

const WAIT_MS = 20_000;

export interface KubeconfigOperatorOptions {
  readonly kubeconfig: string;
  /** Last accepted specs that outlive it, as in a store. */
  readonly stored?: Map<string, AcceptedSpec>;
  readonly bindingHint?: string;
  readonly className?: string;
  readonly namespaces?: readonly string[];
  readonly tokenLabels?: readonly string[];
  readonly clock?: SystemClock;
}

/** On a real API server, everything but the deliveries themselves. */
export class KubeconfigOperator extends Operator<ClusterProvider> {
  readonly #options: KubeconfigOperatorOptions;

  constructor(options: KubeconfigOperatorOptions) {
    const { className = "postrider", namespaces = [], clock = new SystemClock() } = options;
    const provider = new ClusterProvider({
      transport: new KubeTransport(kubernetesCredentials(options.kubeconfig), clock),
      clock,
      random: systemRandom,
      log: silentLog,
      metrics: new Metrics({ version: "test", defaults: false }),
      className,
      namespaces,
      instance: "test",
      bindingHint: options.bindingHint ?? "",
      tokensBindingHint: "kubectl -n {namespace} create rolebinding postrider-tokens",
      systemNamespace: "postrider-system",
      tokenLabels: options.tokenLabels ?? [],
    });
    super({ provider, clock, className, stored: options.stored ?? new Map(), waitMs: WAIT_MS });
    this.#options = options;
    provider.onChange(() => this.changes.happened());
  }

  static async start(options: KubeconfigOperatorOptions): Promise<KubeconfigOperator> {
    const operator = new KubeconfigOperator(options).run();
    await operator.until(() => operator.controller.ready && operator.provider.synced);
    return operator;
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
    return this.find(namespace, name);
  }

  condition(namespace: string, name: string, type: string): Condition | undefined {
    return this.object(namespace, name)?.status?.conditions?.find((condition) => condition.type === type);
  }
}
