import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { IdentitySource } from "./tls/identity-source.ts";

/** Where a server listens; an empty host means every address, port 0 a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** What sets it on the command line, for the message when it cannot be had. */
  readonly flag?: string;
  /** Given: the server speaks TLS there, and nothing else. */
  readonly identity?: IdentitySource | undefined;
}

/** An address cannot be had: says which, why, and which flag takes another one. The system's error is the cause. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "LISTEN";

  constructor(address: ListenAddress, cause: NodeJS.ErrnoException) {
    super(listenFault(address, cause), { cause });
  }
}

function listenFault({ host, port, flag }: ListenAddress, { code, message }: NodeJS.ErrnoException): string {
  const where = `${host === "" ? "any address" : host}, port ${port}`;
  const other = flag === undefined ? "" : `: choose another with ${flag}`;
  if (code === "EADDRINUSE") return `port ${port} is in use on ${host === "" ? "some address" : host}${other} (0 picks a free one)`;
  if (code === "EACCES") return `port ${port} needs privileges that this process lacks (ports below 1024 do)${other}`;
  if (code === "EADDRNOTAVAIL") return `${host} is not an address of this machine${other}`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `${host} is not a name of this machine${other}`;
  return `cannot listen on ${where}: ${message}${other}`;
}

/**
 * Connections that the kernel may hold until the event loop takes them in; it takes its own bound (`net.core.somaxconn`, 4,096 on Linux) where that is lower.
 * Node's 511 are full after one busy turn beside a crowd, and who is dropped then tries again after a whole second. With TLS it stays at that: what comes
 * in one turn must fit into the line of those whose handshake waits (HELLOS_WAITING_MAX).
 */
const BACKLOG = { plain: 4_096, tls: 511 } as const;

/** Node's own switch, which its types leave out. */
type HalfOpenServer = Server & { httpAllowHalfOpen: boolean };

/** Binds; a client that has closed its half of the connection is still answered (RFC 9112 9.6). Answers the URL with the real port. @throws ListenError */
export async function listenOn(server: Server, address: ListenAddress): Promise<string> {
  const { host, port } = address;
  (server as HalfOpenServer).httpAllowHalfOpen = true;
  await new Promise<void>((resolve, reject) => {
    const refused = (error: Error): void => reject(new ListenError(address, error));
    server.once("error", refused);
    server.listen(
      { host: host === "" ? undefined : host, port, backlog: address.identity === undefined ? BACKLOG.plain : BACKLOG.tls },
      () => {
        server.off("error", refused);
        resolve();
      },
    );
  });
  const bound = (server.address() as AddressInfo).port;
  return `${address.identity === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host || "0.0.0.0"}:${bound}`;
}

/** 127.0.0.0/8, ::1 or localhost: nobody else's machine reaches it. */
export function isLoopback(host: string): boolean {
  return /^127(\.\d{1,3}){3}$/.test(host) || host === "::1" || host === "localhost";
}
