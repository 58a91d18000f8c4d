import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { startSilentListener } from "../delivery/silent-listener.ts";
import type { HostileKind } from "./hostile-kind.ts";

/** A receiver of one kind on a port of its own. */
export interface HostileReceiver {
  readonly kind: HostileKind;
  readonly url: string;
  /** Request heads seen over all connections. */
  readonly requests: () => number;
  /** Connections that the sender has not let go of. */
  readonly held: () => number;
  readonly close: () => Promise<void>;
}

export async function startHostileReceiver(kind: HostileKind): Promise<HostileReceiver> {
  return kind.neverAccepts === true ? neverAccepting(kind) : accepting(kind);
}

async function accepting(kind: HostileKind): Promise<HostileReceiver> {
  const sockets = new Set<Socket>();
  let requests = 0;
  let held = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    held += 1;
    let letGo = false;
    let helloSeen = false;
    const release = (): void => {
      if (!letGo) held -= 1;
      letGo = true;
    };
    // A connection is let go by its sender's end or reset, whatever this side still wants to send.
    socket.once("end", release).once("error", release);
    socket.once("close", () => {
      release();
      sockets.delete(socket);
    });
    if (kind.on === "accept") kind.act(socket);
    socket.on("data", (chunk: Buffer) => {
      const heads = chunk.toString("latin1").split("POST /").length - 1;
      requests += heads;
      const acts = kind.on === "accept" ? 0 : kind.scheme === "https" ? (helloSeen ? 0 : 1) : heads;
      helloSeen = true;
      for (let i = 0; i < acts; i++) kind.act(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    kind,
    url: `${kind.scheme ?? "http"}://127.0.0.1:${port}/hook`,
    requests: () => requests,
    held: () => held,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function neverAccepting(kind: HostileKind): Promise<HostileReceiver> {
  const { port, close } = await startSilentListener();
  return { kind, url: `http://127.0.0.1:${port}/hook`, requests: () => 0, held: () => 0, close };
}
