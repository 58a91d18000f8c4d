import { spawn, type ChildProcess } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "./node-flags.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const READY_WITHIN_MS = 20_000;
const STDERR_CHARS_MAX = 1_000_000;

interface RunOptions {
  /** A command under which the process runs, like a tracer. */
  readonly under?: readonly string[];
  /** The process is started as if it were so much later, ms: what a restart after a long night is like. */
  readonly laterMs?: number;
  /** Its first file, with the flags of Node that it needs; default: the sources. */
  readonly program?: readonly string[];
  /** Added to the environment of the process. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface OperatorProcessOptions extends RunOptions {
  /** A directory; or else the manifests are those of a cluster. */
  readonly manifests?: string;
  readonly kubeconfig?: string;
  readonly store: string;
  readonly ingestPort?: number;
  /** Flags that say who is let in; default: everybody. */
  readonly auth?: readonly string[];
  readonly flags?: readonly string[];
}

export interface ReadyLine {
  readonly msg: "ready";
  readonly ingest: string;
  readonly api: string;
  readonly metrics: string;
  readonly pid: number;
}

/** Node's arguments for a process whose wall clock is ahead: time is the only thing that is faked, before a line of ours has run. */
function later(ms: number | undefined): string[] {
  return ms === undefined ? [] : ["--import", `data:text/javascript,const now=Date.now;Date.now=()=>now()+${ms}`];
}

/** The real binary as a child process: started with files, ended or killed by the test. */
export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly ready: ReadyLine;
  readonly exited: Promise<number | null>;
  readonly stdoutLines: string[];
  /** The last STDERR_CHARS_MAX characters of the log so far. */
  readonly stderr: () => string;

  private constructor(
    child: ChildProcess,
    ready: ReadyLine,
    exited: Promise<number | null>,
    output: Pick<OperatorProcess, "stdoutLines" | "stderr">,
  ) {
    this.#child = child;
    this.ready = ready;
    this.exited = exited;
    this.stdoutLines = output.stdoutLines;
    this.stderr = output.stderr;
  }

  static async start(options: OperatorProcessOptions): Promise<OperatorProcess> {
    const listen = [
      "--ingest-listen",
      `127.0.0.1:${options.ingestPort ?? 0}`,
      "--api-listen",
      "127.0.0.1:0",
      "--metrics-listen",
      "127.0.0.1:0",
    ];
    const auth = [...(options.auth ?? ["--ingest-auth", "none", "--api-auth", "none"]), "--log-level", "warn"];
    const { manifests, kubeconfig = "" } = options;
    const provider = manifests === undefined ? ["cluster", "--kubeconfig", kubeconfig] : ["file", "--manifests", manifests];
    const source = ["--provider", ...provider, "--store", options.store, "--store-reserve", "1Mi"];
    return OperatorProcess.run([...source, ...listen, ...auth, ...(options.flags ?? [])], options);
  }

  /** With these arguments of `postrider run`, and no others. */
  static async run(args: readonly string[], { under, laterMs, env, program = ["src/main.ts"] }: RunOptions = {}): Promise<OperatorProcess> {
    const [tracer, ...tracing] = under ?? [];
    const child = spawn(
      tracer ?? process.execPath,
      [...(tracer === undefined ? [] : [...tracing, process.execPath]), ...NODE_FLAGS, ...later(laterMs), ...program, "run", ...args],
      { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...NODE_ENVIRONMENT, ...env } },
    );
    const killChild = (): void => void child.kill("SIGKILL");
    process.once("exit", killChild);
    const exited = new Promise<number | null>((done) => {
      child.once("exit", (code) => {
        process.removeListener("exit", killChild);
        done(code);
      });
    });
    let complaints = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints = `${complaints}${text}`.slice(-STDERR_CHARS_MAX)));
    const stdoutLines: string[] = [];
    const ready = await new Promise<ReadyLine>((done, fail) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        fail(new Error(`no ready line within ${READY_WITHIN_MS} ms; stderr: ${complaints.slice(-8_000)}`));
      }, READY_WITHIN_MS);
      void exited.then((code) => fail(new Error(`ended with ${code} before it was ready; stderr: ${complaints.slice(-8_000)}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        stdoutLines.push(line);
        if (!line.includes('"msg":"ready"')) return;
        clearTimeout(timer);
        done(JSON.parse(line) as ReadyLine);
      });
    });
    return new OperatorProcess(child, ready, exited, { stdoutLines, stderr: () => complaints });
  }

  /** Ends the process itself at once, whatever it runs under; safe to call twice. */
  async kill(): Promise<void> {
    try {
      process.kill(this.ready.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    await this.exited;
  }

  async signal(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited;
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
