import { once } from "node:events";
import type { Socket } from "node:net";
import { connected, connectTo } from "./link.ts";

/** Fewer at once than the listen backlog of common kernels. */
const STEP = 100;

/** Many raw connections to one port of this machine, all from one address. What comes in is counted; unless told otherwise it is read. */
export class Crowd {
  readonly sockets: Socket[] = [];
  readonly #port: number;
  received = 0;
  closed = 0;
  /** Answers, cut at 200 characters. */
  readonly answers: string[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  get open(): number {
    return this.sockets.length - this.closed;
  }

  /** Opens so many more; each sends `text`, reading what comes unless `deaf`. */
  async come(count: number, text: string, deaf = false): Promise<void> {
    for (let opened = 0; opened < count; opened += STEP) {
      await Promise.all(Array.from({ length: Math.min(STEP, count - opened) }, () => this.#one(text, deaf)));
    }
  }

  sendAll(text: string): void {
    for (const socket of this.sockets) if (!socket.destroyed) socket.write(text);
  }

  leave(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async #one(text: string, deaf: boolean): Promise<void> {
    const socket = connectTo(this.#port, { noDelay: true });
    this.sockets.push(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => this.closed++);
    if (deaf) socket.pause();
    else {
      socket.on("data", (chunk: Buffer) => {
        this.received++;
        this.answers.push(chunk.toString("latin1", 0, 200));
      });
    }
    await Promise.race([once(socket, connected()), once(socket, "close")]).catch(() => undefined);
    if (text !== "" && !socket.destroyed) socket.write(text);
  }
}

/** One request on a connection of its own, whole at once; answers everything that came back, "" when the connection was closed on it. */
export async function alone(port: number, text: string): Promise<string> {
  const socket = connectTo(port, { noDelay: true });
  const chunks: Buffer[] = [];
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.write(text);
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks).toString("latin1");
}

export const statusOf = (raw: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(raw)?.[1] ?? 0);
