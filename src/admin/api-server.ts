import type { IncomingMessage, ServerResponse } from "node:http";
import { tokenDigest } from "../core/access-token.ts";
import { EVENT_BYTES_MAX } from "../core/event.ts";
import { aborted } from "../lib/abort.ts";
import { type DoorWatch, STRANGER_IDLE_MS } from "../lib/door/door.ts";
import { type FramingFault, localTarget } from "../lib/door/framing.ts";
import { Listener } from "../lib/door/listener.ts";
import { Pot } from "../lib/door/pot.ts";
import { pour } from "../lib/door/pour.ts";
import type { ListenAddress } from "../lib/listen.ts";
import type { Service } from "../lib/service.ts";
import { wholeBody } from "../lib/whole-body.ts";
import type { Log } from "../observe/log.ts";
import { StoreError } from "../store/store.ts";
import { answerText } from "./answer-text.ts";
import { problem, type ApiAnswer } from "./api-problem.ts";
import { routeOf, type ApiAction } from "./api-routes.ts";
import type { ApiAuthenticator } from "./authenticator.ts";
import { ApiHandlers, type HandlerParts } from "./handlers.ts";
import { READ_WAIT_MS_MAX, ReadDesk, READS_MAX, READS_WAITING_EACH_MAX, READS_WAITING_MAX } from "./read-desk.ts";

const HEADERS_DEADLINE_MS = 10_000;
const REQUEST_DEADLINE_MS = 30_000;
/** Connections at once; for one more another is closed. */
const CONNECTIONS_MAX = 1_024;
/** Bytes of answers that readers have not taken yet, in all. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
/** Longest path and query, in characters. */
const URL_CHARS_MAX = 4_096;
/** A body of a test: an event's data and a little around it. */
const BODY_BYTES_MAX = EVENT_BYTES_MAX;
/** Bodies that are read at once. One more gets in, and the oldest of the namespace with most of them is closed. */
const BODIES_MAX = 64;
const RETRY_AFTER_SECONDS = 5;
const BUSY_RETRY_AFTER_SECONDS = 2;

/** What asks the store. The rest is answered from memory or waits for a write, which must not hold up those who read. */
const READS: ReadonlySet<ApiAction["kind"]> = new Set(["event", "events", "deliveries", "attempts", "delivery", "deliveryAttempts"]);

/** What may be long although it is answered from memory: by turns too, but not behind those who wait for the store. */
const LISTS: ReadonlySet<ApiAction["kind"]> = new Set(["subscriptions"]);
/** Answers that wait for slow readers. One more gets in, and one of the namespace with most of them is given up. */
const SLOW_ANSWERS_MAX = 16;

/** On every answer: what is shown may hold a receiver's words, and runs nowhere. */
const SAFE_HEADERS = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
} as const;

/** For whoever hangs up, or stops sending, within a request: nobody's mistake that a log should tell of, and nobody may be left to read it. */
const BROKEN_OFF = problem({ code: "body_invalid", detail: "The body ended early." });

const BUSY = problem({
  code: "reads_busy",
  detail: `${READS_MAX} reads run at once; at most ${READS_WAITING_EACH_MAX} per caller and ${READS_WAITING_MAX} in all wait, for up to ${READ_WAIT_MS_MAX / 1_000} s each. Try again after Retry-After, with fewer at once.`,
  retryAfterSeconds: BUSY_RETRY_AFTER_SECONDS,
});

const NOT_SERVING = problem({
  code: "not_ready",
  detail: "This installation does not serve its class now: see /readyz on the metrics port.",
  retryAfterSeconds: RETRY_AFTER_SECONDS,
});

export interface ApiServerParts extends HandlerParts {
  readonly listen: ListenAddress;
  readonly authenticator: ApiAuthenticator;
  readonly log: Log;
  /** Why this installation serves nothing at all; undefined where it does. */
  readonly closed?: () => string | undefined;
  /** Hears what the server's door does. */
  readonly watch: DoorWatch;
}

