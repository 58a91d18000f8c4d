import type { Socket } from "node:net";
import type { OutcomeClass } from "../../../src/core/outcome.ts";

/** One way of being hostile, and what the attempt's outcome must say of it. */
export interface HostileKind {
  readonly name: string;
  readonly scheme?: "https";
  /** When it acts: as a connection stands, or with the head of each request (the default); under https with the client's first bytes. */
  readonly on?: "accept" | "request";
  readonly act: (socket: Socket) => void;
  readonly expected: {
    readonly class: OutcomeClass;
    readonly statusCode?: number;
    readonly connectionStatus?: string;
    readonly tlsStatus?: RegExp;
    readonly message: RegExp;
  };
  /** The listener's queue is full and nobody takes from it: no connection ever stands. */
  readonly neverAccepts?: true;
}

const DRIP_MS = 50;

/** Writes `piece` for as long as the connection stands. */
export function drip(socket: Socket, piece: string): void {
  const timer = setInterval(() => socket.write(piece, "latin1"), DRIP_MS);
  socket.once("close", () => clearInterval(timer));
}

/** Writes `piece` as fast as the other side takes it. */
export function flood(socket: Socket, piece: Buffer): void {
  const pump = (): void => {
    while (socket.writable && socket.write(piece));
  };
  socket.on("drain", pump);
  pump();
}

/** Writes `bytes` (one character a byte) and leaves the connection open. */
export function say(socket: Socket, bytes: string): void {
  socket.write(bytes, "latin1");
}
