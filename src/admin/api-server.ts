import { createServer, type Server, type ServerResponse } from "node:http";
import { aborted } from "../lib/abort.ts";
import { listenOn, type ListenAddress } from "../lib/listen.ts";
import type { Service } from "../lib/service.ts";

const HEADERS_DEADLINE_MS = 10_000;
const CONNECTIONS_MAX = 1_024;

/**
 * The read and act API's port. Its routes come with a later version: until then every path is answered with a problem that says so, never
 * with silence and never with an empty list.
 */
export class ApiServer implements Service {
  readonly name = "api";
  readonly #listen: ListenAddress;
  readonly #server: Server;

  constructor(listen: ListenAddress) {
    this.#listen = listen;
    this.#server = createServer({ headersTimeout: HEADERS_DEADLINE_MS, requestTimeout: HEADERS_DEADLINE_MS }, (request, response) => {
      request.resume();
      answerNotBuilt(response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. */
  async open(): Promise<string> {
    return listenOn(this.#server, this.#listen);
  }

  async run(signal: AbortSignal): Promise<void> {
    await aborted(signal);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

function answerNotBuilt(response: ServerResponse): void {
  const problem = {
    type: "https://postrider.dev/errors/api_not_built",
    title: "Not built yet",
    status: 501,
    code: "api_not_built",
    detail:
      "The read and act API comes with a later version; until then see kubectl get webhooksubscriptions -o yaml, /metrics and the log.",
  };
  response.writeHead(501, { "content-type": "application/problem+json" }).end(`${JSON.stringify(problem)}\n`);
}
