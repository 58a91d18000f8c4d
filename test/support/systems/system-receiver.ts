import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Changes } from "../until.ts";

const WAIT_MS = 30_000;

/** One request as it was on the wire. */
export interface Received {
  /** By performance.now(), when the last byte was there. */
  readonly atMs: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A provider's customer on 127.0.0.1: keeps every request byte for byte and answers with the status that `answer` gives. */
export class SystemReceiver {
  readonly received: Received[] = [];
  readonly #server: Server;
  readonly #changes = new Changes();

  constructor(answer: (request: Received) => number) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { url: path = "", headers } = request;
        const one: Received = { atMs: performance.now(), path, headers, body: Buffer.concat(chunks) };
        this.received.push(one);
        const statusCode = answer(one);
        response.writeHead(statusCode, { "content-type": "text/plain", "x-receiver": "system" }).end(`answered ${statusCode}`);
        this.#changes.happened();
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

  at(path: string): Received[] {
    return this.received.filter((one) => one.path === path);
  }

  /** Settles when `holds`, looked at after each request. */
  until(holds: () => boolean, withinMs = WAIT_MS): Promise<void> {
    const seen = (): string => `${holds.toString()}; got ${this.received.map(({ path }) => path).join(" ")}`;
    return this.#changes.until(holds, { withinMs, seen });
  }
}
