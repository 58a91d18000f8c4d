import type { WebhookSubscriptionStatus } from "../../api/generated/custom-resources.ts";
import type { RouteTable } from "../../core/route-table.ts";
import type { FailedFilter } from "../../observe/events.ts";
import { objectKey, refOfKey } from "../objects.ts";
import type { ObjectRef, SubscriptionKey } from "../objects.ts";
import type { Reconciler, ReconcilerParts } from "../reconciler.ts";
import type { DueStatus } from "../status-reporter.ts";
import { WorkQueue } from "../work-queue.ts";
import { AcceptedBook } from "./accepted-specs.ts";
import type { AcceptedSpecs } from "./accepted-specs.ts";
import { DependencyIndex } from "./dependency-index.ts";
import { drainFinalizers } from "./drain-finalizers.ts";
import { ExpressionCache } from "./expression-cache.ts";
import { FilterErrors } from "./filter-errors.ts";
import { HeardMeanwhile } from "./heard-meanwhile.ts";
import { KnownBook } from "./known-book.ts";
import { Leavers } from "./leavers.ts";
import { Readiness } from "./readiness.ts";
import { signingSecretAdoptions } from "./signing-secret-adoptions.ts";
import { ReadyGauge } from "./ready-gauge.ts";
import { RouteBook } from "./route-book.ts";
import { restoredRoute } from "./route-of.ts";
import type { SubscriptionParts } from "./subscription-parts.ts";
import { SubscriptionStatuses } from "./subscription-statuses.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Looked } from "./subscriptions.ts";

export interface SubscriptionReconcilerParts extends ReconcilerParts, Pick<SubscriptionParts, "className" | "systemNamespace"> {
  readonly acceptedSpecs: AcceptedSpecs;
  /** Called with each new table. */
  readonly onTable: (table: RouteTable) => void;
  /** Called once, when the table may be believed. */
  readonly onReady?: () => void;
}

/**
 * WebhookSubscriptions: gather, check, apply. One is looked at, in its namespace's turn, whenever it or something that it names has changed.
 */
export class SubscriptionReconciler implements Reconciler<"WebhookSubscription"> {
  readonly kind = "WebhookSubscription";
  readonly readiness: Readiness;
  readonly #parts: SubscriptionParts;
  readonly #leavers: Leavers;
  readonly #subscriptions: Subscriptions;
  readonly #statuses: SubscriptionStatuses;
  readonly #finalizers: WorkQueue<SubscriptionKey>;
  readonly #adoptions: WorkQueue<SubscriptionKey>;
  readonly #filterErrors: FilterErrors;
  readonly #gauge: ReadyGauge;
  readonly #queue: WorkQueue<SubscriptionKey>;
  /** Subscriptions that may not be judged yet. */
  readonly #held = new Set<SubscriptionKey>();
  readonly #meanwhile = new HeardMeanwhile();

