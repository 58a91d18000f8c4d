import type { Socket } from "node:net";
import { Client, errors, Pool } from "undici";
import type { Dispatcher } from "undici";
import type { Clock } from "../../lib/clock.ts";
import { errorCode } from "../../lib/error-code.ts";

/** Most bytes of an answer's head. */
const RESPONSE_HEAD_BYTES_MAX = 16 * 1024;
/** A quiet connection is closed after this long: below the 5 s after which many servers close theirs, so that we do not write into a closing one. */
const KEEP_ALIVE_MS = 4_000;

export type DispatchController = Dispatcher.DispatchController;

/** A handler that may be asked whether its request goes out once more. */
export interface DispatchHandler extends Dispatcher.DispatchHandler {
  /**
   * The kept connection was gone before a byte of an answer came. @returns whether the request is still wanted: then it is sent once more on
   * a new connection, and everything of the handler is called anew.
   */
  onReconnect?(): boolean;
}

/** A connection, and how long it may be used. */
export interface Connection {
  readonly socket: Socket;
  readonly lifeMs: number;
}

type Connect = () => Promise<Connection>;

export interface OutgoingRequest {
  readonly method: "POST" | "OPTIONS";
  readonly path: string;
  /** Flat: name, value, name, value. */
  readonly headers: string[];
  readonly body: Uint8Array;
}

export interface ReceiverPoolOptions {
  /** `https://host[:port]`. */
  readonly origin: string;
  /** At most so many at once. */
  readonly connections: number;
  readonly connect: Connect;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/**
 * Keep-alive connections to one receiver, and the only owner of undici's side towards receivers. HTTP/1.1, one request at a time per
 * connection, no redirects, no decompression, no time-outs of its own (the attempt has one deadline).
 */
export class ReceiverPool {
  readonly #pool: Pool;

  constructor({ origin, connections, connect, clock }: ReceiverPoolOptions) {
    this.#pool = new Pool(origin, {
      connections,
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
      // Never called: each client has its own. Without one undici would keep a cache of TLS sessions for every pool.
      connect: (_options, callback) => callback(new Error("a client connects by itself"), null),
      factory: (url, options) => KeptClient.to(url, options, connect, clock),
    });
  }

  /** Errors reach the handler; @throws where the request cannot be built (a header's bytes). */
  dispatch({ method, path, headers, body }: OutgoingRequest, handler: DispatchHandler): void {
    this.#pool.dispatch({ method, path, headers, body }, handler);
  }

  /** Connections that stand. */
  get connected(): number {
    return this.#pool.stats.connected;
  }

  /** Requests that are under way or wait. */
  get requests(): number {
    return this.#pool.stats.running + this.#pool.stats.pending;
  }

  /** Resolves once what is under way has ended. */
  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Cuts off what is under way. */
  destroy(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** What a connection's end looks like from here: our own errors and the parser's are none of these. */
const LOST = /^(?:UND_ERR_SOCKET|E[A-Z]+)$/;

/**
 * One connection to a receiver, kept between requests and made anew when it is too old: before a request, never under one, so that a moved
 * receiver is followed and its name judged again however busy the connection is. A request that finds the kept connection dead is sent
 * once more on a new one.
 */
class KeptClient extends Client {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #connection: Connection | undefined;
  #madeAtMs = 0;
  /** Requests that the connection of now has carried. */
  #requests = 0;

  private constructor(origin: URL, options: Client.Options, clock: Pick<Clock, "monotonicMs">) {
    super(origin, options);
    this.#clock = clock;
  }

  static to(origin: URL, options: Client.Options, connect: Connect, clock: Pick<Clock, "monotonicMs">): KeptClient {
    const client: KeptClient = new KeptClient(
      origin,
      {
        ...options,
        connect: (_options, callback) => {
          // oxlint-disable promise/no-callback-in-promise -- undici's connector speaks callbacks
          connect().then(
            (connection) => callback(null, client.#begun(connection)),
            (error: unknown) => callback(error as Error, null),
          );
          // oxlint-enable promise/no-callback-in-promise
        },
      },
      clock,
    );
    return client;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: DispatchHandler): boolean {
    this.#endIfOld();
    return super.dispatch(options, new TwiceAtMost(handler, this, (once) => super.dispatch(options, once)));
  }

  /** A request begins. @returns whether the connection has carried one before. */
  takeConnection(): boolean {
    this.#requests += 1;
    return this.#requests > 1;
  }

  #begun(connection: Connection): Socket {
    this.#connection = connection;
    this.#madeAtMs = this.#clock.monotonicMs();
    this.#requests = 0;
    return connection.socket;
  }

  #endIfOld(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#clock.monotonicMs() - this.#madeAtMs < connection.lifeMs) return;
    // The pool gives a client its next request when the last is over. Should it ever not, the request under way goes first.
    if (this.stats.running > 0) return;
    this.#connection = undefined;
    connection.socket.destroy(new errors.InformationalError("the connection was old"));
  }
}

/** Passes on what happens to a request, and sends it a second time where that is safe. */
class TwiceAtMost implements Dispatcher.DispatchHandler {
  readonly #handler: DispatchHandler;
  readonly #client: KeptClient;
  readonly #send: (handler: Dispatcher.DispatchHandler) => void;
  #isSecond = false;
  /** It went out on a connection that had carried others, and nothing has come back. */
  #mayGoAgain = false;

  constructor(handler: DispatchHandler, client: KeptClient, send: (handler: Dispatcher.DispatchHandler) => void) {
    this.#handler = handler;
    this.#client = client;
    this.#send = send;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#mayGoAgain = this.#client.takeConnection() && !this.#isSecond;
    this.#handler.onRequestStart?.(controller, context);
  }

  onResponseStarted(): void {
    this.#mayGoAgain = false;
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>): void {
    this.#handler.onResponseStart?.(...args);
  }

  onResponseData(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseData"]>>): void {
    this.#handler.onResponseData?.(...args);
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseEnd"]>>): void {
    this.#handler.onResponseEnd?.(...args);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    const isLost = LOST.test(errorCode(error) ?? "");
    if (this.#mayGoAgain && isLost && !this.#client.closed && this.#handler.onReconnect?.() === true) {
      this.#mayGoAgain = false;
      this.#isSecond = true;
      this.#send(this);
      return;
    }
    this.#handler.onResponseError?.(controller, error);
  }
}
