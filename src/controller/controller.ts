import type { RouteTable } from "../core/route-table.ts";
import type { StorageLimit } from "../core/storage-share.ts";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { FailedFilter } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Deliveries } from "./deliveries.ts";
import { refOfKey } from "./objects.ts";
import type { ObjectKey, ObjectRef, ReportedKind, Resources, ResultSink } from "./objects.ts";
import { clusterPolicyReconciler, policyReconciler } from "./policy/policy-reconcilers.ts";
import { PolicyView } from "./policy/policy-view.ts";
import { StorageLimits } from "./policy/storage-limits.ts";
import type { Reconciler } from "./reconciler.ts";
import { replayReconciler } from "./replay/replay-reconciler.ts";
import { StatusReporter } from "./status-reporter.ts";
import type { DueStatus, StatusSource } from "./status-reporter.ts";
import type { AcceptedSpecs } from "./subscription/accepted-specs.ts";
import { SubscriptionReconciler } from "./subscription/subscription-reconciler.ts";

/** More lists that could not be read are counted, not told one by one. */
const UNLISTED_TOLD_MAX = 8;

export interface ControllerOptions {
  readonly resources: Resources;
  readonly sink: ResultSink;
  readonly deliveries: Deliveries;
  readonly acceptedSpecs: AcceptedSpecs;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** `--class`: subscriptions of other classes are not seen. */
  readonly className: string;
  /** `--system-namespace`: where Secrets live that cluster policies name. */
  readonly systemNamespace: string;
  /** Called with each new table; the app hands it to ingest and engine. */
  readonly onTable: (table: RouteTable) => void;
  /** Called once, when `ready` turns true. */
  readonly onReady?: () => void;
}

/**
 * Turns manifests into the routing table, and what became of them into conditions. Each kind has a reconciler in a folder of its own; this
 * class tells all of them what has changed, and asks the one whose kind it is for a status.
 */
export class Controller implements Service, StatusSource<ObjectKey<ReportedKind>> {
  readonly name = "controller";
  readonly #resources: Resources;
  readonly #subscriptions: SubscriptionReconciler;
  /** Each kind of ours has a line here. */
  readonly #kinds: { readonly [K in ReportedKind]: Reconciler<K> };
  readonly #reconcilers: readonly Reconciler[];
  readonly #reporter: StatusReporter<ObjectKey<ReportedKind>>;
  readonly #storage: StorageLimits;
  #running = false;

  constructor(options: ControllerOptions) {
    const { resources, sink, deliveries, clock, log } = options;
    const policies = new PolicyView(resources, options.className);
    this.#resources = resources;
    this.#storage = new StorageLimits(resources, policies);
    this.#reporter = new StatusReporter({ clock, log, sink, source: this });
    const parts = { ...options, policies, reporter: this.#reporter };
    this.#subscriptions = new SubscriptionReconciler(parts);
    this.#kinds = {
      WebhookSubscription: this.#subscriptions,
      DeliveryPolicy: policyReconciler(parts),
      ClusterDeliveryPolicy: clusterPolicyReconciler(parts),
      DeliveryReplay: replayReconciler(parts),
    };
    this.#reconcilers = Object.values(this.#kinds);
    resources.onChange((ref) => this.#changed(ref));
    deliveries.onHealthChange((uid, kind) => this.#subscriptions.healthChanged(uid, kind));
  }

  /**
   * Whether the table may be believed: every kind was listed and looked at, or the last accepted routes came from the store. Namespaces that are
   * in trouble are not waited for; see `isReady`.
   */
  get ready(): boolean {
    return this.#subscriptions.readiness.ready;
  }

  /** Whether the table may be believed for this namespace: an event that matches nothing is one that nobody wants. */
  isReady(namespace: string): boolean {
    return this.#subscriptions.readiness.isReady(namespace);
  }

  /** `limits.storage` for a namespace, as the policies say now. */
  storageLimit(namespace: string): StorageLimit {
    return this.#storage.of(namespace);
  }

  /** What has not been listed since the start, and what mends it; undefined when all is. */
  missing(): string | undefined {
    if (!this.#subscriptions.readiness.hasBegun) return "stored subscriptions are being read";
    const unlisted = this.#resources.unlisted();
    if (unlisted.length === 0) return undefined;
    const told = unlisted.slice(0, UNLISTED_TOLD_MAX).map(({ what, trouble }) => `${what}: ${trouble ?? "waiting for the first answer"}`);
    const more = unlisted.length > told.length ? [`and ${unlisted.length - told.length} more`] : [];
    return [...told, ...more].join("; ");
  }

  /** Whether a subscription names this object now. */
  isNamed(ref: ObjectRef): boolean {
    return this.#subscriptions.isNamed(ref);
  }

  /** A filter could not be evaluated for an event: counted in the subscription's status, and an Event tells of it at most once a minute. */
  filterFailed(failed: FailedFilter, message: string): void {
    this.#subscriptions.filterFailed(failed, message);
  }

  /** Reads what was accepted last, then follows changes until it is stopped; what was accepted meanwhile is stored before it settles. */
  async run(signal: AbortSignal): Promise<void> {
    for (const reconciler of this.#reconcilers) await reconciler.start?.();
    this.#running = true;
    this.#reporter.start();
    this.#listed();
    await aborted(signal);
    this.#running = false;
    for (const reconciler of this.#reconcilers) await reconciler.stop?.();
    await this.#reporter.stop();
  }

  #listed(): void {
    for (const reconciler of this.#reconcilers) reconciler.listed();
  }

  /** Only notes keys. */
  #changed(ref: ObjectRef | undefined): void {
    this.#storage.changed(ref);
    if (!this.#running) return;
    if (ref === undefined) return this.#listed();
    for (const reconciler of this.#reconcilers) reconciler.changed(ref);
  }

  compose(key: ObjectKey<ReportedKind>): DueStatus | undefined {
    const { kind, namespace } = refOfKey(key);
    return this.#resources.isListed(namespace) ? this.#reconcilerOf(kind).compose(key) : undefined;
  }

  written(key: ObjectKey<ReportedKind>, status: object): void {
    this.#reconcilerOf(refOfKey(key).kind).written(key, status);
  }

  #reconcilerOf(kind: ReportedKind): Reconciler {
    return this.#kinds[kind];
  }
}
