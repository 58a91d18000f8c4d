import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("polls-child.ts", import.meta.url));
/** Connections opened at once: fewer than the listen backlog of common kernels. */
const STEP = 100;

export type PollsAsked = { readonly kind: "measure"; readonly waiting: number; readonly collected: boolean } | { readonly kind: "stop" };

export interface PollsSeen {
  readonly kind: "seen";
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly timers: number;
}

interface Ready {
  readonly kind: "ready";
  readonly url: string;
  /** Results to wait for, in several namespaces. */
  readonly paths: readonly string[];
}

/** An ingest in a process of its own, and many raw connections from here that wait for results. */
export class Polls {
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #paths: readonly string[];
  readonly #sockets: Socket[] = [];
  /** Bytes of the answers, as they came. */
  readonly answers: string[] = [];

  private constructor(child: ChildProcess, ready: Ready) {
    this.#child = child;
    this.#port = Number(new URL(ready.url).port);
    this.#paths = ready.paths;
  }

  /** With `count` events still owed, over five namespaces. */
  static async start(count: number): Promise<Polls> {
    const child = fork(CHILD, [String(Math.ceil(count / 5))], {
      execArgv: ["--expose-gc"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const [ready] = (await once(child, "message")) as [Ready];
    return new Polls(child, ready);
  }

  /** Opens so many more connections; each waits `wait` for the result of an event that is still owed. */
  async open(count: number, wait: string): Promise<void> {
    for (let opened = 0; opened < count; opened += STEP) {
      await Promise.all(Array.from({ length: Math.min(STEP, count - opened) }, (_, i) => this.#openOne(opened + i, wait)));
    }
  }

  /** Ordinary requests on ten connections, one after the other on each: afterwards the process is as large as one at work. */
  async traffic(count: number): Promise<void> {
    const request = `GET ${this.#paths[0]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    const ended = Array.from({ length: 10 }, async () => {
      const socket = connect({ port: this.#port, host: "127.0.0.1" });
      socket.write(request);
      for (let left = count / 10; left > 0; left--) {
        await once(socket, "data");
        socket.write(request);
      }
      await once(socket.destroy(), "close");
    });
    await Promise.all(ended);
  }

  async closeAll(): Promise<void> {
    const closed = this.#sockets.splice(0).map((socket) => once(socket.destroy(), "close"));
    await Promise.all(closed);
  }

  /** Waits until so many wait, and tells what the process takes; without garbage if asked. */
  async measure(waiting: number, collected = false): Promise<PollsSeen> {
    const told = once(this.#child, "message") as Promise<[PollsSeen]>;
    this.#child.send({ kind: "measure", waiting, collected } satisfies PollsAsked);
    return (await told)[0];
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const ended = once(this.#child, "exit");
    this.#child.send({ kind: "stop" } satisfies PollsAsked);
    await ended;
  }

  async #openOne(index: number, wait: string): Promise<void> {
    const socket = connect({ port: this.#port, host: "127.0.0.1" });
    this.#sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => this.answers.push(chunk.toString("latin1")));
    await once(socket, "connect");
    const path = this.#paths[index % this.#paths.length];
    socket.write(`GET ${path}?wait=${wait} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: polls/1\r\nAccept: */*\r\n\r\n`);
  }
}
