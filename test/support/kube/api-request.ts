import { Agent, request } from "node:https";
import type { ControlPlaneAccess } from "./kubectl.ts";

export interface ApiAnswer {
  readonly statusCode: number;
  /** The object, or the Status when refused. */
  readonly body: Readonly<Record<string, unknown>>;
}

const GROUP_VERSION = "/apis/postrider.dev/v1alpha1";
const TIMEOUT_MS = 30_000;

/** Plain requests to the API server as admin, on kept connections: hundreds of manifests in seconds, where each kubectl takes 0.1 s. */
export class ApiRequests {
  readonly #access: ControlPlaneAccess;
  readonly #agent: Agent;

  constructor(access: ControlPlaneAccess) {
    this.#access = access;
    this.#agent = new Agent({ ca: access.ca, keepAlive: true, maxSockets: 8 });
  }

  /** Sends a body (an object, or YAML as text, which the server decodes itself) with kubectl's strict field validation. */
  send(method: "POST" | "PUT" | "GET" | "DELETE", path: string, body?: unknown): Promise<ApiAnswer> {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const url = new URL(path, this.#access.url);
    if (body !== undefined) url.searchParams.set("fieldValidation", "Strict");
    const headers = {
      authorization: `Bearer ${this.#access.adminToken}`,
      accept: "application/json",
      ...(text === undefined ? {} : { "content-type": typeof body === "string" ? "application/yaml" : "application/json" }),
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method, agent: this.#agent, headers, timeout: TIMEOUT_MS }, (response) => {
        let answer = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
        response.on("error", reject);
        response.on("end", () => resolve({ statusCode: response.statusCode ?? 0, body: JSON.parse(answer) as ApiAnswer["body"] }));
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path}: no answer in ${TIMEOUT_MS} ms`)));
      outgoing.on("error", reject);
      outgoing.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** The collection of one of our kinds; `namespace` undefined for cluster-scoped kinds. */
export function collectionPath(kind: string, namespace: string | undefined): string {
  const plural = kind.toLowerCase().replace(/(?<![aeiou])y$/, "ie") + "s";
  return `${GROUP_VERSION}/${namespace === undefined ? "" : `namespaces/${namespace}/`}${plural}`;
}
