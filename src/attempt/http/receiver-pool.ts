import type { Socket } from "node:net";
import { Client, errors } from "undici";
import type { Dispatcher } from "undici";
import type { ConnectTimes } from "../../core/outcome.ts";
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
  /** The request is the first on its connection: what that took. Before `onRequestStart`. */
  onConnected?(times: ConnectTimes): void;
}

/** A connection, what making it took, and how long it may be used. */
export interface Connection {
  readonly socket: Socket;
  readonly times: ConnectTimes;
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

/** A request that waits for a connection. */
interface Waiting {
  readonly request: OutgoingRequest;
  readonly handler: DispatchHandler;
}

/**
 * Keep-alive connections to one receiver, and the only owner of undici's side towards receivers. HTTP/1.1, one request at a time per
 * connection, no redirects, no decompression, no time-outs of its own (the attempt has one deadline). The connection that was used last is
 * used next, so that those that are not needed grow old and end. undici's own Pool is not used: it holds 16 KiB for a queue that stays empty,
 * makes a second client at once, and walks over all its clients for each request.
 */
export class ReceiverPool {
  readonly #options: ReceiverPoolOptions;
  readonly #origin: URL;
  readonly #clients = new Set<KeptClient>();
  /** Those without a request, the one that was used last at the end. */
  readonly #free: KeptClient[] = [];
  /** A subscription has as many deliveries under way as it has connections: others than deliveries may have to wait. */
  readonly #waiting: Waiting[] = [];
  #busy = 0;
  #isDestroyed = false;
  #onIdle: (() => void) | undefined;

  constructor(options: ReceiverPoolOptions) {
    this.#options = options;
    this.#origin = new URL(options.origin);
  }

