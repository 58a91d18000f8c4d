import { FAILURE_REASONS } from "../core/delivery.ts";
import type { AttemptPhases } from "../core/outcome.ts";
import type { SubscriptionName } from "../core/subscription.ts";
import { CLOSED_FOR, type DoorWatch, HANDSHAKE_RESULTS } from "../lib/door/door.ts";
import {
  ANSWER_BUCKETS,
  ATTEMPT_BUCKETS,
  COMMIT_BUCKETS,
  DISPATCH_BUCKETS,
  LATENCY_BUCKETS,
  PHASE_BUCKETS,
  RECONCILE_BUCKETS,
} from "./buckets.ts";
import type { PageForm } from "./exposition.ts";
import { totalsOf } from "./fleet-totals.ts";
import { type Described, MetricMaker } from "./metric-maker.ts";
import { type QueueSeen, RECEIVER_KINDS } from "./queue-seen.ts";
import { ENDS, OUTCOMES, SubscriptionSeries, type PerSubscriptionMetrics } from "./subscription-series.ts";

const RECONCILE_RESULTS = ["done", "error"] as const;
const STATUS_WRITE_RESULTS = ["done", "conflict", "gone", "failed"] as const;
const EVENT_RESULTS = ["written", "dropped", "failed"] as const;
const ACCESS_RESULTS = ["allowed", "denied", "unanswered"] as const;
const SERVERS = ["ingest", "api", "metrics"] as const;
/** Why somebody without a token was turned away before he had shown one. */
const STRANGER_REFUSALS = ["room", "late", "no_token"] as const;

/** Answers of the ingest that alerts look at: a count that is first seen as 1 has not increased. */
const ALERTED_CODES = ["202", "400", "401", "403", "413", "422", "429", "500", "503", "507"] as const;

/** Refusals that are a producer's trouble: shown for each namespace before the first. */
const ALERTED_REFUSALS = ["unauthenticated", "forbidden", "event_too_large", "type_unknown", "rate_limited", "quota_exceeded"] as const;

/** Parts of an attempt. */
const PHASES = ["dns", "connect", "tls", "first_byte"] as const;
type Phase = (typeof PHASES)[number];

/** A port of ours. */
export type ServerName = (typeof SERVERS)[number];
export type StrangerRefusal = (typeof STRANGER_REFUSALS)[number];

/** The delivery that an exemplar names. */
export interface TimedDelivery {
  readonly namespace: string;
  readonly deliveryId: number;
  readonly traceId: string | undefined;
}

/** What a namespace holds, and may hold where that is known. */
export interface NamespaceStorage {
  readonly namespace: string;
  readonly bytes: number;
  readonly limitBytes: number | undefined;
}

/**
 * Every metric of Postrider on two pages: `/metrics`, whose length does not depend on how many subscriptions there are, and what there is of each of
 * them. Names and labels are an API: docs/metrics.md lists them. Labels are bounded.
 */
export class Metrics {
  readonly #make = new MetricMaker();
  /** What is shown per subscription, on a page of its own. */
  readonly perSubscription: SubscriptionSeries;
  #queues: () => Iterable<QueueSeen> = () => [];
  #exemplarOf: (timed: TimedDelivery) => Readonly<Record<string, string>> = () => ({});
  #storage: () => Iterable<NamespaceStorage> = () => [];
  #silentSeconds: () => Iterable<readonly [kind: string, seconds: number]> = () => [];
  /** Events accepted by namespace at the last look. */
  #acceptedBefore: ReadonlyMap<string, number> = new Map();

