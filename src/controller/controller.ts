import type { RouteTable } from "../core/route-table.ts";
import { aborted } from "../lib/abort.ts";
import type { SubscriptionName } from "../core/subscription.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Service } from "../lib/service.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { AcceptedBook } from "./accepted-specs.ts";
import type { AcceptedSpecs } from "./accepted-specs.ts";
import type { Deliveries } from "./deliveries.ts";
import { Departures } from "./departures.ts";
import { FilterErrors } from "./filter-errors.ts";
import { DependencyIndex } from "./dependency-index.ts";
import { ExpressionCache } from "./expression-cache.ts";
import { FirstLooks } from "./first-looks.ts";
import { HeardMeanwhile } from "./heard-meanwhile.ts";
import { refKey } from "./objects.ts";
import type { ObjectKind, ObjectRef, Resources, ResultSink } from "./objects.ts";
import { isSimpleKind, PolicyReports } from "./policy-reports.ts";
import { PolicyView } from "./policy-view.ts";
import { RouteBook } from "./route-book.ts";
import { StorageLimits } from "./storage-limits.ts";
import type { StorageLimit } from "../core/storage-share.ts";
import { StatusReporter } from "./status-reporter.ts";
import type { DueStatus, StatusSource } from "./status-reporter.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Looked } from "./subscriptions.ts";
import { WorkQueue } from "./work-queue.ts";

const STRANGERS_AGAIN_MS = 1_000;
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
 * Turns manifests into the routing table, and what became of them into conditions: gather, check, apply. One subscription is looked at
 * at a time, whenever it or something that it names has changed.
 */
