import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { ConnectFailure } from "./connect-failure.ts";

/** After so long without a connection the next address is tried beside the one before (RFC 8305, 5: recommended). */
const STAGGER_MS = 250;
/** The shortest pause between two addresses, however many share the time (RFC 8305, 5: never less). */
const STAGGER_MIN_MS = 10;
/** Connections under way at once in one race. The one that has waited longest is given up for the next. */
const UNDER_WAY_MAX = 4;
/** What a host without this network or family says of every address of it: less telling than what a receiver says. */
const NO_ROUTE: ReadonlySet<string> = new Set(["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EHOSTUNREACH"]);

/** How far a connection under way has come. */
export type Phase = "tcp" | "proxy" | "tls";
const PHASES: readonly Phase[] = ["tcp", "proxy", "tls"];

/** One address under way. */
export class Runner {
  readonly address: string;
  phase: Phase = "tcp";
  #stop: (() => void) | undefined;
  #isStopped = false;
  readonly #answered: (runner: Runner) => void;

  constructor(address: string, answered: (runner: Runner) => void) {
    this.address = address;
    this.#answered = answered;
  }

  /** Somebody is there: what follows (TLS, the proxy's own connection) may take its share of the time before another address is tried. */
  answered(phase: Phase): void {
    this.phase = phase;
    this.#answered(this);
  }

  /** `stop` lets go of what this runner holds, at once if it has been given up. */
  onStop(stop: () => void): void {
    this.#stop = stop;
    if (this.#isStopped) stop();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stop?.();
  }
}

export interface RaceOptions {
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  /** What is left for all of them together, ms. */
  readonly leftMs: number;
  /** Makes a connection, or rejects with a ConnectFailure. */
  readonly connect: (address: string, runner: Runner) => Promise<Socket>;
  /** Told of each address that has lost for a reason of its own. */
  readonly failed: (address: string) => void;
  readonly worked: (address: string) => void;
}

/**
 * Connects to the first of some addresses that can be had: a next one is begun when the one before has failed, or is silent for 250 ms or its
 * share of the time. A receiver that answers with a bad certificate has been found: then no other is tried.
 */
export class AddressRace {
  readonly #options: RaceOptions;
  readonly #waiting: string[];
  readonly #shareMs: number;
  readonly #running = new Set<Runner>();
  #tried = 0;
  #newest: Runner | undefined;
  #newestBegunMs = 0;
  #cancelNext: (() => void) | undefined;
  #failure: unknown;
  #isOver = false;
  #settle: { resolve: (socket: Socket) => void; reject: (error: unknown) => void } | undefined;

  constructor(addresses: readonly string[], options: RaceOptions) {
    this.#options = options;
    this.#waiting = [...addresses];
    this.#shareMs = Math.max(STAGGER_MIN_MS, options.leftMs / Math.max(1, addresses.length));
  }

  /** How far the one that has come farthest is. */
  get phase(): Phase {
    let farthest = 0;
    for (const { phase } of this.#running) farthest = Math.max(farthest, PHASES.indexOf(phase));
    return PHASES[farthest] ?? "tcp";
  }

  /** Addresses begun so far. */
  get tried(): number {
    return this.#tried;
  }

  /** The first socket, or the most telling failure once nobody is left. */
  run(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#beginNext();
    });
  }

  /** The time is over: whoever runs has failed. */
  expire(failure: ConnectFailure): void {
    if (this.#isOver) return;
    for (const { address } of this.#running) this.#options.failed(address);
    this.#end();
    this.#settle?.reject(failure);
  }

  #beginNext(): void {
    this.#cancelNext?.();
    this.#cancelNext = undefined;
    const address = this.#waiting.shift();
    if (address === undefined) return;
    const [longest] = this.#running;
    if (longest !== undefined && this.#running.size >= UNDER_WAY_MAX) this.#giveUp(longest);
    const runner = new Runner(address, (one) => this.#giveTime(one));
    this.#running.add(runner);
    this.#tried += 1;
    this.#newest = runner;
    this.#newestBegunMs = this.#options.clock.monotonicMs();
    this.#nextIn(Math.min(STAGGER_MS, this.#shareMs));
    this.#options.connect(address, runner).then(
      (socket) => this.#won(runner, socket),
      (error: unknown) => this.#lost(runner, error),
    );
  }

  #nextIn(delayMs: number): void {
    this.#cancelNext?.();
    this.#cancelNext = this.#waiting.length === 0 ? undefined : this.#options.clock.after(delayMs, () => this.#beginNext());
  }

  #giveTime(runner: Runner): void {
    if (this.#isOver || runner !== this.#newest) return;
    const usedMs = this.#options.clock.monotonicMs() - this.#newestBegunMs;
    this.#nextIn(Math.max(STAGGER_MS, this.#shareMs) - usedMs);
  }

  #giveUp(runner: Runner): void {
    this.#running.delete(runner);
    this.#options.failed(runner.address);
    runner.stop();
  }

  #won(winner: Runner, socket: Socket): void {
    if (this.#isOver || !this.#running.has(winner)) return void socket.destroy();
    // Those begun earlier have been overtaken: next time they come after.
    for (const runner of this.#running) {
      if (runner === winner) break;
      this.#options.failed(runner.address);
    }
    this.#options.worked(winner.address);
    this.#running.delete(winner);
    this.#end();
    this.#settle?.resolve(socket);
  }

  #lost(runner: Runner, error: unknown): void {
    if (this.#isOver || !this.#running.delete(runner)) return;
    const isFinal = !(error instanceof ConnectFailure) || error.isFinal;
    if (!isFinal) this.#options.failed(runner.address);
    if (this.#failure === undefined || !isNoRoute(error)) this.#failure = error;
    if (!isFinal && this.#waiting.length > 0) {
      // A silent one may still run: this one's place is free at once.
      return this.#beginNext();
    }
    if (!isFinal && this.#running.size > 0) return;
    this.#end();
    this.#settle?.reject(isFinal ? error : this.#failure);
  }

  #end(): void {
    this.#isOver = true;
    this.#cancelNext?.();
    for (const runner of this.#running) runner.stop();
    this.#running.clear();
  }
}

function isNoRoute(error: unknown): boolean {
  return error instanceof ConnectFailure && NO_ROUTE.has(error.code);
}
