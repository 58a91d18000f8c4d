import { spawn } from "node:child_process";

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** After this the command is killed and the promise rejects. */
  readonly timeoutMs?: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 120_000;
const SHOWN_CHARS_MAX = 4_000;

/** Runs a command to its end and gives what it printed, whatever its exit code. Rejects when it cannot be started or takes too long. */
export function attempt(command: readonly [string, ...string[]], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const [file, ...args] = command;
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (signal === "SIGKILL") reject(new Error(`${command.join(" ")}: killed after ${timeoutMs} ms\n${tail(stdout + stderr)}`));
      else resolve({ code: code ?? -1, stdout, stderr });
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin ?? "");
  });
}

/** Runs a command and gives its standard output; anything but exit code 0 rejects with what it printed. */
export async function output(command: readonly [string, ...string[]], options: CommandOptions = {}): Promise<string> {
  const result = await attempt(command, options);
  if (result.code === 0) return result.stdout;
  throw new Error(`${command.join(" ")}: exit code ${result.code}\n${tail(result.stdout + result.stderr)}`);
}

function tail(text: string): string {
  return text.length > SHOWN_CHARS_MAX ? `… ${text.slice(-SHOWN_CHARS_MAX)}` : text;
}