  constructor(given: SubscriptionReconcilerParts) {
    const { acceptedSpecs, onTable, onReady, ...shared } = given;
    const { resources, sink, clock, log, deliveries } = shared;
    const routes = new RouteBook(clock, onTable);
    this.#parts = {
      ...shared,
      routes,
      known: new KnownBook(),
      accepted: new AcceptedBook(acceptedSpecs, clock, log),
      dependencies: new DependencyIndex(),
      expressions: new ExpressionCache(),
    };
    this.#leavers = new Leavers(this.#parts);
    this.#subscriptions = new Subscriptions(this.#parts, this.#leavers);
    this.#filterErrors = new FilterErrors(resources, sink, clock);
    this.#statuses = new SubscriptionStatuses(this.#parts, this.#filterErrors);
    this.#finalizers = drainFinalizers(this.#parts);
    this.#adoptions = signingSecretAdoptions(this.#parts);
    this.#gauge = new ReadyGauge(shared.metrics);
    this.readiness = new Readiness({ resources, deliveries, clock, routes, leavers: this.#leavers, onReady });
    this.#queue = new WorkQueue({
      clock,
      namespaceOf: (key) => refOfKey(key).namespace,
      work: (key) => this.#reconcile(key),
      onFailure: (key, error) => this.#failed(key, error),
    });
  }

  /** Events match again as they did: routes from the store, blocked until their subscriptions have been judged. */
  async start(): Promise<void> {
    const { accepted, routes, expressions } = this.#parts;
    const loaded = await accepted.load();
    for (const spec of loaded) routes.set(restoredRoute(spec, expressions));
    this.readiness.begin(loaded.length > 0);
    for (const part of [this.#queue, this.#finalizers, this.#adoptions, this.#leavers]) part.start();
  }

  async stop(): Promise<void> {
    this.readiness.end();
    for (const part of [this.#queue, this.#finalizers, this.#adoptions, this.#leavers]) await part.stop();
    await this.#parts.accepted.flush();
  }

  listed(): void {
    const { resources, known } = this.#parts;
    const found: SubscriptionKey[] = [];
    for (const { metadata } of resources.list(this.kind)) {
      const key = objectKey({ kind: this.kind, namespace: metadata.namespace, name: metadata.name });
      if (resources.isListed(metadata.namespace) && known.get(key) === undefined) found.push(key);
    }
    this.readiness.expect(found);
    this.#addAll(found);
    this.#release();
    this.#leavers.departMissing();
    this.readiness.settle();
  }

  changed(ref: ObjectRef): void {
    this.#meanwhile.note(ref);
    this.#addAll(this.#parts.dependencies.of(ref));
    if (ref.kind === this.kind) this.#queue.add(objectKey({ ...ref, kind: this.kind }));
    else if (ref.kind === "Namespace") this.#namespaceChanged(ref.name);
  }

  /** Its labels, its existence, or how far its Secrets have been read. */
  #namespaceChanged(name: string): void {
    const { resources } = this.#parts;
    if (this.#held.size > 0) this.#release();
    // What is left in the store of a namespace that has gone will never be listed.
    if (resources.get("Namespace", "", name) === undefined && resources.isListed(name)) this.#leavers.departMissing();
  }

  healthChanged(uid: string, kind: "transition" | "counters"): void {
    this.#leavers.poke(uid);
    const key = this.#parts.known.keyOf(uid);
    if (key !== undefined) this.#parts.reporter.report(key, kind);
  }

  /** Whether a subscription names this object now. */
  isNamed(ref: ObjectRef): boolean {
    for (const _key of this.#parts.dependencies.of(ref)) return true;
    return false;
  }

  /** A filter could not be evaluated for an event. */
  filterFailed(failed: FailedFilter, message: string): void {
    const key = this.#filterErrors.failed(failed, message);
    if (key !== undefined) this.#parts.reporter.report(key, "counters");
  }

  compose(key: SubscriptionKey): DueStatus | undefined {
    return this.#statuses.compose(key);
  }

  written(key: SubscriptionKey, status: WebhookSubscriptionStatus): void {
    this.#statuses.written(key, status);
  }

  /**
   * Whether a verdict may be given. A policy or a namespace's labels that were not listed yet are not missing: who judged without them would let a
   * subscription out of its fence, and forget for good the spec that was inside. Nor may one be judged that is told before its namespace is.
   */
  #mayJudge(key: SubscriptionKey): boolean {
    const { resources, systemNamespace } = this.#parts;
    const { namespace, name } = refOfKey(key);
    if (!resources.isListed(namespace)) return false;
    if (resources.get(this.kind, namespace, name) === undefined) return true;
    return resources.knowsNamespace(namespace) && [namespace, systemNamespace].every((one) => resources.secretsOf(one) !== "pending");
  }

  #release(): void {
    for (const key of this.#held) {
      if (!this.#mayJudge(key)) continue;
      this.#held.delete(key);
      this.#queue.add(key);
    }
  }

  #addAll(keys: Iterable<SubscriptionKey>): void {
    for (const key of keys) this.#queue.add(key);
  }

  async #reconcile(key: SubscriptionKey): Promise<void> {
    const { metrics, clock, reporter, resources } = this.#parts;
    if (!this.#mayJudge(key)) {
      this.#held.add(key);
      return;
    }
    this.#held.delete(key);
    const startedMs = clock.monotonicMs();
    const { recheckMs, finalizerDue, adoptionDue, ready } = await this.#look(key);
    this.#queue.forget(key);
    if (recheckMs !== undefined) this.#queue.addAfter(key, recheckMs);
    if (finalizerDue) this.#finalizers.add(key);
    if (adoptionDue) this.#adoptions.add(key);
    if (ready === undefined) {
      reporter.forget(key);
      this.#statuses.forget(key);
    } else reporter.report(key, "transition");
    this.readiness.looked(key);
    metrics?.reconcile.inc({ result: "done" });
    metrics?.reconcileDuration.observe((clock.monotonicMs() - startedMs) / 1_000);
    const { namespace, name } = refOfKey(key);
    this.#gauge.show(key, ready, resources.get(this.kind, namespace, name)?.spec.events.filter !== undefined);
  }

  async #look(key: SubscriptionKey): Promise<Looked> {
    const begun = this.#meanwhile.begin();
    try {
      return await this.#subscriptions.reconcile(key);
    } finally {
      if (this.#meanwhile.end(begun).some((ref) => this.#parts.dependencies.has(ref, key))) this.#queue.add(key);
    }
  }

  #failed(key: SubscriptionKey, error: unknown): void {
    const { metrics, log } = this.#parts;
    const { namespace, name } = refOfKey(key);
    metrics?.reconcile.inc({ result: "error" });
    log.error({ err: error, subscription: `${namespace}/${name}` }, "a subscription could not be reconciled: retrying");
    this.readiness.looked(key);
  }
}
