import { connect as connectTcp, isIP } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import { literalAddress } from "../../core/egress/url-rules.ts";
import type { ConnectTimes } from "../../core/outcome.ts";
import { unreachable } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import type { WheelEntry } from "../../lib/timer-wheel.ts";
import { AddressRace } from "./address-race.ts";
import type { Runner } from "./address-race.ts";
import { ConnectFailure, isTlsCode, socketFailure } from "./connect-failure.ts";
import type { ConnectTarget, ProxyAddresses } from "./connect-target.ts";
import { askForTunnel, proxyFailure } from "./proxy-tunnel.ts";
import type { ReachBook } from "./reach-book.ts";

/** Of a name's addresses at most this many are tried for one connection. Those that failed come last the next time, so that others have their turn. */
const ADDRESSES_TRIED_MAX = 16;

/** What one end of a handshake needs. */
interface Handshake {
  /** Absent for an address: then the certificate must hold `host`. */
  readonly serverName: string | undefined;
  readonly host: string;
  readonly secureContext: SecureContext;
}

export interface DialParts {
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly reach: ReachBook;
}

/** A connection, and what making it took. */
export interface Dialled {
  readonly socket: Socket;
  readonly times: ConnectTimes;
}

/** One connection under way, to the first of some vetted addresses that can be had. */
export class Dial implements WheelEntry {
  readonly #target: ConnectTarget;
  readonly #parts: DialParts;
  readonly #startedMs: number;
  /** Rejects at the limit. */
  readonly overdue: Promise<never>;
  #expire: (failure: ConnectFailure) => void = () => undefined;
  /** When the addresses were known, and whether a name was asked for them. */
  #foundMs: number;
  #isNamed = false;
  /** When the TLS handshake of a socket began. */
  readonly #tlsSinceMs = new Map<Socket, number>();
  /** Among the receiver's addresses; undefined until they are known. */
  #race: AddressRace | undefined;

  constructor(target: ConnectTarget, parts: DialParts) {
    this.#target = target;
    this.#parts = parts;
    this.#startedMs = parts.clock.monotonicMs();
    this.#foundMs = this.#startedMs;
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
    const failure = this.#overdueFailure();
    this.#expire(failure);
    this.#race?.expire(failure);
  }

