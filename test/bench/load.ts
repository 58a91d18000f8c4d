import type { ChildProcess } from "node:child_process";
import { buildLoadgen, lineReader, startPinned } from "./machine.ts";

/** What one run of the load generator measured. */
export interface LoadResult {
  readonly posted: number;
  readonly accepted: number;
  readonly refused: number;
  readonly received: number;
  readonly missing: number;
  readonly seconds: number;
  readonly deliveredPerSecond: number;
  readonly acceptP50Ms: number;
  readonly acceptP99Ms: number;
  readonly arrivalP50Ms: number;
  readonly arrivalP99Ms: number;
  /** Share of its core the generator used; over 0.6 the run is void. */
  readonly cpuShare: number;
}

export interface LoadCommand {
  readonly url: string;
  readonly types?: string;
  readonly rate?: number;
  readonly durationMs: number;
  readonly connections?: number;
  readonly batch?: number;
  readonly fanOut?: number;
  readonly waitMs?: number;
  /** Of an event's data, about; 1,024 if not given. */
  readonly bodyBytes?: number;
  /** Each post has an idempotency key. */
  readonly keys?: boolean;
  /** Only ClientHellos, over and over, on so many connections at once; each that is answered counts as accepted. */
  readonly handshakes?: boolean;
  /** Spreads the posts over namespaces bench-0, bench-1, … of a URL that names `bench`. */
  readonly namespaces?: number;
}

/** The receiver and load generator: one Go process on the second core. */
export class Load {
  readonly #child: ChildProcess;
  readonly #next: () => Promise<Record<string, unknown>>;
  readonly address: string;

  private constructor(child: ChildProcess, next: () => Promise<Record<string, unknown>>, address: string) {
    this.#child = child;
    this.#next = next;
    this.address = address;
  }

  /** `origins`: receivers on as many loopback addresses, all on one port. */
  static async start(hang = "", origins = 1): Promise<Load> {
    const child = startPinned(1, buildLoadgen(), [...(hang === "" ? [] : ["-hang", hang]), "-origins", String(origins)]);
    const next = lineReader(child);
    const first = await next();
    return new Load(child, next, String(first["listening"]));
  }

  async run(command: LoadCommand): Promise<LoadResult> {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    return (await this.#next()) as unknown as LoadResult;
  }

  stop(): void {
    this.#child.stdin?.end();
  }
}
