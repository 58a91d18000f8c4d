import { VERSION } from "./version.ts";
import { commandsOf } from "../cli/commands.ts";
import type { StartOperator } from "../cli/operator.ts";
import { ProcessSignals } from "../cli/process-signals.ts";
import { createProgram, EXIT_FAILED, runProgram } from "../cli/program.ts";
import { SystemClock } from "../lib/clock.ts";
import { systemRandom } from "../lib/random.ts";

/** A promise nobody waits for has failed, or the store is lost: going on would be guessing. */
const EXIT_BROKEN = 70;

/** Files 0600, folders 0700. */
const UMASK = 0o077;

/** How a process ends at once: in order, or, where a thread hangs in the disk and would be waited for, by a kill. */
export interface Ends {
  readonly exit: (code: number) => void;
  readonly kill: () => void;
}

/** Runs one command; answers its exit code. */
export async function runProcess(argv: readonly string[], { exit, kill }: Ends): Promise<number> {
  const clock = new SystemClock();
  let last = (): void => exit(EXIT_FAILED);
  const signals = new ProcessSignals(clock, () => last());
  signals.listen();
  const start: StartOperator = async (config, options) => {
    // Whatever this process writes, and its libraries write, is nobody else's to read: events, answers, signing keys.
    process.umask(UMASK);
    // Commands that start no operator need none of this: it is most of what there is to load.
    const [{ startOperator }, { createLog, flushLog }] = await Promise.all([import("./compose.ts"), import("../observe/log.ts")]);
    const log = createLog(options?.logLevel ?? config["log-level"]);
    const end = (error: unknown, message: string): void => {
      log.fatal({ err: error }, message);
      flushLog(log);
      exit(EXIT_BROKEN);
    };
    process.on("unhandledRejection", (error) => end(error, "unhandled promise rejection: exiting, to be restarted"));
    process.on("uncaughtException", (error) => end(error, "uncaught exception: exiting, to be restarted"));
    const onFatal = (error: Error): void => end(error, "the store has failed: exiting, to reopen it");
    const killed = (): void => {
      flushLog(log);
      kill();
    };
    const operator = await startOperator(config, { clock, random: systemRandom, log, onFatal, kill: killed });
    last = () => {
      flushLog(log);
      if (operator.isStuck()) kill();
      else exit(EXIT_FAILED);
    };
    return { ...operator, finished: operator.finished.finally(() => flushLog(log)) };
  };

  const connect = async (kubeconfig: string | undefined) => {
    const [{ kubernetesCredentials }, { KubeTransport }] = await Promise.all([
      import("../kube/credentials.ts"),
      import("../kube/transport.ts"),
    ]);
    return new KubeTransport(kubernetesCredentials(kubeconfig), clock);
  };
  const commands = await commandsOf({ version: VERSION, start, connect, signals, clock, random: systemRandom }, argv);
  return runProgram(createProgram(VERSION, commands), argv);
}
