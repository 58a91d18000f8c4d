import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** One request to the example's receiver, and its answer. */
export interface Arrival {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** 1 = the first time that this path sees the id. */
  readonly attempt: number;
  readonly statusCode: number;
}

/** The status for a request, from its path, body and how often the path has seen its id. */
export type Answer = (request: Pick<Arrival, "path" | "body" | "attempt">) => number;

/** The customers of an example in one server on 127.0.0.1; `told` hears of each request after it is answered. */
export class ExampleReceiver {
  readonly arrivals: Arrival[] = [];
  readonly #server: Server;

  constructor(answer: Answer, told: (arrival: Arrival) => void) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { url: path = "", headers } = request;
        const body = Buffer.concat(chunks).toString("utf8");
        const id = headers["webhook-id"];
        const attempt = this.arrivals.filter((one) => one.path === path && one.headers["webhook-id"] === id).length + 1;
        const arrival = { path, headers, body, attempt, statusCode: answer({ path, body, attempt }) };
        this.arrivals.push(arrival);
        response
          .writeHead(arrival.statusCode, { "content-type": "text/plain" })
          .end(arrival.statusCode < 300 ? "thank you" : "not now", () => told(arrival));
      });
    });
  }

  /** Answers its URL, without a trailing slash. */
  async start(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** How many deliveries were taken: ids by path that were answered 2xx. */
  get taken(): number {
    const taken = this.arrivals.filter(({ statusCode }) => statusCode < 300);
    return new Set(taken.map(({ path, headers }) => `${path} ${String(headers["webhook-id"])}`)).size;
  }
}
