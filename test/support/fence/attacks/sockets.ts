import { connect, type Socket } from "node:net";

/** Connections opened at once: fewer than the listen backlog of common kernels. */
const STEP = 200;

/** Raw connections of an attacker: kept, counted, and opened anew when the other side closes them. */
export class Sockets {
  readonly #port: number;
  readonly #open = new Set<Socket>();

  constructor(url: string) {
    this.#port = Number(new URL(url).port);
  }

  /** Keeps `count` connections open until the end; each says `first` when it is there, and is not read unless `reads`. */
  async keep(count: number, first: string | Uint8Array, signal: AbortSignal, reads = true): Promise<void> {
    while (!signal.aborted) {
      const missing = Math.min(STEP, count - this.#open.size);
      for (let i = 0; i < missing; i++) this.#one(first, reads);
      await pause(missing === STEP ? 5 : 100, signal);
    }
    this.close();
  }

  /** Sends the bytes over every connection that is open. */
  send(bytes: string): void {
    for (const socket of this.#open) if (socket.writable && socket.writableLength === 0) socket.write(bytes);
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
    this.#open.clear();
  }

  #one(first: string | Uint8Array, reads: boolean): void {
    const socket = connect({ port: this.#port, host: "127.0.0.1" });
    this.#open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#open.delete(socket));
    socket.on("connect", () => socket.write(first));
    if (reads) socket.resume();
    else socket.pause();
  }
}

/** Settles after so long, or at once when the attack ends. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    }
    signal.addEventListener("abort", end, { once: true });
  });
}

/** Does it again and again, over several lines at once, until the attack ends; what fails is tried again. */
export async function again(lines: number, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
  const line = async (): Promise<void> => {
    while (!signal.aborted) await work().catch(() => pause(20, signal));
  };
  await Promise.all(Array.from({ length: lines }, line));
}