  #overdueFailure(): ConnectFailure {
    const seconds = `${this.#target.limitMs / 1_000} s`;
    if (this.#race === undefined) {
      return new ConnectFailure("dns_error", "ETIMEOUT", `no answer from the name servers within ${seconds}`);
    }
    const { phase, tried } = this.#race;
    switch (phase) {
      case "tcp":
        return new ConnectFailure("connect_error", "ETIMEDOUT", `no connection within ${seconds}${triedText(tried)}`);
      case "tls":
        return new ConnectFailure("connect_error", "ETIMEDOUT", `the TLS handshake did not end within ${seconds}${triedText(tried)}`);
      case "proxy":
        return new ConnectFailure(
          "connect_error",
          "PROXY_TIMEOUT",
          `the egress proxy did not connect within ${seconds}${triedText(tried)}`,
        );
      default:
        return unreachable(phase);
    }
  }

  /** The addresses are known; `isNamed`: a name was asked for them. */
  found(isNamed: boolean): void {
    this.#foundMs = this.#parts.clock.monotonicMs();
    this.#isNamed = isNamed;
  }

  /** The socket that won, with what it took until now. */
  timed(socket: Socket): Dialled {
    const nowMs = this.#parts.clock.monotonicMs();
    const tlsSinceMs = this.#tlsSinceMs.get(socket);
    const times = {
      dnsMs: this.#isNamed ? this.#foundMs - this.#startedMs : undefined,
      connectMs: (tlsSinceMs ?? nowMs) - this.#foundMs,
      tlsMs: tlsSinceMs === undefined ? undefined : nowMs - tlsSinceMs,
    };
    return { socket, times };
  }

  #tlsBegins(socket: Socket, runner: Runner): void {
    this.#tlsSinceMs.set(socket, this.#parts.clock.monotonicMs());
    runner.answered("tls");
  }

  /** A socket to one of `addresses`, or the most telling failure. */
  anyOf(addresses: readonly string[]): Promise<Socket> {
    return this.#firstOf(addresses, "direct", (address, runner) => this.#direct(address, runner));
  }

  /** The same through a proxy, which is told the address and never the name: it cannot be made to resolve the name to another one. */
  anyThrough(proxy: ProxyAddresses, addresses: readonly string[]): Promise<Socket> {
    return this.#firstOf(addresses, proxy.hostname, (address, runner) => this.#tunnelled(proxy, address, runner));
  }

  async #firstOf(
    addresses: readonly string[],
    way: string,
    connect: (address: string, runner: Runner) => Promise<Socket>,
  ): Promise<Socket> {
    const { hostname, port } = this.#target;
    if (addresses.length === 0) throw new ConnectFailure("dns_error", "ENODATA", "the host name has no address");
    const race = this.#raceTo(`${way} ${hostname}:${port}`, addresses, connect);
    this.#race = race;
    try {
      return await race.run();
    } catch (error) {
      if (!(error instanceof ConnectFailure) || race.tried < 2 || error.message.endsWith(triedText(race.tried))) throw error;
      throw error.saying(`${error.message}${triedText(race.tried)}`);
    }
  }

  #raceTo(destination: string, addresses: readonly string[], connect: (address: string, runner: Runner) => Promise<Socket>): AddressRace {
    const { clock, reach } = this.#parts;
    return new AddressRace(reach.order(destination, addresses).slice(0, ADDRESSES_TRIED_MAX), {
      clock,
      leftMs: this.#target.limitMs - (clock.monotonicMs() - this.#startedMs),
      connect,
      failed: (address) => reach.failed(destination, address),
      worked: (address) => reach.worked(destination, address),
    });
  }

  async #direct(address: string, runner: Runner): Promise<Socket> {
    const { tls, dial, port } = this.#target;
    const peer = { host: address, port: dial?.port ?? port };
    const socket = tls ? endingOnAlert(connectTls({ ...peer, ...handshakeOptions(this.#receiver(address)) })) : connectTcp(peer);
    if (tls) socket.once("connect", () => this.#tlsBegins(socket, runner));
    return kept(socket, runner, () => ready(socket, tls, (error) => socketFailure(error, runner.phase === "tls")));
  }

  async #tunnelled(proxy: ProxyAddresses, address: string, runner: Runner): Promise<Socket> {
    runner.phase = "proxy";
    const leg = await this.#toProxy(proxy, runner);
    runner.answered("proxy");
    const authority = `${isIP(address) === 6 ? `[${address}]` : address}:${this.#target.port}`;
    await kept(leg, runner, () => askForTunnel(leg, authority, proxy.authorization));
    if (!this.#target.tls) return leg;
    const socket = endingOnAlert(connectTls({ socket: leg, ...handshakeOptions(this.#receiver(address)) }));
    socket.once("close", () => leg.destroy());
    this.#tlsBegins(socket, runner);
    return kept(socket, runner, () => ready(socket, true, (error) => socketFailure(error, true)));
  }

  /** A socket to the first of the proxy's addresses that can be had. */
  async #toProxy({ hostname, addresses, port, tls, secureContext }: ProxyAddresses, outer: Runner): Promise<Socket> {
    const serverName = literalAddress(hostname) === undefined ? hostname : undefined;
    const race = this.#raceTo(`proxy ${hostname}:${port}`, addresses, (address, runner) => {
      const peer = { host: address, port };
      const leg = tls ? connectTls({ ...peer, ...handshakeOptions({ serverName, host: address, secureContext }) }) : connectTcp(peer);
      if (tls) leg.once("connect", () => runner.answered("tls"));
      return kept(leg, runner, () => ready(leg, tls, (error) => socketFailure(error, runner.phase === "tls")));
    });
    outer.onStop(() => race.expire(new ConnectFailure("connect_error", "PROXY_TIMEOUT", "given up")));
    try {
      return await race.run();
    } catch (error) {
      throw proxyFailure(error);
    }
  }

  #receiver(address: string): Handshake {
    const { hostname, serverName, secureContext } = this.#target;
    const name = serverName ?? (literalAddress(hostname) === undefined ? hostname : undefined);
    return { serverName: name, host: address, secureContext };
  }
}

function triedText(addresses: number): string {
  return addresses < 2 ? "" : ` (${addresses} addresses tried)`;
}

/** The socket once `made` has settled; otherwise, and when its runner is stopped, it is destroyed. */
async function kept(socket: Socket, runner: Runner, made: () => Promise<unknown>): Promise<Socket> {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  runner.onStop(() => socket.destroy());
  try {
    await made();
    return socket;
  } catch (error) {
    socket.on("error", ignore);
    socket.destroy();
    throw error;
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
  return socket.on("error", destroyOnAlert);
}

function destroyOnAlert(this: Socket, error: NodeJS.ErrnoException): void {
  if (isTlsCode(error.code ?? "")) this.destroy(error);
}

/** Settles when the socket may be used. */
function ready(socket: Socket, tls: boolean, failure: (error: unknown) => ConnectFailure): Promise<void> {
  return new Promise((resolve, reject) => {
    const reset = (): void => reject(failure(Object.assign(new Error("ended"), { code: "ECONNRESET" })));
    const failed = (error: Error): void => reject(failure(error));
    socket.once(tls ? "secureConnect" : "connect", () => {
      // Every connection ends one day: that must not cost errors with their stacks which nobody reads, nor may it keep what made it in memory until then.
      socket.off("error", failed);
      socket.on("error", ignore);
      socket.off("end", reset);
      socket.off("close", reset);
      resolve();
    });
    socket.once("error", failed);
    // A receiver may end its side within the handshake and keep ours open: no close would come of that.
    socket.once("end", reset);
    socket.once("close", reset);
  });
}

/** Whoever uses the socket has a listener of its own; between the connection and its first use nobody has. */
function ignore(): void {}
