import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics, type Metric } from "prom-client";
import { CLOSED_FOR, type DoorWatch, HANDSHAKE_RESULTS } from "../lib/door/door.ts";
import { Tally } from "./tally.ts";
import { Timings } from "./timings.ts";

/** How much is shown per subscription: clusters with tens of thousands of them turn it down. */
export type PerSubscriptionMetrics = "full" | "counters" | "off";

const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600];
const SUBSCRIPTION = ["namespace", "subscription"] as const;
const DELIVERY_OUTCOMES = ["delivered", "failed", "discarded"] as const;
const RECONCILE_RESULTS = ["done", "error"] as const;
const STATUS_WRITE_RESULTS = ["done", "conflict", "gone", "failed"] as const;
const EVENT_RESULTS = ["written", "dropped", "failed"] as const;
const ACCESS_RESULTS = ["allowed", "denied", "unanswered"] as const;
const SERVERS = ["ingest", "api", "metrics"] as const;
/** Why somebody without a token was turned away before he had shown one. */
const STRANGER_REFUSALS = ["room", "late", "no_token"] as const;

/** A port of ours. */
export type ServerName = (typeof SERVERS)[number];
export type StrangerRefusal = (typeof STRANGER_REFUSALS)[number];

/** What a namespace holds, and may hold where that is known. */
export interface NamespaceStorage {
  readonly namespace: string;
  readonly bytes: number;
  readonly limitBytes: number | undefined;
}

