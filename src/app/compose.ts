import { mkdirSync } from "node:fs";
import type { ApiServer } from "../admin/api-server.ts";
import type { Operator, SubscriptionCounters } from "../cli/operator.ts";
import type { Config } from "../config/config.ts";
import { Controller } from "../controller/controller.ts";
import type { Resources } from "../controller/objects.ts";
import type { DeliveryNames } from "../core/delivery-name.ts";
import type { RecordKept } from "../core/storage-share.ts";
import { RouteTable } from "../core/route-table.ts";
import { HttpAttempter } from "../attempt/http-attempter.ts";
import { Engine } from "../delivery/engine.ts";
import { PayloadBook } from "../delivery/flight/payload-book.ts";
import { DnsResolver } from "../attempt/connect/resolver.ts";
import { StoreWatch } from "../ingest/store-watch.ts";
import { buildIngest } from "../ingest/ingest.ts";
import { StorageQuota } from "../ingest/storage-quota.ts";
import { NameBook } from "../ingest/name-book.ts";
import type { IngestServer } from "../ingest/ingest-server.ts";
import { clockText } from "../core/clock-frame.ts";
import type { Clock, ClockFrame, SystemClock } from "../lib/clock.ts";
import type { ListenAddress } from "../lib/listen.ts";
import { type Random, uuidv7 } from "../lib/random.ts";
import { BusinessEvents } from "../observe/events.ts";
import { HealthServer } from "../observe/health-server.ts";
import type { Log } from "../observe/log.ts";
import { Metrics, type ServerName } from "../observe/metrics.ts";
import { MemoryStore } from "../store/memory/memory-store.ts";
import { SqliteStore } from "../store/sqlite/sqlite-store.ts";
import { CLOCK_KEY, type Store } from "../store/store.ts";
import { acceptedSpecsIn } from "./accepted-specs.ts";
import { type Authenticators, buildAuthenticators } from "./authenticators.ts";
import { buildApi } from "./build-api.ts";
import { Certificates } from "./certificates.ts";
import { keptDeliveryNames } from "./delivery-name-key.ts";
import { manifestSource, type ManifestSource, type Provider } from "./manifest-source.ts";
import { readinessChecks } from "./readiness.ts";
import { RetentionSweep, type Tidied } from "./retention-sweep.ts";
import { shutDown } from "./shut-down.ts";
import { StartsBook } from "./starts-book.ts";
import { Supervisor } from "./supervise.ts";
import { VERSION } from "./version.ts";
import { WallClockWatch } from "./wall-clock-watch.ts";

export interface ComposeParts {
  readonly clock: SystemClock;
  readonly random: Random;
  readonly log: Log;
  /** Tests put their own store in. */
  readonly store?: Store;
  /** The store cannot go on: the process must end and open it anew. */
  readonly onFatal: (error: Error) => void;
  /** Ends the process at once, whatever its threads do. */
  readonly kill: () => void;
}

/** The ingest, once it closes, answers what is under way within so long, ms. */
const INGEST_CLOSES_MS = 1_500;

/** Statuses that are being written when the class is lost may take so long, ms. */
const DESKS_CLOSE_MS = 500;
/** The class is somebody else's: whoever starts this process again finds it waiting. */
const EXIT_CLASS_LOST = 69;

/** Everything that a running operator is made of, named once. */
interface Rooms extends Pick<ManifestSource, "provider" | "gate" | "lease" | "onJudged"> {
  readonly store: Store;
  readonly starts: StartsBook;
  readonly authenticators: Authenticators;
  readonly engine: Engine;
  readonly attempter: HttpAttempter;
  readonly controller: Controller;
  readonly ingest: IngestServer;
  readonly api: ApiServer;
  readonly health: HealthServer;
  readonly certificates: Certificates;
  readonly storeWatch: StoreWatch;
  readonly tidied: readonly Tidied[];
  /** How long nobody ran before this start, ms. */
  readonly awayMs: number;
}

/**
 * Builds every concrete part once and starts them: the store first, the ingest last; app/shut-down.ts stops them. Rejects when something cannot be opened (a store in use, a port that is taken).
 */