/** Whose question it is, and how its turn at the store is given back; twice is once. */
interface ReadTurn {
  namespace: string;
  leave: () => void;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly turn: ReadTurn;
}

/** An answer's text, the beginning made: when it is all of it, its length can be told. */
interface Begun {
  readonly first: Buffer;
  readonly second: IteratorResult<Buffer, unknown>;
  readonly rest: AsyncIterable<Buffer>;
}

/** The read and act API on its own port: subscriptions, deliveries, attempts, events; resend, test, resume. */
export class ApiServer implements Service {
  readonly name = "api";
  readonly #parts: ApiServerParts;
  readonly #handlers: ApiHandlers;
  readonly #desk: ReadDesk;
  readonly #lists: ReadDesk;
  /** Requests whose answers wait for their readers. */
  readonly #slow = new Pot<IncomingMessage>(SLOW_ANSWERS_MAX);
  /** Requests whose bodies are being read. */
  readonly #bodies = new Pot<IncomingMessage>(BODIES_MAX);
  readonly #listener: Listener;

  constructor(parts: ApiServerParts) {
    this.#parts = parts;
    this.#handlers = new ApiHandlers(parts);
    this.#desk = new ReadDesk(parts.clock);
    this.#lists = new ReadDesk(parts.clock);
    this.#listener = new Listener({
      listen: parts.listen,
      http: { headersTimeout: HEADERS_DEADLINE_MS, requestTimeout: REQUEST_DEADLINE_MS, requireHostHeader: false },
      serve: (request, response) => void this.#serve(request, response),
      limits: { connections: CONNECTIONS_MAX, unreadBytes: UNREAD_BYTES_MAX, strangerIdleMs: STRANGER_IDLE_MS },
      clock: parts.clock,
      watch: parts.watch,
    });
  }

  /** Binds; answers the URL without a trailing slash. Rejects when the address cannot be had. */
  async open(): Promise<string> {
    return this.#listener.open();
  }

  async run(signal: AbortSignal): Promise<void> {
    await aborted(signal);
    const closed = this.#listener.close();
    this.#listener.server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on("error", () => undefined);
    const fault = this.#listener.door.receive(request, response);
    if (fault === "gone") return;
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const turn: ReadTurn = { namespace: "", leave: () => undefined };
    const answered = fault === undefined ? this.#answer(request, gone.signal, turn) : Promise.resolve(faulty(fault));
    try {
      const answer = await answered.catch((error: unknown) => (request.errored === null ? this.#failed(error) : BROKEN_OFF));
      await this.#write({ request, response, turn }, answer);
    } finally {
      turn.leave();
      this.#slow.leave(request);
    }
  }

  /** What cannot be made any more once a part of it has gone ends the connection: the reader sees that it is not whole. */
  async #write(call: Call, answer: ApiAnswer): Promise<void> {
    const pieces = answerText(answer.body);
    let begun = false;
    try {
      const [first, second] = [await pieces.next(), await pieces.next()];
      begun = true;
      await this.#send(call, answer, { first: first.value ?? Buffer.alloc(0), second, rest: pieces });
    } catch (error) {
      if (!begun) return this.#write(call, this.#failed(error));
      // A reader who has left is nobody's mistake.
      if (!call.response.destroyed) this.#failed(error);
      call.response.destroy();
    } finally {
      await pieces.return(undefined);
    }
  }

  async #send({ request, response, turn }: Call, answer: ApiAnswer, { first, second, rest }: Begun): Promise<void> {
    // What was not read of the request must not be taken for the next one.
    if (!request.complete) response.setHeader("connection", "close");
    const length = second.done === true ? { "content-length": first.length } : {};
    response.writeHead(answer.status, { ...SAFE_HEADERS, ...answer.headers, ...length });
    if (request.method === "HEAD") return void response.end();
    const onSlow = (): void => {
      for (const given of this.#slow.enter(request, turn.namespace)) this.#listener.door.giveUp(given, "unread");
      turn.leave();
    };
    await pour(response, all(first, second, rest), { clock: this.#parts.clock, onSlow });
  }

  /** A turn at the store is held until the answer has been written, or its reader turns out to be slow. */
  async #answer(request: IncomingMessage, gone: AbortSignal, turn: ReadTurn): Promise<ApiAnswer> {
    const { method = "GET" } = request;
    const url = localTarget(request.url ?? "/");
    if (url.length > URL_CHARS_MAX)
      return problem({ code: "parameter_invalid", detail: `Path and query are longer than ${URL_CHARS_MAX} characters.` });
    const [path, query] = splitOnce(url, "?");
    const routed = routeOf(method, path);
    if (routed.kind === "nowhere")
      return problem({ code: "not_found", detail: "Paths start with /v1/namespaces/{namespace}/; docs/api.md lists them." });
    if (routed.kind === "method")
      return problem({ code: "method_not_allowed", detail: `This path supports ${routed.allow}.`, allow: routed.allow });
    const { route } = routed;
    const verdict = await this.#parts.authenticator.authorize(authorizations(request), route.access);
    if (!verdict.granted) return problem(verdict);
    this.#listener.door.know(request);
    if (this.#parts.closed?.() !== undefined) return NOT_SERVING;
    const body = method === "POST" ? await this.#readBody(request, route.namespace) : new Uint8Array(0);
    if (body === undefined) return problem({ code: "request_too_large", detail: `The body has more than ${BODY_BYTES_MAX} bytes.` });
    const call = { route, parameters: new URLSearchParams(query), body, signal: gone };
    turn.namespace = route.namespace;
    const desk = READS.has(route.action.kind) ? this.#desk : LISTS.has(route.action.kind) ? this.#lists : undefined;
    if (desk === undefined) return this.#handlers.answer(call);
    const leave = await desk.enter({ namespace: route.namespace, caller: callerOf(request) }, gone);
    if (leave === undefined) return BUSY;
    turn.leave = leave;
    return this.#handlers.answer(call);
  }

  /** Bodies under way are few: whoever sends at once needs room for a moment, and who does not gives it up. */
  async #readBody(request: IncomingMessage, namespace: string): Promise<Uint8Array | undefined> {
    for (const given of this.#bodies.enter(request, namespace)) this.#listener.door.giveUp(given, "room");
    try {
      return await wholeBody(request, BODY_BYTES_MAX);
    } finally {
      this.#bodies.leave(request);
    }
  }

  #failed(error: unknown): ApiAnswer {
    if (error instanceof StoreError) {
      return problem({
        code: "store_unavailable",
        detail: "The store does not respond right now: try again shortly.",
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    this.#parts.log.error({ err: error }, "an API request failed");
    return problem({ code: "internal", detail: "Postrider failed internally; see its log." });
  }
}

async function* all(first: Buffer, second: IteratorResult<Buffer, unknown>, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  if (second.done === true) return;
  yield second.value;
  yield* rest;
}

function faulty({ code, detail }: FramingFault): ApiAnswer {
  return problem({ code: code === "coding_unsupported" ? code : "malformed_request", detail });
}

/** Every Authorization header as it came: two of them let nobody in. */
function authorizations(request: IncomingMessage): string[] {
  return request.rawHeaders.filter((_, i, all) => i % 2 === 1 && all[i - 1]?.toLowerCase() === "authorization");
}

/** Whoever holds one token is one caller, from wherever; without a token it is the address. */
function callerOf(request: IncomingMessage): string {
  const { authorization } = request.headers;
  return authorization === undefined ? (request.socket.remoteAddress ?? "") : Buffer.from(tokenDigest(authorization)).toString("base64");
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}
