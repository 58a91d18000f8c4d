import { Command, CommanderError } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { errorCode } from "../lib/error-code.ts";
import { ListenError } from "../lib/listen.ts";
import { complain, complainWhole, shown, tellWhole } from "./terminal.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** After ^C, as shells have it: 128 and the number of the signal. */
export const EXIT_INTERRUPTED = 130;

/** Something a command cannot do, said in words for a person; exit code 1. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly code = "COMMAND";
}

/** What a flag does is told in this many columns at least. */
const DESCRIPTION_COLUMNS_MIN = 30;

/** Help is ours; what is wrong with an argument quotes it, and it may come from a file. */
const OUTPUT = { writeOut: tellWhole, writeErr: complainWhole };

/** The program with its commands; each command's help teaches by example. */
export function createProgram(version: string, commands: readonly Command[]): Command {
  const program = new Command("postrider")
    .description("Outbound webhooks, native to a Kubernetes cluster: durable before we answer, signed, retried, isolated.")
    .version(version)
    .exitOverride();
  pointToHelp(program, "postrider").addHelpText("after", "\nEach command's --help shows examples and its exit codes.");
  for (const command of commands) program.addCommand(taught(command, `postrider ${command.name()}`));
  return program;
}

function taught(command: Command, name: string): Command {
  for (const child of command.commands) taught(child, `${name} ${child.name()}`);
  return pointToHelp(command.exitOverride(), name);
}

/** One line: the error, what was probably meant, and where the help is. */
function pointToHelp(command: Command, name: string): Command {
  // Commander breaks no lines beside a name as long as --metrics-tls-certificate-file, unless said otherwise.
  return command.configureHelp({ minWidthToWrap: DESCRIPTION_COLUMNS_MIN }).configureOutput({
    ...OUTPUT,
    outputError: (text, write) => write(`${text.trimEnd().replaceAll("\n", " ").replace(/\.$/, "")}; see ${name} --help\n`),
  });
}

/**
 * Demands flags (`--type`), all of those that lack at once. Commander's own `requiredOption` would name them before it names a flag that was
 * misspelt.
 */
export function requireFlags(command: Command, ...flags: readonly string[]): Command {
  return command.hook("preAction", () => {
    const values = command.opts<Record<string, unknown>>();
    const lacking = command.options.filter((option) => flags.includes(option.long ?? "") && values[option.attributeName()] === undefined);
    if (lacking.length === 0) return;
    const names = lacking.map((option) => `'${option.flags}'`).join(" and ");
    command.error(`error: ${names} ${lacking.length === 1 ? "is" : "are"} required`, { exitCode: EXIT_USAGE });
  });
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
  if (error instanceof ListenError) return error.message;
  const code = errorCode(error) ?? "";
  return code === "" || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
