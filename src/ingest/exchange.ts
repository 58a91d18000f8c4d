import type { IncomingMessage, ServerResponse } from "node:http";
import { PIECE_BYTES } from "../lib/door/pour.ts";
import type { Answer } from "./results/result-answer.ts";
import { type Checked, type Refusal, problemBody, problemHeaders, refuse } from "./refusal.ts";

/** How long the rest of a refused body is read and thrown away, so that the sender sees the answer and not a reset, in ms. */
export const LINGER_MS = 2_000;
/** How much of it, in bytes. */
const LINGER_BYTES_MAX = 8 * 1024 * 1024;
/** A body must come at this rate once SLOW_GRACE_MS are over, in bytes per second. */
const BODY_RATE_MIN = 1_024;
const SLOW_GRACE_MS = 5_000;
/** The whole body must be here after this, in ms. */
export const BODY_DEADLINE_MS = 30_000;

/** Shared by all exchanges of a server. */
export interface ExchangeHooks {
  /** More of a body has come; answers why no more of it can be held, if so. */
  readonly onBytes: (exchange: Exchange, bytes: number) => Refusal | undefined;
  /** Answered, or lost before. */
  readonly onEnd: (exchange: Exchange, end: ExchangeEnd) => void;
  /** An answer that is longer than what is written at once: writes it as its reader takes it. */
  readonly onLongAnswer: (exchange: Exchange, body: Uint8Array) => void;
  /** Nothing more will come or go. */
  readonly onClose: (exchange: Exchange) => void;
}

/** How a body is read. */
export interface BodyReading {
  readonly bytesMax: number;
  readonly tooLarge: (bytes: number) => Refusal;
  /** Of somebody who has yet to show a token. */
  readonly gate?: BodyGate | undefined;
}

/** Judges a body once so many bytes of it are here, or all; what it refuses is read no further. */
interface BodyGate {
  readonly bytes: number;
  readonly judge: (start: Uint8Array, isWhole: boolean) => Refusal | undefined;
}

/** What has been read of the head is kept by nobody while a request waits. */
const NO_HEADERS: string[] = [];

export interface ExchangeEnd {
  /** 0 when the client left before it was answered. */
  readonly status: number;
  readonly refusal?: Refusal;
}

