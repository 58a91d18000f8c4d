import type { Command } from "commander";
import { compileBody, compileFilter } from "../core/expression/compile.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { demoCommand } from "./demo/demo.ts";
import { keyCommand } from "./key.ts";
import { listenCommand } from "./listen.ts";
import type { StartOperator } from "./operator.ts";
import type { ProcessSignals } from "./process-signals.ts";
import { publishCommand } from "./publish.ts";
import { runCommand } from "./run.ts";
import { uninstallCommand, type Connect } from "./uninstall.ts";
import { validateCommand } from "./validate.ts";
import { verifyCommand } from "./verify.ts";

export interface CommandsParts {
  readonly version: string;
  readonly start: StartOperator;
  readonly connect: Connect;
  readonly signals: ProcessSignals;
  readonly clock: Clock;
  readonly random: Random;
}

/** Every command, in the order of `postrider --help`. */
export function commandsOf({ version, start, connect, signals, clock, random }: CommandsParts): Command[] {
  return [
    runCommand(start, signals),
    demoCommand({ start, signals, clock, random }),
    publishCommand(),
    listenCommand(clock, signals),
    validateCommand({ filter: compileFilter, body: compileBody }, clock, version),
    verifyCommand(clock),
    keyCommand(random),
    uninstallCommand(clock, connect),
  ];
}
