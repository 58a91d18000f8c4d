import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isUndecided } from "../core/signing/verdict.ts";
import { verifyRequest } from "../core/signing/verify.ts";
import type { Verifier } from "../core/signing/verify.ts";
import type { Clock } from "../lib/clock.ts";
import { listenOn } from "../lib/listen.ts";
import { wholeBody } from "../lib/whole-body.ts";
import { answerHeaders, forward } from "./forwarding.ts";
import { receiptJson, receiptText } from "./receipt.ts";
import type { Receipt } from "./receipt.ts";
import { shown, type Shown, shownJson } from "./terminal.ts";

/** Longest body read, in bytes: more than any delivery has. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;

export interface ReceiverOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: nothing is verified. */
  readonly verifier?: Verifier | undefined;
  readonly status: number;
  /** Milliseconds before each answer. */
  readonly delay: number;
  readonly failEvery?: number;
  /** An app on this machine that gets what is not refused, and whose answer is passed back. */
  readonly forwardTo?: URL;
  readonly shows: { readonly output: "text" | "json"; readonly colour: boolean; readonly headers: boolean };
}

/** Receives, judges, hands on, prints, answers. */
export class DevelopmentReceiver {
  readonly #options: ReceiverOptions;
  readonly #clock: Clock;
  readonly #print: (lines: Shown) => void;
  readonly #server: Server;
  #count = 0;

  constructor(options: ReceiverOptions, clock: Clock, print: (lines: Shown) => void) {
    this.#options = options;
    this.#clock = clock;
    this.#print = print;
    this.#server = createServer((request, response) => {
      this.#receive(request, response).catch(() => response.destroy());
    });
  }

  /** Listens and prints where; answers the URL. Rejects when the port cannot be had. */
  async start(): Promise<string> {
    const { host, port, verifier, forwardTo, shows } = this.#options;
    const url = await listenOn(this.#server, { host, port, flag: "--port" });
    const verifies = verifier === undefined ? "signatures are not verified (use --secret)" : "verifying signatures";
    const note = forwardTo === undefined ? verifies : `${verifies}; forwarding to ${forwardTo.href}`;
    this.#print(shows.output === "json" ? shownJson({ msg: "listening", url }) : shown`listening on ${url} (${note})`);
    return url;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await wholeBody(request, BODY_BYTES_MAX);
    const number = ++this.#count;
    if (body === undefined) {
      response.writeHead(413, { Connection: "close" }).end(`at most ${BODY_BYTES_MAX} bytes\n`);
      return;
    }
    const { verifier, failEvery, delay, forwardTo } = this.#options;
    const received = { headers: request.headers, body, method: request.method, url: urlOf(request) };
    const verdict = verifier && verifyRequest(verifier, received, this.#clock.trueMs());
    const fails = failEvery !== undefined && number % failEvery === 0;
    const isRefused = verdict?.ok === false && !isUndecided(verdict);
    if (delay > 0) await this.#pause(delay);
    const isHandedOn = forwardTo !== undefined && !fails && !isRefused;
    const answer = isHandedOn ? await forward(forwardTo, request, body, () => this.#clock.monotonicMs()) : undefined;
    const status = fails ? 500 : isRefused ? 401 : (answer?.status ?? this.#options.status);
    this.#tell({ number, request, body, verdict, status, answer });
    if (answer !== undefined) response.writeHead(status, answerHeaders(answer)).end(answer.body);
    else response.writeHead(status, { "Content-Type": "text/plain" }).end(status < 300 ? "ok\n" : "refused\n");
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }

  #tell(receipt: Receipt): void {
    const { shows } = this.#options;
    this.#print(shows.output === "json" ? receiptJson(receipt, this.#clock.trueMs()) : receiptText(receipt, shows));
  }
}

/** The URL as the sender knows it. Its scheme is not covered by signatures. */
function urlOf(request: IncomingMessage): string {
  return `http://${request.headers.host ?? "localhost"}${request.url ?? "/"}`;
}
