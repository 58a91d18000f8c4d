import type { SecureContext } from "node:tls";
import { judgeService, judgeUrl, literalAddress } from "../../core/egress/url-rules.ts";
import { judgeAddress } from "../../core/egress/address-rules.ts";
import { BUILT_IN_LIMITS } from "../../core/policy.ts";
import type { EgressPolicy } from "../../core/policy.ts";
import type { Target } from "../../core/subscription.ts";
import type { Clock } from "../../lib/clock.ts";
import type { TimerWheel } from "../../lib/timer-wheel.ts";
import { ConnectFailure, dnsFailure } from "./connect-failure.ts";
import type { ConnectTarget, ProxyAddresses } from "./connect-target.ts";
import { Dial, type Dialled } from "./dial.ts";
import { ReachBook } from "./reach-book.ts";
import { isLocalhost } from "./resolver.ts";
import type { NameResolver } from "./resolver.ts";

export const EGRESS_DENIED = "EGRESS_DENIED";
/** How long a connection is used before another one is made: as long as its name's answer holds, within these bounds. */
const CONNECTION_LIFE_MIN_MS = 10_000;
const CONNECTION_LIFE_MAX_MS = 60_000;

/** Why nothing may be sent to this target, or undefined; looked at before each request, so that a tightened policy holds at once. */
export function refusalOf({ url, dial }: Pick<Target, "url" | "dial">, egress: EgressPolicy): string | undefined {
  return dial === undefined ? judgeUrl(url, egress, BUILT_IN_LIMITS)?.message : judgeService(dial.port, egress, dial.address);
}

export interface EgressGuardParts {
  readonly resolver: NameResolver;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  /** For TLS to the egress proxy itself. */
  readonly proxyContext: SecureContext;
}

/** The only way to a socket: vets every address of the host and dials exactly what was vetted, itself or through the egress proxy. */
export class EgressGuard {
  readonly #resolver: NameResolver;
  readonly #wheel: TimerWheel;
  readonly #clock: Clock;
  readonly #reach: ReachBook;
  /** For TLS to the proxy itself. */
  readonly #proxyContext: SecureContext;

  constructor({ resolver, wheel, clock, proxyContext }: EgressGuardParts) {
    this.#resolver = resolver;
    this.#wheel = wheel;
    this.#clock = clock;
    this.#reach = new ReachBook(clock);
    this.#proxyContext = proxyContext;
  }

  /**
   * A connected (for https: verified) socket, or a ConnectFailure, by `limitMs`. The TLS server name is the URL's host or `serverName`,
   * whatever address was dialled. Nothing is left open on failure.
   */
  async connect(target: ConnectTarget): Promise<Dialled> {
    const dial = new Dial(target, { clock: this.#clock, reach: this.#reach });
    const slot = this.#wheel.add(target.limitMs, dial);
    try {
      const addresses = await Promise.race([this.#vetted(target), dial.overdue]);
      if (target.proxy === undefined || target.dial !== undefined) {
        dial.found(target.dial === undefined && literalAddress(target.hostname) === undefined);
        return dial.timed(await dial.anyOf(addresses));
      }
      const proxy = await Promise.race([this.#located(target.proxy), dial.overdue]);
      dial.found(true);
      return dial.timed(await dial.anyThrough(proxy, addresses));
    } finally {
      this.#wheel.cancel(slot);
    }
  }

  /**
   * How long a connection that was made just now may be used: then its name is asked for and judged anew. Like the name's answer it is no longer
   * than what the proxy's name allows.
   */
  lifeMs({ hostname, dial, proxy }: Pick<ConnectTarget, "hostname" | "dial" | "proxy">): number {
    if (dial !== undefined) return CONNECTION_LIFE_MAX_MS;
    const names = proxy === undefined ? [hostname] : [hostname, new URL(proxy.url).hostname];
    const fresh = names
      .filter((name) => literalAddress(name) === undefined && !isLocalhost(name))
      .map((name) => this.#resolver.freshForMs?.(name) ?? 0);
    return Math.max(CONNECTION_LIFE_MIN_MS, Math.min(CONNECTION_LIFE_MAX_MS, ...fresh));
  }

  async #vetted({ hostname, dial, egress }: ConnectTarget): Promise<readonly string[]> {
    if (dial !== undefined) {
      const refused = judgeService(dial.port, egress, dial.address);
      if (refused !== undefined) throw new ConnectFailure("blocked", EGRESS_DENIED, `not sent: ${refused}`);
      return [dial.address];
    }
    const addresses = await this.#addressesOf(hostname);
    const refusals = addresses.map((address) => judgeAddress(address, egress));
    // What localhost is nobody's zone says: of its two addresses those count that the policy opens. Any other name is refused for one alone.
    const opened = isLocalhost(hostname) ? addresses.filter((_address, i) => refusals[i] === undefined) : [];
    if (opened.length > 0) return opened;
    const refused = refusals.find((refusal) => refusal !== undefined);
    if (refused !== undefined) throw new ConnectFailure("blocked", EGRESS_DENIED, `not sent: ${refused}`);
    return [...new Set(addresses)];
  }

  async #addressesOf(hostname: string): Promise<readonly string[]> {
    const literal = literalAddress(hostname);
    if (literal !== undefined) return [literal];
    try {
      return await this.#resolver.resolve(hostname);
    } catch (error) {
      throw dnsFailure(hostname, error);
    }
  }

  /** The proxy's own address is not vetted: the cluster's administrator has named it. */
  async #located(proxy: NonNullable<Target["proxy"]>): Promise<ProxyAddresses> {
    const { hostname, protocol, port } = new URL(proxy.url);
    const tls = protocol === "https:";
    try {
      const addresses = [...new Set(await this.#addressesOf(hostname))];
      if (addresses.length === 0) throw new Error("no address");
      const { authorization } = proxy;
      return {
        hostname,
        addresses,
        port: port === "" ? (tls ? 443 : 80) : Number(port),
        tls,
        secureContext: this.#proxyContext,
        authorization,
      };
    } catch (error) {
      const why = error instanceof ConnectFailure ? error.message : "its name has no address";
      throw new ConnectFailure("connect_error", "PROXY_UNREACHABLE", `the egress proxy cannot be found: ${why}`);
    }
  }
}
