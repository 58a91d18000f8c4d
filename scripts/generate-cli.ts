import type { Command } from "commander";
import { allCommands } from "../src/cli/commands.ts";
import { ProcessSignals } from "../src/cli/process-signals.ts";
import { createProgram } from "../src/cli/program.ts";
import { SystemClock } from "../src/lib/clock.ts";
import { systemRandom } from "../src/lib/random.ts";

const COLUMNS = 80;

const HEAD = `# Commands

Generated from the commands by \`npm run generate\`: what \`--help\` prints. From a checkout: \`npm run --silent postrider -- <command>\`.
[At night](support.md) shows them at work, [ADR 54](adr/0054-the-command-line-asks-the-api.md) says why they are as they are.

- **Environment**: \`POSTRIDER_SERVER\` (API port), \`POSTRIDER_TOKEN\`, \`POSTRIDER_NAMESPACE\`, for every command that asks the API. A flag
  wins. \`run\` reads \`POSTRIDER_<FLAG>\` for each of its flags.
- **Exit codes**: 0 done, 1 refused, failed or unreachable, 2 wrong usage, 130 after ^C; \`plan\`: 0 no change, 1 changes, 2 refused.
- **Output**: data on stdout, everything else on stderr. \`--color\`, then \`NO_COLOR\`, then \`CLICOLOR_FORCE\`.
- **Completion**: \`source <(postrider completion bash)\`; zsh and fish likewise.
`;

const never = (): never => {
  throw new Error("the page runs no command");
};

/** docs/cli.md: the help of every command. */
export async function commandsPage(): Promise<string> {
  const clock = new SystemClock();
  const signals = new ProcessSignals(clock, never);
  const commands = await allCommands({ version: "", start: never, connect: never, signals, clock, random: systemRandom });
  createProgram("", commands);
  return [HEAD, ...commands.flatMap((command) => sections(command, `postrider ${command.name()}`))].join("\n");
}

function sections(command: Command, name: string): string[] {
  const own = command.commands.filter((child) => child.name() !== "help");
  return [`## ${name}\n\n\`\`\`\n${helpOf(command)}\n\`\`\`\n`, ...own.flatMap((child) => sections(child, `${name} ${child.name()}`))];
}

/** As a terminal of 80 columns shows it, without colour. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => COLUMNS, getOutHasColors: () => false });
  command.outputHelp();
  return text.trim();
}
