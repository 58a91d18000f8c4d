import { createServer, type IncomingMessage, type Server } from "node:http";
import { verifyStandardWebhook } from "../../core/signing/verify.ts";
import type { Clock } from "../../lib/clock.ts";
import { listenOn } from "../../lib/listen.ts";
import { wholeBody } from "../../lib/whole-body.ts";

/** One request as a demo receiver saw it. */
export interface DemoReceipt {
  readonly receiver: string;
  readonly eventId: string;
  readonly eventType: string;
  /** 1 = first time this receiver sees the id. */
  readonly seen: number;
  readonly verified: boolean;
  readonly status: number;
  readonly body: string;
}

export interface DemoReceiverOptions {
  readonly name: string;
  readonly secret: string;
  readonly clock: Clock;
  /** The status to answer with, from how often the id was seen; undefined = never answer. */
  readonly answer: (seen: number, count: number) => number | undefined;
  readonly told: (receipt: DemoReceipt) => void;
}

const BODY_BYTES_MAX = 1_048_576;
/** Ids remembered for counting tries. */
const IDS_MAX = 10_000;

/** A customer's endpoint: verifies what comes in and answers as its character says. */
export class DemoReceiver {
  readonly #options: DemoReceiverOptions;
  readonly #server: Server;
  readonly #seen = new Map<string, number>();
  #count = 0;
  verified = 0;
  refused = 0;

  constructor(options: DemoReceiverOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#read(request)
        .then((body) => {
          const status = this.#receive(request, body);
          if (status !== undefined) response.writeHead(status, { "content-type": "text/plain" }).end(status < 300 ? "ok\n" : "not today\n");
        })
        .catch(() => response.destroy());
    });
  }

  /** Listens on a free port of 127.0.0.1. */
  async start(): Promise<number> {
    return Number(new URL(await listenOn(this.#server, { host: "127.0.0.1", port: 0 })).port);
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #read(request: IncomingMessage): Promise<Buffer> {
    const body = await wholeBody(request, BODY_BYTES_MAX);
    if (body === undefined) throw new Error(`body over ${BODY_BYTES_MAX} bytes`);
    return body;
  }

  #receive(request: IncomingMessage, body: Buffer): number | undefined {
    const { name, secret, clock, answer, told } = this.#options;
    const verification = verifyStandardWebhook(secret, { headers: request.headers, body }, clock.trueMs());
    if (verification.ok) this.verified += 1;
    else this.refused += 1;
    const eventId = String(request.headers["webhook-id"]);
    const seen = (this.#seen.get(eventId) ?? 0) + 1;
    if (this.#seen.size >= IDS_MAX) this.#seen.clear();
    this.#seen.set(eventId, seen);
    this.#count += 1;
    const status = verification.ok ? answer(seen, this.#count) : 401;
    const text = body.toString("utf8");
    const eventType = /"type":"([^"]*)"/.exec(text)?.[1] ?? "?";
    told({ receiver: name, eventId, eventType, seen, verified: verification.ok, status: status ?? 0, body: text });
    return status;
  }
}