/**
 * One request and its one answer. States: `head` → `body` (reading) → `working` → `answered` → `closed`; a refusal with body
 * still to come passes through `lingering` (answered, the rest is thrown away for a while). A lost client closes it from any state.
 */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly startedMs: number;
  /** Its number among the open ones of its server. */
  slot = -1;
  /** Whose share of the ingest it uses, once it has been let in. */
  share: string | undefined;
  /** Its events are on their way into the store, whether its client is still there or not. */
  isWorkedOn = false;
  #state: "head" | "body" | "working" | "lingering" | "answered" | "closed" = "head";
  #bytes = 0;
  #lingerUntilMs = 0;
  /** When it began to wait for a result; from then on it is no load. */
  #waitingSinceMs: number | undefined;
  #wait: { cancel(): void } | undefined;
  #failBody: ((refusal: Refusal) => void) | undefined;
  readonly #hooks: ExchangeHooks;

  constructor(pair: { readonly request: IncomingMessage; readonly response: ServerResponse }, startedMs: number, hooks: ExchangeHooks) {
    this.request = pair.request;
    this.response = pair.response;
    this.startedMs = startedMs;
    this.#hooks = hooks;
    this.response.on("close", () => this.#close());
  }

  /** Bytes of the body held for this exchange. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How long it kept the ingest busy, ms; a wait that was asked for does not count. */
  busyMs(nowMs: number): number {
    return (this.#waitingSinceMs ?? nowMs) - this.startedMs;
  }

  /** From now on it waits for a result, and needs its body no longer. */
  startWaiting(nowMs: number): void {
    this.#waitingSinceMs = nowMs;
    this.#bytes = 0;
    this.request.rawHeaders = NO_HEADERS;
    if (this.request.listenerCount("data") > 0) this.request.removeAllListeners("data");
  }

  /** What is cancelled if the client goes away before the answer. */
  hold(wait: { cancel(): void } | undefined): void {
    if (this.isOpen) this.#wait = wait;
  }

  /** The end of the wait. */
  settle(result: Checked<Answer>): void {
    if (result.ok) this.answer(result.value.status, result.value.headers, result.value.text);
    else this.refuse(result.refusal, { linger: false, nowMs: 0 });
  }

  /** Part of the body is still to come. */
  get isReading(): boolean {
    return this.#state === "body" && !this.request.complete;
  }

  get isOpen(): boolean {
    return this.#state !== "answered" && this.#state !== "closed";
  }

  /** The whole body, or why it was given up; never settles when the client is lost (nothing is owed then). */
  readBody({ bytesMax, tooLarge, gate }: BodyReading): Promise<Uint8Array | Refusal> {
    this.#state = "body";
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let judge = gate?.judge;
      const judged = (body: Uint8Array, isWhole: boolean): Refusal | undefined => {
        const refusal = judge?.(body.subarray(0, gate?.bytes), isWhole);
        judge = undefined;
        return refusal;
      };
      this.#failBody = resolve;
      this.request.on("data", (chunk: Buffer) => {
        if (this.#state === "lingering") this.#throwAway(chunk.length);
        if (this.#state !== "body") return;
        const full = this.#hooks.onBytes(this, chunk.length);
        if (full !== undefined) return this.failBody(full);
        this.#bytes += chunk.length;
        if (this.#bytes > bytesMax) return this.failBody(tooLarge(this.#bytes));
        chunks.push(chunk);
        if (judge === undefined || this.#bytes <= (gate?.bytes ?? 0)) return;
        const refusal = judged(Buffer.concat(chunks), false);
        if (refusal !== undefined) this.failBody(refusal);
      });
      this.request.once("end", () => {
        if (this.#state === "lingering") this.response.end();
        if (this.#state !== "body") return;
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
        const refusal = judged(body, true);
        this.#state = "working";
        resolve(refusal ?? body);
        // The listener lives as long as the request, the bytes need not.
        chunks.length = 0;
        this.#failBody = undefined;
      });
    });
  }

  /** Gives a body up that is being read. */
  failBody(refusal: Refusal): void {
    this.#failBody?.(refusal);
    this.#failBody = undefined;
  }

  /** Looks at the time: slow bodies are refused, lingering ends. Called about once a second. */
  sweep(nowMs: number, bodyDeadlineMs: number): void {
    if (this.#state === "lingering" && nowMs >= this.#lingerUntilMs) this.response.end();
    if (this.#state !== "body") return;
    const ageMs = nowMs - this.startedMs;
    if (ageMs >= bodyDeadlineMs) {
      this.failBody(refuse("request_timeout", `The body was not complete after ${bodyDeadlineMs / 1_000} s.`));
    } else if (ageMs >= SLOW_GRACE_MS && this.#bytes < (ageMs / 1_000) * BODY_RATE_MIN) {
      this.failBody(refuse("request_timeout", `The body arrived at less than ${BODY_RATE_MIN} bytes per second.`));
    }
  }

  /** Answers with a body of UTF-8; `headers` in the flat form of `writeHead`. */
  answer(status: number, headers: string[], body: string | Uint8Array): void {
    if (!this.#end(status)) return;
    this.response.writeHead(status, headers);
    if (body.length <= PIECE_BYTES) this.response.end(body);
    else this.#hooks.onLongAnswer(this, typeof body === "string" ? Buffer.from(body) : body);
  }

  /** Answers with a problem. Body still to come is not wanted any more: the connection ends after it. */
  refuse(refusal: Refusal, options: { readonly linger: boolean; readonly nowMs: number }): void {
    const unread = !this.request.complete && hasBody(this.request);
    if (!this.#end(refusal.status, refusal)) return;
    const body = problemBody(refusal);
    const headers: Record<string, string | number> = {
      "Content-Type": "application/problem+json",
      "Content-Length": Buffer.byteLength(body),
      ...problemHeaders(refusal),
    };
    if (unread) headers["Connection"] = "close";
    this.response.writeHead(refusal.status, headers);
    if (!unread || !options.linger) {
      this.response.end(body);
      return;
    }
    this.#state = "lingering";
    this.#lingerUntilMs = options.nowMs + LINGER_MS;
    this.#bytes = 0;
    this.response.write(body);
    if (this.request.listenerCount("data") === 0) this.#listenForRest();
  }

  #listenForRest(): void {
    this.request.on("data", (chunk: Buffer) => this.#throwAway(chunk.length));
    this.request.once("end", () => this.response.end());
  }

  #throwAway(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > LINGER_BYTES_MAX) this.response.end();
  }

  /** True the first time. */
  #end(status: number, refusal?: Refusal): boolean {
    if (!this.isOpen || this.#state === "lingering") return false;
    this.#state = "answered";
    this.#wait = undefined;
    this.#hooks.onEnd(this, refusal === undefined ? { status } : { status, refusal });
    return true;
  }

  #close(): void {
    const wasOpen = this.isOpen && this.#state !== "lingering";
    this.#state = "closed";
    this.#failBody = undefined;
    this.#wait?.cancel();
    this.#wait = undefined;
    this.#hooks.onClose(this);
    if (wasOpen) this.#hooks.onEnd(this, { status: 0 });
  }
}

function hasBody(request: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== "0");
}
