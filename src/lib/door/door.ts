import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { type ClientCertificate, EXPIRED_SINCE } from "../tls/client-certificate.ts";
import { type FramingFault, framingFault } from "./framing.ts";
import { Guest, laneOf } from "./guest.ts";
import { GuestBook } from "./guest-book.ts";
import { Reading } from "./reading.ts";

/** Why the door has closed a connection. */
export const CLOSED_FOR = ["room", "idle", "unread", "pipeline", "handshake"] as const;
export type ClosedFor = (typeof CLOSED_FOR)[number];

/**
 * How a TLS handshake has ended: `full` with keys of its own, `resumed` with those of an earlier one, `failed` with an alert (no common version or
 * suite, a client that does not trust the certificate), `plain_http`: the client speaks no TLS, `unfinished`: the connection was closed before.
 */
export const HANDSHAKE_RESULTS = ["full", "resumed", "failed", "plain_http", "unfinished"] as const;
export type HandshakeResult = (typeof HANDSHAKE_RESULTS)[number];

export interface DoorLimits {
  /** Connections at once. One more is let in, and another one closed for it. */
  readonly connections: number;
  /** Of these, of those who have not proven themselves; one more makes another of them go. Half, unless said otherwise. */
  readonly strangerConnections?: number;
  /** Requests on one connection whose answers have not gone yet. PIPELINED_MAX, unless said otherwise. */
  readonly pipelined?: { readonly stranger: number; readonly known: number };
  /** Bytes of answers that readers have not taken yet, of all connections together. */
  readonly unreadBytes: number;
  /** A connection of somebody who has not proven himself is closed when nothing has come on it for so long, ms. */
  readonly strangerIdleMs: number;
}

export const STRANGER_IDLE_MS = 5_000;
/** Requests on one connection whose answers have not gone yet, of strangers and of others: what was read of each is in memory. */
export const PIPELINED_MAX = { stranger: 16, known: 128 } as const;
const SWEEP_MS = 500;
/**
 * Who has closed his half may still wait for the answer. After so long two lines are sent that say that it is under way, and again later: a connection that is
 * closed altogether is reset by the first, which the second finds out.
 */
const ASK_MS = 1_000;
const ASK_AGAIN_MS = 5_000;
/** So much of the house is for those who have just come, however many of those come who have proven themselves. */
const STRANGERS_SHARE = 1 / 8;
/** And strangers take no more than so much of it. */
const STRANGERS_MAX_SHARE = 1 / 2;
/** So many are looked at for one place: thousands of heads that have begun must not be looked at all at once. */
const LOOKS_MAX = 4;

/** Hears what the door does; must not throw. */
export interface DoorWatch {
  /** So many connections are open now. */
  open(connections: number): void;
  closed(reason: ClosedFor): void;
  /** Only of a door that speaks TLS. */
  shaken(result: HandshakeResult): void;
}

/** Who may ask anything on a connection; asked once for each, when its handshake is done. */
export type Admission = (socket: Socket) => ClientCertificate;

export interface DoorParts {
  readonly limits: DoorLimits;
  readonly clock: Pick<Clock, "monotonicMs" | "trueMs" | "after">;
  readonly watch: DoorWatch;
  /** Given: connections begin with a TLS handshake, and somebody says when it is done (`secured`). */
  readonly tls?: { readonly deadlineMs: number; readonly admission: Admission | undefined } | undefined;
}

class Visitor extends Guest {
  /** After a handshake the one that encrypts. */
  socket: Socket;
  /** Which authorities of clients its handshake was judged by; see `Door.renew`. */
  readonly epoch: number;
  client: ClientCertificate | undefined;
  /** Requests whose answers have not gone yet. */
  underWay = 0;
  /** Bytes that had come when it began to rest. */
  bytesBefore = 0;
  /** How its answers are taken, while some wait. */
  reading: Reading | undefined;
  gone = false;
  readonly arrivedMs: number;
  /** Where its last request ends is not certain: what follows on it is none. */
  isEnding = false;
  /** The last answer that it waits for. */
  answer: ServerResponse | undefined;
  /** When to ask whether anybody is still there, ms, and how often that was done; while both halves are open, never. */
  askAtMs = Infinity;
  asked = 0;

  constructor(socket: Socket, nowMs: number, epoch: number) {
    super(addressOf(socket), nowMs);
    this.socket = socket;
    this.arrivedMs = nowMs;
    this.epoch = epoch;
  }

  get hasBegun(): boolean {
    return this.socket.bytesRead !== this.bytesBefore;
  }
}

/**
 * Holds the connections of one server within bounds, so that nobody who is there keeps out who comes: at the limit another connection is closed, never the
 * new one (Node's own `maxConnections` closes the newest). Strangers rest for a few seconds at most; whoever does not read his answers is given up.
 * The server hands every request to `receive` before it looks at it.
 */
