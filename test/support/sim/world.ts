import type { Event } from "../../../src/core/event.ts";
import type { Outcome, OutcomeClass } from "../../../src/core/outcome.ts";
import { BUILT_IN_POLICY, type Policy } from "../../../src/core/policy.ts";
import { RouteTable, type Route } from "../../../src/core/route-table.ts";
import type { AttemptDone, AttemptInput, Attempter } from "../../../src/delivery/attempter.ts";
import type { PermissionAsker } from "../../../src/delivery/attempter.ts";
import type { EngineBounds } from "../../../src/delivery/queue/bounds.ts";
import { Engine } from "../../../src/delivery/engine.ts";
import { TimerWheel } from "../../../src/lib/timer-wheel.ts";
import { latentStore, type Latency } from "./latent-store.ts";
import { seededRandom } from "./seeded-random.ts";
import type { RecordKept } from "../../../src/core/storage-share.ts";
import { StorageQuota } from "../../../src/ingest/storage-quota.ts";
import type { Intake } from "../../../src/ingest/intake.ts";
import type { Deliveries } from "../../../src/controller/deliveries.ts";
import { uuidv7 } from "../../../src/lib/random.ts";
import { BusinessEvents } from "../../../src/observe/events.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { MemoryStore, type MemoryStoreOptions } from "../../../src/store/memory/memory-store.ts";
import { StoreError, type Store } from "../../../src/store/store.ts";
import { endpointAt, routeFor, specOf, targetAt } from "../routes.ts";
import { ManualClock, settle } from "../time/manual-clock.ts";
import { testDeliveryNames } from "../delivery/test-delivery-names.ts";
import { silentLog } from "../silent-log.ts";

export function outcome(cls: OutcomeClass, fields: Partial<Outcome> = {}): Outcome {
  const statusCode = cls === "success" ? 200 : cls === "server_error" ? 500 : cls === "client_error" ? 400 : undefined;
  return {
    class: cls,
    statusCode,
    message: cls,
    connectionStatus: "ok",
    tlsStatus: "none",
    retryAfterMs: undefined,
    durationMs: 1,
    responseHeaders: [],
    responseBody: new Uint8Array(0),
    ...fields,
  };
}

export type PolicyChange = Partial<Omit<Policy, "retry">> & { readonly retry?: Partial<Policy["retry"]> };

export function policyOf(change: PolicyChange = {}): Policy {
  return { ...BUILT_IN_POLICY, ...change, retry: { ...BUILT_IN_POLICY.retry, ...change.retry } };
}

export function routeOf(
  uid: string,
  fields: {
    namespace?: string;
    policy?: PolicyChange;
    url?: string;
    suspend?: boolean;
    blocked?: boolean;
    recordIdField?: string;
    /** `ordering.key` of mode PerKey. */
    orderingKey?: string;
    deadLetterUrl?: string;
    handshake?: boolean;
  } = {},
): Route {
  const url = fields.url ?? `https://${uid}.test/`;
  const { deadLetterUrl } = fields;
  const spec = specOf(url, {
    suspend: fields.suspend ?? false,
    history: { captureResponse: true, answerInResults: false, recordIdField: fields.recordIdField },
    ordering: fields.orderingKey === undefined ? undefined : { key: fields.orderingKey },
    deadLetter: deadLetterUrl === undefined ? undefined : endpointAt(deadLetterUrl),
    verification: fields.handshake === true ? "CloudEventsHandshake" : undefined,
  });
  const deadLetter = deadLetterUrl === undefined ? undefined : targetAt(deadLetterUrl);
  return routeFor({
    uid,
    namespace: fields.namespace ?? "ns",
    name: uid,
    spec,
    policy: policyOf(fields.policy),
    blocked: fields.blocked === true ? { reason: "SecretNotFound", message: "no" } : undefined,
    target: fields.blocked === true ? undefined : { ...targetAt(url), deadLetter },
  });
}

export interface Sent {
  readonly uid: string;
  readonly eventId: string;
  readonly attempt: number;
  readonly atMs: number;
  readonly monotonicMs: number;
  readonly latencyMs: number;
}

/** A receiver: answers an outcome after a time; undefined = never (until the attempter is closed or the policy's time-out). */
export type Receiver = (input: AttemptInput, nowMs: number) => { readonly afterMs: number; readonly outcome: Outcome };

