import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A receiver that keeps what comes in and answers as told; `undefined` = it never answers. */
export class RecordingReceiver {
  readonly url: string;
  readonly requests: Recorded[] = [];
  answer: Answer | undefined = { status: 200 };
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<RecordingReceiver> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const receiver = new RecordingReceiver(server);
    server.on("request", (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        receiver.requests.push({ method, path: url, headers, body: Buffer.concat(chunks).toString("utf8") });
        const { answer } = receiver;
        if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
      });
    });
    return receiver;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