/**
 * Every metric of Postrider (prefix `postrider_`), and the only place that knows prom-client. Names and labels are an API:
 * docs/metrics.md lists them. Labels are bounded: namespace, subscription, outcome, code.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #tallies: { readonly tally: Tally; readonly remove: (values: readonly string[]) => void }[] = [];
  readonly perSubscription: PerSubscriptionMetrics;
  #storage: () => Iterable<NamespaceStorage> = () => [];
  #silentSeconds: () => Iterable<readonly [kind: string, seconds: number]> = () => [];
  /** Events accepted by namespace at the last look. */
  #acceptedBefore: ReadonlyMap<string, number> = new Map();

  readonly ingestRequests = this.#tally("ingest_requests_total", "Requests on the ingest port by HTTP status code.", ["code"]);
  readonly ingestDuration = this.#timings(
    "ingest_request_duration_seconds",
    "Time from the request's first byte to its answer, in seconds.",
    [],
  );
  readonly resultPollsOpen = this.#gauge("result_polls_open", "Requests that are waiting for a result.", []);
  readonly connectionsOpen = this.#gauge("connections_open", "Open connections, by server.", ["server"]);
  readonly connectionsClosed = this.#counter(
    "connections_closed_total",
    "Connections closed to stay within bounds, by server and reason.",
    ["server", "reason"],
  );
  readonly tlsHandshakes = this.#counter("tls_handshakes_total", "TLS handshakes, by listener and result.", ["listener", "result"]);
  readonly tlsNotBefore = this.#gauge(
    "tls_certificate_not_before_seconds",
    "When the certificate that a listener serves becomes valid, in seconds since 1970.",
    ["listener"],
  );
  readonly tlsNotAfter = this.#gauge(
    "tls_certificate_not_after_seconds",
    "When the certificate that a listener serves expires, in seconds since 1970.",
    ["listener"],
  );
  readonly tlsRejected = this.#gauge(
    "tls_certificate_rejected",
    "1 while a listener's files contain no certificate that can be used; the previous one stays in force.",
    ["listener"],
  );
  readonly strangersRefused = this.#counter(
    "ingest_strangers_refused_total",
    "Requests refused before the token in their body had arrived, by reason.",
    ["reason"],
  );
  readonly eventsAccepted = this.#tally("events_accepted_total", "Events stored durably and answered 2xx (duplicates not counted).", [
    "namespace",
  ]);
  readonly eventsUnmatched = this.#counter("events_unmatched_total", "Accepted events that no subscription wanted.", ["namespace"]);
  readonly idempotencyConflicts = this.#counter(
    "idempotency_conflicts_total",
    "Requests refused with 409 because their producer had already used the idempotency key for other content.",
    ["namespace"],
  );
  readonly filterErrors = this.#counter("filter_errors_total", "Filters that failed for an event (counted as no match).", SUBSCRIPTION);
  readonly attempts = this.#tally("delivery_attempts_total", "HTTP attempts by outcome.", [...SUBSCRIPTION, "outcome"]);
  readonly tests = this.#counter("tests_total", "Test events sent through the API, by outcome.", ["namespace", "outcome"]);
  readonly attemptDuration = this.#timings("delivery_attempt_duration_seconds", "Duration of one attempt, in seconds.", SUBSCRIPTION);
  readonly deliveries = this.#tally("deliveries_total", "Deliveries that ended, by outcome.", [...SUBSCRIPTION, "outcome"]);
  readonly deliveryLatency = this.#timings("delivery_latency_seconds", "Time from acceptance to the receiver's success, in seconds.", [
    "namespace",
  ]);
  readonly pending = this.#gauge("deliveries_pending", "Deliveries accepted and not yet ended.", SUBSCRIPTION);
  readonly oldestPendingAge = this.#gauge(
    "oldest_pending_age_seconds",
    "Age of the oldest delivery that has not ended, in seconds.",
    SUBSCRIPTION,
  );
  readonly circuitOpen = this.#gauge("circuit_open", "1 while the circuit breaker holds deliveries back.", SUBSCRIPTION);
  readonly subscriptionReady = this.#gauge("subscription_ready", "1 when the subscription's Ready condition is True.", SUBSCRIPTION);
  readonly storeCommitDuration = this.#histogram(
    "store_commit_duration_seconds",
    "Duration of one group commit, fsync included, in seconds.",
    [],
  );
  readonly storeSize = this.#gauge("store_size_bytes", "Size of the store's files, in bytes.", []);
  readonly storeFree = this.#gauge("store_free_bytes", "Free space of the store's file system, in bytes.", []);
  readonly storeLog = this.#gauge("store_log_bytes", "Size of the store's write-ahead log, in bytes; part of its size.", []);
  readonly storeFreeMin = this.#gauge("store_free_min_bytes", "Free space below which events are refused with 507, in bytes.", []);
  readonly storeNamespaceBytes = this.#gauge("store_namespace_bytes", "Storage that a namespace uses in the store, in bytes.", [
    "namespace",
  ]);
  readonly storeNamespaceLimit = this.#gauge(
    "store_namespace_limit_bytes",
    "Storage limit of a namespace that uses some; beyond it its events are refused with 429, in bytes.",
    ["namespace"],
  );
  readonly storeOldestWrite = this.#gauge("store_oldest_write_seconds", "Age of the oldest write that has no answer yet, in seconds.", []);
  readonly eventLoopLag = this.#gauge(
    "event_loop_lag_seconds",
    "99th percentile of the event loop's delay over the last 10 s, in seconds.",
    [],
  );
  readonly loopStalls = this.#counter("loop_stalls_total", "Times the event loop stood still for a quarter of a second or longer.", []);
  readonly manifestsRefused = this.#gauge(
    "manifests_refused",
    "Manifests in files that are rejected now, and files that cannot be read; their last good state stays in force.",
    [],
  );
  readonly classHeld = this.#gauge("class_held", "1 while this installation serves its class; with files always.", []);
  readonly loopStallMax = this.#gauge(
    "loop_stall_max_seconds",
    "Longest time the event loop stood still in the last 5 to 10 minutes, in seconds (0: never a quarter of a second).",
    [],
  );
  readonly inFlight = this.#gauge("attempts_in_flight", "Attempts in flight.", []);
  readonly forgottenRows = this.#counter(
    "forgotten_rows_total",
    "Open deliveries that were missing in memory, found in the store and sent; anything but 0 is a defect in Postrider.",
    [],
  );
  readonly reconcile = this.#counter("reconcile_total", "Reconciliations by result.", ["result"]);
  readonly reconcileDuration = this.#histogram("reconcile_duration_seconds", "Duration of one reconciliation, in seconds.", []);
  readonly statusWrites = this.#counter("status_writes_total", "Status writes to the API server by result.", ["result"]);
  readonly watchRestarts = this.#counter("watch_restarts_total", "Watches restarted, by kind and reason.", ["kind", "reason"]);
  readonly watchSynced = this.#gauge(
    "watch_synced",
    "1 while what the API server has of a kind is read and followed; scope is a namespace, or * for all.",
    ["kind", "scope"],
  );
  readonly watchLastEvent = this.#gauge(
    "watch_last_event_seconds",
    "Seconds since the API server was last heard on a list or watch of a kind, of several the longest; bookmarks come once a minute.",
    ["kind"],
  );
  readonly accessChecks = this.#counter("access_checks_total", "Questions to the API server about our own permissions, by answer.", [
    "result",
  ]);
  readonly kubernetesEvents = this.#counter("kubernetes_events_total", "Kubernetes Events written, by result.", ["result"]);
  readonly buildInfo = this.#gauge("build_info", "Always 1; the labels name the build.", ["version", "node"]);

  constructor(options: { readonly version: string; readonly perSubscription?: PerSubscriptionMetrics; readonly defaults?: boolean }) {
    this.perSubscription = options.perSubscription ?? "full";
    if (options.defaults ?? true) collectDefaultMetrics({ register: this.registry });
    this.buildInfo.set({ version: options.version, node: process.version }, 1);
    // A series that first appears with its first count shows no increase: what may be alerted on starts at 0.
    for (const result of RECONCILE_RESULTS) this.reconcile.inc({ result }, 0);
    for (const result of STATUS_WRITE_RESULTS) this.statusWrites.inc({ result }, 0);
    for (const result of ACCESS_RESULTS) this.accessChecks.inc({ result }, 0);
    for (const result of EVENT_RESULTS) this.kubernetesEvents.inc({ result }, 0);
    for (const server of SERVERS) for (const reason of CLOSED_FOR) this.connectionsClosed.inc({ server, reason }, 0);
    for (const reason of STRANGER_REFUSALS) this.strangersRefused.inc({ reason }, 0);
  }

  /** The exposition text; pass it on with `contentType`. */
  expose(): Promise<string> {
    this.storeNamespaceBytes.reset();
    this.storeNamespaceLimit.reset();
    for (const { namespace, bytes, limitBytes } of this.#storage()) {
      this.storeNamespaceBytes.set({ namespace }, bytes);
      if (limitBytes !== undefined) this.storeNamespaceLimit.set({ namespace }, limitBytes);
    }
    this.watchLastEvent.reset();
    for (const [kind, seconds] of this.#silentSeconds()) this.watchLastEvent.set({ kind }, seconds);
    return this.registry.metrics();
  }

  /** Asked at each exposition how long each kind has not been heard of. */
  readWatches(silentSeconds: () => Iterable<readonly [kind: string, seconds: number]>): void {
    this.#silentSeconds = silentSeconds;
  }

  /** Asked at each exposition for the namespaces that hold something: who holds nothing any more has no series. */
  readStorage(storage: () => Iterable<NamespaceStorage>): void {
    this.#storage = storage;
  }

  get contentType(): string {
    return this.registry.contentType;
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

  /** A subscription's counters begin at 0, so that its very first failure is an increase that an alert can see. */
  showSubscription(namespace: string, subscription: string): void {
    for (const outcome of DELIVERY_OUTCOMES) this.deliveries.show(namespace, subscription, outcome);
    this.attempts.show(namespace, subscription, "success");
    this.filterErrors.inc({ namespace, subscription }, 0);
  }

  /** Forgets a subscription's series, so that deleted ones do not stay for ever. */
  forgetSubscription(namespace: string, subscription: string): void {
    const labels = { namespace, subscription };
    for (const gauge of [this.pending, this.oldestPendingAge, this.circuitOpen, this.subscriptionReady]) gauge.remove(labels);
    this.filterErrors.remove(labels);
    this.attemptDuration.forget(namespace, subscription);
    for (const { tally, remove } of this.#tallies) tally.forget([namespace, subscription], remove);
  }

  /**
   * Forgets the series of namespaces without a subscription for which nothing has been accepted since the last call: namespaces come and go, their
   * series would stay for ever.
   */
  async forgetNamespaces(inUse: ReadonlySet<string>): Promise<void> {
    const accepted = await this.registry.getSingleMetric("postrider_events_accepted_total")?.get();
    const counts = new Map((accepted?.values ?? []).map(({ labels, value }) => [String(labels["namespace"] ?? ""), value]));
    for (const [namespace, count] of counts) {
      if (inUse.has(namespace) || this.#acceptedBefore.get(namespace) !== count) continue;
      counts.delete(namespace);
      this.eventsUnmatched.remove({ namespace });
      this.idempotencyConflicts.remove({ namespace });
      for (const { tally, remove } of this.#tallies) if (tally === this.eventsAccepted) tally.forget([namespace], remove);
    }
    this.#acceptedBefore = counts;
    for (const namespace of this.deliveryLatency.firsts()) if (!inUse.has(namespace)) this.deliveryLatency.forget(namespace);
  }

  /** A counter that every event moves: prom-client hears of it only when it is read. */
  #tally(name: string, help: string, labelNames: readonly string[]): Tally {
    const tally = new Tally();
    const labelsOf = (values: readonly string[]): Record<string, string> =>
      Object.fromEntries(labelNames.map((label, i) => [label, values[i] ?? ""]));
    const counter: Counter = new Counter({
      name: `postrider_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect: () => tally.drain((values, count) => counter.inc(labelsOf(values), count)),
    });
    this.#tallies.push({ tally, remove: (values) => counter.remove(labelsOf(values)) });
    return tally;
  }

  /** A histogram that every event moves. */
  #timings(name: string, help: string, labelNames: readonly string[]): Timings {
    const timings = new Timings({ name: `postrider_${name}`, help, labelNames, buckets: LATENCY_BUCKETS });
    // The registry asks a metric for no more than its name and its values.
    this.registry.registerMetric(timings as unknown as Metric);
    return timings;
  }

  #counter<const L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name: `postrider_${name}`, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #gauge<const L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name: `postrider_${name}`, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #histogram<const L extends string>(name: string, help: string, labelNames: readonly L[]): Histogram<L> {
    return new Histogram({
      name: `postrider_${name}`,
      help,
      labelNames: [...labelNames],
      buckets: LATENCY_BUCKETS,
      registers: [this.registry],
    });
  }
}
