import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { until } from "../until.ts";

/** A receiver that checks every signature with the independent npm package `standardwebhooks` and counts arrivals by id. */
export class VerifyingReceiver {
  readonly #server: Server;
  readonly #webhook: Webhook;
  readonly arrivals = new Map<string, number>();
  /** Bodies by id, so that a test can see they never change. */
  readonly bodies = new Map<string, string>();
  changedBodies = 0;
  refused = 0;
  /** Paths below this are never answered. */
  #hangPath = "/hang";
  delayMs = 0;
  /** How far the receiver's clock is from this machine's, ms: signatures are judged by it. */
  clockOffsetMs = 0;
  /** So many requests with a good signature are answered 503 before any is taken. */
  refuseNext = 0;
  /** `webhook-timestamp` minus the receiver's clock, in seconds, of each request in its order. */
  readonly skewsSec: number[] = [];
  /** Requests are read and never answered. */
  silent = false;
  /** Requests read so far, answered or not. */
  seen = 0;

  constructor(secret: string) {
    this.#webhook = new Webhook(secret);
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        this.seen += 1;
        if (this.silent || request.url?.startsWith(this.#hangPath)) return;
        const status = this.#take(request.headers as Record<string, string>, Buffer.concat(chunks).toString("utf8"));
        if (this.delayMs > 0) setTimeout(() => response.writeHead(status).end(), this.delayMs);
        else response.writeHead(status).end();
      });
    });
  }

  async start(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Settles when `done` holds, looked at after each arrival; rejects after `withinMs`. */
  async until(done: () => boolean, withinMs: number): Promise<void> {
    await until(done, { withinMs, seen: () => `${this.arrivals.size} ids arrived` });
  }

  #take(headers: Record<string, string>, body: string): number {
    this.skewsSec.push(Number(headers["webhook-timestamp"]) - (Date.now() + this.clockOffsetMs) / 1_000);
    try {
      this.#verify(body, headers);
    } catch {
      this.refused += 1;
      return 401;
    }
    if (this.refuseNext > 0) {
      this.refuseNext -= 1;
      return 503;
    }
    const id = headers["webhook-id"] ?? "";
    this.arrivals.set(id, (this.arrivals.get(id) ?? 0) + 1);
    const before = this.bodies.get(id);
    if (before !== undefined && before !== body) this.changedBodies += 1;
    this.bodies.set(id, body);
    return 200;
  }

  /** The library asks for the time itself: it is told the receiver's. */
  #verify(body: string, headers: Record<string, string>): void {
    const { now } = Date;
    Date.now = () => now() + this.clockOffsetMs;
    try {
      this.#webhook.verify(body, headers);
    } finally {
      Date.now = now;
    }
  }
}
