import { createServer as createPlain, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import type { Certificate } from "../delivery/certificates.ts";

/** How each path answers. A test may exchange one. */
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Receivers, one for each kind of trouble, on loopback; `tlsUrl` has a certificate that has expired. */
export class TroubleReceivers {
  readonly #plain: Server;
  readonly #tls: ReturnType<typeof createTls>;
  readonly #answers: Map<string, Answer>;

  private constructor(plain: Server, tls: ReturnType<typeof createTls>, answers: Map<string, Answer>) {
    this.#plain = plain;
    this.#tls = tls;
    this.#answers = answers;
  }

  static async start(expired: Certificate): Promise<TroubleReceivers> {
    let turn = 0;
    const answers = new Map<string, Answer>([
      ["/ok", (_, response) => void response.writeHead(204).end()],
      ["/500", (_, response) => void response.writeHead(500).end()],
      ["/half", (_, response) => void response.writeHead(turn++ % 2 === 0 ? 500 : 204).end()],
      ["/410", (_, response) => void response.writeHead(410).end()],
      ["/429", (_, response) => void response.writeHead(429, { "retry-after": "600" }).end()],
      ["/hangs", () => undefined],
      ["/flap", (_, response) => void response.writeHead(204).end()],
    ]);
    const answer: Answer = (request, response) => {
      request.resume();
      (answers.get(request.url ?? "") ?? ((_, other) => void other.writeHead(404).end()))(request, response);
    };
    const plain = createPlain(answer);
    const tls = createTls(expired, answer);
    for (const server of [plain, tls]) await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return new TroubleReceivers(plain, tls, answers);
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#plain.address() as AddressInfo).port}${path}`;
  }

  tlsUrl(path: string): string {
    return `https://127.0.0.1:${(this.#tls.address() as AddressInfo).port}${path}`;
  }

  /** From now on this path answers with a status. */
  becomes(path: string, status: number): void {
    this.#answers.set(path, (_, response) => void response.writeHead(status).end());
  }

  stop(): void {
    for (const server of [this.#plain, this.#tls]) {
      server.close();
      server.closeAllConnections();
    }
  }
}
