import { fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

const CHILD = resolve(import.meta.dirname, "attempter-child.ts");

export interface AttemptsAsked {
  /** A receiver that behaves, to get warm. */
  readonly benignUrl: string;
  /** One subscription for each. */
  readonly targets: readonly string[];
  /** Attempts at each target, all at once. */
  readonly connections: number;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
}

export interface AttemptSeen {
  /** Index of the target. */
  readonly kind: number;
  readonly class: string;
  readonly statusCode: number | undefined;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly message: string;
  readonly tookMs: number;
  readonly head: readonly string[];
  /** The first bytes kept of the answer's body. */
  readonly body: string;
  readonly bodyBytes: number;
}

export interface AttemptsMade {
  readonly attempts: readonly AttemptSeen[];
  /** Resident memory after as many attempts at the receiver that behaves, and the most seen until the last hostile attempt had ended. */
  readonly restBytes: number;
  readonly peakBytes: number;
  /** Sockets open after the attempter was closed. */
  readonly openSockets: number;
}

/** Makes the attempts in a process of their own, so that its memory is nobody else's. */
export async function makeAttempts(asked: AttemptsAsked): Promise<AttemptsMade> {
  const child = fork(CHILD, { execArgv: ["--expose-gc"], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = once(child, "exit");
  const answered = new Promise<AttemptsMade>((resolve, reject) => {
    child.once("message", (made) => resolve(made as AttemptsMade));
    void exited.then(([code]) => reject(new Error(`the attempts' process ended with ${String(code)} before it answered`)));
  });
  child.send(asked);
  try {
    const made = await answered;
    await exited;
    return made;
  } finally {
    child.kill("SIGKILL");
  }
}
