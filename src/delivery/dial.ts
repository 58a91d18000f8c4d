import { connect as connectTcp, isIP } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import { literalAddress } from "../core/egress.ts";
import type { WheelEntry } from "../lib/timer-wheel.ts";
import { ConnectFailure, isTlsCode, socketFailure } from "./connect-failure.ts";
import type { ConnectTarget, ProxyAddress } from "./connect-target.ts";
import { askForTunnel, proxyFailure } from "./proxy-tunnel.ts";

/** What one end of a handshake needs. */
interface Handshake {
  /** Absent for an address: then the certificate must hold `host`. */
  readonly serverName: string | undefined;
  readonly host: string;
  readonly secureContext: SecureContext;
}

type Phase = "dns" | "tcp" | "proxy" | "tls";

/** One connection under way, to the first of some vetted addresses that can be had. */
export class Dial implements WheelEntry {
  readonly #target: ConnectTarget;
  /** Rejects at the limit. */
  readonly overdue: Promise<never>;
  #expire: (failure: ConnectFailure) => void = () => undefined;
  #phase: Phase = "dns";
  #expired = false;

  constructor(target: ConnectTarget) {
    this.#target = target;
    this.overdue = new Promise((_resolve, reject) => {
      this.#expire = reject;
    });
    this.overdue.catch(() => undefined);
  }

  /** Every step of it needs us to go on: while the process stands still its time stands too. */
  givenBackMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  expire(): void {
    this.#expired = true;
    const seconds = `${this.#target.limitMs / 1_000} s`;
    switch (this.#phase) {
      case "dns":
        return this.#expire(new ConnectFailure("dns_error", "ETIMEOUT", `no answer from the name servers within ${seconds}`));
      case "tcp":
        return this.#expire(new ConnectFailure("connect_error", "ETIMEDOUT", `no connection within ${seconds}`));
      case "tls":
        return this.#expire(new ConnectFailure("connect_error", "ETIMEDOUT", `the TLS handshake did not end within ${seconds}`));
      case "proxy":
        return this.#expire(new ConnectFailure("connect_error", "PROXY_TIMEOUT", `the egress proxy made no connection within ${seconds}`));
    }
  }

  /** A socket to one of `addresses`, or the last failure. */
  anyOf(addresses: readonly string[]): Promise<Socket> {
    return this.#firstOf(addresses, (address) => this.#direct(address));
  }

  /** The same through a proxy, which is told the address and never the name: it cannot be made to resolve the name to another one. */
  anyThrough(proxy: ProxyAddress, addresses: readonly string[]): Promise<Socket> {
    return this.#firstOf(addresses, (address) => this.#tunnelled(proxy, address));
  }

  async #firstOf(addresses: readonly string[], connect: (address: string) => Promise<Socket>): Promise<Socket> {
    let last: unknown;
    for (const address of addresses) {
      try {
        return await connect(address);
      } catch (error) {
        last = error;
        // A receiver that answered with a bad certificate has been found; only an address that cannot be reached is passed over.
        if (this.#expired || (error instanceof ConnectFailure && error.isFinal)) break;
      }
    }
    throw last instanceof ConnectFailure ? last : new ConnectFailure("dns_error", "ENODATA", "the host name has no address");
  }

  async #direct(address: string): Promise<Socket> {
    const { tls, dial, port } = this.#target;
    this.#phase = "tcp";
    const place = { host: address, port: dial?.port ?? port };
    const socket = tls ? endingOnAlert(connectTls({ ...place, ...handshakeOptions(this.#receiver(address)) })) : connectTcp(place);
    return this.#kept(socket, () => this.#established(socket, tls));
  }

  async #tunnelled(proxy: ProxyAddress, address: string): Promise<Socket> {
    this.#phase = "proxy";
    const place = { host: proxy.address, port: proxy.port };
    const serverName = literalAddress(proxy.hostname) === undefined ? proxy.hostname : undefined;
    const { secureContext, authorization } = proxy;
    const leg = proxy.tls
      ? connectTls({ ...place, ...handshakeOptions({ serverName, host: proxy.address, secureContext }) })
      : connectTcp(place);
    const authority = `${isIP(address) === 6 ? `[${address}]` : address}:${this.#target.port}`;
    await this.#kept(leg, async () => {
      await ready(leg, proxy.tls, (error) => proxyFailure(error, proxy.tls));
      await askForTunnel(leg, authority, authorization);
    });
    if (!this.#target.tls) return leg;
    const socket = endingOnAlert(connectTls({ socket: leg, ...handshakeOptions(this.#receiver(address)) }));
    socket.once("close", () => leg.destroy());
    this.#phase = "tls";
    return this.#kept(socket, () => ready(socket, true, (error) => socketFailure(error, true)));
  }

  #receiver(address: string): Handshake {
    const { hostname, serverName, secureContext } = this.#target;
    const name = serverName ?? (literalAddress(hostname) === undefined ? hostname : undefined);
    return { serverName: name, host: address, secureContext };
  }

  /** The socket once `made` has settled within the limit; otherwise it is destroyed. */
  async #kept(socket: Socket, made: () => Promise<unknown>): Promise<Socket> {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    try {
      await Promise.race([made(), this.overdue]);
      return socket;
    } catch (error) {
      socket.on("error", () => undefined);
      socket.destroy();
      throw error;
    }
  }

  #established(socket: Socket, tls: boolean): Promise<void> {
    if (tls) {
      socket.once("connect", () => {
        this.#phase = "tls";
      });
    }
    return ready(socket, tls, (error) => socketFailure(error, this.#phase === "tls"));
  }
}

function handshakeOptions({ serverName, host, secureContext }: Handshake): object {
  return { host, secureContext, ALPNProtocols: ["http/1.1"], ...(serverName === undefined ? {} : { servername: serverName }) };
}

/**
 * With TLS 1.3 a receiver refuses our certificate after the handshake has ended for us. Its alert must be the last word: undici would
 * take the end of the stream that follows for the reason.
 */
function endingOnAlert(socket: TLSSocket): TLSSocket {
  return socket.on("error", (error: NodeJS.ErrnoException) => {
    if (isTlsCode(error.code ?? "")) socket.destroy(error);
  });
}

/** Settles when the socket may be used. */
function ready(socket: Socket, tls: boolean, failure: (error: unknown) => ConnectFailure): Promise<void> {
  return new Promise((resolve, reject) => {
    let isReady = false;
    const reset = (): void => reject(failure(Object.assign(new Error("ended"), { code: "ECONNRESET" })));
    socket.once(tls ? "secureConnect" : "connect", () => {
      // Every connection ends one day: that must not cost errors with their stacks which nobody reads.
      isReady = true;
      socket.off("end", reset);
      socket.off("close", reset);
      resolve();
    });
    socket.once("error", (error) => {
      if (!isReady) reject(failure(error));
    });
    // A receiver may end its side within the handshake and keep ours open: no close would come of that.
    socket.once("end", reset);
    socket.once("close", reset);
  });
}
