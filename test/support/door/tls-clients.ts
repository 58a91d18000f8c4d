import { once } from "node:events";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { identityOf, type Identity } from "../../../src/lib/tls/identity.ts";
import { IdentitySource } from "../../../src/lib/tls/identity-source.ts";
import type { Certificate } from "../delivery/certificates.ts";

export function identity({ cert, key }: Certificate, clientAuthorities?: string): Identity {
  const read = identityOf({ certificate: cert, key, clientAuthorities });
  if (!read.ok) throw new Error(`${read.part}: ${read.fault}`);
  return read.identity;
}

export function identitySource(certificate: Certificate, clientAuthorities?: string): IdentitySource {
  return new IdentitySource(identity(certificate, clientAuthorities));
}

export interface TlsAnswer {
  /** Everything that came, or "" */
  readonly raw: string;
  readonly status: number;
  readonly error: string | undefined;
  readonly session: Buffer | undefined;
  readonly protocol: string | null;
  readonly cipher: string;
  readonly resumed: boolean;
}

/** One request on a TLS connection of its own; the server's end closes it. With `half`, this end closes its half once it has asked. */
export async function askTls(
  port: number,
  request: string,
  options: ConnectionOptions & { readonly half?: boolean } = {},
): Promise<TlsAnswer> {
  const { half = false, ...given } = options;
  const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ...given, allowHalfOpen: true } as ConnectionOptions);
  const chunks: Buffer[] = [];
  let error: string | undefined;
  let session: Buffer | undefined;
  let about = { protocol: null as string | null, cipher: "", resumed: false };
  socket.on("error", (cause: NodeJS.ErrnoException) => (error = cause.code ?? cause.message));
  socket.on("session", (given: Buffer) => (session = given));
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.once("end", () => socket.end());
  socket.once("secureConnect", () => {
    about = { protocol: socket.getProtocol(), cipher: socket.getCipher().name, resumed: socket.isSessionReused() };
    if (half) socket.end(request);
    else socket.write(request);
  });
  await new Promise((resolve) => socket.once("close", resolve));
  const raw = Buffer.concat(chunks).toString("latin1");
  return { raw, status: Number(/HTTP\/1\.1 ([2-5]\d\d) /.exec(raw)?.[1] ?? 0), error, session, ...about };
}

/** A connection that stays, with requests one after the other. */
export class TlsClient {
  readonly socket: TLSSocket;
  #text = "";

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.#text += chunk.toString("latin1")));
    socket.on("error", () => undefined);
  }

  static async open(port: number, options: ConnectionOptions): Promise<TlsClient> {
    const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ...options });
    const client = new TlsClient(socket);
    await once(socket, "secureConnect");
    return client;
  }

  ask(request: string, until: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#text = "";
      const look = (): void => {
        if (until.test(this.#text)) settled(() => resolve(this.#text));
      };
      const closed = (): void => settled(() => reject(new Error(`closed before ${String(until)}: ${this.#text}`)));
      const settled = (tell: () => void): void => {
        this.socket.off("data", look).off("close", closed);
        tell();
      };
      this.socket.on("data", look).once("close", closed);
      this.socket.write(request);
    });
  }
}
