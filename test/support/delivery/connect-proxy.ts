import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Certificate } from "./certificates.ts";

/** One CONNECT as the proxy got it. */
export interface ProxyCall {
  readonly authority: string;
  readonly headers: IncomingMessage["headers"];
}

/** A real forward proxy on loopback: tunnels what `answer` lets through, and remembers what it was asked for. */
export class ConnectProxy {
  readonly calls: ProxyCall[] = [];
  /** Raw text to answer instead of a tunnel; undefined = tunnel. */
  answer: (call: ProxyCall) => string | undefined = () => undefined;
  /** Where a tunnel really leads; by default where it was asked to. */
  route: (authority: string) => string = (authority) => authority;
  readonly #server: Server;
  readonly #tls: boolean;
  readonly #sockets = new Set<Socket>();

  constructor(certificate?: Certificate) {
    this.#tls = certificate !== undefined;
    this.#server = certificate === undefined ? createServer() : createHttpsServer(certificate);
    this.#server.on("connect", (req, socket: Socket) => this.#connect(req, socket));
    this.#server.on("request", (_req, res) => res.writeHead(405).end());
    this.#server.on("tlsClientError", () => undefined);
    this.#server.on("connection", (socket: Socket) => this.#sockets.add(socket));
  }

  /** @returns `host:port`-less URL parts: scheme and authority. */
  async start(): Promise<{ url: string; authority: string }> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const authority = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return { url: `${this.#tls ? "https" : "http"}://${authority}`, authority };
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #connect(req: IncomingMessage, socket: Socket): void {
    socket.on("error", () => undefined);
    const call = { authority: req.url ?? "", headers: req.headers };
    this.calls.push(call);
    const said = this.answer(call);
    if (said !== undefined) return void socket.end(said);
    const to = this.route(call.authority);
    const split = to.lastIndexOf(":");
    const onward = connect({ host: to.slice(0, split), port: Number(to.slice(split + 1)) }, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    this.#sockets.add(onward);
    onward.on("error", () => socket.destroy());
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  }
}
