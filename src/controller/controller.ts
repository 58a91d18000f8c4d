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
import { refKey } from "./objects.ts";
import type { ObjectKind, ObjectRef, Resources, ResultSink } from "./objects.ts";
import { isSimpleKind, PolicyReports } from "./policy-reports.ts";
import { PolicyView } from "./policy-view.ts";
import { RouteBook } from "./route-book.ts";
import { StatusReporter } from "./status-reporter.ts";
import type { DueStatus, StatusSource } from "./status-reporter.ts";
import { Subscriptions } from "./subscriptions.ts";
import { WorkQueue } from "./work-queue.ts";

const STRANGERS_AGAIN_MS = 1_000;

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
  readonly #reporter: StatusReporter;
  readonly #queue: WorkQueue;
  readonly #finalizers: WorkQueue;
  /** Keys whose counters are there to be read. */
  readonly #shown = new Set<string>();
  /** Subscriptions of the first listing that have not been looked at yet; undefined before the listing. */
  #first: Set<string> | undefined;
  #ready = false;
  #running = false;

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
    this.#reports = new PolicyReports(resources, policies, clock);
    this.#reporter = new StatusReporter({ clock, log, sink, source: this });
    this.#queue = new WorkQueue(
      clock,
      (key) => this.#reconcile(key),
      (key, error) => {
        options.metrics?.reconcile.inc({ result: "error" });
        log.error({ err: error, subscription: key }, "a subscription could not be reconciled: trying again");
        this.#looked(key);
      },
    );
    this.#finalizers = new WorkQueue(
      clock,
      (key) => this.#subscriptions.settleFinalizer(key),
      (key, error) => log.warn({ err: error, subscription: key }, "the drain finalizer could not be set: trying again"),
    );
    this.#filterErrors = new FilterErrors(resources, sink, clock);
    resources.onChange((ref) => this.#changed(ref));
    deliveries.onHealthChange((uid, kind) => this.#healthChanged(uid, kind));
  }

  /** Whether the table may be believed: every kind was listed and looked at, or the last accepted routes came from the store. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Reads what was accepted last, then follows changes until it is stopped; what was accepted meanwhile is stored before it settles. */
  async run(signal: AbortSignal): Promise<void> {
    const loaded = await this.#accepted.load();
    if (this.#first === undefined && loaded.length > 0) {
      this.#subscriptions.restore(loaded);
      this.#routes.build();
      this.#turnReady();
    }
    this.#running = true;
    for (const part of [this.#queue, this.#finalizers, this.#departures, this.#reporter]) part.start();
    if (this.#options.resources.synced) this.#listed();
    await aborted(signal);
    this.#running = false;
    for (const part of [this.#queue, this.#finalizers, this.#departures, this.#reporter]) await part.stop();
    await this.#accepted.flush();
  }

  #listed(): void {
    const { resources } = this.#options;
    this.#first = new Set();
    for (const { metadata } of resources.list("WebhookSubscription")) this.#first.add(`${metadata.namespace}/${metadata.name}`);
    for (const key of this.#first) this.#queue.add(key);
    for (const kind of ["DeliveryPolicy", "ClusterDeliveryPolicy", "DeliveryReplay"] as const) this.#reportAll(kind);
    this.#subscriptions.departMissing();
    if (this.#first.size === 0) this.#firstDone();
  }

  #looked(key: string): void {
    if (this.#first?.delete(key) === true && this.#first.size === 0) this.#firstDone();
  }

  #firstDone(): void {
    this.#routes.build();
    this.#turnReady();
    this.#departStrangers();
  }

  /** As soon as the engine knows what it owes. */
  #departStrangers(): void {
    const { deliveries, clock } = this.#options;
    if (!this.#running) return;
    if (deliveries.ready) this.#subscriptions.departStrangers();
    else clock.after(STRANGERS_AGAIN_MS, () => this.#departStrangers());
  }

  #turnReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#options.onReady?.();
  }

  /** Whether a subscription names this object now. */
  isNamed(ref: ObjectRef): boolean {
    for (const _key of this.#dependencies.ofObject(ref)) return true;
    return false;
  }

  async #reconcile(key: string): Promise<void> {
    const { metrics, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const { recheckMs, finalizerDue, ready } = await this.#subscriptions.reconcile(key);
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
    if (!this.#running) return;
    if (ref === undefined) return this.#listed();
    const { namespace, name } = ref;
    switch (ref.kind) {
      case "WebhookSubscription":
        this.#queue.add(`${namespace}/${name}`);
        return;
      case "Secret":
      case "Service":
      case "ConfigMap":
      case "ServiceAccount":
        return this.#addAll(this.#dependencies.ofObject(ref));
      case "Namespace":
        return this.#addAll(this.#dependencies.ofNamespace(name));
      case "DeliveryPolicy":
        this.#reportAll("DeliveryPolicy", namespace);
        return this.#addAll(this.#dependencies.ofNamespace(namespace));
      case "ClusterDeliveryPolicy":
        this.#reporter.report(refKey(ref), "transition");
        return this.#addAll(this.#dependencies.all());
      case "DeliveryReplay":
        this.#reporter.report(refKey(ref), "transition");
        return;
    }
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
    if (isSimpleKind(kind as ObjectKind)) return this.#reports.compose(kind as Parameters<PolicyReports["compose"]>[0], namespace, name);
    return this.#subscriptions.composeStatus(`${namespace}/${name}`);
  }

  written(key: string, status: object): void {
    const [kind = "", namespace = "", name = ""] = key.split("/");
    if (isSimpleKind(kind as ObjectKind)) this.#reports.written(kind as Parameters<PolicyReports["written"]>[0], namespace, name, status);
    else this.#subscriptions.statusWritten(`${namespace}/${name}`, status);
  }
}