export class Door {
  readonly #parts: DoorParts;
  readonly #book: GuestBook<Visitor>;
  readonly #visitors = new WeakMap<object, Visitor>();
  readonly #halfClosed = new Set<Visitor>();
  /** In their handshake, in the order in which they came. */
  readonly #shaking = new Set<Visitor>();
  #epoch = 0;
  #isSweeping = false;

  constructor(server: Server, parts: DoorParts) {
    this.#parts = parts;
    this.#book = new GuestBook(Math.floor(parts.limits.connections * STRANGERS_SHARE));
    server.on("connection", (socket: Socket) => this.#arrive(socket));
  }

  /**
   * A request has come: undefined when it may be served, `gone` when it must not be looked at (nobody is there for an answer). A fault must be answered;
   * its connection ends with that.
   */
  receive(request: IncomingMessage, response: ServerResponse): FramingFault | "gone" | undefined {
    const visitor = this.#visitors.get(request.socket);
    if (visitor === undefined || visitor.gone || visitor.isEnding) return "gone";
    visitor.underWay++;
    const { pipelined = PIPELINED_MAX } = this.#parts.limits;
    if (visitor.underWay > (visitor.known ? pipelined.known : pipelined.stranger)) {
      this.#close(visitor, "pipeline");
      return "gone";
    }
    if (visitor.underWay === 1) this.#book.turn(visitor, "busy", this.#nowMs());
    visitor.answer = response;
    response.once("close", () => this.#end(visitor));
    if (visitor.epoch !== this.#epoch) response.shouldKeepAlive = false;
    const fault = this.#clientFault(visitor) ?? framingFault(request);
    if (fault === undefined) return undefined;
    visitor.isEnding = true;
    response.shouldKeepAlive = false;
    return fault;
  }

  /** A handshake is done: from now on requests come through `secure`. False when its place was given up meanwhile. */
  secured(socket: Socket, secure: Socket): boolean {
    const visitor = this.#visitors.get(socket);
    if (visitor === undefined || visitor.gone) return false;
    this.#shaking.delete(visitor);
    visitor.socket = secure;
    visitor.bytesBefore = secure.bytesRead;
    visitor.client = this.#parts.tls?.admission?.(secure);
    this.#visitors.set(secure, visitor);
    this.#listenTo(visitor);
    this.#book.turn(visitor, "rest", this.#nowMs());
    return true;
  }

  /** A handshake that nobody may wait for any more. */
  giveUpHandshake(socket: Socket): void {
    const visitor = this.#visitors.get(socket);
    if (visitor !== undefined && this.#shaking.has(visitor)) this.#close(visitor, "handshake");
  }

  /** The server closes: those who have not asked anything yet come back through another connection. */
  closeHandshakes(): void {
    for (const { socket } of this.#shaking) socket.destroy();
  }

  /** Other authorities of clients are in force: connections that were judged by those before end with their next answer. */
  renew(): void {
    this.#epoch++;
  }

  #clientFault({ client }: Visitor): FramingFault | undefined {
    if (client === undefined) return undefined;
    if (!client.ok) return { code: "client_certificate_refused", detail: client.detail };
    return this.#parts.clock.trueMs() < client.untilMs ? undefined : { code: "client_certificate_refused", detail: EXPIRED_SINCE };
  }

  /** Whoever sent this has proven himself: his connection may rest, and others are closed before it. */
  know({ socket }: Pick<IncomingMessage, "socket">): void {
    const visitor = this.#visitors.get(socket);
    if (visitor !== undefined && !visitor.gone) this.#book.know(visitor);
  }

  /** Closes the connection of a request that has let others wait: for `unread` its answer, for `room` the rest of it. */
  giveUp({ socket }: Pick<IncomingMessage, "socket">, reason: "unread" | "room"): void {
    const visitor = this.#visitors.get(socket);
    if (visitor !== undefined && !visitor.gone) this.#close(visitor, reason);
  }

  #arrive(socket: Socket): void {
    const visitor = new Visitor(socket, this.#nowMs(), this.#epoch);
    this.#visitors.set(socket, visitor);
    this.#book.add(visitor);
    if (this.#parts.tls === undefined) this.#listenTo(visitor);
    else {
      this.#shaking.add(visitor);
      socket.once("close", () => this.#forget(visitor));
    }
    const { connections, strangerConnections = Math.ceil(connections * STRANGERS_MAX_SHARE) } = this.#parts.limits;
    if (this.#book.size > connections || this.#book.strangers > strangerConnections) this.#makeRoom(visitor);
    this.#parts.watch.open(this.#book.size);
    this.#sweepLater();
  }

  #listenTo(visitor: Visitor): void {
    visitor.socket.once("close", () => this.#forget(visitor));
    visitor.socket.once("end", () => {
      visitor.askAtMs = this.#nowMs() + ASK_MS;
      this.#halfClosed.add(visitor);
    });
  }

  #makeRoom(newcomer: Visitor): void {
    for (let looks = 1; ; looks++) {
      const victim = this.#book.victim(this.#nowMs(), newcomer);
      if (victim === undefined) return;
      // What has come meanwhile nobody has told of: a request whose head is not whole.
      if (looks === LOOKS_MAX || victim.doing !== "rest" || !victim.hasBegun) return this.#close(victim, "room");
      this.#book.turn(victim, "head", this.#nowMs());
    }
  }

  #end(visitor: Visitor): void {
    visitor.underWay--;
    if (visitor.gone || visitor.underWay > 0) return;
    visitor.reading = undefined;
    visitor.answer = undefined;
    visitor.bytesBefore = visitor.socket.bytesRead;
    this.#book.turn(visitor, "rest", this.#nowMs());
  }

  #close(visitor: Visitor, reason: ClosedFor): void {
    this.#forget(visitor);
    visitor.socket.destroy();
    this.#parts.watch.closed(reason);
  }

  #forget(visitor: Visitor): void {
    if (visitor.gone) return;
    visitor.gone = true;
    this.#halfClosed.delete(visitor);
    this.#shaking.delete(visitor);
    this.#book.remove(visitor);
    this.#parts.watch.open(this.#book.size);
  }

  #sweepLater(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.#parts.clock.after(SWEEP_MS, () => {
      this.#isSweeping = false;
      this.#closeLateHandshakes();
      this.#closeIdleStrangers();
      this.#lookAtReaders();
      this.#askHalfClosed();
      if (this.#book.size > 0) this.#sweepLater();
    });
  }

  /** However busy its client is with it: counted from the moment in which it came. */
  #closeLateHandshakes(): void {
    const sinceMs = this.#nowMs() - (this.#parts.tls?.deadlineMs ?? 0);
    for (const visitor of this.#shaking) {
      if (visitor.arrivedMs > sinceMs) return;
      this.#close(visitor, "handshake");
    }
  }

