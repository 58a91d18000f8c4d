import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Where a server listens; an empty host means every address, port 0 a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Binds; answers the URL with the real port and without a trailing slash. Rejects when the address cannot be had. */
export async function listenOn(server: Server, { host, port }: ListenAddress): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: host === "" ? undefined : host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const bound = (server.address() as AddressInfo).port;
  return `http://${host.includes(":") ? `[${host}]` : host || "0.0.0.0"}:${bound}`;
}

/** 127.0.0.0/8, ::1 or localhost: nobody else's machine reaches it. */
export function isLoopback(host: string): boolean {
  return /^127(\.\d{1,3}){3}$/.test(host) || host === "::1" || host === "localhost";
}