export async function startOperator(config: Config, parts: ComposeParts): Promise<Operator> {
  const { clock, log } = parts;
  const metrics = new Metrics({ version: VERSION, perSubscription: config["per-subscription-metrics"] });
  const certificates = await Certificates.read(config, { clock, log, metrics });
  const owner = uuidv7(clock.trueMs());
  const store = parts.store ?? storeOf(config);
  const report = await store.open({
    owner,
    nowMs: clock.trueMs(),
    idempotencyTtlMs: config["idempotency-ttl"],
    onCommit: (seconds) => metrics.storeCommitDuration.observe(seconds),
    onFatal: parts.onFatal,
  });
  clock.begin(report.clock);
  for (const warning of report.warnings) log.warn({ event: "store.warning" }, warning);
  log.info({ event: "store.opened", pending: report.pending, interrupted: report.interrupted }, "store opened");
  try {
    const deliveryNames = await keptDeliveryNames(store, parts.random, log);
    const starts = new StartsBook(store, log);
    await starts.begin(metrics);
    const rooms = await build(config, parts, { store, starts, metrics, certificates, owner, awayMs: report.clock.awayMs, deliveryNames });
    return await start(rooms, parts, config);
  } catch (error) {
    await store.close();
    throw error;
  }
}

function storeOf(config: Config): Store {
  if (config.store.kind === "memory") return new MemoryStore();
  mkdirSync(config.store.directory, { recursive: true, mode: 0o700 });
  return new SqliteStore({
    directory: config.store.directory,
    reserveBytes: config["store-reserve"],
    freeBytesMin: config["store-free-min"],
    sizeMax: config["store-size-max"],
  });
}

interface Ground {
  readonly store: Store;
  readonly starts: StartsBook;
  readonly metrics: Metrics;
  readonly certificates: Certificates;
  readonly owner: string;
  /** How long nobody ran before this start, ms. */
  readonly awayMs: number;
  readonly deliveryNames: DeliveryNames;
}

async function build(config: Config, parts: ComposeParts, ground: Ground): Promise<Rooms> {
  const { store, starts, metrics, certificates, deliveryNames } = ground;
  const { clock, log } = parts;
  const events = new BusinessEvents(metrics, log, deliveryNames, config["log-success-one-in"]);
  const { provider, serviceAccounts, retainNamed, lostSight, ...guard } = await manifestSource(config, { ...parts, ...ground });
  const authenticators = await buildAuthenticators(config, { provider, clock, log });
  const attempter = attempterOf(config, parts, serviceAccounts);
  const engine = engineOf(config, parts, { ...ground, events, attempter, recordKept: (namespace) => storage.recordKept(namespace) });
  let table = RouteTable.empty;
  const { payloads, names } = await booksOf(store, log);
  const onTable = (next: RouteTable): void => {
    table = next;
    payloads.note(next);
    names.note(next);
    engine.publish(next);
  };
  const controller = controllerOf(config, parts, { provider, store, engine, metrics, onTable });
  events.onFilterFailed((failed, message) => controller.filterFailed(failed, message));
  const storeWatch = new StoreWatch({ store, metrics, clock, log });
  const storage = quotaOf({ store, metrics, storeWatch, controller });
  const { gate } = guard;
  const ready = (namespace: string): boolean => gate.closed() === undefined && controller.isReady(namespace) && engine.ready;
  const ingest = buildIngest({
    listen: listenOf(config, "ingest", certificates),
    authenticator: authenticators.ingest,
    rateLimitPerSecond: config["ingest-rate-limit"],
    tokenInQuery: config["ingest-token-in-query"],
    diskLow: () => storeWatch.low(),
    storage,
    store,
    routes: { ready, table: () => table, closed: () => gate.closed() },
    intake: engine,
    ends: engine,
    nameOf: (uid) => names.nameOf(uid),
    events,
    log,
    clock,
    isStrict: (namespace) => isStrict(provider, namespace),
    deliveriesMax: config["ingest-deliveries-max"],
    drainMs: INGEST_CLOSES_MS,
  });
  const checks = readinessChecks({ controller, engine, storeWatch, provider, certificates, gate, lostSight });
  const listen = listenOf(config, "metrics", certificates);
  const health = new HealthServer({ listen, metrics, clock, log, authorize: authenticators.metrics, ...checks });
  const api = buildApi({
    listen: listenOf(config, "api", certificates),
    authenticator: authenticators.api,
    clock,
    log,
    events,
    store,
    resources: provider,
    controller,
    engine,
    attempter,
    payloads,
    names,
    deliveryNames,
    storage,
    table: () => table,
    closed: () => gate.closed(),
    watch: metrics.doorOf("api"),
  });
  const tidied = [payloads, names, engine, namedObjects(retainNamed, controller), seriesOf(metrics, () => table)];
  const { awayMs } = ground;
  const servers = { ingest, api, health, certificates };
  return { store, starts, provider, authenticators, engine, attempter, controller, ...servers, storeWatch, ...guard, tidied, awayMs };
}

