import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";

const STOP_TIMEOUT_MS = 15_000;
const LOG_TAIL_LINES = 25;

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

/** Long-running programs inside one network namespace, each with its own log file; stopped in reverse order. */
export class ProcessGroup {
  readonly #running: Running[] = [];
  readonly #netns: string;
  readonly #directory: string;

  constructor(netns: string, directory: string) {
    this.#netns = netns;
    this.#directory = directory;
  }

  /** Starts a program; what it prints goes to <directory>/<name>.log. */
  start(name: string, command: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const log = openSync(join(this.#directory, `${name}.log`), "a");
    // The signal at the parent's death: a test run that is killed takes its node along.
    const enter = ["--pdeathsig", "TERM", "nsenter", `--net=/run/netns/${this.#netns}`, "--"];
    const child = spawn("setpriv", [...enter, ...command], {
      env: { ...process.env, ...env },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    this.#running.push({ name, child, ended });
  }

  /** The first program that has ended although nobody stopped it, with the end of its log. */
  deceased(): string | undefined {
    const dead = this.#running.find(({ child }) => child.exitCode !== null || child.signalCode !== null);
    return dead === undefined
      ? undefined
      : `${dead.name} ended (${dead.child.exitCode ?? dead.child.signalCode})\n${this.logTail(dead.name)}`;
  }

  logTail(name: string): string {
    return readFileSync(join(this.#directory, `${name}.log`), "utf8")
      .trimEnd()
      .split("\n")
      .slice(-LOG_TAIL_LINES)
      .join("\n");
  }

  /** SIGTERM, then SIGKILL after 15 s, one program after the other, the last started first. */
  async stop(): Promise<void> {
    for (const { child, ended } of this.#running.splice(0).toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    }
  }
}
