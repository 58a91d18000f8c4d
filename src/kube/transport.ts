import { createHash } from "node:crypto";
import { Agent } from "undici";
import type { Clock } from "../lib/clock.ts";
import type { Credentials, CredentialSource } from "./credentials.ts";

/** Every call but a watch ends within this, in ms. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** Tokens and certificates are read anew this often, in ms. */
const CREDENTIALS_FOR_MS = 30_000;
/** Calls at a time; watches have connections of their own, or enough of them would leave none for calls. */
const CONNECTIONS_MAX = 16;
/** After a call that got no answer, writes are not tried for this long, ms: an API server that comes back must not be stormed. */
const AWAY_MS = 1_000;
const ERROR_BYTES_MAX = 16 * 1024;

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  /** Of the body; PATCH must say which kind it is. */
  readonly contentType?: string;
  readonly accept?: string;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

export interface ApiAnswer {
  readonly status: number;
  /** Parsed; undefined when it was not JSON. */
  readonly body: unknown;
  /** From a Retry-After header in seconds, ms. */
  readonly retryAfterMs: number | undefined;
  /** The API server's clock as it answered, ms since the epoch; undefined where it did not say. */
  readonly dateMs?: number | undefined;
}

/** A watch's answer: either lines as they come, or the refusal. */
export type ApiStream = { readonly ok: true; readonly chunks: AsyncIterable<Buffer> } | { readonly ok: false; readonly answer: ApiAnswer };

interface Connection {
  readonly headers: Readonly<Record<string, string>>;
  readonly calls: Agent;
  readonly watches: Agent;
  readonly fingerprint: string;
  readonly untilMs: number;
}

/**
 * One kept HTTP/1.1 dispatcher to the API server (a new one per call would cost a TLS handshake each), made anew when the CA or
 * the client certificate changes. A 401 reads the credentials again and asks once more: tokens rotate.
 */
export class KubeTransport {
  readonly #source: CredentialSource;
  readonly #clock: Clock;
  #connection: Connection | undefined;
  #refused = false;
  #awayUntilMs = 0;

  constructor(source: CredentialSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Rejects only when no answer came (network, TLS, time), for a write also when none came a moment ago. */
  async request(request: ApiRequest): Promise<ApiAnswer> {
    if (request.method !== "GET" && this.#clock.monotonicMs() < this.#awayUntilMs) throw new Error("the API server does not respond");
    const first = await this.#once(request);
    if (first.status !== 401) return first;
    this.#refused = true;
    return this.#once(request);
  }

  /** Opens a watch; `signal` ends it. Rejects when no answer came. */
  async stream(path: string, signal: AbortSignal): Promise<ApiStream> {
    const { watches, headers } = await this.#connect();
    const answer = await watches.request({
      origin: this.#source.server,
      path,
      method: "GET",
      headers: { ...headers, accept: "application/json" },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: 0,
      signal,
    });
    if (answer.statusCode === 200) return { ok: true, chunks: answer.body };
    if (answer.statusCode === 401) this.#refused = true;
    const text = (await answer.body.text()).slice(0, ERROR_BYTES_MAX);
    return { ok: false, answer: { status: answer.statusCode, body: parse(text), retryAfterMs: retryAfter(answer.headers["retry-after"]) } };
  }

  /** Ends every call and watch under way. A call after that connects anew. */
  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await Promise.all([connection?.calls.destroy(), connection?.watches.destroy()]);
  }

  async #once(request: ApiRequest): Promise<ApiAnswer> {
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    const abort = new AbortController();
    const late = (): void => abort.abort(new Error(`the API server did not answer within ${REQUEST_TIMEOUT_MS} ms`));
    // An answer that came in time is read first: after a moment in which we stood still it may lie in the socket.
    const cancel = this.#clock.after(REQUEST_TIMEOUT_MS, () => this.#clock.afterPoll(late));
    const give = (): void => abort.abort(new Error("given up"));
    if (request.signal?.aborted === true) give();
    request.signal?.addEventListener("abort", give, { once: true });
    try {
      const { calls, headers } = await this.#connect();
      const answer = await calls.request({
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
      this.#awayUntilMs = 0;
      const { "retry-after": retry, date } = answer.headers;
      return { status: answer.statusCode, body: parse(text), retryAfterMs: retryAfter(retry), dateMs: instant(date) };
    } catch (error) {
      if (request.signal?.aborted !== true) this.#awayUntilMs = this.#clock.monotonicMs() + AWAY_MS;
      throw error;
    } finally {
      cancel();
      request.signal?.removeEventListener("abort", give);
    }
  }

  async #connect(): Promise<Connection> {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#connection;
    if (before !== undefined && !this.#refused && before.untilMs > nowMs) return before;
    const anew = this.#refused;
    this.#refused = false;
    const { headers, tls } = await this.#source.current(anew);
    const untilMs = nowMs + CREDENTIALS_FOR_MS;
    const fingerprint = fingerprintOf(tls);
    // Somebody else may have connected while the credentials were read.
    const newest = this.#connection;
    if (newest?.fingerprint === fingerprint) return (this.#connection = { ...newest, headers, untilMs });
    // The old ones end when their calls and watches have.
    for (const agent of [newest?.calls, newest?.watches]) void agent?.close();
    // HTTP/2 is off: long watches over it leaked memory in Node.
    const options = { allowH2: false, pipelining: 1, connect: { ...tls, timeout: REQUEST_TIMEOUT_MS } } as const;
    const calls = new Agent({ ...options, connections: CONNECTIONS_MAX });
    const watches = new Agent(options);
    return (this.#connection = { headers, calls, watches, fingerprint, untilMs });
  }
}

function fingerprintOf(tls: Credentials["tls"]): string {
  return createHash("sha256")
    .update(JSON.stringify([String(tls.ca), String(tls.cert), String(tls.key), tls.servername, tls.rejectUnauthorized]))
    .digest("hex");
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

function instant(date: string | string[] | undefined): number | undefined {
  const ms = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

/** The message of a Kubernetes Status, for people. */
export function statusMessage(answer: ApiAnswer): string {
  const { body } = answer;
  const message = typeof body === "object" && body !== null && "message" in body ? body.message : undefined;
  return typeof message === "string" && message !== "" ? message : `the API server answered ${answer.status}`;
}