function controllerOf(
  config: Config,
  { clock, random, log }: ComposeParts,
  rooms: Pick<Rooms, "provider" | "store" | "engine"> & Pick<Ground, "metrics"> & { readonly onTable: (table: RouteTable) => void },
): Controller {
  const { provider, store, engine, metrics, onTable } = rooms;
  return new Controller({
    resources: provider,
    sink: provider,
    deliveries: engine,
    acceptedSpecs: acceptedSpecsIn(store, log),
    clock,
    random,
    log,
    metrics,
    className: config.class,
    systemNamespace: config["system-namespace"],
    onTable,
  });
}

function attempterOf(config: Config, { clock, random }: ComposeParts, serviceAccounts: ManifestSource["serviceAccounts"]): HttpAttempter {
  const resolver = new DnsResolver({ clock, ...(config["dns-server"].length > 0 ? { servers: config["dns-server"] } : {}) });
  return new HttpAttempter({ clock, random, version: VERSION, resolver, origin: config["webhook-origin"], serviceAccounts });
}

/** What is remembered of subscriptions, deleted ones too. */
async function booksOf(store: Store, log: Log): Promise<{ readonly payloads: PayloadBook; readonly names: NameBook }> {
  const [payloads, names] = [new PayloadBook(store, log), new NameBook(store, log)];
  await Promise.all([payloads.load(), names.load()]);
  return { payloads, names };
}

function isStrict(provider: Provider, namespace: string): boolean {
  return provider.get("Namespace", "", namespace)?.metadata.labels?.["postrider.dev/strict"] === "true";
}

/** What namespaces hold and may hold; shown where metrics are read. */
function quotaOf({ store, metrics, storeWatch, controller }: Pick<Rooms, "store" | "storeWatch" | "controller"> & Pick<Ground, "metrics">) {
  const quota = new StorageQuota({
    usage: () => store.usage(),
    roomBytes: () => storeWatch.roomBytes(),
    limitOf: (namespace) => controller.storageLimit(namespace),
  });
  metrics.readStorage(() => quota.held());
  return quota;
}

/** Where to listen, with the flag that a message names when the address cannot be had, and with which certificate. */
function listenOf(config: Config, port: ServerName, certificates: Certificates): ListenAddress {
  return { ...config[`${port}-listen`], flag: `--${port}-listen`, identity: certificates.sourceOf(port) };
}

/** Objects that were read because somebody named them. */
function namedObjects(retainNamed: ManifestSource["retainNamed"], controller: Controller): Tidied {
  return { tidy: async () => retainNamed?.((ref) => controller.isNamed(ref)) };
}

/** Series of namespaces that have gone. */
function seriesOf(metrics: Metrics, table: () => RouteTable): Tidied {
  return { tidy: () => metrics.forgetNamespaces(new Set(Array.from(table().routes(), ({ subscription }) => subscription.namespace))) };
}

interface EngineGround extends Ground {
  readonly recordKept: (namespace: string) => RecordKept;
  readonly events: BusinessEvents;
  readonly attempter: HttpAttempter;
}

function engineOf(
  config: Config,
  { clock, random, log }: ComposeParts,
  { store, metrics, owner, awayMs, events, attempter, recordKept, deliveryNames }: EngineGround,
): Engine {
  return new Engine({
    store,
    attempter,
    asker: attempter,
    clock,
    random,
    events,
    deliveryNames,
    metrics,
    log,
    owner,
    slotsMax: config["max-in-flight"],
    graceMs: config["drain-timeout"],
    awayMs,
    recordKept,
  });
}

