import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/**
 * Runs "$@" beside a watcher that holds the reading end of our pipe. When this process ends in any way, SIGKILL included, the
 * kernel closes the pipe, `cat` ends and the program is killed: a test run cannot leak a server.
 */
const GUARD = `exec 3<&0
"$@" </dev/null 3<&- &
program=$!
( cat <&3 >/dev/null; kill -KILL $program ) >/dev/null 2>&1 &
exec 3<&- </dev/null
wait $program`;

/** A server that tests start; it never outlives the process that started it. */
export class GuardedProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** `output` receives stdout and stderr: an open file, or "inherit". */
  constructor(command: readonly [string, ...string[]], output: number | "inherit", cwd?: string) {
    this.name = command[0].split("/").at(-1) ?? command[0];
    // A process group of its own, so that a stop reaches the shell, the watcher and the program at once.
    this.#child = spawn("sh", ["-c", GUARD, "guard", ...command], { cwd, stdio: ["pipe", output, output], detached: true });
    this.#child.stdin?.on("error", () => undefined);
    this.#ended = once(this.#child, "exit");
    this.#ended.then(
      () => this.#child.stdin?.destroy(),
      () => undefined,
    );
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with how it ended, or rejects when it could not be started. */
  async ended(): Promise<string> {
    await this.#ended;
    return this.#child.signalCode ?? `exit code ${this.#child.exitCode}`;
  }

  /** Kills it and waits until it is gone. Safe to call twice. */
  async kill(): Promise<void> {
    if (this.running && this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL");
    await this.#ended;
  }
}
