import { Command, CommanderError } from "commander";
import { ConfigError } from "../config/config.ts";
import { complain, complainWhole, shown, tellWhole } from "./terminal.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Something a command cannot do, said in words for a person; exit code 1. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly code = "COMMAND";
}

/** Help is ours; what is wrong with an argument quotes it, and it may come from a file. */
const OUTPUT = { writeOut: tellWhole, writeErr: complainWhole };

/** The program with its commands; each command's help teaches by example. */
export function createProgram(version: string, commands: readonly Command[]): Command {
  const program = new Command("postrider")
    .description("Outbound webhooks, native to a Kubernetes cluster: durable before we answer, signed, retried, isolated.")
    .version(version)
    .showHelpAfterError("(postrider <command> --help shows examples)")
    .exitOverride()
    .configureOutput(OUTPUT);
  for (const command of commands) program.addCommand(command.exitOverride().showHelpAfterError(true).configureOutput(OUTPUT));
  return program;
}

/** Parses and runs; answers the exit code: 0 done, 1 refused or failed, 2 wrong usage. Never throws. */
export async function runProgram(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync([...argv], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : EXIT_DONE;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE;
    if (error instanceof ConfigError) {
      for (const line of error.lines) complain(shown`postrider: ${line}`);
      return EXIT_USAGE;
    }
    const text = error instanceof CommandFailure ? error.message : describe(error);
    complain(shown`postrider: ${text}`);
    return EXIT_FAILED;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? ` (${error.code})` : "";
  return `${error.message}${code}`;
}