async function start(rooms: Rooms, parts: ComposeParts, config: Config): Promise<Operator> {
  const { store, provider, engine, controller, ingest, api, health, certificates, storeWatch, lease } = rooms;
  const supervisor = new Supervisor(parts.clock, parts.log);
  await storeWatch.look();
  const urls = { metrics: await health.open(), api: await api.open(), ingest: await ingest.open() };
  const { clock, log } = parts;
  for (const service of [
    new WallClockWatch(clock, log, keepClock(store, log)),
    new RetentionSweep(store, clock, log, { awayMs: rooms.awayMs, others: rooms.tidied }),
    health,
    certificates,
    storeWatch,
    api,
    ingest,
    ...(lease === undefined ? [] : [lease]),
  ])
    supervisor.start(service);
  let isLost = false;
  rooms.gate.open({
    serve: () => [engine, provider, controller].forEach((service) => supervisor.start(service)),
    judge: () => rooms.onJudged(),
    lost: () => {
      isLost = true;
      // At once: another installation writes statuses now.
      const desks = [controller, provider, ...(lease === undefined ? [] : [lease])];
      void supervisor.stop(DESKS_CLOSE_MS, desks).then(() => stop());
    },
  });
  // With files everything is there at once; with a cluster the API server may be away, and the ready line must not wait for it.
  if (config.provider === "file") await settled(parts.clock, () => controller.ready && engine.ready);
  let finish = (_code: number): void => {};
  const finished = new Promise<number>((resolve) => (finish = resolve));
  let stopping = false;
  function stop(): void {
    if (stopping) return;
    stopping = true;
    const stoppable = { ...rooms, store: closingInOrder(rooms), desks: [controller, provider] };
    const shut = shutDown(stoppable, { supervisor, clock, log, drainMs: config["drain-timeout"], kill: parts.kill });
    void shut.then((code) => finish(isLost ? EXIT_CLASS_LOST : code));
  }
  return {
    urls,
    finished,
    stop,
    isStuck: () => storeWatch.isWaiting(),
    counters: async () => countersOf(store, provider),
  };
}

/** The last thing that is written says that the process ended in order. */
function closingInOrder({ store, starts }: Pick<Rooms, "store" | "starts">): { close(): Promise<void> } {
  return {
    close: async () => {
      await starts.end();
      await store.close();
    },
  };
}

/** The next start goes on from there (BootReport.clock). Lost, the time since counts as time in which nobody ran. */
function keepClock(store: Store, log: Log): (frame: ClockFrame) => void {
  return (frame) => {
    store.setClock(frame);
    store
      .putState([{ kind: "meta", key: CLOCK_KEY, value: clockText(frame) }])
      .catch((error: unknown) => log.warn({ err: error }, "the clock could not be stored for the next start: retrying"));
  };
}

const READY_WITHIN_MS = 10_000;
const READY_POLL_MS = 5;

/** Waits for the first table; a table that does not come is told by /readyz, not by a start that never ends. */
async function settled(clock: Clock, done: () => boolean): Promise<void> {
  const untilMs = clock.monotonicMs() + READY_WITHIN_MS;
  while (!done() && clock.monotonicMs() < untilMs) {
    await new Promise<void>((resolve) => {
      clock.after(READY_POLL_MS, resolve);
    });
  }
}

async function countersOf(store: Store, provider: Resources): Promise<readonly SubscriptionCounters[]> {
  const queues = new Map((await store.queues()).map((queue) => [queue.subscription, queue]));
  return [...provider.list("WebhookSubscription")].map(({ metadata }) => {
    const queue = queues.get(metadata.uid ?? "");
    return {
      subscription: `${metadata.namespace}/${metadata.name}`,
      accepted: queue?.counters.accepted ?? 0,
      delivered: queue?.counters.delivered ?? 0,
      retried: queue?.counters.retried ?? 0,
      failed: queue?.counters.failed ?? 0,
      pending: queue?.pending ?? 0,
    };
  });
}
