import { STATUS_CODES, type IncomingMessage, type ServerOptions, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { REQUEST_BYTES_MAX } from "../core/event.ts";
import { aborted } from "../lib/abort.ts";
import type { Clock } from "../lib/clock.ts";
import { STRANGER_IDLE_MS } from "../lib/door/door.ts";
import { Listener } from "../lib/door/listener.ts";
import { Pot } from "../lib/door/pot.ts";
import { pour } from "../lib/door/pour.ts";
import { openPortFault } from "../core/access-token.ts";
import type { ListenAddress } from "../lib/listen.ts";
import type { Service } from "../lib/service.ts";
import { Shares } from "../lib/shares.ts";
import { Slots } from "../lib/slots.ts";
import type { BusinessEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Authenticator } from "./authenticator.ts";
import { BODY_DEADLINE_MS, Exchange, type ExchangeHooks } from "./exchange.ts";
import type { LetIn, Reception, Shown } from "./reception.ts";
import { type Refusal, problemBody, problemHeaders, refuse, RETRY_AFTER_SECONDS } from "./refusal.ts";
import type { ResultOrder } from "./results/result-answer.ts";
import { RefusalLog } from "./refusal-log.ts";
import { askedNamespace } from "./request-head.ts";
import { TOKEN_WITHIN_BYTES } from "./early-token.ts";
import { Strangers, STRANGERS_MAX } from "./strangers.ts";
import type { ResultDesk } from "./results/result-desk.ts";

/** Connections at once; for one more another is closed. */
const CONNECTIONS_MAX = 8_192;
/** The same over TLS, where one holds 60 to 80 KB more: all of them, and those of the other ports, fit in the chart's 1 GiB. */
export const TLS_CONNECTIONS_MAX = 4_096;
/** Bytes of answers that readers have not taken yet, in all. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;
/** Requests under way at once (reading, committing), and how many a namespace may have there whatever others do; more are answered 503. */
const REQUESTS_MAX = 4_096;
const REQUESTS_FLOOR = 64;
/** Bytes of bodies held at once, and how many of a namespace whatever others do: one request of the largest size; more are answered 503. */
const BODY_BYTES_HELD_MAX = 64 * 1024 * 1024;
const BODY_BYTES_FLOOR = REQUEST_BYTES_MAX;
/** Request line and headers, in bytes. */
const HEADER_BYTES_MAX = 16 * 1024;
/** The headers must be here after this, in ms. */
const HEADERS_DEADLINE_MS = 10_000;
/** Idle connections are kept this long: longer than the usual 60 s of proxies, so that they close first, in ms. */
const KEEP_ALIVE_MS = 75_000;
const SWEEP_MS = 500;
/** Uploads under way when it closes may go on for so long, ms; then they are answered 503. */
const UPLOADS_END_MS = 1_000;
/** Between the last answers and the end of the connections, so that they are read, ms. */
const LAST_ANSWERS_MS = 100;

export interface IngestServerOptions {
  readonly listen: ListenAddress;
  readonly authenticator: Authenticator;
  readonly reception: Reception;
  readonly results: ResultDesk;
  readonly events: BusinessEvents;
  readonly log: Log;
  readonly clock: Clock;
  /** After `run`'s signal, whoever still waits is told so after this, and connections still busy are cut, in ms. */
  readonly drainMs: number;
  readonly limits?: Partial<IngestLimits>;
}

/** Tests make these small. */
export interface IngestLimits {
  readonly connections: number;
  readonly strangerConnections?: number;
  readonly unreadBytes: number;
  readonly strangerIdleMs: number;
  /** Requests whose token has yet to come in the body. */
  readonly strangers: number;
  readonly requests: number;
  readonly bodyBytesHeld: number;
  /** HANDSHAKE_DEADLINE_MS, unless said otherwise. */
  readonly handshakeDeadlineMs?: number;
  readonly headersDeadlineMs: number;
  readonly bodyDeadlineMs: number;
}

const LIMITS: Omit<IngestLimits, "connections"> = {
  unreadBytes: UNREAD_BYTES_MAX,
  strangerIdleMs: STRANGER_IDLE_MS,
  strangers: STRANGERS_MAX,
  requests: REQUESTS_MAX,
  bodyBytesHeld: BODY_BYTES_HELD_MAX,
  headersDeadlineMs: HEADERS_DEADLINE_MS,
  bodyDeadlineMs: BODY_DEADLINE_MS,
};

export function ingestLimits({ listen, limits }: Pick<IngestServerOptions, "listen" | "limits">): IngestLimits {
  const connections = listen.identity === undefined ? CONNECTIONS_MAX : TLS_CONNECTIONS_MAX;
  return { ...LIMITS, connections, ...limits };
}

/** `--ingest-auth none` on an address that others can reach. */
class IngestConfigError extends Error {
  override readonly name = "IngestConfigError";
  readonly code = "INGEST_AUTH_NONE";
}

/**
 * The ingest port. Everything is bounded: connections, requests, bytes held, headers, time; what goes beyond is refused with a
 * problem, never a hang. `drain` prepares for the end: it goes on as before, but every answer ends its connection. On abort it takes no new
 * connection, answers what is under way, and closes; nobody whose request has begun is left without an answer.
 */
export class IngestServer implements Service {
  readonly name = "ingest";
  readonly #options: IngestServerOptions;
  readonly #limits: IngestLimits;
  readonly #listener: Listener;
  /** Exchanges not closed: swept for slow bodies. */
  readonly #open = new Slots<Exchange>();
  readonly #lastOf = new WeakMap<Duplex, Exchange>();
  readonly #strangers: Strangers;
  readonly #refusals: RefusalLog;
  /** Answers that wait for their readers. */
  readonly #slow: Pot<Exchange>;
  readonly #requests: Shares;
  readonly #bytesHeld: Shares;
  #draining = false;
  #url: string | undefined;

  /** @throws IngestConfigError */
  constructor(options: IngestServerOptions) {
    const fault = options.authenticator.mode === "none" ? openPortFault("--ingest-auth", options.listen.host) : undefined;
    if (fault !== undefined) throw new IngestConfigError(fault);
    this.#options = options;
    this.#limits = ingestLimits(options);
    const { requests, bodyBytesHeld } = this.#limits;
    this.#slow = new Pot(this.#limits.unreadBytes);
    this.#refusals = new RefusalLog(options.log, options.clock);
    this.#strangers = new Strangers(this.#limits.strangers, options.events);
    this.#requests = new Shares(requests, Math.min(REQUESTS_FLOOR, requests));
    this.#bytesHeld = new Shares(bodyBytesHeld, Math.min(BODY_BYTES_FLOOR, bodyBytesHeld));
    this.#listener = this.#createListener();
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. Safe to call twice. */
  async open(): Promise<string> {
    if (this.#url !== undefined) return this.#url;
    this.#url = await this.#listener.open();
    return this.#url;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.open();
    const stopSweep = this.#startSweep();
    const failed = new Promise<never>((_, reject) => this.#listener.server.once("error", reject));
    try {
      if (!signal.aborted) await Promise.race([aborted(signal), failed]);
      await this.#close();
    } finally {
      stopSweep();
      this.#url = undefined;
    }
  }

  /** From now on every answer ends its connection: clients come back through a new one, which the next process can take. */
  drain(): void {
    this.#draining = true;
    for (const exchange of this.#open) {
      if (!exchange.response.headersSent) exchange.response.shouldKeepAlive = false;
    }
  }

  #createListener(): Listener {
    const { headersDeadlineMs, bodyDeadlineMs, handshakeDeadlineMs } = this.#limits;
    const http: ServerOptions = {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: headersDeadlineMs,
      // A safety net behind our own deadline, which can say why.
      requestTimeout: headersDeadlineMs + bodyDeadlineMs + 10_000,
      connectionsCheckingInterval: Math.min(1_000, headersDeadlineMs / 2),
      keepAliveTimeout: KEEP_ALIVE_MS,
      requireHostHeader: false,
      noDelay: true,
    };
    const { listen, clock, events } = this.#options;
    const listener = new Listener({
      listen,
      http,
      serve: (request, response) => this.#receive(request, response, false),
      limits: this.#limits,
      clock,
      watch: events.ingestDoor,
      handshakeDeadlineMs,
    });
    const { server } = listener;
    server.on("checkContinue", (request, response) => this.#receive(request, response, true));
    server.on("checkExpectation", (request, response) => {
      const refusal = refuse("expectation_unsupported", "Only Expect: 100-continue is supported.");
      this.#begin(request, response)?.refuse(refusal, { linger: false, nowMs: 0 });
    });
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.#clientError(error, socket));
    return listener;
  }

  /** Undefined when there is nobody to serve, or what he sent has been refused already. */
  #begin(request: IncomingMessage, response: ServerResponse): Exchange | undefined {
    const fault = this.#listener.door.receive(request, response);
    if (fault === "gone") return undefined;
    const exchange = new Exchange({ request, response }, this.#options.clock.monotonicMs(), this.#hooks);
    exchange.slot = this.#open.add(exchange);
    this.#lastOf.set(request.socket, exchange);
    if (this.#draining) response.shouldKeepAlive = false;
    if (fault === undefined) return exchange;
    exchange.refuse(refuse(fault.code, fault.detail), { linger: false, nowMs: 0 });
    return undefined;
  }

  readonly #hooks: ExchangeHooks = {
    onLongAnswer: (exchange, body) => this.#pour(exchange, body),
    onClose: (exchange) => {
      this.#open.remove(exchange.slot, exchange);
      this.#slow.leave(exchange);
    },
    onBytes: ({ share }, bytes) => (share === undefined || this.#bytesHeld.take(share, bytes) ? undefined : this.#tooManyBytes(share)),
    onEnd: (exchange, end) => {
      if (!exchange.isWorkedOn) this.#unload(exchange);
      const seconds = exchange.busyMs(this.#options.clock.monotonicMs()) / 1_000;
      // 499 as nginx counts a client that left before it was answered.
      this.#options.events.ingestAnswered(end.status === 0 ? 499 : end.status, seconds);
      if (end.refusal !== undefined) this.#refused(end.refusal, exchange.request);
    },
  };

  /** Answers that wait for slow readers share a bound; above it, whoever of the address with most has let one wait for longest is closed. */
  #pour(exchange: Exchange, body: Uint8Array): void {
    const { request, response } = exchange;
    const onSlow = (): void => {
      for (const given of this.#slow.enter(exchange, request.socket.remoteAddress ?? "", body.length))
        this.#listener.door.giveUp(given.request, "unread");
    };
    pour(response, [body], { clock: this.#options.clock, onSlow }).catch(() => response.destroy());
  }

  #unload(exchange: Exchange): void {
    const { share } = exchange;
    this.#strangers.leave(exchange);
    if (share === undefined) return;
    exchange.share = undefined;
    this.#requests.give(share, 1);
    this.#bytesHeld.give(share, exchange.bytes);
  }

  #receive(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const exchange = this.#begin(request, response);
    if (exchange === undefined) return;
    this.#serve(exchange, expectsContinue).catch((error: unknown) => {
      this.#options.log.error({ err: error }, "an ingest request failed unexpectedly");
      this.#refuse(exchange, refuse("internal", "The event was not stored; see the log."), false);
    });
  }

  async #serve(exchange: Exchange, expectsContinue: boolean): Promise<void> {
    const { reception } = this.#options;
    const found = reception.open(exchange.request);
    const opened = found instanceof Promise ? await found : found;
    if (opened.isKnown) this.#listener.door.know(exchange.request);
    if (opened.kind === "refused") return this.#refuse(exchange, opened.refusal, expectsContinue);
    if (opened.kind === "answer") return exchange.answer(opened.status, opened.headers, "");
    const busy = this.#enter(exchange, opened);
    if (busy !== undefined) return this.#refuse(exchange, busy, expectsContinue);
    if (opened.kind === "poll") return this.#answerLater(exchange, opened.order);
    if (expectsContinue) exchange.response.writeContinue();
    let shown: Shown | undefined;
    const judge = (start: Uint8Array, isWhole: boolean): Refusal | undefined => {
      const found = reception.tokenIn(opened, start, isWhole);
      if (!found.ok) return this.#turnAway(exchange, found.refusal, isWhole);
      shown = found.value;
      return this.#moveIn(exchange, opened.head.namespace);
    };
    const body = await exchange.readBody({ ...opened.plan, gate: opened.isKnown ? undefined : { bytes: TOKEN_WITHIN_BYTES, judge } });
    if (!(body instanceof Uint8Array)) return this.#refuse(exchange, body, false);
    exchange.isWorkedOn = true;
    const result = await reception.accept(opened, body, shown).finally(() => this.#workedOn(exchange));
    if (!result.ok) return this.#refuse(exchange, result.refusal, false);
    if (result.value.kind === "order") return this.#answerLater(exchange, result.value.order);
    const { status, headers, text } = result.value.answer;
    exchange.answer(status, headers, text);
  }

  /** Its client may have left meanwhile; until now its room was in use all the same. */
  #workedOn(exchange: Exchange): void {
    exchange.isWorkedOn = false;
    if (!exchange.isOpen) this.#unload(exchange);
  }

  /** Not awaited by anybody: what was needed to accept the event must not stay in memory while its producer waits. */
  #answerLater(exchange: Exchange, order: ResultOrder): void {
    if (!exchange.isOpen) return;
    this.#unload(exchange);
    exchange.startWaiting(this.#options.clock.monotonicMs());
    exchange.hold(this.#options.results.serve(order, exchange));
  }

  /** Back-pressure: refused early and cheaply, before a body is read; and by shares, so that no namespace fills the door for the others. */
  #enter(exchange: Exchange, opened: LetIn): Refusal | undefined {
    if (!exchange.isOpen) return undefined;
    if (opened.kind === "poll") return this.#charge(exchange, opened.order.namespace, 0);
    if (opened.isKnown) return this.#charge(exchange, opened.head.namespace, opened.head.contentLength ?? 0);
    this.#strangers.enter(exchange);
    return undefined;
  }

  /** Counts a request against its namespace's share, or refuses it. `bytes` are expected, not held yet. */
  #charge(exchange: Exchange, namespace: string, bytes: number): Refusal | undefined {
    if (!this.#bytesHeld.fits(namespace, bytes)) return this.#tooManyBytes(namespace);
    if (!this.#requests.take(namespace, 1)) {
      const detail = `${this.#requests.held(namespace)} requests of namespace ${namespace} are already in progress; its share is ${this.#requests.max}: try again shortly.`;
      return refuse("overloaded", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    exchange.share = namespace;
    return undefined;
  }

  /** A stranger has shown a valid token: from now on he is the namespace's, with what has come already. */
  #moveIn(exchange: Exchange, namespace: string): Refusal | undefined {
    this.#strangers.leave(exchange);
    this.#listener.door.know(exchange.request);
    const full = this.#charge(exchange, namespace, exchange.bytes);
    if (full === undefined) this.#bytesHeld.take(namespace, exchange.bytes);
    return full;
  }

  #turnAway(exchange: Exchange, refusal: Refusal, isWhole: boolean): Refusal {
    this.#strangers.leave(exchange);
    if (!isWhole) this.#options.events.strangerRefused("no_token");
    return refusal;
  }

  #tooManyBytes(share: string): Refusal {
    const detail = `${this.#bytesHeld.held(share)} bytes of requests of namespace ${share} are already held; its share is ${this.#bytesHeld.max}: try again shortly.`;
    return refuse("overloaded", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
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
      this.#refused(refusal, undefined);
    } else if (last.isReading) {
      last.response.shouldKeepAlive = false;
      last.refuse(refusal, { linger: false, nowMs: 0 });
    } else {
      // An earlier request waits for its commit: its answer goes out first, what followed it was never a request.
      last.response.shouldKeepAlive = false;
      last.response.once("close", () => socket.destroy());
    }
  }

  #refused(refusal: Refusal, request: IncomingMessage | undefined): void {
    const namespace = askedNamespace(request?.url);
    this.#options.events.ingestRefused(namespace, refusal.code);
    this.#refusals.note({ namespace, from: request?.socket.remoteAddress ?? "", refusal });
  }

  #startSweep(): () => void {
    let cancel: () => void;
    const sweep = (): void => {
      const nowMs = this.#options.clock.monotonicMs();
      for (const exchange of this.#open) {
        this.#strangers.sweep(exchange, nowMs);
        exchange.sweep(nowMs, this.#limits.bodyDeadlineMs);
      }
      cancel = this.#options.clock.after(SWEEP_MS, sweep);
    };
    cancel = this.#options.clock.after(SWEEP_MS, sweep);
    return () => cancel();
  }

  async #close(): Promise<void> {
    const { clock, drainMs } = this.#options;
    this.drain();
    const closed = this.#listener.close();
    this.#options.results.stop();
    this.#listener.server.closeIdleConnections();
    const timers = [
      clock.after(Math.min(UPLOADS_END_MS, drainMs), () => this.#endUploads()),
      clock.after(drainMs, () => this.#endAll()),
      clock.after(drainMs + LAST_ANSWERS_MS, () => this.#listener.server.closeAllConnections()),
    ];
    await closed;
    for (const cancel of timers) cancel();
    this.#refusals.flush();
    this.#draining = false;
  }

  #endUploads(): void {
    for (const exchange of this.#open) if (exchange.isReading) exchange.failBody(stopping());
  }

  #endAll(): void {
    this.#endUploads();
    const refusal = refuse(
      "outcome_unknown",
      "Postrider is shutting down and the commit was not confirmed: send the same event again with the same idempotency key.",
      {
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      },
    );
    for (const exchange of this.#open) if (exchange.isOpen && !exchange.isReading) this.#refuse(exchange, refusal, true);
  }
}

function stopping(): Refusal {
  const detail = "Postrider is shutting down and nothing was stored: send the event again, with the same idempotency key.";
  return refuse("stopping", detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

function parserRefusal(code: string): Refusal {
  if (code === "HPE_HEADER_OVERFLOW")
    return refuse("headers_too_large", `Request line and headers may have up to ${HEADER_BYTES_MAX} bytes.`);
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
