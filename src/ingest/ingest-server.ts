import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import { isLoopback, listenOn } from "../lib/listen.ts";
import type { Service } from "../lib/service.ts";
import { Slots } from "../lib/slots.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Authenticator } from "./authenticator.ts";
import { BODY_DEADLINE_MS, Exchange, type ExchangeHooks } from "./exchange.ts";
import type { Reception } from "./reception.ts";
import { RETRY_AFTER_SECONDS } from "./acceptance.ts";
import { type Refusal, problemBody, problemHeaders, refuse } from "./refusal.ts";
import type { ResultOrder } from "./result-answer.ts";
import type { ResultDesk } from "./result-desk.ts";

/** Connections at once; more are closed unanswered. */
const CONNECTIONS_MAX = 8_192;
/** Requests under way at once (reading, committing); more are answered 503. */
const REQUESTS_MAX = 4_096;
/** Bytes of bodies held at once; more are answered 503. */
const BODY_BYTES_HELD_MAX = 64 * 1024 * 1024;
/** Request line and headers, in bytes. */
const HEADER_BYTES_MAX = 16 * 1024;
/** The headers must be here after this, in ms. */
const HEADERS_DEADLINE_MS = 10_000;
/** Idle connections are kept this long: longer than the usual 60 s of proxies, so that they close first, in ms. */
const KEEP_ALIVE_MS = 75_000;
const SWEEP_MS = 500;

export interface IngestServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly authenticator: Authenticator;
  readonly reception: Reception;
  readonly results: ResultDesk;
  readonly events: BusinessEvents;
  readonly log: Log;
  readonly clock: Clock;
  /** After `run`'s signal, connections still busy are cut after this, in ms. */
  readonly drainMs: number;
  readonly limits?: Partial<IngestLimits>;
}

/** Tests make these small. */
export interface IngestLimits {
  readonly connections: number;
  readonly requests: number;
  readonly bodyBytesHeld: number;
  readonly headersDeadlineMs: number;
  readonly bodyDeadlineMs: number;
}

const LIMITS: IngestLimits = {
  connections: CONNECTIONS_MAX,
  requests: REQUESTS_MAX,
  bodyBytesHeld: BODY_BYTES_HELD_MAX,
  headersDeadlineMs: HEADERS_DEADLINE_MS,
  bodyDeadlineMs: BODY_DEADLINE_MS,
};

/** `--ingest-auth none` on an address that others can reach. */
class IngestConfigError extends Error {
  override readonly name = "IngestConfigError";
  readonly code = "INGEST_AUTH_NONE";
}

/**
 * The ingest port. Everything is bounded: connections, requests, bytes held, headers, time; what goes beyond is refused with a
 * problem, never a hang. On abort it stops accepting, answers what is under way, and closes.
 */
export class IngestServer implements Service {
  readonly name = "ingest";
  readonly #options: IngestServerOptions;
  readonly #limits: IngestLimits;
  readonly #server: Server;
  /** Exchanges not closed: swept for slow bodies. */
  readonly #open = new Slots<Exchange>();
  readonly #lastOf = new WeakMap<Duplex, Exchange>();
  #underWay = 0;
  #bytesHeld = 0;
  #draining = false;
  #url: string | undefined;

  /** @throws IngestConfigError */
  constructor(options: IngestServerOptions) {
    if (options.authenticator.mode === "none" && !isLoopback(options.listen.host)) {
      throw new IngestConfigError(
        `--ingest-auth none is refused on ${options.listen.host || "all addresses"}: anyone who reaches the port could publish. Listen on 127.0.0.1, or use static tokens.`,
      );
    }
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#server = this.#createServer();
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. Safe to call twice. */
  async open(): Promise<string> {
    if (this.#url !== undefined) return this.#url;
    this.#url = await listenOn(this.#server, this.#options.listen);
    return this.#url;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.open();
    const stopSweep = this.#startSweep();
    const failed = new Promise<never>((_, reject) => this.#server.once("error", reject));
    try {
      if (!signal.aborted) await Promise.race([aborted(signal), failed]);
      await this.#drain();
    } finally {
      stopSweep();
      this.#url = undefined;
    }
  }

  #createServer(): Server {
    const { headersDeadlineMs, bodyDeadlineMs } = this.#limits;
    const server = createServer(
      {
        maxHeaderSize: HEADER_BYTES_MAX,
        headersTimeout: headersDeadlineMs,
        // A safety net behind our own deadline, which can say why.
        requestTimeout: headersDeadlineMs + bodyDeadlineMs + 10_000,
        connectionsCheckingInterval: Math.min(1_000, headersDeadlineMs / 2),
        keepAliveTimeout: KEEP_ALIVE_MS,
        requireHostHeader: false,
        noDelay: true,
      },
      (request, response) => this.#receive(request, response, false),
    );
    server.maxConnections = this.#limits.connections;
    server.on("checkContinue", (request, response) => this.#receive(request, response, true));
    server.on("checkExpectation", (request, response) => {
      const refusal = refuse("expectation_unsupported", "Only Expect: 100-continue is supported.");
      this.#begin(request, response).refuse(refusal, { linger: false, nowMs: 0 });
    });
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.#clientError(error, socket));
    return server;
  }

  #begin(request: IncomingMessage, response: ServerResponse): Exchange {
    const exchange = new Exchange({ request, response }, this.#options.clock.monotonicMs(), this.#hooks);
    this.#underWay++;
    exchange.place = this.#open.add(exchange);
    this.#lastOf.set(request.socket, exchange);
    if (this.#draining) response.shouldKeepAlive = false;
    return exchange;
  }

  readonly #hooks: ExchangeHooks = {
    onClose: (exchange) => this.#open.remove(exchange.place, exchange),
    onBytes: (bytes) => {
      this.#bytesHeld += bytes;
    },
    onEnd: (exchange, end) => {
      if (!exchange.isParked) this.#unload(exchange);
      const seconds = exchange.busyMs(this.#options.clock.monotonicMs()) / 1_000;
      // 499 as nginx counts a client that left before it was answered.
      this.#options.events.ingestAnswered(end.status === 0 ? 499 : end.status, seconds);
    },
  };

  #unload(exchange: Exchange): void {
    this.#underWay--;
    this.#bytesHeld -= exchange.bytes;
  }

  #receive(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const exchange = this.#begin(request, response);
    this.#serve(exchange, expectsContinue).catch((error: unknown) => {
      this.#options.log.error({ err: error }, "ingest: a request failed for a reason nobody foresaw");
      this.#refuse(exchange, refuse("internal", "The event was not stored; the log says more."), false);
    });
  }

