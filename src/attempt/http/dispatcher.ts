import type { SecureContext } from "node:tls";
import type { EgressPolicy } from "../../core/policy.ts";
import type { Target } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import { isIdentical, sameBy } from "../../lib/comparison.ts";
import type { TimerWheel } from "../../lib/timer-wheel.ts";
import { limitAnswers } from "./answer-limit.ts";
import { unusableCertificates } from "../connect/connect-failure.ts";
import type { ConnectTarget } from "../connect/connect-target.ts";
import { EgressGuard } from "../connect/egress-guard.ts";
import { ReceiverPool } from "./receiver-pool.ts";
import type { Connection, DispatchHandler, OutgoingRequest } from "./receiver-pool.ts";
import type { NameResolver } from "../connect/resolver.ts";
import { sameTls, TlsContexts } from "../connect/tls-contexts.ts";

/** A pool unused for this long is closed, so that thousands of subscriptions do not hold memory. */
const POOL_IDLE_MS = 60_000;

/** Where a pool's connections go, how, and how many there may be; a change of any field makes another pool. */
export interface PoolTarget extends Pick<Target, "dial" | "tls" | "proxy"> {
  /** `https://host[:port]`. */
  readonly origin: string;
  readonly egress: EgressPolicy;
  readonly connections: number;
  /** DNS, TCP, proxy and TLS together, ms. */
  readonly connectLimitMs: number;
}

interface PoolEntry {
  readonly pool: ReceiverPool;
  /** The last that was found the same, so that a change is looked at once and not at every attempt. */
  target: PoolTarget;
  usedAtMs: number;
}

export interface DispatcherOptions {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly resolver: NameResolver;
  /** PEM certificates trusted instead of Node's own list (tests). */
  readonly ca?: readonly string[] | undefined;
}

/** One pool of keep-alive connections per subscription, so that a poisoned connection cannot cross tenants. */
export class Dispatcher {
  readonly #clock: Clock;
  readonly #guard: EgressGuard;
  readonly #tlsContexts: TlsContexts;
  readonly #pools = new Map<string, PoolEntry>();
  readonly #closing = new Set<Promise<void>>();
  #cancelSweep: (() => void) | undefined;

  constructor(options: DispatcherOptions) {
    this.#clock = options.clock;
    this.#tlsContexts = new TlsContexts(options.ca);
    this.#guard = new EgressGuard({
      resolver: options.resolver,
      wheel: options.wheel,
      clock: options.clock,
      proxyContext: this.#tlsContexts.usual,
    });
  }

  /** Sends one request through the subscription's pool. Errors reach the handler; @throws where it cannot be built (a header's bytes). */
  send(uid: string, target: PoolTarget, request: OutgoingRequest, handler: DispatchHandler): void {
    this.#poolFor(uid, target).pool.dispatch(request, handler);
  }

  /** How many connections a subscription's pool holds now. */
  connections(uid: string): number {
    return this.#pools.get(uid)?.pool.connected ?? 0;
  }

  /** The pool takes no new requests and closes once what is under way has ended. */
  forget(uid: string): void {
    const entry = this.#pools.get(uid);
    if (entry === undefined) return;
    this.#pools.delete(uid);
    const closed = entry.pool.close().catch(() => undefined);
    this.#closing.add(closed);
    void closed.finally(() => this.#closing.delete(closed));
  }

  /** Destroys every connection. */
  async close(): Promise<void> {
    this.#cancelSweep?.();
    const pools = [...this.#pools.values()].map(({ pool }) => pool.destroy());
    this.#pools.clear();
    await Promise.allSettled([...pools, ...this.#closing]);
  }

  #poolFor(uid: string, target: PoolTarget): PoolEntry {
    const known = this.#pools.get(uid);
    if (known !== undefined && (known.target === target || sameTarget(known.target, target))) {
      known.target = target;
      known.usedAtMs = this.#clock.monotonicMs();
      return known;
    }
    this.forget(uid);
    const entry = { pool: this.#createPool(target), target, usedAtMs: this.#clock.monotonicMs() };
    this.#pools.set(uid, entry);
    this.#cancelSweep ??= this.#clock.after(POOL_IDLE_MS, () => this.#sweep());
    return entry;
  }

  #createPool(target: PoolTarget): ReceiverPool {
    const url = new URL(target.origin);
    const tls = url.protocol === "https:";
    const connectTarget = {
      hostname: url.hostname,
      port: url.port === "" ? (tls ? 443 : 80) : Number(url.port),
      tls,
      serverName: target.tls?.serverName,
      dial: target.dial,
      proxy: target.proxy,
      egress: target.egress,
      limitMs: target.connectLimitMs,
    };
    return new ReceiverPool({
      origin: target.origin,
      connections: target.connections,
      connect: () => this.#connect(connectTarget, target.tls),
      clock: this.#clock,
    });
  }

  /** Certificates that OpenSSL will not take (a key that is too weak by its rules) fail the attempt, which is tried again. */
  async #connect(target: Omit<ConnectTarget, "secureContext">, tls: Target["tls"]): Promise<Connection> {
    let secureContext: SecureContext;
    try {
      secureContext = this.#tlsContexts.contextOf(tls);
    } catch (error) {
      throw unusableCertificates(error);
    }
    const { socket, times } = await this.#guard.connect({ ...target, secureContext });
    return { socket: limitAnswers(socket), times, lifeMs: this.#guard.lifeMs(target) };
  }

  #sweep(): void {
    const before = this.#clock.monotonicMs() - POOL_IDLE_MS;
    for (const [uid, entry] of this.#pools) {
      if (entry.usedAtMs < before && entry.pool.requests === 0) this.forget(uid);
    }
    this.#cancelSweep = this.#pools.size === 0 ? undefined : this.#clock.after(POOL_IDLE_MS, () => this.#sweep());
  }
}

/** Whether a pool's connections will do for another state of its subscription. */
const sameTarget = sameBy<PoolTarget>({
  origin: isIdentical,
  egress: isIdentical,
  connections: isIdentical,
  connectLimitMs: isIdentical,
  dial: sameBy<NonNullable<PoolTarget["dial"]>>({ address: isIdentical, port: isIdentical }),
  proxy: sameBy<NonNullable<PoolTarget["proxy"]>>({ url: isIdentical, authorization: isIdentical }),
  tls: sameTls,
});
