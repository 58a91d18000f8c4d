import { createHash } from "node:crypto";
import { Agent } from "undici";
import type { Clock } from "../lib/clock.ts";
import type { Credentials, CredentialSource } from "./credentials.ts";

/** Every call but a watch ends within this, in ms. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** Tokens and certificates are read anew this often, in ms. */
const CREDENTIALS_FOR_MS = 30_000;
const CONNECTIONS_MAX = 16;
const ERROR_BYTES_MAX = 16 * 1024;

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  /** Of the body; PATCH must say which kind it is. */
  readonly contentType?: string;
  readonly accept?: string;
}

export interface ApiAnswer {
  readonly status: number;
  /** Parsed; undefined when it was not JSON. */
  readonly body: unknown;
  /** From a Retry-After header in seconds, ms. */
  readonly retryAfterMs: number | undefined;
}

/** A watch's answer: either lines as they come, or the refusal. */
export type ApiStream = { readonly ok: true; readonly chunks: AsyncIterable<Buffer> } | { readonly ok: false; readonly answer: ApiAnswer };

/**
 * One kept HTTP/1.1 dispatcher to the API server (a new one per call would cost a TLS handshake each), made anew when the CA or
 * the client certificate changes. A 401 reads the credentials again and asks once more: tokens rotate.
 */
export class KubeTransport {
  readonly #source: CredentialSource;
  readonly #clock: Clock;
  #credentials: { readonly value: Credentials; readonly untilMs: number } | undefined;
  #agent: { readonly agent: Agent; readonly fingerprint: string } | undefined;

  constructor(source: CredentialSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Rejects only when no answer came (network, TLS, time). */
  async request(request: ApiRequest): Promise<ApiAnswer> {
    const first = await this.#once(request);
    if (first.status !== 401) return first;
    this.#credentials = undefined;
    return this.#once(request);
  }

  /** Opens a watch; `signal` ends it. Rejects when no answer came. */
  async stream(path: string, signal: AbortSignal): Promise<ApiStream> {
    const { agent, headers } = await this.#connection();
    const answer = await agent.request({
      origin: this.#source.server,
      path,
      method: "GET",
      headers: { ...headers, accept: "application/json" },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: 0,
      signal,
    });
    if (answer.statusCode === 200) return { ok: true, chunks: answer.body };
    if (answer.statusCode === 401) this.#credentials = undefined;
    const text = (await answer.body.text()).slice(0, ERROR_BYTES_MAX);
    return { ok: false, answer: { status: answer.statusCode, body: parse(text), retryAfterMs: retryAfter(answer.headers["retry-after"]) } };
  }

  async close(): Promise<void> {
    await this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  async #once(request: ApiRequest): Promise<ApiAnswer> {
    const { agent, headers } = await this.#connection();
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    const abort = new AbortController();
    const cancel = this.#clock.after(REQUEST_TIMEOUT_MS, () =>
      abort.abort(new Error(`the API server did not answer within ${REQUEST_TIMEOUT_MS} ms`)),
    );
    try {
      const answer = await agent.request({
        origin: this.#source.server,
        path: request.path,
        method: request.method,
        headers: {
          ...headers,
          accept: request.accept ?? "application/json",
          ...(body === null ? {} : { "content-type": request.contentType ?? "application/json" }),
        },
        body,
        signal: abort.signal,
      });
      const text = await answer.body.text();
      return { status: answer.statusCode, body: parse(text), retryAfterMs: retryAfter(answer.headers["retry-after"]) };
    } finally {
      cancel();
    }
  }

  async #connection(): Promise<{ readonly agent: Agent; readonly headers: Readonly<Record<string, string>> }> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#credentials === undefined || this.#credentials.untilMs <= nowMs) {
      this.#credentials = { value: await this.#source.current(), untilMs: nowMs + CREDENTIALS_FOR_MS };
    }
    const { headers, tls } = this.#credentials.value;
    const fingerprint = createHash("sha256")
      .update(JSON.stringify([String(tls.ca), String(tls.cert), String(tls.key), tls.servername]))
      .digest("hex");
    if (this.#agent?.fingerprint !== fingerprint) {
      // The old one ends when its calls and watches have.
      void this.#agent?.agent.close();
      // HTTP/2 is off: long watches over it leaked memory in Node.
      const agent = new Agent({
        allowH2: false,
        connections: CONNECTIONS_MAX * 8,
        pipelining: 1,
        connect: { ...tls, timeout: REQUEST_TIMEOUT_MS },
      });
      this.#agent = { agent, fingerprint };
    }
    return { agent: this.#agent.agent, headers };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfter(header: string | string[] | undefined): number | undefined {
  return typeof header === "string" && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
}

/** The message of a Kubernetes Status, for people. */
export function statusMessage(answer: ApiAnswer): string {
  const { body } = answer;
  const message = typeof body === "object" && body !== null && "message" in body ? body.message : undefined;
  return typeof message === "string" && message !== "" ? message : `the API server answered ${answer.status}`;
}
