import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import { listenOn, type ListenAddress } from "../listen.ts";
import { judgeClient } from "../tls/client-certificate.ts";
import type { IdentitySource } from "../tls/identity-source.ts";
import { serverOptions } from "../tls/server-options.ts";
import { Door, type DoorParts } from "./door.ts";
import { Handshakes } from "./handshakes.ts";

/** A connection's handshake must be over after this, counted from its beginning, whatever its client does meanwhile, ms. */
export const HANDSHAKE_DEADLINE_MS = 5_000;

export interface ListenerParts extends Omit<DoorParts, "tls"> {
  readonly listen: ListenAddress;
  readonly http: ServerOptions;
  readonly serve: RequestListener;
  /** HANDSHAKE_DEADLINE_MS, unless said otherwise. */
  readonly handshakeDeadlineMs?: number | undefined;
}

/** One server of ours: its address, its door and, where its address has an identity, TLS. What is behind the door is the same with and without. */
export class Listener {
  readonly server: Server;
  readonly door: Door;
  readonly #listen: ListenAddress;

  constructor(parts: ListenerParts) {
    const { identity } = parts.listen;
    this.#listen = parts.listen;
    this.server = identity === undefined ? createServer(parts.http, parts.serve) : tlsServer(parts, identity);
    const accept = identity === undefined ? undefined : takeOver(this.server);
    const deadlineMs = parts.handshakeDeadlineMs ?? HANDSHAKE_DEADLINE_MS;
    const admission = identity?.current.clientAuthorities === undefined ? undefined : (socket: Socket) => judgeClient(socket as TLSSocket);
    this.door = new Door(this.server, { ...parts, tls: accept === undefined ? undefined : { deadlineMs, admission } });
    if (accept !== undefined && identity !== undefined) secure({ ...parts, server: this.server, door: this.door, accept, identity });
  }

  /** Binds; answers the URL without a trailing slash. @throws ListenError when the address cannot be had */
  open(): Promise<string> {
    return listenOn(this.server, this.#listen);
  }

  /** No connection begins any more. Resolves when the last has ended: that is for the caller to see to. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.door.closeHandshakes();
    return closed;
  }
}

/** Everything of an HTTP server that we use is there too. */
function tlsServer({ http, serve }: ListenerParts, identity: IdentitySource): Server {
  return createTlsServer({ ...http, ...serverOptions(identity.current), allowHalfOpen: true }, serve);
}

type Accept = (socket: Socket) => void;

/** Node's own listener begins a handshake with every connection, and would be asked first; it is asked later. */
function takeOver(server: Server): Accept {
  const [accept, ...others] = server.listeners("connection") as Accept[];
  if (accept === undefined || others.length > 0) throw new Error("a TLS server of this Node accepts connections in another way");
  server.removeAllListeners("connection");
  return (socket) => {
    // Who has closed a half within the handshake will not end it; behind it, a half is enough to be answered.
    socket.allowHalfOpen = false;
    accept.call(server, socket);
  };
}

interface Secured extends ListenerParts {
  readonly server: Server;
  readonly door: Door;
  readonly accept: Accept;
  readonly identity: IdentitySource;
}

/** Joins handshakes, door and server. A server says which connection it has secured, but not from which it came: the addresses of its ends do. */
function secure({ server, door, accept, identity, clock, watch }: Secured): void {
  const shaking = new Map<string, Socket>();
  const handshakes = new Handshakes({
    clock,
    begin: (socket) => accept(socket),
    giveUp: (socket) => door.giveUpHandshake(socket),
    onPlainHttp: (socket) => {
      shaking.delete(peerOf(socket));
      watch.shaken("plain_http");
    },
  });
  server.on("connection", (socket: Socket) => {
    const peer = peerOf(socket);
    shaking.set(peer, socket);
    socket.once("close", () => {
      if (shaking.get(peer) !== socket) return;
      shaking.delete(peer);
      watch.shaken("unfinished");
    });
    handshakes.arrive(socket);
  });
  const over = (secured: TLSSocket): Socket | undefined => {
    const peer = peerOf(secured);
    const socket = shaking.get(peer);
    if (socket === undefined) return undefined;
    shaking.delete(peer);
    handshakes.over(socket);
    return socket;
  };
  // Before requests are read from it.
  server.prependListener("secureConnection", (secured: TLSSocket) => {
    const socket = over(secured);
    secured.allowHalfOpen = true;
    if (socket !== undefined && door.secured(socket, secured)) watch.shaken(secured.isSessionReused() ? "resumed" : "full");
    else secured.destroy();
  });
  // Node's own listener takes a failed handshake for a bad request, which would be answered.
  server.removeAllListeners("tlsClientError");
  server.on("tlsClientError", (error: NodeJS.ErrnoException, failed: TLSSocket) => {
    // A reset is a client that has left, or whom the door has closed.
    if (error.code !== "ECONNRESET" && over(failed) !== undefined) watch.shaken("failed");
    failed.destroy();
  });
  identity.onChange((next, before) => {
    (server as unknown as TlsServer).setSecureContext(serverOptions(next));
    if (String(next.clientAuthorities) !== String(before.clientAuthorities)) door.renew();
  });
}

/** A client may use one port of its own for several addresses of ours. */
function peerOf({ remoteAddress = "", remotePort = 0, localAddress = "" }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