  readonly ingestRequests = this.#make.tally("ingest_requests_total", "Requests on the ingest port by HTTP status code.", ["code"]);
  readonly ingestRefused = this.#make.tally("ingest_refused_total", "Refused requests by the code of the problem.", ["namespace", "code"]);
  readonly ingestDuration = this.#make.timings({
    name: "ingest_request_duration_seconds",
    help: "Time from the request's first byte to its answer, in seconds.",
    labelNames: [],
    buckets: ANSWER_BUCKETS,
  });
  readonly resultPollsOpen = this.#make.gauge("result_polls_open", "Requests that are waiting for a result.", []);
  readonly connectionsOpen = this.#make.gauge("connections_open", "Open connections, by server.", ["server"]);
  readonly connectionsClosed = this.#make.counter(
    "connections_closed_total",
    "Connections closed to stay within bounds, by server and reason.",
    ["server", "reason"],
  );
  readonly tlsHandshakes = this.#make.counter("tls_handshakes_total", "TLS handshakes, by listener and result.", ["listener", "result"]);
  readonly tlsNotBefore = this.#make.gauge(
    "tls_certificate_not_before_seconds",
    "When the certificate that a listener serves becomes valid, in seconds since 1970.",
    ["listener"],
  );
  readonly tlsNotAfter = this.#make.gauge(
    "tls_certificate_not_after_seconds",
    "When the certificate that a listener serves expires, in seconds since 1970.",
    ["listener"],
  );
  readonly tlsRejected = this.#make.gauge(
    "tls_certificate_rejected",
    "1 while a listener's files contain no certificate that can be used; the previous one stays in force.",
    ["listener"],
  );
  readonly strangersRefused = this.#make.counter(
    "ingest_strangers_refused_total",
    "Requests refused before the token in their body had arrived, by reason.",
    ["reason"],
  );
  readonly eventsAccepted = this.#make.tally("events_accepted_total", "Events stored durably and answered 2xx (duplicates not counted).", [
    "namespace",
  ]);
  readonly eventsDuplicate = this.#make.tally(
    "events_duplicate_total",
    "Events answered from an earlier acceptance: their idempotency key was known.",
    ["namespace"],
  );
  readonly eventsUnmatched = this.#make.counter("events_unmatched_total", "Accepted events that no subscription wanted.", ["namespace"]);
  readonly idempotencyConflicts = this.#make.counter(
    "idempotency_conflicts_total",
    "Requests refused with 409 because their producer had already used the idempotency key for other content.",
    ["namespace"],
  );
  readonly attempts = this.#make.tally("attempts_total", "HTTP attempts of all subscriptions, by outcome.", ["outcome"]);
  readonly attemptDuration = this.#make.timings<TimedDelivery>(
    {
      name: "attempt_duration_seconds",
      help: "Duration of one attempt, over all subscriptions, in seconds.",
      labelNames: [],
      buckets: ATTEMPT_BUCKETS,
    },
    (timed) => this.#exemplarOf(timed),
  );
  readonly attemptPhase = this.#make.timings({
    name: "attempt_phase_seconds",
    help: "Time that parts of an attempt took, in seconds.",
    labelNames: ["phase"],
    buckets: PHASE_BUCKETS,
  });
  readonly dispatchDelay = this.#make.timings({
    name: "dispatch_delay_seconds",
    help: "Time from when a delivery was due and its subscription free to send until its attempt begins, in seconds.",
    labelNames: ["kind", "receiver"],
    buckets: DISPATCH_BUCKETS,
  });
  readonly deliveriesEnded = this.#make.tally(
    "deliveries_ended_total",
    "Deliveries that ended, by outcome; dead letters are not counted.",
    ["namespace", "outcome"],
  );
  readonly deliveriesFailed = this.#make.tally("deliveries_failed_total", "Deliveries and dead letters that failed for good, by reason.", [
    "reason",
  ]);
  readonly deliveryLatency = this.#make.timings({
    name: "delivery_latency_seconds",
    help: "Time from acceptance to the receiver's success, in seconds.",
    labelNames: ["namespace"],
    buckets: LATENCY_BUCKETS,
  });
  readonly tests = this.#make.counter("tests_total", "Test events sent through the API, by outcome.", ["namespace", "outcome"]);
  readonly #deadLetters = this.#make.gauge(
    "dead_letters_unsent",
    "Failed deliveries in the store that were neither delivered later nor forwarded.",
    [],
  );
  readonly storeCommitDuration = this.#make.histogram({
    name: "store_commit_duration_seconds",
    help: "Duration of one group commit, fsync included, in seconds.",
    labelNames: [],
    buckets: COMMIT_BUCKETS,
  });
  readonly storeSize = this.#make.gauge("store_size_bytes", "Size of the store's files, in bytes.", []);
  readonly storeFree = this.#make.gauge("store_free_bytes", "Free space of the store's file system, in bytes.", []);
  readonly storeCapacity = this.#make.gauge(
    "store_capacity_bytes",
    "Size of the store's file system, or what the store may use of it where that is less, in bytes.",
    [],
  );
  readonly storeWritable = this.#make.gauge(
    "store_writable",
    "0 while the store takes no events: its disk is full, or does not answer.",
    [],
  );
  readonly storeLog = this.#make.gauge("store_log_bytes", "Size of the store's write-ahead log, in bytes; part of its size.", []);
  readonly storeFreeMin = this.#make.gauge("store_free_min_bytes", "Free space below which events are refused with 507, in bytes.", []);
  readonly storeNamespaceBytes = this.#make.gauge("store_namespace_bytes", "Storage that a namespace uses in the store, in bytes.", [
    "namespace",
  ]);
  readonly storeNamespaceLimit = this.#make.gauge(
    "store_namespace_limit_bytes",
    "Storage limit of a namespace that uses some; beyond it its events are refused with 429, in bytes.",
    ["namespace"],
  );
  readonly storeOldestWrite = this.#make.gauge(
    "store_oldest_write_seconds",
    "Age of the oldest write that has no answer yet, in seconds.",
    [],
  );
  readonly eventLoopLag = this.#make.gauge(
    "event_loop_lag_seconds",
    "99th percentile of the event loop's delay over the last 10 s, in seconds.",
    [],
  );
  readonly loopStalls = this.#make.counter(
    "loop_stalls_total",
    "Times the event loop stood still for a quarter of a second or longer.",
    [],
  );
  readonly manifestsRefused = this.#make.gauge(
    "manifests_refused",
    "Manifests in files that are rejected now, and files that cannot be read; their last good state stays in force.",
    [],
  );
  readonly classHeld = this.#make.gauge("class_held", "1 while this installation serves its class; with files always.", []);
  readonly loopStalledSeconds = this.#make.counter(
    "loop_stalled_seconds_total",
    "How long the event loop stood still in all, in seconds.",
    [],
  );
  readonly loopStallMax = this.#make.gauge(
    "loop_stall_max_seconds",
    "Longest time the event loop stood still in the last 5 to 10 minutes, in seconds (0: never a quarter of a second).",
    [],
  );
  readonly inFlight = this.#make.gauge("attempts_in_flight", "Attempts in flight.", []);
  readonly inFlightLimit = this.#make.gauge(
    "attempts_in_flight_limit",
    "Most attempts in flight at once; one namespace may hold half.",
    [],
  );
  readonly #inFlightOf = this.#make.gauge("namespace_attempts_in_flight", "Attempts in flight of a namespace that has some.", [
    "namespace",
  ]);
  readonly #queueDeliveries = this.#make.gauge("queue_deliveries", "Deliveries accepted and not ended, by what they wait for.", ["state"]);
  readonly #oldestDueAge = this.#make.gauge(
    "oldest_due_age_seconds",
    "How long the oldest delivery has been due whose subscription is free to send, in seconds.",
    [],
  );
  readonly #oldestPendingAge = this.#make.gauge(
    "oldest_pending_age_max_seconds",
    "Age of the oldest delivery that has not ended, in seconds.",
    [],
  );
  readonly #subscriptions = this.#make.gauge("subscriptions", "Subscriptions by state; each is in one.", ["state"]);
  readonly #held = this.#make.gauge("subscriptions_held", "Subscriptions that send nothing now, by reason.", ["reason"]);
  readonly #late = this.#make.gauge("subscriptions_late", "Subscriptions whose oldest delivery has been pending for more than 300 s.", []);
  readonly forgottenRows = this.#make.counter(
    "forgotten_rows_total",
    "Open deliveries that were missing in memory, found in the store and sent; anything but 0 is a defect in Postrider.",
    [],
  );
  readonly reconcile = this.#make.counter("reconcile_total", "Reconciliations by result.", ["result"]);
  readonly reconcileDuration = this.#make.histogram({
    name: "reconcile_duration_seconds",
    help: "Duration of one reconciliation, in seconds.",
    labelNames: [],
    buckets: RECONCILE_BUCKETS,
  });
  readonly statusWrites = this.#make.counter("status_writes_total", "Status writes to the API server by result.", ["result"]);
  readonly watchRestarts = this.#make.counter("watch_restarts_total", "Watches restarted, by kind and reason.", ["kind", "reason"]);
  readonly watchSynced = this.#make.gauge(
    "watch_synced",
    "1 while what the API server has of a kind is read and followed; scope is a namespace, or * for all.",
    ["kind", "scope"],
  );
  readonly watchLastEvent = this.#make.gauge(
    "watch_last_event_seconds",
    "Seconds since the API server was last heard on a list or watch of a kind, of several the longest; bookmarks come once a minute.",
    ["kind"],
  );
  readonly accessChecks = this.#make.counter("access_checks_total", "Questions to the API server about our own permissions, by answer.", [
    "result",
  ]);
  readonly kubernetesEvents = this.#make.counter("kubernetes_events_total", "Kubernetes Events written, by result.", ["result"]);
  readonly starts = this.#make.counter("starts_total", "Starts since the store was made, by how the process before ended.", ["how"]);
  readonly buildInfo = this.#make.gauge("build_info", "Always 1; the labels name the build.", ["version", "node"]);

  constructor(options: { readonly version: string; readonly perSubscription?: PerSubscriptionMetrics; readonly defaults?: boolean }) {
    this.perSubscription = new SubscriptionSeries(options.perSubscription ?? "full");
    if (options.defaults ?? true) this.#make.nodeMetrics();
    this.buildInfo.set({ version: options.version, node: process.version }, 1);
    // A series that first appears with its first count shows no increase: what may be alerted on starts at 0.
    for (const result of RECONCILE_RESULTS) this.reconcile.inc({ result }, 0);
    for (const result of STATUS_WRITE_RESULTS) this.statusWrites.inc({ result }, 0);
    for (const result of ACCESS_RESULTS) this.accessChecks.inc({ result }, 0);
    for (const result of EVENT_RESULTS) this.kubernetesEvents.inc({ result }, 0);
    for (const server of SERVERS) for (const reason of CLOSED_FOR) this.connectionsClosed.inc({ server, reason }, 0);
    for (const reason of STRANGER_REFUSALS) this.strangersRefused.inc({ reason }, 0);
    for (const code of ALERTED_CODES) this.ingestRequests.show(code);
    for (const code of ALERTED_REFUSALS) this.ingestRefused.show("", code);
    for (const reason of FAILURE_REASONS) this.deliveriesFailed.show(reason);
    for (const phase of PHASES) this.attemptPhase.show(phase);
    for (const outcome of OUTCOMES) this.attempts.show(outcome);
    for (const receiver of RECEIVER_KINDS) for (const kind of ["first", "retry"]) this.dispatchDelay.show(kind, receiver);
  }

  /** The page `/metrics`. */
  async expose(form: PageForm = "text"): Promise<string> {
    this.storeNamespaceBytes.reset();
    this.storeNamespaceLimit.reset();
    for (const { namespace, bytes, limitBytes } of this.#storage()) {
      this.storeNamespaceBytes.set({ namespace }, bytes);
      if (limitBytes !== undefined) this.storeNamespaceLimit.set({ namespace }, limitBytes);
    }
    this.watchLastEvent.reset();
    for (const [kind, seconds] of this.#silentSeconds()) this.watchLastEvent.set({ kind }, seconds);
    await this.#showTotals();
    return this.#make.page(form);
  }

  /** The page `/metrics/per-subscription`, in pieces of text. */
  exposeSubscriptions(form: PageForm = "text"): Generator<string, void, undefined> {
    return this.perSubscription.page(form);
  }

  /** Names, kinds and labels of all metrics on both pages, Node's own left out. */
  async described(): Promise<readonly Described[]> {
    return [...(await this.#make.described()), ...this.perSubscription.families()];
  }

  /** Asked at each exposition for all queues that have a route. */
  readQueues(queues: () => Iterable<QueueSeen>): void {
    this.#queues = queues;
    this.perSubscription.readQueues(queues);
  }

  async #showTotals(): Promise<void> {
    const totals = await totalsOf(this.#queues(), this.perSubscription.known());
    for (const [state, count] of Object.entries(totals.subscriptions)) this.#subscriptions.set({ state }, count);
    for (const [reason, count] of Object.entries(totals.held)) this.#held.set({ reason }, count);
    for (const [state, count] of Object.entries(totals.deliveries)) this.#queueDeliveries.set({ state }, count);
    this.#late.set(totals.late);
    this.#deadLetters.set(totals.deadLetters);
    this.#oldestPendingAge.set(totals.oldestAgeSeconds);
    this.#oldestDueAge.set(totals.dueAgeSeconds);
    this.#inFlightOf.reset();
    for (const [namespace, count] of totals.inFlightOf) this.#inFlightOf.set({ namespace }, count);
  }

  /** Asked at each exposition what the exemplars of attempts are called. */
  nameExemplars(exemplarOf: (timed: TimedDelivery) => Readonly<Record<string, string>>): void {
    this.#exemplarOf = exemplarOf;
  }

  /** Asked at each exposition how long each kind has not been heard of. */
  readWatches(silentSeconds: () => Iterable<readonly [kind: string, seconds: number]>): void {
    this.#silentSeconds = silentSeconds;
  }

  /** Asked at each exposition for the namespaces that hold something: who holds nothing any more has no series. */
  readStorage(storage: () => Iterable<NamespaceStorage>): void {
    this.#storage = storage;
  }

  /** What the door of a server does, counted. */
  doorOf(server: ServerName): DoorWatch {
    return {
      open: (connections) => this.connectionsOpen.set({ server }, connections),
      closed: (reason) => this.connectionsClosed.inc({ server, reason }),
      shaken: (result) => this.tlsHandshakes.inc({ listener: server, result }),
    };
  }

  /** A server speaks TLS with this certificate; its series begin. */
  showCertificate(listener: ServerName, { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number }): void {
    this.tlsNotBefore.set({ listener }, notBeforeMs / 1_000);
    this.tlsNotAfter.set({ listener }, notAfterMs / 1_000);
    for (const result of HANDSHAKE_RESULTS) this.tlsHandshakes.inc({ listener, result }, 0);
  }

  /** A subscription is known: its counters begin at 0, so that its very first failure is an increase that an alert can see. */
  showSubscription(subscription: SubscriptionName, hasFilter: boolean): void {
    this.perSubscription.show(subscription, hasFilter);
    for (const outcome of ENDS) this.deliveriesEnded.show(subscription.namespace, outcome);
    for (const code of ALERTED_REFUSALS) this.ingestRefused.show(subscription.namespace, code);
  }

  /** Whether a namespace has, or had, a subscription or an event: others may be anybody's words. */
  knowsNamespace(namespace: string): boolean {
    return this.deliveriesEnded.has(namespace) || this.eventsAccepted.has(namespace);
  }

  /** Counts what the parts of an attempt took; a kept connection had no others than the last. */
  phasesTook({ dnsMs, connectMs, tlsMs, firstByteMs }: AttemptPhases): void {
    this.#phaseTook("dns", dnsMs);
    this.#phaseTook("connect", connectMs);
    this.#phaseTook("tls", tlsMs);
    this.#phaseTook("first_byte", firstByteMs);
  }

  #phaseTook(phase: Phase, ms: number | undefined): void {
    if (ms !== undefined) this.attemptPhase.observe(ms / 1_000, phase);
  }

  /** Forgets a subscription's series, so that deleted ones do not stay for ever. */
  forgetSubscription(subscription: SubscriptionName): void {
    this.perSubscription.forget(subscription);
  }

  /**
   * Forgets the series of namespaces without a subscription for which nothing has been accepted since the last call: namespaces come and go, their
   * series would stay for ever.
   */
  async forgetNamespaces(inUse: ReadonlySet<string>): Promise<void> {
    const accepted = await this.#make.registry.getSingleMetric("postrider_events_accepted_total")?.get();
    const counts = new Map((accepted?.values ?? []).map(({ labels, value }) => [String(labels["namespace"] ?? ""), value]));
    for (const [namespace, count] of counts) {
      if (inUse.has(namespace) || this.#acceptedBefore.get(namespace) !== count) continue;
      counts.delete(namespace);
      this.eventsUnmatched.remove({ namespace });
      this.idempotencyConflicts.remove({ namespace });
      for (const tally of [this.eventsAccepted, this.eventsDuplicate, this.deliveriesEnded, this.ingestRefused])
        this.#make.forget(tally, [namespace]);
    }
    this.#acceptedBefore = counts;
    for (const namespace of this.deliveryLatency.firsts()) if (!inUse.has(namespace)) this.deliveryLatency.forget(namespace);
  }
}
