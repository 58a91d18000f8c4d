import { connect as connectTcp } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { SecureContext } from "node:tls";
import { literalAddress } from "../core/egress.ts";
import { judgeAddress } from "../core/egress-address.ts";
import type { EgressPolicy } from "../core/policy.ts";
import type { TimerWheel } from "../lib/timer-wheel.ts";
import { ConnectFailure, dnsFailure, socketFailure } from "./connect-failure.ts";
import type { NameResolver } from "./resolver.ts";

export const EGRESS_DENIED = "EGRESS_DENIED";
/** Of a name's addresses at most this many are tried. */
const ADDRESSES_TRIED_MAX = 4;

export interface ConnectTarget {
  /** `URL.hostname`: brackets around IPv6. */
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
  readonly egress: EgressPolicy;
  /** DNS, TCP and TLS together. */
  readonly limitMs: number;
}

/** The only way to a socket: vets every address of the host and dials exactly what was vetted. */
export class EgressGuard {
  readonly #resolver: NameResolver;
  readonly #wheel: TimerWheel;
  readonly #secureContext: SecureContext;

  constructor(resolver: NameResolver, wheel: TimerWheel, secureContext: SecureContext) {
    this.#resolver = resolver;
    this.#wheel = wheel;
    this.#secureContext = secureContext;
  }

  /**
   * A connected (for https: verified) socket, or a ConnectFailure, by `limitMs`. The TLS server name is the URL's host, whatever address
   * was dialled. Nothing is left open on failure.
   */
  async connect(target: ConnectTarget): Promise<Socket> {
    const dial = new Dial(target, this.#secureContext);
    const slot = this.#wheel.add(target.limitMs, dial);
    try {
      const addresses = await Promise.race([this.#vetted(target), dial.overdue]);
      return await dial.anyOf(addresses.slice(0, ADDRESSES_TRIED_MAX));
    } finally {
      this.#wheel.cancel(slot, dial);
    }
  }

  async #vetted({ hostname, egress }: ConnectTarget): Promise<readonly string[]> {
    const literal = literalAddress(hostname);
    let addresses: readonly string[];
    try {
      addresses = literal === undefined ? await this.#resolver.resolve(hostname) : [literal];
    } catch (error) {
      throw dnsFailure(hostname, error);
    }
    for (const address of addresses) {
      const refused = judgeAddress(address, egress);
      if (refused !== undefined) throw new ConnectFailure("blocked", EGRESS_DENIED, `not sent: ${refused}`);
    }
    return addresses;
  }
}

/** One connection under way. */
class Dial {
  readonly #target: ConnectTarget;
  readonly #secureContext: SecureContext;
  /** Rejects at the limit. */
  readonly overdue: Promise<never>;
  #expire: (failure: ConnectFailure) => void = () => undefined;
  #phase: "dns" | "tcp" | "tls" = "dns";
  #expired = false;

  constructor(target: ConnectTarget, secureContext: SecureContext) {
    this.#target = target;
    this.#secureContext = secureContext;
    this.overdue = new Promise((_resolve, reject) => {
      this.#expire = reject;
    });
    this.overdue.catch(() => undefined);
  }

  expire(): void {
    this.#expired = true;
    const seconds = `${this.#target.limitMs / 1_000} s`;
    if (this.#phase === "dns")
      this.#expire(new ConnectFailure("dns_error", "ETIMEOUT", `no answer from the name servers within ${seconds}`));
    else {
      const what = this.#phase === "tls" ? "the TLS handshake did not end" : "no connection";
      this.#expire(new ConnectFailure("connect_error", "ETIMEDOUT", `${what} within ${seconds}`));
    }
  }

  async anyOf(addresses: readonly string[]): Promise<Socket> {
    let last: unknown;
    for (const address of addresses) {
      try {
        return await this.#one(address);
      } catch (error) {
        last = error;
        // A receiver that answered with a bad certificate has been found; only an address that cannot be reached is passed over.
        if (this.#expired || (error instanceof ConnectFailure && error.outcome === "tls_error")) break;
      }
    }
    throw last instanceof ConnectFailure ? last : new ConnectFailure("dns_error", "ENODATA", "the host name has no address");
  }

  async #one(address: string): Promise<Socket> {
    this.#phase = "tcp";
    const socket = this.#open(address);
    try {
      await Promise.race([this.#established(socket), this.overdue]);
      return socket;
    } catch (error) {
      socket.on("error", () => undefined);
      socket.destroy();
      throw error;
    }
  }

  #open(address: string): Socket {
    const { hostname, port, tls } = this.#target;
    const isName = literalAddress(hostname) === undefined;
    const socket = tls
      ? connectTls({
          host: address,
          port,
          secureContext: this.#secureContext,
          ALPNProtocols: ["http/1.1"],
          ...(isName ? { servername: hostname } : {}),
        })
      : connectTcp({ host: address, port });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    return socket;
  }

  #established(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#target.tls) {
        socket.once("connect", () => {
          this.#phase = "tls";
        });
      }
      socket.once(this.#target.tls ? "secureConnect" : "connect", resolve);
      socket.once("error", (error) => reject(socketFailure(error, this.#phase === "tls")));
      // A receiver may end its side within the handshake and keep ours open: no close would come of that.
      socket.once("end", () => reject(socketFailure(Object.assign(new Error("ended"), { code: "ECONNRESET" }), this.#phase === "tls")));
      socket.once("close", () => reject(socketFailure(Object.assign(new Error("closed"), { code: "ECONNRESET" }), this.#phase === "tls")));
    });
  }
}