  async #serve(exchange: Exchange, expectsContinue: boolean): Promise<void> {
    const { reception } = this.#options;
    const found = reception.open(exchange.request);
    const opened = found instanceof Promise ? await found : found;
    if (opened.kind === "refused") return this.#refuse(exchange, opened.refusal, expectsContinue);
    if (opened.kind === "answer") return exchange.answer(opened.status, opened.headers, "");
    const length = opened.kind === "poll" ? 0 : (opened.head.contentLength ?? 0);
    const busy = this.#busy(length);
    if (busy !== undefined) return this.#refuse(exchange, busy, expectsContinue);
    if (opened.kind === "poll") return this.#answerLater(exchange, opened.order);
    if (expectsContinue) exchange.response.writeContinue();
    const body = await exchange.readBody(opened.plan.bytesMax, opened.plan.tooLarge);
    if (!(body instanceof Uint8Array)) return this.#refuse(exchange, body, false);
    const result = await reception.accept(opened, body);
    if (!result.ok) return this.#refuse(exchange, result.refusal, false);
    if (result.value.kind === "order") return this.#answerLater(exchange, result.value.order);
    const { status, headers, text } = result.value.answer;
    exchange.answer(status, headers, text);
  }

  /** Not awaited by anybody: what was needed to accept the event must not stay in memory while its producer waits. */
  #answerLater(exchange: Exchange, order: ResultOrder): void {
    if (!exchange.isOpen) return;
    this.#unload(exchange);
    exchange.park(this.#options.clock.monotonicMs());
    exchange.seat(this.#options.results.take(order, exchange));
  }

  /** Back-pressure: refused early and cheaply, before a body is read. */
  #busy(length: number): Refusal | undefined {
    const { requests, bodyBytesHeld } = this.#limits;
    const retryAfterSeconds = RETRY_AFTER_SECONDS;
    if (this.#underWay > requests) {
      return refuse("overloaded", `${requests} requests are under way already: try again shortly.`, { retryAfterSeconds });
    }
    if (this.#bytesHeld + length > bodyBytesHeld) {
      return refuse("overloaded", `${bodyBytesHeld} bytes of requests are held already: try again shortly.`, { retryAfterSeconds });
    }
    return undefined;
  }

  /** `waits`: the client holds its body back until it is told to go on, so there is nothing to linger for. */
  #refuse(exchange: Exchange, refusal: Refusal, waits: boolean): void {
    exchange.refuse(refusal, { linger: !waits, nowMs: this.#options.clock.monotonicMs() });
  }

  /** The parser gave up on a connection: answer in order with what is under way on it, then close. */
  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const refusal = parserRefusal(error.code ?? "");
    const last = this.#lastOf.get(socket);
    if (last === undefined || last.response.writableFinished) {
      socket.end(rawAnswer(refusal));
      this.#options.events.ingestAnswered(refusal.status, 0);
    } else if (last.isReading) {
      last.response.shouldKeepAlive = false;
      last.refuse(refusal, { linger: false, nowMs: 0 });
    } else {
      // An earlier request waits for its commit: its answer goes out first, what followed it was never a request.
      last.response.shouldKeepAlive = false;
      last.response.once("close", () => socket.destroy());
    }
  }

  #startSweep(): () => void {
    let cancel: () => void;
    const sweep = (): void => {
      const nowMs = this.#options.clock.monotonicMs();
      for (const exchange of this.#open) exchange.sweep(nowMs, this.#limits.bodyDeadlineMs);
      cancel = this.#options.clock.after(SWEEP_MS, sweep);
    };
    cancel = this.#options.clock.after(SWEEP_MS, sweep);
    return () => cancel();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    for (const exchange of this.#open) {
      if (!exchange.response.headersSent) exchange.response.shouldKeepAlive = false;
    }
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#options.results.stop();
    this.#server.closeIdleConnections();
    const cancel = this.#options.clock.after(this.#options.drainMs, () => this.#server.closeAllConnections());
    await closed;
    cancel();
    this.#draining = false;
  }
}

function parserRefusal(code: string): Refusal {
  if (code === "HPE_HEADER_OVERFLOW") return refuse("headers_too_large", `Request line and headers may have ${HEADER_BYTES_MAX} bytes.`);
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return refuse("request_timeout", "The request was not complete in time.");
  if (code === "HPE_INVALID_EOF_STATE") return refuse("body_truncated", "The connection ended before the request did.");
  return refuse("malformed_request", `The request could not be parsed (${code.slice(0, 64)}).`);
}

function rawAnswer(refusal: Refusal): string {
  const body = problemBody(refusal);
  const headers = {
    "Content-Type": "application/problem+json",
    "Content-Length": String(Buffer.byteLength(body)),
    ...problemHeaders(refusal),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ""}\r\n${lines.join("")}Connection: close\r\n\r\n${body}`;
}