  #closeIdleStrangers(): void {
    const nowMs = this.#nowMs();
    for (const visitor of this.#book.inSince(laneOf(false, "rest"), nowMs - this.#parts.limits.strangerIdleMs)) {
      if (visitor.hasBegun) this.#book.turn(visitor, "head", nowMs);
      else this.#close(visitor, "idle");
    }
  }

  /** Closes whoever takes nothing, or too little; and while too much waits in all, whoever has let it wait for longest. */
  #lookAtReaders(): void {
    const nowMs = this.#nowMs();
    const waiting: { readonly visitor: Visitor; readonly reading: Reading }[] = [];
    let bytes = 0;
    for (const visitor of this.#atWork()) {
      const reading = this.#readingOf(visitor, nowMs);
      if (reading === undefined) continue;
      waiting.push({ visitor, reading });
      bytes += reading.unreadBytes;
    }
    for (const { visitor, reading } of waiting.toSorted((a, b) => a.reading.takenAtMs - b.reading.takenAtMs)) {
      if (bytes <= this.#parts.limits.unreadBytes && !reading.isHopeless(nowMs)) continue;
      bytes -= reading.unreadBytes;
      this.#close(visitor, "unread");
    }
  }

  /** `102 Processing` (RFC 2518 10.1) is read past by a client that waits; where there is none any more, its system answers with a reset. */
  #askHalfClosed(): void {
    const nowMs = this.#nowMs();
    for (const visitor of this.#halfClosed) {
      const { answer } = visitor;
      if (answer === undefined || answer.headersSent || visitor.askAtMs > nowMs) continue;
      visitor.asked++;
      visitor.askAtMs = nowMs + (visitor.asked % 2 === 0 ? ASK_AGAIN_MS : 0);
      if (answer.req.httpVersion === "1.1") answer.writeProcessing();
    }
  }

  *#atWork(): Generator<Visitor> {
    for (const known of [false, true]) for (const doing of ["busy", "unread"] as const) yield* this.#book.in(laneOf(known, doing));
  }

  #readingOf(visitor: Visitor, nowMs: number): Reading | undefined {
    const { socket } = visitor;
    const { writableLength: unreadBytes } = socket;
    if (unreadBytes === 0) {
      visitor.reading = undefined;
      if (visitor.doing === "unread") this.#book.turn(visitor, "busy", nowMs);
      return undefined;
    }
    const takenBytes = socket.bytesWritten - unreadBytes;
    if (visitor.reading === undefined) visitor.reading = new Reading(takenBytes, unreadBytes, nowMs);
    else visitor.reading.look(takenBytes, unreadBytes, nowMs);
    if (visitor.reading.isSlow(nowMs) && visitor.doing === "busy") this.#book.turn(visitor, "unread", nowMs);
    return visitor.reading;
  }

  #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }
}

/** IPv4 over an IPv6 socket is the same machine. */
function addressOf(socket: Socket): string {
  const address = socket.remoteAddress ?? "";
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