  /** Errors reach the handler, those of a request that cannot be built (a header's bytes) too. */
  dispatch(request: OutgoingRequest, handler: DispatchHandler): void {
    if (this.#isDestroyed) return refuse(handler);
    const client = this.#free.pop() ?? this.#oneMore();
    if (client === undefined) {
      this.#waiting.push({ request, handler });
      return;
    }
    this.#busy += 1;
    client.send(request, handler);
  }

  /** Connections that stand. */
  get connected(): number {
    let connected = 0;
    for (const client of this.#clients) if (client.stats.connected) connected += 1;
    return connected;
  }

  /** Requests that are under way or wait. */
  get requests(): number {
    return this.#busy + this.#waiting.length;
  }

  /** No more requests may come. Resolves once what is under way and what waits have ended. */
  async close(): Promise<void> {
    if (this.requests > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await Promise.all([...this.#clients].map((client) => client.close()));
  }

  /** Cuts off what is under way, and refuses what waits. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    for (const { handler } of this.#waiting.splice(0)) refuse(handler);
    await Promise.all([...this.#clients].map((client) => client.destroy()));
  }

  #oneMore(): KeptClient | undefined {
    if (this.#clients.size >= this.#options.connections) return undefined;
    const client = KeptClient.to(this.#origin, this.#options, (freed) => this.#freed(freed));
    this.#clients.add(client);
    return client;
  }

  /** Its request has ended. */
  #freed(client: KeptClient): void {
    this.#busy -= 1;
    // undici may still be at the end of the request and would send the next one on the same connection: one that is too old goes with its client.
    if (client.isOld) this.#drop(client);
    else if (!client.destroyed) this.#free.push(client);
    const next = this.#waiting.shift();
    if (next !== undefined) this.dispatch(next.request, next.handler);
    else if (this.#busy === 0) this.#onIdle?.();
  }

  #drop(client: KeptClient): void {
    this.#clients.delete(client);
    client.close().catch(() => undefined);
  }
}

/** Of a request that was never begun; undici does the same. */
const NO_CONTROLLER = null as unknown as DispatchController;

function refuse(handler: DispatchHandler): void {
  handler.onResponseError?.(NO_CONTROLLER, new errors.ClientDestroyedError());
}

/** What a connection's end looks like from here: our own errors and the parser's are none of these. */
const LOST = /^(?:UND_ERR_SOCKET|E[A-Z]+)$/;

const CLIENT_OPTIONS: Client.Options = {
  pipelining: 1,
  allowH2: false,
  headersTimeout: 0,
  bodyTimeout: 0,
  keepAliveTimeout: KEEP_ALIVE_MS,
  keepAliveMaxTimeout: KEEP_ALIVE_MS,
  maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
};

interface KeptClientParts {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Called once for each `send`, when its request has ended. */
  readonly freed: (client: KeptClient) => void;
}

/**
 * One connection to a receiver, kept between requests and made anew when it is too old: before a request, never under one, so that a moved
 * receiver is followed and its name judged again however busy the connection is. A request that finds the kept connection dead is sent
 * once more on a new one.
 */
class KeptClient extends Client {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #freed: (client: KeptClient) => void;
  #connection: Connection | undefined;
  #madeAtMs = 0;
  /** Requests that the connection of now has carried. */
  #requests = 0;

  private constructor(origin: URL, options: Client.Options, { clock, freed }: KeptClientParts) {
    super(origin, options);
    this.#clock = clock;
    this.#freed = freed;
  }

  static to(origin: URL, { connect, clock }: ReceiverPoolOptions, freed: (client: KeptClient) => void): KeptClient {
    const client: KeptClient = new KeptClient(
      origin,
      {
        ...CLIENT_OPTIONS,
        connect: (_options, callback) => {
          // oxlint-disable promise/no-callback-in-promise -- undici's connector speaks callbacks
          connect().then(
            (connection) => callback(null, client.#begun(connection)),
            (error: unknown) => callback(error as Error, null),
          );
          // oxlint-enable promise/no-callback-in-promise
        },
      },
      { clock, freed },
    );
    return client;
  }

  /** Whether the connection has been used for as long as it may be. */
  get isOld(): boolean {
    const connection = this.#connection;
    return connection !== undefined && this.#clock.monotonicMs() - this.#madeAtMs >= connection.lifeMs;
  }

  /** One at a time. */
  send(request: OutgoingRequest, handler: DispatchHandler): void {
    if (this.isOld) this.#endConnection();
    this.dispatch(request, new TwiceAtMost(this, request, handler));
  }

  /** What making the connection of now took. */
  get times(): ConnectTimes | undefined {
    return this.#connection?.times;
  }

  /** A request begins. @returns whether the connection has carried one before. */
  takeConnection(): boolean {
    this.#requests += 1;
    return this.#requests > 1;
  }

  /** The request has ended. */
  free(): void {
    this.#freed(this);
  }

  #begun(connection: Connection): Socket {
    this.#connection = connection;
    this.#madeAtMs = this.#clock.monotonicMs();
    this.#requests = 0;
    return connection.socket;
  }

  #endConnection(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.socket.destroy(new errors.InformationalError("the connection was old"));
  }
}

/** Passes on what happens to a request, and sends it a second time where that is safe. */
class TwiceAtMost implements Dispatcher.DispatchHandler {
  readonly #client: KeptClient;
  readonly #request: OutgoingRequest;
  readonly #handler: DispatchHandler;
  #isSecond = false;
  /** It went out on a connection that had carried others, and nothing has come back. */
  #mayGoAgain = false;
  #hasEnded = false;

  constructor(client: KeptClient, request: OutgoingRequest, handler: DispatchHandler) {
    this.#client = client;
    this.#request = request;
    this.#handler = handler;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    const isKept = this.#client.takeConnection();
    this.#mayGoAgain = isKept && !this.#isSecond;
    const { times } = this.#client;
    if (!isKept && times !== undefined) this.#handler.onConnected?.(times);
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
    // First, so that what follows at once has this connection.
    this.#end();
    this.#handler.onResponseEnd?.(...args);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    const isLost = LOST.test(errorCode(error) ?? "");
    if (this.#mayGoAgain && isLost && !this.#client.closed && this.#handler.onReconnect?.() === true) {
      this.#mayGoAgain = false;
      this.#isSecond = true;
      this.#client.dispatch(this.#request, this);
      return;
    }
    this.#end();
    this.#handler.onResponseError?.(controller, error);
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#client.free();
  }
}