/** The network of the simulation: scripted receivers, everything sent is kept. */
export class FakeAttempter implements Attempter {
  readonly sent: Sent[] = [];
  readonly inFlight = new Map<string, number>();
  readonly inFlightMax = new Map<string, number>();
  total = 0;
  totalMax = 0;
  /** Called before anything else: invariants are checked here. */
  onSend: (input: AttemptInput) => void = () => undefined;
  readonly #clock: ManualClock;
  readonly #wheel: TimerWheel;
  readonly #receiver: Receiver;
  readonly #open = new Set<(outcome: Outcome) => void>();
  #closed = false;
  #isDead = false;

  constructor(clock: ManualClock, receiver: Receiver) {
    this.#clock = clock;
    this.#wheel = new TimerWheel(clock);
    this.#receiver = receiver;
  }

  kill(): void {
    this.#isDead = true;
    this.#open.clear();
    this.#wheel.clear();
  }

  attempt(input: AttemptInput): Promise<AttemptDone> {
    if (this.#isDead) return new Promise(() => undefined);
    const { uid, policy } = input.route.subscription;
    const startedAtMs = this.#clock.nowMs();
    const startedMs = this.#clock.monotonicMs();
    this.onSend(input);
    const { event, attempt } = input;
    this.sent.push({
      uid,
      eventId: event.id,
      attempt,
      atMs: startedAtMs,
      monotonicMs: startedMs,
      latencyMs: startedAtMs - event.receivedAtMs,
    });
    this.#bump(uid, 1);
    const answer = this.#closed ? { afterMs: 0, outcome: ABORTED } : this.#receiver(input, startedAtMs);
    return new Promise((resolve) => {
      const finish = (result: Outcome): void => {
        if (!this.#open.delete(finish)) return;
        this.#wheel.cancel(slot);
        this.#bump(uid, -1);
        const timed = { ...result, durationMs: this.#clock.monotonicMs() - startedMs };
        resolve({ outcome: timed, startedAtMs, url: "https://x/", requestHeaders: [], requestBody: undefined });
      };
      this.#open.add(finish);
      // The real wheel judges deadlines; answers come through sockets.
      const deadline = { expire: () => finish(outcome("timeout")) };
      const slot = this.#wheel.add(policy.timeoutMs, deadline);
      this.#clock.arrive(answer.afterMs, () => finish(answer.outcome));
    });
  }

  forget(): void {
    // No pools here.
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const finish of this.#open) finish(ABORTED);
  }

  #bump(uid: string, by: number): void {
    const now = (this.inFlight.get(uid) ?? 0) + by;
    this.inFlight.set(uid, now);
    this.total += by;
    this.inFlightMax.set(uid, Math.max(now, this.inFlightMax.get(uid) ?? 0));
    this.totalMax = Math.max(this.total, this.totalMax);
  }
}

const ABORTED = outcome("connect_error", { connectionStatus: "ABORTED" });

export interface WorldOptions {
  readonly receiver: Receiver;
  readonly seed?: number;
  readonly slotsMax?: number;
  readonly store?: Store;
  readonly clock?: ManualClock;
  readonly fault?: MemoryStoreOptions["fault"];
  /** Who answers handshakes; default: nobody ever. */
  readonly asker?: PermissionAsker;
  readonly bounds?: Partial<EngineBounds>;
  /** What namespaces may hold, bytes; default: nobody says. */
  readonly storageBytes?: number;
  /** How long nobody ran. */
  readonly awayMs?: number;
  /** How slow the store is; default: it answers at once. Every simulation makes it slow, see SimWorld. */
  readonly latency?: Latency;
  /** Whether the event loop is the bottleneck; default: never. */
  readonly load?: { isBusy(): boolean };
}

const NOBODY_ANSWERS: PermissionAsker = { origin: "postrider", askPermission: () => new Promise(() => undefined) };

/** Engine + memory store + virtual clock + scripted network. Also checks at compile time that the engine fits its seams. */
export class World {
  readonly clock: ManualClock;
  readonly store: Store;
  /** The same as the engine sees it: slow, and gone once it is killed. */
  readonly behind: Store;
  readonly network: FakeAttempter;
  readonly slotsMax: number;
  readonly engine: Engine & Intake & Deliveries;
  readonly metrics = new Metrics({ version: "test", defaults: false });
  table = RouteTable.empty;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #sequence = 0;
  #isDead = false;

  constructor(options: WorldOptions) {
    this.clock = options.clock ?? new ManualClock();
    this.store = options.store ?? new MemoryStore(options.fault === undefined ? {} : { fault: options.fault });
    this.behind = this.#mortal(options.latency === undefined ? this.store : latentStore(this.store, this.clock, options.latency));
    this.network = new FakeAttempter(this.clock, options.receiver);
    this.slotsMax = options.slotsMax ?? 2_048;
    const log = silentLog;
    this.engine = new Engine({
      store: this.behind,
      attempter: this.network,
      asker: options.asker ?? NOBODY_ANSWERS,
      clock: this.clock,
      random: seededRandom(options.seed ?? 1),
      events: new BusinessEvents(this.metrics, log, testDeliveryNames),
      deliveryNames: testDeliveryNames,
      metrics: this.metrics,
      log,
      owner: `owner-${options.seed ?? 1}`,
      slotsMax: this.slotsMax,
      awayMs: options.awayMs ?? 0,
      ...(options.load === undefined ? {} : { load: options.load }),
      ...(options.storageBytes === undefined ? {} : { recordKept: this.#quota(options.storageBytes) }),
      ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
    });
  }

  #quota(limit: number): (namespace: string) => RecordKept {
    const quota = new StorageQuota({ usage: () => this.store.usage(), roomBytes: () => 2 ** 40, limitOf: () => limit });
    return (namespace) => quota.recordKept(namespace);
  }

  async start(routes: readonly Route[]): Promise<void> {
    this.clock.begin((await this.store.open({ owner: "o", nowMs: this.clock.trueMs(), idempotencyTtlMs: 1_000 })).clock);
    this.route(routes);
    this.run();
    await settle();
    await this.clock.advance(50);
    while (!this.engine.ready) await this.clock.advance(10);
  }

  /** Starts the engine on a store that is open. */
  run(): void {
    this.#running = this.engine.run(this.#abort.signal);
  }

  route(routes: readonly Route[]): void {
    this.publish(RouteTable.build(routes, this.table));
  }

  /** A table that a controller has made. */
  publish(table: RouteTable): void {
    this.table = table;
    this.engine.publish(table);
  }

  /** As the ingest does it: admit, commit, committed. Lets time go on until that has happened. Answers the event, or undefined when the commit failed. */
  async post(namespace = "ns", to?: (route: Route) => boolean, subject?: string): Promise<Event | undefined> {
    return this.clock.until(this.offer(namespace, to, subject), () => this.#isDead);
  }

  /** Many at once, as from many producers. Answers those that were taken. */
  async posts(count: number, namespace = "ns", subjectOf?: (n: number) => string): Promise<Event[]> {
    const offered = Array.from({ length: count }, (_, n) => this.offer(namespace, undefined, subjectOf?.(n)));
    return ((await this.clock.until(Promise.all(offered), () => this.#isDead)) ?? []).filter((event) => event !== undefined);
  }

  /** The same without waiting for it. */
  async offer(namespace = "ns", to?: (route: Route) => boolean, subject?: string): Promise<Event | undefined> {
    const event = { ...eventOf(namespace, this.clock.nowMs(), ++this.#sequence), id: uuidv7(this.clock.trueMs()), subject };
    const routes = this.table.match(event).routes.filter((route) => to?.(route) ?? true);
    const room = this.engine.room(routes);
    if (room !== undefined) await room;
    const deliveries = this.engine.admit(event, routes, event.receivedAtMs);
    const item = {
      event,
      idempotencyKey: undefined,
      contentHash: new Uint8Array(32),
      deliveries,
      bodyRetentionMs: 1e12,
      historyRetentionMs: 1e12,
    };
    try {
      const result = await this.behind.accept({ namespace, items: [item], nowMs: event.receivedAtMs });
      if (!result.ok) throw new Error("conflict");
      this.engine.committed(event, deliveries, result.items[0]?.deliveryIds ?? []);
      return event;
    } catch (error) {
      this.engine.abandoned(event, deliveries, error instanceof StoreError && error.code === "unknown");
      return undefined;
    }
  }

  /** A crash: from now on nothing of this process reaches the store or the network, and nobody is told. */
  kill(): void {
    this.#isDead = true;
    this.network.kill();
  }

  #mortal(store: Store): Store {
    return new Proxy(store, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): unknown => (this.#isDead ? new Promise(() => undefined) : Reflect.apply(member, target, args));
      },
    });
  }

  /** Asks the engine to stop; time must move on for the grace period to pass. */
  stop(): Promise<void> {
    this.#abort.abort();
    return this.#running ?? Promise.resolve();
  }
}

export function eventOf(namespace: string, nowMs: number, sequence = 0): Event {
  return {
    id: uuidv7(nowMs),
    namespace,
    sourceId: String(sequence),
    source: "/test",
    type: "a.b",
    subject: undefined,
    time: undefined,
    dataContentType: "application/json",
    dataKind: "json",
    data: new TextEncoder().encode(`{"id":"rec-${sequence}"}`),
    extensions: {},
    receivedAtMs: nowMs,
  };
}
