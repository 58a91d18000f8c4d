import type { Socket } from "node:net";
import type { SecureContext } from "node:tls";
import { judgeService, judgeUrl, literalAddress } from "../core/egress.ts";
import { judgeAddress } from "../core/egress-address.ts";
import { BUILT_IN_LIMITS } from "../core/policy.ts";
import type { EgressPolicy } from "../core/policy.ts";
import type { Target } from "../core/subscription.ts";
import type { TimerWheel } from "../lib/timer-wheel.ts";
import { ConnectFailure, dnsFailure } from "./connect-failure.ts";
import type { ConnectTarget, ProxyAddress } from "./connect-target.ts";
import { Dial } from "./dial.ts";
import type { NameResolver } from "./resolver.ts";

export const EGRESS_DENIED = "EGRESS_DENIED";
/** Of a name's addresses at most this many are tried. */
const ADDRESSES_TRIED_MAX = 4;

/** Why nothing may be sent to this place, or undefined; looked at before each request, so that a tightened policy holds at once. */
export function refusalOf({ url, dial }: Pick<Target, "url" | "dial">, egress: EgressPolicy): string | undefined {
  return dial === undefined ? judgeUrl(url, egress, BUILT_IN_LIMITS)?.message : judgeService(dial.port, egress, dial.address);
}

/** The only way to a socket: vets every address of the host and dials exactly what was vetted, itself or through the egress proxy. */
export class EgressGuard {
  readonly #resolver: NameResolver;
  readonly #wheel: TimerWheel;
  /** For TLS to the proxy itself. */
  readonly #proxyContext: SecureContext;

  constructor(resolver: NameResolver, wheel: TimerWheel, proxyContext: SecureContext) {
    this.#resolver = resolver;
    this.#wheel = wheel;
    this.#proxyContext = proxyContext;
  }

  /**
   * A connected (for https: verified) socket, or a ConnectFailure, by `limitMs`. The TLS server name is the URL's host or `serverName`,
   * whatever address was dialled. Nothing is left open on failure.
   */
  async connect(target: ConnectTarget): Promise<Socket> {
    const dial = new Dial(target);
    const slot = this.#wheel.add(target.limitMs, dial);
    try {
      const addresses = (await Promise.race([this.#vetted(target), dial.overdue])).slice(0, ADDRESSES_TRIED_MAX);
      if (target.proxy === undefined || target.dial !== undefined) return await dial.anyOf(addresses);
      const proxy = await Promise.race([this.#located(target.proxy), dial.overdue]);
      return await dial.anyThrough(proxy, addresses);
    } finally {
      this.#wheel.cancel(slot);
    }
  }

  async #vetted({ hostname, dial, egress }: ConnectTarget): Promise<readonly string[]> {
    if (dial !== undefined) {
      const refused = judgeService(dial.port, egress, dial.address);
      if (refused !== undefined) throw new ConnectFailure("blocked", EGRESS_DENIED, `not sent: ${refused}`);
      return [dial.address];
    }
    const addresses = await this.#addressesOf(hostname);
    for (const address of addresses) {
      const refused = judgeAddress(address, egress);
      if (refused !== undefined) throw new ConnectFailure("blocked", EGRESS_DENIED, `not sent: ${refused}`);
    }
    return addresses;
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
  async #located(proxy: NonNullable<Target["proxy"]>): Promise<ProxyAddress> {
    const { hostname, protocol, port } = new URL(proxy.url);
    const tls = protocol === "https:";
    try {
      const [address] = await this.#addressesOf(hostname);
      if (address === undefined) throw new Error("no address");
      const { authorization } = proxy;
      return {
        hostname,
        address,
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