export class Controller implements Service, StatusSource {
  readonly name = "controller";
  readonly #options: ControllerOptions;
  readonly #accepted: AcceptedBook;
  readonly #routes: RouteBook;
  readonly #dependencies = new DependencyIndex();
  readonly #departures: Departures;
  readonly #filterErrors: FilterErrors;
  readonly #subscriptions: Subscriptions;
  readonly #reports: PolicyReports;
  readonly #storage: StorageLimits;
  readonly #reporter: StatusReporter;
  readonly #queue: WorkQueue;
  readonly #finalizers: WorkQueue;
  /** Keys whose counters are there to be read. */
  readonly #shown = new Set<string>();
  readonly #first = new FirstLooks();
  /** Subscriptions that may not be judged yet. */
  readonly #held = new Set<string>();
  readonly #meanwhile = new HeardMeanwhile();
  #hasStored = false;
  #strangersGone = false;
  #ready = false;
  #running = false;
  /** The store was read; stays so when it is stopped, because the ingest may go on for a while. */
  #hasBegun = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { resources, sink, deliveries, clock, random, log, className, systemNamespace } = options;
    const policies = new PolicyView(resources);
    const expressions = new ExpressionCache();
    this.#accepted = new AcceptedBook(options.acceptedSpecs, clock, log);
    this.#routes = new RouteBook(clock, options.onTable);
    this.#departures = new Departures(clock, log, deliveries);
    this.#subscriptions = new Subscriptions({
      resources,
      sink,
      deliveries,
      policies,
      expressions,
      clock,
      random,
      className,
      systemNamespace,
      accepted: this.#accepted,
      routes: this.#routes,
      dependencies: this.#dependencies,
      departures: this.#departures,
    });
    this.#storage = new StorageLimits(resources, policies);
    this.#reports = new PolicyReports(resources, policies, clock);
    this.#reporter = new StatusReporter({ clock, log, sink, source: this });
    this.#queue = new WorkQueue(
      clock,
      (key) => this.#reconcile(key),
      (key, error) => {
        options.metrics?.reconcile.inc({ result: "error" });
        log.error({ err: error, subscription: key }, "a subscription could not be reconciled: retrying");
        this.#looked(key);
      },
    );
    this.#finalizers = new WorkQueue(
      clock,
      (key) => this.#subscriptions.settleFinalizer(key),
      (key, error) => log.warn({ err: error, subscription: key }, "the drain finalizer could not be set: retrying"),
    );
    this.#filterErrors = new FilterErrors(resources, sink, clock);
    resources.onChange((ref) => this.#changed(ref));
    deliveries.onHealthChange((uid, kind) => this.#healthChanged(uid, kind));
  }

  /**
   * Whether the table may be believed: every kind was listed and looked at, or the last accepted routes came from the store. Namespaces that are
   * in trouble are not waited for; see `isReady`.
   */
  get ready(): boolean {
    return this.#ready;
  }

  /** Whether the table may be believed for this namespace: an event that matches nothing is one that nobody wants. */
  isReady(namespace: string): boolean {
    if (!this.#hasBegun || !(this.#hasStored || this.#options.resources.isListed(namespace))) return false;
    if (!this.#hasStored && !this.#first.done(namespace)) return false;
    if (!this.#ready) this.#routes.settle();
    return true;
  }

  /** `limits.storage` for a namespace, as the policies say now. */
  storageLimit(namespace: string): StorageLimit {
    return this.#storage.of(namespace);
  }

  /** What has not been listed since the start, and what mends it; undefined when all is. */
  missing(): string | undefined {
    if (!this.#hasBegun) return "stored subscriptions are being read";
    const unlisted = this.#options.resources.unlisted();
    if (unlisted.length === 0) return undefined;
    const told = unlisted.slice(0, UNLISTED_TOLD_MAX).map(({ what, trouble }) => `${what}: ${trouble ?? "waiting for the first answer"}`);
    const more = unlisted.length > told.length ? [`and ${unlisted.length - told.length} more`] : [];
    return [...told, ...more].join("; ");
  }

  /** Reads what was accepted last, then follows changes until it is stopped; what was accepted meanwhile is stored before it settles. */
  async run(signal: AbortSignal): Promise<void> {
    const loaded = await this.#accepted.load();
    if (loaded.length > 0) {
      this.#hasStored = true;
      this.#subscriptions.restore(loaded);
      this.#routes.build();
      this.#turnReady();
    }
    this.#running = true;
    this.#hasBegun = true;
    for (const part of [this.#queue, this.#finalizers, this.#departures, this.#reporter]) part.start();
    this.#listed();
    await aborted(signal);
    this.#running = false;
    for (const part of [this.#queue, this.#finalizers, this.#departures, this.#reporter]) await part.stop();
    await this.#accepted.flush();
  }

  /** More has been listed than before: takes up what may be judged now. */
  #listed(): void {
    const { resources } = this.#options;
    const found: string[] = [];
    for (const { metadata } of resources.list("WebhookSubscription")) {
      const key = `${metadata.namespace}/${metadata.name}`;
      if (resources.isListed(metadata.namespace) && !this.#subscriptions.isKnown(key)) found.push(key);
    }
    this.#first.expect(found);
    this.#addAll(found);
    this.#release();
    for (const kind of ["DeliveryPolicy", "ClusterDeliveryPolicy", "DeliveryReplay"] as const) this.#reportAll(kind);
    this.#subscriptions.departMissing();
    this.#settle();
  }

  /**
   * Whether a verdict may be given. A policy or a namespace's labels that were not listed yet are not missing: who judged without them would let a
   * subscription out of its fence, and forget for good the spec that was inside. Nor may one be judged that is told before its namespace is.
   */
  #mayJudge(key: string): boolean {
    const { resources, systemNamespace } = this.#options;
    const [namespace = "", name = ""] = key.split("/");
    if (!resources.isListed(namespace)) return false;
    if (resources.get("WebhookSubscription", namespace, name) === undefined) return true;
    return resources.knowsNamespace(namespace) && [namespace, systemNamespace].every((one) => resources.secretsOf(one) !== "pending");
  }

  #release(): void {
    for (const key of this.#held) {
      if (!this.#mayJudge(key)) continue;
      this.#held.delete(key);
      this.#queue.add(key);
    }
  }

  #looked(key: string): void {
    this.#first.looked(key);
    if (!this.#strangersGone) this.#settle();
  }

  #settle(): void {
    if (!this.#running || !this.#first.done() || !this.#options.resources.synced) return;
    if (!this.#ready) this.#routes.build();
    this.#turnReady();
    this.#departStrangers();
  }

  /** As soon as the engine knows what it owes, and nothing is left unread to which it might owe it. */
  #departStrangers(): void {
    const { deliveries, clock, resources } = this.#options;
    if (!this.#running || this.#strangersGone || resources.unlisted().length > 0) return;
    if (!deliveries.ready) {
      clock.after(STRANGERS_AGAIN_MS, () => this.#departStrangers());
      return;
    }
    this.#strangersGone = true;
    this.#subscriptions.departStrangers();
  }

  #turnReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#options.onReady?.();
  }

  /** Whether a subscription names this object now. */
  isNamed(ref: ObjectRef): boolean {
    for (const _key of this.#dependencies.of(ref)) return true;
    return false;
  }

  async #reconcile(key: string): Promise<void> {
    const { metrics, clock } = this.#options;
    if (!this.#mayJudge(key)) {
      this.#held.add(key);
      return;
    }
    this.#held.delete(key);
    const startedMs = clock.monotonicMs();
    const { recheckMs, finalizerDue, ready } = await this.#look(key);
    this.#queue.forget(key);
    if (recheckMs !== undefined) this.#queue.addAfter(key, recheckMs);
    if (finalizerDue) this.#finalizers.add(key);
    if (ready === undefined) this.#reporter.forget(`WebhookSubscription/${key}`);
    else this.#reporter.report(`WebhookSubscription/${key}`, "transition");
    this.#looked(key);
    metrics?.reconcile.inc({ result: "done" });
    metrics?.reconcileDuration.observe((clock.monotonicMs() - startedMs) / 1_000);
    this.#showReady(key, ready);
  }

  async #look(key: string): Promise<Looked> {
    const begun = this.#meanwhile.begin();
    try {
      return await this.#subscriptions.reconcile(key);
    } finally {
      if (this.#meanwhile.end(begun).some((ref) => this.#dependencies.has(ref, key))) this.#queue.add(key);
    }
  }

  #showReady(key: string, ready: boolean | undefined): void {
    const { metrics } = this.#options;
    if (metrics === undefined || metrics.perSubscription === "off") return;
    const [namespace = "", subscription = ""] = key.split("/");
    if (ready === undefined) {
      this.#shown.delete(key);
      metrics.subscriptionReady.remove({ namespace, subscription });
      return;
    }
    if (!this.#shown.has(key)) metrics.showSubscription(namespace, subscription);
    this.#shown.add(key);
    metrics.subscriptionReady.set({ namespace, subscription }, ready ? 1 : 0);
  }

  /** Only notes keys. */
  #changed(ref: ObjectRef | undefined): void {
    this.#storage.changed(ref);
    if (!this.#running) return;
    if (ref === undefined) return this.#listed();
    this.#meanwhile.note(ref);
    this.#addAll(this.#dependencies.of(ref));
    switch (ref.kind) {
      case "WebhookSubscription":
        return this.#queue.add(`${ref.namespace}/${ref.name}`);
      case "Namespace":
        return this.#namespaceChanged(ref.name);
      case "DeliveryPolicy":
        return this.#reportAll("DeliveryPolicy", ref.namespace);
      case "ClusterDeliveryPolicy":
      case "DeliveryReplay":
        return this.#reporter.report(refKey(ref), "transition");
      default:
    }
  }

  /** Its labels, its existence, or how far its Secrets have been read. */
  #namespaceChanged(name: string): void {
    const { resources } = this.#options;
    if (this.#held.size > 0) this.#release();
    // What is left in the store of a namespace that has gone will never be listed.
    if (resources.get("Namespace", "", name) === undefined && resources.isListed(name)) this.#subscriptions.departMissing();
  }

  #addAll(keys: Iterable<string>): void {
    for (const key of keys) this.#queue.add(key);
  }

  #reportAll(kind: "DeliveryPolicy" | "ClusterDeliveryPolicy" | "DeliveryReplay", namespace?: string): void {
    for (const { metadata } of this.#options.resources.list(kind, namespace)) {
      this.#reporter.report(refKey({ kind, namespace: metadata.namespace ?? "", name: metadata.name }), "transition");
    }
  }

  /** A filter could not be evaluated for an event: shown on its subscription, at most once a minute. */
  filterFailed(name: SubscriptionName, message: string): void {
    this.#filterErrors.failed(name, message);
  }

  #healthChanged(uid: string, kind: "transition" | "counters"): void {
    this.#departures.poke(uid);
    const key = this.#subscriptions.keyOf(uid);
    if (key !== undefined) this.#reporter.report(`WebhookSubscription/${key}`, kind);
  }

  compose(key: string): DueStatus | undefined {
    const [kind = "", namespace = "", name = ""] = key.split("/");
    if (!this.#options.resources.isListed(namespace)) return undefined;
    if (isSimpleKind(kind as ObjectKind)) return this.#reports.compose(kind as Parameters<PolicyReports["compose"]>[0], namespace, name);
    return this.#subscriptions.composeStatus(`${namespace}/${name}`);
  }

  written(key: string, status: object): void {
    const [kind = "", namespace = "", name = ""] = key.split("/");
    if (isSimpleKind(kind as ObjectKind)) this.#reports.written(kind as Parameters<PolicyReports["written"]>[0], namespace, name, status);
    else this.#subscriptions.statusWritten(`${namespace}/${name}`, status);
  }
}
