import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { firstBytes, HEAD_BYTES } from "./first-bytes.ts";
import { Pot } from "./pot.ts";

/** ClientHellos that wait for their turn. One more gets in, and the oldest of the address with most is closed. */
export const HELLOS_WAITING_MAX = 512;
/** Handshakes that have begun: each holds a few 10 KB until it is over. One more begins, and the oldest of the address with most is closed. */
export const HANDSHAKES_BEGUN_MAX = 512;
/**
 * A handshake costs the event loop 0.5 to 2 ms, a thousand times what a request for nothing costs its sender. All together take half of the time at
 * most, and no more than 10 ms in a row, so that those who are in are served.
 */
const TIME_PERCENT = 50;
const IN_A_ROW_MS = 10;
/** What one is charged at least: a part of it that can be put off (a second ClientHello) is not measured; and at most: a pause of the whole process. */
const COST_MIN_MS = 0.5;
const COST_MAX_MS = 20;

const PLAIN_HTTP_TEXT = "This port speaks HTTPS only: use https:// in place of http://.\n";
const PLAIN_HTTP_ANSWER = [
  "HTTP/1.1 400 Bad Request",
  "Content-Type: text/plain; charset=utf-8",
  `Content-Length: ${PLAIN_HTTP_TEXT.length}`,
  "Connection: close",
  "",
  PLAIN_HTTP_TEXT,
].join("\r\n");

export interface HandshakesParts {
  readonly clock: Pick<Clock, "monotonicMs" | "after">;
  /** Begins the handshake; what has come of it lies in the socket. All that its ClientHello costs is done in the next tick. */
  readonly begin: (socket: Socket) => void;
  /** Closes a connection whose place is needed. */
  readonly giveUp: (socket: Socket) => void;
  readonly onPlainHttp: (socket: Socket) => void;
}

/**
 * Connections between their beginning and the end of their handshake. Nothing is spent on one before its ClientHello has come: whoever says nothing, or
 * speaks something else, costs a socket. Then handshakes begin by turns among addresses, as fast as their share of time allows. Deadlines are
 * the door's.
 */
export class Handshakes {
  readonly #parts: HandshakesParts;
  readonly #waiting = new Pot<Socket>(HELLOS_WAITING_MAX);
  readonly #begun = new Pot<Socket>(HANDSHAKES_BEGUN_MAX);
  /** Up to when time is used up, on the monotonic clock, ms. */
  #spentUntilMs = 0;
  #isWorking = false;

  constructor(parts: HandshakesParts) {
    this.#parts = parts;
  }

  arrive(socket: Socket): void {
    // Whoever closes it hears of it from its end.
    socket.on("error", () => undefined);
    socket.once("close", () => this.over(socket));
    const begun = new Beginning();
    const look = (): void => {
      if (this.#look(socket, begun)) socket.off("readable", look).off("end", ended);
    };
    const ended = (): void => void socket.destroy();
    socket.on("readable", look).once("end", ended);
  }

  /** It has ended, well or not. */
  over(socket: Socket): void {
    this.#waiting.leave(socket);
    this.#begun.leave(socket);
  }

  /** Whether it is decided what becomes of it. What has come is held here until then: given back, it would be new to the socket each time. */
  #look(socket: Socket, begun: Beginning): boolean {
    const bytes = socket.read() as Buffer | null;
    if (bytes === null) return false;
    begun.add(bytes);
    const found = firstBytes(begun.head, begun.bytes);
    if (found === "more") return false;
    if (found === "hello") {
      socket.unshift(begun.whole());
      this.#enter(socket);
    } else if (found === "http") {
      this.#parts.onPlainHttp(socket);
      // Unread bytes would make the system reset the connection before the answer is read.
      socket.resume();
      socket.end(PLAIN_HTTP_ANSWER);
    } else socket.destroy();
    return true;
  }

  #enter(socket: Socket): void {
    for (const given of this.#waiting.enter(socket, socket.remoteAddress ?? "")) this.#parts.giveUp(given);
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#work();
  }

  #work(): void {
    const { clock, begin, giveUp } = this.#parts;
    const startedMs = clock.monotonicMs();
    if (this.#spentUntilMs > startedMs) {
      clock.after(this.#spentUntilMs - startedMs, () => this.#work());
      return;
    }
    const socket = this.#waiting.take();
    if (socket === undefined) {
      this.#isWorking = false;
      return;
    }
    for (const given of this.#begun.enter(socket, socket.remoteAddress ?? "")) giveUp(given);
    begin(socket);
    // Behind the tick in which the ClientHello is read.
    process.nextTick(() => {
      this.#charge(startedMs, clock.monotonicMs() - startedMs);
      this.#work();
    });
  }

  #charge(startedMs: number, costMs: number): void {
    const charged = Math.min(Math.max(costMs, COST_MIN_MS), COST_MAX_MS) * (100 / TIME_PERCENT);
    this.#spentUntilMs = Math.max(this.#spentUntilMs, startedMs - IN_A_ROW_MS * (100 / TIME_PERCENT)) + charged;
  }
}

/** What has come of one connection. A client that sends byte by byte must not make it copied again for each. */
class Beginning {
  readonly #chunks: Buffer[] = [];
  head: Buffer = Buffer.alloc(0);
  bytes = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
    if (this.head.length < HEAD_BYTES) this.head = Buffer.concat([this.head, chunk.subarray(0, HEAD_BYTES - this.head.length)]);
  }

  whole(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
