import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Service } from "../lib/service.ts";

const HEADERS_DEADLINE_MS = 10_000;
const CONNECTIONS_MAX = 1_024;

/**
 * The read and act API's port. Its routes come with a later version: until then every path is answered with a problem that says so, never
 * with silence and never with an empty list.
 */
export class ApiServer implements Service {
  readonly name = "api";
  readonly #listen: { readonly host: string; readonly port: number };
  readonly #server: Server;

  constructor(listen: { readonly host: string; readonly port: number }) {
    this.#listen = listen;
    this.#server = createServer({ headersTimeout: HEADERS_DEADLINE_MS, requestTimeout: HEADERS_DEADLINE_MS }, (request, response) => {
      request.resume();
      answerNotBuilt(response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. */
  async open(): Promise<string> {
    const { host, port } = this.#listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host: host === "" ? undefined : host, port }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    return `http://${host.includes(":") ? `[${host}]` : host || "0.0.0.0"}:${(this.#server.address() as AddressInfo).port}`;
  }

  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
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
